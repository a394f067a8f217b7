import test from 'ava';
import * as fc from 'fast-check';
import {tint} from '../../../formats/tint/index.ts';
import {openImage} from '../../../formats/tint/image.ts';
import {type Disk, type Finding, newSpan, readsAsZero, SpanKind} from '../../../src/core/disk.ts';
import {crc32c} from '../../../src/core/bytes/checksums.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import type {Found, Steps} from '../../../src/core/upkeep.ts';
import {
	creator,
	type DiskMark,
	IMAGE_ID,
	noiseBytes,
	openContext,
	randomNumbers,
	type SparseFile,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeDisk,
} from './tools.ts';

const CHUNK = 65_536;
const MIB = 1_048_576;

function from(bytes: Uint8Array): ByteSource {
	return checked(memorySource(bytes, 'damaged'));
}

function toEnd<Result>(steps: Steps<Result>): Result {
	for (;;) {
		const step = steps.next();
		if (step.done === true) return step.value;
	}
}

function search(bytes: Uint8Array): Found {
	const {salvage} = tint.upkeep ?? {};
	if (salvage === undefined) throw new Error('tint can be searched');
	return toEnd(salvage(from(bytes), openContext([])));
}

/** The disk that is left of an image, in another thread's eyes. */
function salvaged(bytes: Uint8Array): Disk {
	const {salvage} = structuredClone(search(bytes));
	return checked(tint.open(from(bytes), {...openContext([]), salvage}));
}

interface Rescue {
	/** Bytes that read as what they were. */
	readonly right: number;
	readonly lost: number;
}

/** Throws where a byte is wrong; `content` has zeros where a mark lies. */
function compare(disk: Disk, content: Uint8Array): Rescue {
	const span = newSpan();
	let right = 0;
	let lost = 0;
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		const expected = content.subarray(position, position + span.length);
		if (span.kind === SpanKind.unreadable) {
			lost += span.length;
			continue;
		}
		const bytes = new Uint8Array(span.length);
		if (!readsAsZero(span.kind)) disk.readAt(position, bytes);
		if (Buffer.compare(bytes, expected) !== 0) throw new Error(`wrong bytes at ${position}`);
		right += span.length;
	}
	return {right, lost};
}

function makeContent(seed: number, size: number): Uint8Array {
	const content = new Uint8Array(size);
	const random = randomNumbers(seed);
	for (let at = 0; at < size; at += CHUNK) {
		const kind = random();
		const end = Math.min(size, at + CHUNK);
		if (kind < 0.3) content.set(textBytes(end - at, 1 + Math.floor(random() * 50)), at);
		else if (kind < 0.5) content.set(noiseBytes(end - at), at);
		else if (kind < 0.6) content.fill(1 + Math.floor(random() * 3), at, end);
		else if (kind < 0.75 && at > 0) content.copyWithin(at, 0, end - at);
	}
	return content;
}

function wiped(file: Uint8Array, at: number, length: number): Uint8Array {
	return Uint8Array.from(file).fill(0, at, at + length);
}

test('every root lost: the tables are found again, and nothing is lost', t => {
	const content = makeContent(5, 6 * MIB + 700);
	content.set(noiseBytes(700), 6 * MIB);
	const bytes = wiped(
		writeDisk(content, {options: {'chunk-size': CHUNK, comment: 'keep me'}}).file.bytes(),
		4096,
		8192,
	);
	t.throws(() => openImage(from(bytes), openContext([])), {code: 'tint/no-root'});
	t.false(search(bytes).whole);
	const disk = salvaged(bytes);
	t.deepEqual(compare(disk, content), {right: content.length, lost: 0});
	t.like(tint.upkeep?.likeness?.(disk), {'chunk-size': CHUNK, comment: 'keep me', codec: 'lz4'});
});

test('without a root, zeros at the end are not taken for granted', t => {
	const content = new Uint8Array(4 * MIB);
	content.set(noiseBytes(MIB), 0);
	const bytes = wiped(writeDisk(content, {options: {'chunk-size': CHUNK}}).file.bytes(), 4096, 8192);
	t.deepEqual(compare(salvaged(bytes), content), {right: MIB, lost: 3 * MIB});
});

test('a whole image needs no repair, and one of its damaged roots is told', t => {
	const content = makeContent(3, 2 * MIB);
	const file = writeDisk(content, {options: {'chunk-size': CHUNK}}).file.bytes();
	t.deepEqual(search(file), {salvage: {}, whole: true, findings: []});
	t.false(search(wiped(file, 4096, 4096)).whole);
	t.deepEqual(compare(salvaged(wiped(file, 0, 256)), content).lost, 0);
});

