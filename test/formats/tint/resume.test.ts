import test from 'ava';
import * as fc from 'fast-check';
import {openImage} from '../../../formats/tint/image.ts';
import {UNFINISHED} from '../../../formats/tint/layout.ts';
import {verifyImage} from './verify-image.ts';
import {contentHash, contentId} from '../../../src/core/codecs/content-id.ts';
import {type CreateRequest, type Disk, newSpan, type OpenContext, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSink} from '../../../src/core/source.ts';
import {
	creator,
	finish,
	IMAGE_ID,
	keyFile,
	newKey,
	noiseBytes,
	open,
	openContext,
	randomNumbers,
	readAll,
	type SparseFile,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeDisk,
	writeInRuns,
} from './tools.ts';

const CHUNK = 65_536;
const MIB = 1_048_576;

type Step = {readonly position: number; readonly bytes: Uint8Array} | {readonly length: number} | 'sync';

/** Notes what a disk would have to do; `committed` is how much of it is certain after which step. */
function recorder(base: SparseFile): {sink: ByteSink; steps: Step[]} {
	const steps: Step[] = [];
	const sink: ByteSink = {
		...base,
		writeAt(position, bytes) {
			steps.push({position, bytes: Uint8Array.from(bytes)});
			base.writeAt(position, bytes);
		},
		truncate(length) {
			steps.push({length});
			base.truncate(length);
		},
		sync: () => void steps.push('sync'),
	};
	return {sink, steps};
}

function replay(steps: readonly Step[], keep: (index: number) => boolean): SparseFile {
	const file = sparseFile();
	for (const [index, step] of steps.entries()) {
		if (step === 'sync' || !keep(index)) continue;
		if ('length' in step) file.truncate(step.length);
		else file.writeAt(step.position, step.bytes);
	}
	return file;
}

/** A write of which only the first sectors reached the medium. */
function torn({position, bytes}: {position: number; bytes: Uint8Array}, share: number): Step {
	return {position, bytes: bytes.subarray(0, Math.floor((bytes.length * share) / 512) * 512)};
}

const KEY = keyFile();

function creating(content: Uint8Array, encrypted = false): CreateRequest {
	return {
		...(encrypted && {keys: [newKey(KEY)]}),
		size: content.length,
		sectorSize: 512,
		options: {'chunk-size': CHUNK},
		id: IMAGE_ID,
		timestamp: TIMESTAMP,
	};
}

interface Writing {
	readonly steps: Step[];
	/** After so many steps a checkpoint of so many bytes is certain. */
	readonly commits: readonly {readonly after: number; readonly position: number}[];
}

/** Writes from `from` on, with a checkpoint every few pieces. */
function write(
	content: Uint8Array,
	base: SparseFile,
	every: number,
	resumed: boolean,
	parent?: () => Disk,
	encrypted = false,
): Writing {
	const {sink, steps} = recorder(base);
	const request = creating(content, encrypted);
	const again = resumed ? creator().resume?.(request, base.source(), parent?.()) : undefined;
	const plan = again?.plan ?? creator().plan(request, parent?.());
	const writer = creator().open(plan, sink, parent?.());
	const commits: {after: number; position: number}[] = [];
	for (let position = again?.position ?? 0, piece = 1; position < content.length; position += plan.pieceSize, piece++) {
		const bytes = content.subarray(position, position + plan.pieceSize);
		if (bytes.some(byte => byte !== 0)) {
			writer.encode({position, bytes});
			writer.reserve();
			writer.write();
		}
		const end = Math.min(content.length, position + plan.pieceSize);
		if (piece % every !== 0 || end === content.length) continue;
		writer.checkpoint?.(end);
		commits.push({after: steps.length, position: end});
	}
	writer.writeTables();
	sink.sync();
	writer.writeRoot();
	sink.sync();
	commits.push({after: steps.length, position: content.length});
	return {steps, commits};
}

function contextOf(encrypted: boolean): OpenContext {
	return {...openContext([]), ...(encrypted && {secret: KEY})};
}

function requireWhole(file: SparseFile, content: Uint8Array, parent?: SparseFile, encrypted = false): void {
	const context = contextOf(encrypted);
	const image = openImage(file.source(), {...context, ...(parent && {openRelated: () => parent.source()})});
	const {proven} = verifyImage(image, ({message}) => {
		throw new Error(message);
	});
	if (!proven) throw new Error('not proven');
	const id = contentId(content.length, contentHash(content));
	if (Buffer.compare(image.root.contentId, id) !== 0) throw new Error('content id');
}

/** How much of the disk a file holds for certain; -1 where it was never brought so far. */
function stateOf(file: SparseFile, encrypted: boolean): number {
	try {
		const {root, geometry} = openImage(file.source(), contextOf(encrypted), UNFINISHED);
		return (root.incompatible & UNFINISHED) === 0n ? geometry.size : root.chunksDone * geometry.chunkSize;
	} catch (error) {
		if (error instanceof DiskError) return -1;
		throw error;
	}
}

function disk(seed: number): Uint8Array {
	const content = new Uint8Array(9 * MIB + 700);
	const random = randomNumbers(seed);
	for (let at = 0; at < content.length; at += MIB) {
		const length = Math.min(content.length - at, Math.floor(random() * 400_000));
		const kind = random();
		if (kind < 0.3) content.set(noiseBytes(length), at);
		else if (kind < 0.6) content.set(textBytes(length, 3), at);
		else if (kind < 0.75) content.fill(5, at, at + MIB);
		else if (kind < 0.85) content.copyWithin(at, 0, MIB);
	}
	return content;
}

