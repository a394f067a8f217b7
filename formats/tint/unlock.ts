import type {OpenContext, Secret} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checkReference, readTable} from './frame.ts';
import type {FrameOpener} from './frame-cipher.ts';
import {KEY_SLOT_SIZE, MAX_KEY_SLOTS} from './key-layout.ts';
import {type KeyTable, readKeyTable, unlock} from './key-table.ts';
import {ChunkState, FRAME_SIZE, FrameType} from './layout.ts';
import type {Reference} from './reference.ts';
import type {RootFront} from './root.ts';

/** What opened an encrypted image. */
export interface ImageCipher {
	readonly masterKey: Uint8Array;
	readonly keys: KeyTable;
	/** For the references of the root, whose run wrote what they name. */
	readonly opener: FrameOpener;
}

const MAX_TABLE = MAX_KEY_SLOTS * KEY_SLOT_SIZE;

type Warn = OpenContext['warn'];

/**
 * SPEC.md section 10.2: from the roots, newest first, to the master key. The first key table that can be read is the
 * one that counts: what a newer state has taken away opens nothing.
 */
export function unlockImage(
	source: ByteSource,
	fronts: readonly RootFront[],
	secret: Secret | undefined,
	warn: Warn,
): Pick<ImageCipher, 'masterKey' | 'keys'> {
	if (secret === undefined) {
		throw new DiskError('refused', 'key/needed', 'the image is encrypted', {
			where: {file: source.name},
			hint: 'it is opened with its passphrase or key file',
		});
	}
	const keys = newestKeys(source, fronts, warn);
	const {masterKey} = unlock(keys, secret);
	reportProblems(keys, warn);
	return {masterKey, keys};
}

/** The key table, for those who have no key. */
export function readKeys(source: ByteSource, fronts: readonly RootFront[], warn: Warn): KeyTable {
	const keys = newestKeys(source, fronts, warn);
	reportProblems(keys, warn);
	return keys;
}

function reportProblems({problems}: KeyTable, warn: Warn): void {
	for (const {error} of problems) {
		warn({code: error.code, severity: 'warning', message: `${error.message}; it is passed over`});
	}
}

function newestKeys(source: ByteSource, fronts: readonly RootFront[], warn: Warn): KeyTable {
	let failure: DiskError | undefined;
	for (const {keyTable, geometry} of fronts) {
		try {
			return readKeyTable(tablePayload(source, geometry.imageId, keyTable, warn));
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			failure ??= error;
		}
	}
	throw failure ?? corrupt('tint/key-table', 'the image is encrypted, and no root names its key table');
}

/** Slots have checksums of their own, so that one that is damaged does not take the others with it. */
function tablePayload(source: ByteSource, imageId: Uint8Array, reference: Reference, warn: Warn): Uint8Array {
	const structure = 'key table';
	try {
		return readTable(source, imageId, reference, {
			type: FrameType.keyTable,
			level: 0,
			subject: 0,
			maximum: MAX_TABLE,
			structure,
		});
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'io') throw error;
		const {position, length, state} = reference;
		if (state !== ChunkState.data || length > MAX_TABLE) throw error;
		checkReference(reference, source, structure);
		warn({code: error.code, severity: 'warning', message: `${error.message}; slots that are whole are used`});
		const payload = new Uint8Array(length);
		source.readAt(position + FRAME_SIZE, payload);
		return payload;
	}
}