test('without header and roots there is no telling', t => {
	const file = writeDisk(makeContent(3, MIB), {options: {'chunk-size': CHUNK}}).file.bytes();
	t.throws(() => search(wiped(file, 0, 12_288)), {code: 'tint/no-header'});
	t.throws(() => search(new Uint8Array(100)), {code: 'tint/truncated'});
});

/** Frames by type, from the bytes alone. */
function framesOf(bytes: Uint8Array): {position: number; type: number; level: number; length: number}[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	const frames = [];
	for (let position = 12_288; position + 64 <= bytes.length; ) {
		const length = view.getUint32(position + 8, true);
		frames.push({position, type: bytes[position + 4], level: bytes[position + 6], length});
		position = Math.ceil((position + 64 + length) / 16) * 16;
	}
	return frames;
}

test('a lost index page is made up for by frames and hashes, but for what was unreadable', t => {
	const content = makeContent(9, 5 * MIB);
	const marks: DiskMark[] = [
		{position: 3 * MIB, length: CHUNK, kind: SpanKind.unreadable},
		{position: 4 * MIB, length: MIB, kind: SpanKind.free},
	];
	for (const {position, length} of marks) content.fill(0, position, position + length);
	const file = writeDisk(content, {options: {'chunk-size': CHUNK}, marks, long: true}).file.bytes();
	const page = framesOf(file).find(({type}) => type === 2);
	if (page === undefined) throw new Error('there is an index');
	const bytes = Uint8Array.from(file);
	bytes[page.position + 70] ^= 1;
	t.deepEqual(compare(salvaged(bytes), content), {right: 5 * MIB - CHUNK, lost: CHUNK});
});

test('a file that is cut short gives all chunks that are left', t => {
	const content = noiseBytes(8 * MIB);
	const file = writeDisk(content, {options: {'chunk-size': CHUNK}}).file.bytes();
	const {right, lost} = compare(salvaged(file.subarray(0, 12_288 + 4 * MIB)), content);
	t.is(right + lost, 8 * MIB);
	t.true(right >= 4 * MIB - 2 * CHUNK && right < 4 * MIB, String(right));
});

test('whatever is damaged: each byte is right or unreadable, and only DiskErrors come', t => {
	fc.assert(
		fc.property(
			fc.nat(1e6),
			fc.array(fc.record({at: fc.double({min: 0, max: 1, noNaN: true}), length: fc.nat(3000), xor: fc.boolean()}), {
				minLength: 1,
				maxLength: 6,
			}),
			fc.integer({min: 0, max: 2}),
			(seed, hits, roots) => {
				const size = CHUNK * 40 + (seed % 5000);
				const content = makeContent(seed, size);
				const marks: DiskMark[] = [
					{position: 3 * CHUNK + 512, length: 1024, kind: SpanKind.excluded},
					{position: 20 * CHUNK, length: 2 * CHUNK, kind: seed % 2 === 0 ? SpanKind.free : SpanKind.unreadable},
				];
				for (const {position, length} of marks) content.fill(0, position, position + length);
				const options = {'chunk-size': CHUNK, codec: seed % 3 === 0 ? 'zstd' : 'lz4'};
				const bytes = Uint8Array.from(writeDisk(content, {options, marks}).file.bytes());
				for (let slot = 1; slot <= roots; slot++) bytes.fill(0, slot * 4096, (slot + 1) * 4096);
				for (const {at, length, xor} of hits) {
					const start = 12_288 + Math.floor(at * (bytes.length - 12_288));
					const end = Math.min(bytes.length, start + length + 1);
					for (let place = start; place < end; place++) bytes[place] = xor ? bytes[place] ^ 0xff : 0;
				}
				try {
					compare(salvaged(bytes), content);
				} catch (error) {
					if (!(error instanceof DiskError)) throw error;
				}
			},
		),
		{numRuns: 60, seed: 7},
	);
	t.pass();
});

/** Gives a frame header that was changed the checksum that it needs to be believed. */
function reseal(bytes: Uint8Array, frame: number): void {
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	const length = Math.min(view.getUint32(frame + 8, true), bytes.length - frame - 64);
	view.setUint32(frame + 48, crc32c(bytes.subarray(frame + 64, frame + 64 + length)), true);
	view.setUint32(frame + 60, crc32c(bytes.subarray(frame, frame + 60)), true);
}

