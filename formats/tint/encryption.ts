import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {writeU64} from '../../src/core/bytes/u64.ts';
import type {CreateRequest, Disk, Secret} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {imageOf} from './disk.ts';
import {storedFrame} from './frame.ts';
import {frameSealer, newRun, type RunSecret} from './frame-cipher.ts';
import type {TintImage} from './image.ts';
import {SALT_SIZE} from './key-layout.ts';
import {type KeyCost, newKeySlot, newMasterKey, writeKeyTable} from './key-table.ts';
import {ChunkState, FRAME_SIZE, FrameType} from './layout.ts';
import type {Reference} from './reference.ts';

/** What a writer encrypts with. Only the plan's maker has it; what the threads share is the key of their run. */
export interface WriterKeys {
	readonly masterKey: Uint8Array;
	/** The slots of the key table, as they are stored. */
	readonly slots: readonly Uint8Array[];
}

/** How a run is encrypted; it crosses threads. */
export interface EncryptionPlan {
	readonly secret: RunSecret;
	/** The number of this run's frames in references. */
	readonly file: number;
	/** What precedes all other frames of the run, and where: the run frame and the key table. */
	readonly prelude: Uint8Array;
	readonly position: number;
	readonly keyTable: Reference;
}

/** What the run frame holds. */
const RUN_PAYLOAD = SALT_SIZE + 8;

/** The keys of a new image: those of its parent or of `keysOf`, and new ones. Undefined where it is not encrypted. */
export function keysFor(
	{keys, keysOf}: Pick<CreateRequest, 'keys' | 'keysOf'>,
	parent: TintImage | undefined,
	cost: KeyCost | undefined,
): WriterKeys | undefined {
	const other = keysOf && imageOf(keysOf)?.cipher;
	if (keysOf !== undefined && other === undefined) {
		throw invalid(`${keysOf.name} is not an encrypted .tint image`, 'give a passphrase or key file of its own');
	}
	if (parent !== undefined && parent.cipher === undefined) {
		if (keys === undefined && keysOf === undefined) return undefined;
		throw invalid(
			`the parent ${parent.source.name} is not encrypted`,
			'a chain is encrypted as a whole: write a whole image with the key, or leave the key away',
		);
	}
	if (parent?.cipher !== undefined && other !== undefined && !sameBytes(parent.cipher.masterKey, other.masterKey)) {
		throw invalid(
			`${keysOf?.name} is encrypted with another key than the parent`,
			'all images of a chain have the same',
		);
	}
	const taken = other ?? parent?.cipher;
	if (taken === undefined && keys === undefined) return undefined;
	if (taken === undefined && keys?.length === 0) {
		throw invalid('an encrypted image needs a key that opens it', 'give a passphrase or a key file');
	}
	const masterKey = taken?.masterKey ?? newMasterKey();
	const added = (keys ?? []).map(({secret, label}) => {
		const own = secret.kind === 'passphrase' && cost !== undefined ? {cost} : {};
		return newKeySlot(masterKey, secret, {label, ...own});
	});
	return {masterKey, slots: [...(taken?.keys.kept ?? []), ...added]};
}

function invalid(message: string, hint: string): DiskError {
	return new DiskError('invalid', 'tint/keys', message, {where: {field: 'keys'}, hint});
}

/** What may open a file that is taken up again: what is there without any work comes first. */
export function secretsOf({keys = [], keysOf}: CreateRequest, parent: Disk | undefined): Secret[] {
	const masterKey = parent?.masterKey ?? keysOf?.masterKey;
	const known: Secret[] = masterKey === undefined ? [] : [{kind: 'master-key', bytes: masterKey}];
	return [...known, ...keys.map(({secret}) => secret)];
}

/** Begins a run whose first frame lies at `position`. */
export function planEncryption(
	{masterKey, slots}: WriterKeys,
	imageId: Uint8Array,
	{run, file, position, timestamp}: {run: number; file: number; position: number; timestamp: number},
): EncryptionPlan {
	const secret = newRun(masterKey, imageId, run);
	const sealer = frameSealer(secret);
	const payload = new Uint8Array(RUN_PAYLOAD);
	payload.set(secret.salt);
	writeU64(viewOf(payload), SALT_SIZE, timestamp);
	const facts = {level: 0, run, subject: 0};
	const runFrame = storedFrame(imageId, payload, {...facts, type: FrameType.run, number: sealer.takeNumber()});
	const table = writeKeyTable(slots);
	const tableFrame = storedFrame(imageId, table, {...facts, type: FrameType.keyTable, number: sealer.takeNumber()});
	const prelude = new Uint8Array(runFrame.length + tableFrame.length);
	prelude.set(runFrame);
	prelude.set(tableFrame, runFrame.length);
	const check = crc32c(tableFrame.subarray(FRAME_SIZE, FRAME_SIZE + table.length));
	const place = position + runFrame.length;
	const keyTable = {state: ChunkState.data, codec: 0, length: table.length, file: 0, position: place, check};
	return {secret, file, prelude, position, keyTable};
}