for (const encrypted of [false, true]) {
	const kind = encrypted ? 'encrypted' : 'plain';

	test(`cut short at any moment, with any of the writes that were not certain lost or torn, it goes on and ends right (${kind})`, t => {
		const seen = {none: 0, unfinished: 0, finished: 0, twice: 0};
		fc.assert(
			fc.property(fc.integer({min: 0, max: 1e6}), fc.integer({min: 1, max: 4}), (seed, every) => {
				const content = disk(seed);
				const random = randomNumbers(seed);
				const cutShort = (writing: Writing, before: readonly Step[]): {file: SparseFile; steps: Step[]} => {
					const end = Math.floor(random() * (writing.steps.length + 1));
					const synced = writing.steps.lastIndexOf('sync', Math.max(0, end - 1));
					const kept = writing.steps.slice(0, end).flatMap((step, index) => {
						if (index <= synced || random() < 0.5) return [step];
						return typeof step === 'object' && 'bytes' in step && random() < 0.3 ? [torn(step, random())] : [];
					});
					const steps = [...before, ...kept];
					const file = replay(steps, () => true);
					const certain = writing.commits.findLast(({after}) => after <= end)?.position ?? -1;
					const state = stateOf(file, encrypted);
					if (state < certain) throw new Error(`${certain} were certain, ${state} are left`);
					return {file, steps};
				};
				let {file, steps} = cutShort(write(content, sparseFile(), every, false, undefined, encrypted), []);
				for (let turn = 0; turn < 3; turn++) {
					const state = stateOf(file, encrypted);
					if (state === -1) {
						seen.none++;
						return;
					}
					if (state === content.length) {
						seen.finished++;
						requireWhole(file, content, undefined, encrypted);
						return;
					}
					t.throws(() => open(file.source(), encrypted ? KEY : undefined), {
						code: 'tint/feature',
						message: /unfinished/,
					});
					if (turn > 0) seen.twice++;
					seen.unfinished++;
					const whole = replay(steps, () => true);
					const writing = write(content, whole, every, true, undefined, encrypted);
					requireWhole(whole, content, undefined, encrypted);
					({file, steps} = cutShort(writing, steps));
				}
			}),
			{numRuns: encrypted ? 26 : 40, seed: 41},
		);
		t.true(
			Object.values(seen).every(count => count > 3),
			JSON.stringify(seen),
		);
	});
}

test('an unfinished incremental image goes on with the same parent, and no other', t => {
	const content = disk(3);
	const {file: base} = writeDisk(content, {options: {'chunk-size': CHUNK}, id: new Uint8Array(16).fill(9)});
	const other = writeDisk(content, {options: {'chunk-size': CHUNK}, id: new Uint8Array(16).fill(8)}).file;
	const changed = Uint8Array.from(content);
	changed.set(noiseBytes(CHUNK), 3 * MIB);
	changed.set(noiseBytes(CHUNK), 8 * MIB);
	const parent = () => open(base.source()).disk;
	const {steps, commits} = write(changed, sparseFile(), 4, false, parent);
	const file = replay(steps, index => index < commits[0].after);
	const request = creating(changed);
	t.is(creator().resume?.(request, file.source(), parent())?.position, 4 * MIB);
	t.throws(() => creator().resume?.(request, file.source()), {code: 'tint/resume', message: /another parent/});
	const wrong = open(other.source()).disk;
	t.throws(() => creator().resume?.(request, file.source(), wrong), {code: 'tint/resume'});
	t.throws(() => creator().resume?.({...request, size: 5}, file.source(), parent()), {code: 'tint/resume'});
	t.throws(() => creator().resume?.({...request, options: {'chunk-size': 2 * CHUNK}}, file.source(), parent()), {
		code: 'tint/resume',
	});
	write(changed, file, 4, true, parent);
	requireWhole(file, changed, base);
	t.true(file.bytes().length < 400_000);
	t.throws(() => creator().resume?.(request, file.source(), parent()), {code: 'tint/resume', message: /finished/});
});

test('what was not captured can be told as unreadable, so that the rest is a whole image', t => {
	const content = disk(5);
	const {steps, commits} = write(content, sparseFile(), 3, false);
	const file = replay(steps, index => index < commits[1].after);
	const resumed = creator().resume?.(creating(content), file.source());
	if (resumed === undefined) throw new Error('images can be resumed');
	const {plan, position} = resumed;
	t.is(position, 6 * MIB);
	const writer = creator().open(plan, file);
	writer.mark?.(position, content.length - position, SpanKind.unreadable);
	writer.write();
	finish(writer);
	const {disk: opened, findings} = open(file.source());
	t.deepEqual(findings, []);
	const head = new Uint8Array(position);
	opened.readAt(0, head);
	t.is(Buffer.compare(head, content.subarray(0, position)), 0);
	const span = newSpan();
	opened.locate(position, span);
	t.is(span.kind, SpanKind.unreadable);
	t.throws(() => readAll(opened), {code: 'disk/unreadable'});
});

test('a checkpoint keeps pages that are only begun: thousands of chunks, free ones and holes before it', t => {
	const size = 300 * MIB;
	const file = sparseFile();
	const request = {...creating(new Uint8Array(0)), size};
	writeInRuns(request, file, [70 * MIB, 150 * MIB, 151 * MIB, 260 * MIB]);
	const image = openImage(file.source(), openContext([]));
	t.is(image.root.run, 4);
	t.true(verifyImage(image, ({message}) => t.fail(message)).proven);
	t.is(
		image.root.states.reduce((total, count) => total + count),
		size / CHUNK,
	);
});