test('frames that lie with right checksums give DiskErrors and nothing else, in good time', t => {
	const content = makeContent(21, 30 * CHUNK);
	const file = writeDisk(content, {options: {'chunk-size': CHUNK}}).file.bytes();
	const frames = framesOf(file);
	const random = randomNumbers(99);
	const fields = [4, 5, 6, 8, 12, 16, 24, 28, 64, 68, 72, 76];
	const values = [0, 1, 2, 3, 5, 7, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff];
	for (let round = 0; round < 300; round++) {
		const bytes = Uint8Array.from(file);
		const view = new DataView(bytes.buffer);
		if (round % 2 === 0) bytes.fill(0, 4096, 12_288);
		for (let edit = 0; edit < 3; edit++) {
			// Tables come last, and have more to lie about.
			const {position} = frames[Math.floor(random() ** 0.3 * frames.length)];
			const field = fields[Math.floor(random() * fields.length)];
			if (position + field + 4 > bytes.length) continue;
			const value = values[Math.floor(random() * values.length)];
			if (field >= 4 && field < 8) bytes[position + field] = value;
			else view.setUint32(position + field, value, true);
			reseal(bytes, position);
		}
		try {
			const disk = salvaged(bytes);
			const span = newSpan();
			const buffer = new Uint8Array(CHUNK);
			for (let position = 0; position < disk.size; position += span.length) {
				disk.locate(position, span);
				if (span.kind === SpanKind.unreadable) continue;
				try {
					disk.readAt(position, buffer.subarray(0, Math.min(span.length, CHUNK)));
				} catch (error) {
					if (!(error instanceof DiskError)) throw error;
				}
			}
			const image = tint.open(from(bytes), openContext([]));
			const {check} = tint.upkeep ?? {};
			if (check !== undefined) toEnd(check(image, true, {finding() {}, damage() {}}));
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
	}
	t.pass();
});

/** Writes up to a checkpoint, and some more; the writer is then gone. */
function interrupted(content: Uint8Array, checkpoints: readonly number[], until: number): SparseFile {
	const file = sparseFile();
	const request = {
		size: content.length,
		sectorSize: 512,
		options: {'chunk-size': CHUNK},
		id: IMAGE_ID,
		timestamp: TIMESTAMP,
	};
	const plan = creator().plan(request);
	const writer = creator().open(plan, file);
	for (let position = 0; position < until; position += plan.pieceSize) {
		const bytes = content.subarray(position, position + plan.pieceSize);
		if (bytes.some(byte => byte !== 0)) {
			writer.encode({position, bytes});
			writer.reserve();
			writer.write();
		}
		if (checkpoints.includes(position + plan.pieceSize)) writer.checkpoint?.(position + plan.pieceSize);
	}
	return file;
}

test('an unfinished image is taken up to its checkpoint, and from frames beyond it', t => {
	const content = new Uint8Array(12 * MIB);
	content.set(noiseBytes(2 * MIB), 0);
	content.set(noiseBytes(MIB), 4 * MIB);
	content.set(noiseBytes(MIB), 8 * MIB);
	const bytes = interrupted(content, [2 * MIB, 6 * MIB], 9 * MIB).bytes();
	const context = openContext([]);
	t.like(tint.upkeep?.checkpoint?.(from(bytes), context), {position: 6 * MIB, size: content.length, parent: undefined});
	// Zeros between the checkpoint and the frame beyond it may have been anything.
	t.deepEqual(compare(salvaged(bytes), content), {right: 7 * MIB, lost: 5 * MIB});
	const rootless = wiped(bytes, 4096, 8192);
	t.is(tint.upkeep?.checkpoint?.(from(rootless), context), undefined);
	const {right, lost} = compare(salvaged(rootless), content);
	t.is(right + lost, content.length);
	t.true(right >= 4 * MIB, String(right));
	t.throws(() => openImage(from(bytes), context), {code: 'tint/feature'});
});

test('what lies in a missing file of the chain is unreadable in a salvaged disk', t => {
	const content = noiseBytes(2 * MIB);
	const parent = writeDisk(content, {options: {'chunk-size': CHUNK}}).file;
	const findings: Finding[] = [];
	const open = () => tint.open(parent.source(), openContext(findings));
	const changed = Uint8Array.from(content);
	changed.set(noiseBytes(CHUNK), MIB);
	const id = Uint8Array.from(IMAGE_ID, byte => byte ^ 1);
	const child = writeDisk(changed, {options: {}, parent: open, id}).file;
	const missing = {
		openRelated() {
			throw new DiskError('not-found', 'gate/parent-not-found', 'gone');
		},
		warn() {},
	};
	const disk = checked(tint.open(child.source(), {...missing, salvage: {}}));
	t.deepEqual(compare(disk, changed), {right: CHUNK, lost: 2 * MIB - CHUNK});
});
