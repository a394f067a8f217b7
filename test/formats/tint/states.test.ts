import test from 'ava';
import * as fc from 'fast-check';
import {openImage} from '../../../formats/tint/image.ts';
import {chunkLookup} from '../../../formats/tint/lookup.ts';
import {verifyImage} from './verify-image.ts';
import {contentHash, contentId} from '../../../src/core/codecs/content-id.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../../../src/core/disk.ts';
import {
	creator,
	type DiskMark,
	finish,
	makePlan,
	noiseBytes,
	open,
	openContext,
	type SparseFile,
	sparseFile,
	textBytes,
	writeDisk,
	writeImage,
} from './tools.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;
const CHUNK = 64 * KIB;
const SMALL = {'chunk-size': CHUNK};

/** Runs of marks in order, some of them whole pieces. */
const marks = fc
	.array(
		fc.record({
			gap: fc.oneof(fc.constantFrom(0, 128, 2048), fc.integer({min: 0, max: 1500})),
			count: fc.oneof(fc.constantFrom(1, 128, 2048, 4096), fc.integer({min: 1, max: 3000})),
			kind: fc.constantFrom(SpanKind.free, SpanKind.excluded, SpanKind.unreadable),
		}),
		{maxLength: 8},
	)
	.map(runs => {
		const found: DiskMark[] = [];
		let sector = 0;
		for (const {gap, count, kind} of runs) {
			found.push({position: (sector + gap) * 512, length: count * 512, kind});
			sector += gap + count;
		}
		return found;
	});

function cut(all: readonly DiskMark[], size: number): DiskMark[] {
	return all
		.map(({position, length, kind}) => ({position, length: Math.min(length, size - position), kind}))
		.filter(({length}) => length > 0);
}

/** Text, noise and zeros by turns; zeros under marks. */
function fillDisk(size: number, seed: number, given: readonly DiskMark[]): Uint8Array {
	const content = new Uint8Array(size);
	for (let at = 0, turn = seed; at < size; at += 200_000, turn++) {
		const length = Math.min(200_000, size - at);
		if (turn % 3 === 0) content.set(textBytes(length, (turn % 5) + 1), at);
		if (turn % 3 === 1) content.fill(turn, at, at + length);
	}
	for (const {position, length} of given) content.fill(0, position, position + length);
	return content;
}

/** Every byte's kind as the marks have it, and the content beside what is unreadable. */
function check(disk: Disk, content: Uint8Array, given: readonly DiskMark[]): void {
	const span = newSpan();
	const kinds = new Map<number, number>();
	for (const {position, length, kind} of given) {
		for (let at = position; at < position + length; at += 512) kinds.set(at, kind);
	}
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		for (let at = position; at < position + span.length; at += 512) {
			const kind = kinds.get(at);
			const right =
				kind === undefined ? span.kind === SpanKind.encoded || span.kind === SpanKind.zero : span.kind === kind;
			if (!right) throw new Error(`kind ${span.kind} at ${at}, not ${kind}`);
		}
		if (span.kind === SpanKind.unreadable) continue;
		const bytes = new Uint8Array(span.length);
		disk.readAt(position, bytes);
		if (Buffer.compare(bytes, content.subarray(position, position + span.length)) !== 0)
			throw new Error(`at ${position}`);
		if (readsAsZero(span.kind) && bytes.some(byte => byte !== 0)) throw new Error(`no zeros at ${position}`);
	}
}

test('marks are kept sector by sector, whatever the threads and whoever tells of them', t => {
	fc.assert(
		fc.property(
			marks,
			fc.integer({min: 1, max: 5 * MIB}),
			fc.constantFrom('lz4', 'zstd'),
			fc.constantFrom(CHUNK, 256 * KIB),
			fc.integer({min: 0, max: 1000}),
			(all, size, codec, chunkSize, seed) => {
				const given = cut(all, size);
				const content = fillDisk(size, seed, given);
				const options = {codec, 'chunk-size': chunkSize};
				const {file} = writeDisk(content, {options, marks: given});
				const {disk, findings} = open(file.source());
				if (findings.length > 0) throw new Error('findings');
				check(disk, content, given);
				const image = openImage(file.source(), openContext([]));
				const {proven} = verifyImage(image, ({message}) => {
					throw new Error(message);
				});
				if (!proven) throw new Error('not proven');
				if (Buffer.compare(image.root.contentId, contentId(size, contentHash(content))) !== 0) throw new Error('id');
				const alone = file.bytes();
				for (const threads of [2, 3]) {
					const other = writeDisk(content, {options, marks: given, threads, seed: seed + threads, long: true});
					if (Buffer.compare(other.file.bytes(), alone) !== 0) throw new Error(`${threads} threads`);
				}
			},
		),
		{numRuns: 25, seed: 21},
	);
	t.pass();
});

test('states are counted, and unreadable runs listed', t => {
	const size = 12 * CHUNK;
	const given: DiskMark[] = [
		{position: 0, length: 2 * CHUNK, kind: SpanKind.free},
		{position: 3 * CHUNK, length: CHUNK, kind: SpanKind.excluded},
		{position: 5 * CHUNK, length: 2 * CHUNK + 512, kind: SpanKind.unreadable},
		{position: 9 * CHUNK + 1024, length: 512, kind: SpanKind.unreadable},
	];
	const content = textBytes(size, 3);
	content.fill(7, 4 * CHUNK, 5 * CHUNK);
	const {file, facts} = writeDisk(content, {options: SMALL, marks: given});
	const {root, metadata} = openImage(file.source(), openContext([]));
	t.deepEqual(root.states.slice(0, 8), [0, 4, 1, 2, 1, 2, 0, 2]);
	t.deepEqual(metadata.unreadable, [
		{position: 5 * CHUNK, length: 2 * CHUNK + 512},
		{position: 9 * CHUNK + 1024, length: 512},
	]);
	t.like(facts, {freeChunks: 2, excludedChunks: 1, unreadableChunks: 2, mixedChunks: 2});
});

function offer(size: number, runs: (mark: (position: number, length: number) => void) => void): SparseFile {
	const sink = sparseFile();
	const plan = makePlan(size, SMALL);
	const writer = creator().open(plan, sink);
	runs((position, length) => {
		writer.mark?.(position, length, SpanKind.free);
		writer.write();
	});
	finish(writer);
	return sink;
}

test('a mostly free disk of 64 TiB costs kilobytes', t => {
	const size = 64 * TIB + 12_345;
	const sink = offer(size, mark => {
		mark(0, 3 * MIB);
		mark(5 * MIB, 20 * TIB);
		mark(20 * TIB + 7 * MIB, size - (20 * TIB + 7 * MIB));
	});
	t.true(sink.bytes().length < 128 * KIB, `${sink.bytes().length}`);
	const {disk} = open(sink.source());
	const span = newSpan();
	let free = 0;
	let steps = 0;
	for (let position = 0; position < size; position += span.length, steps++) {
		disk.locate(position, span);
		if (span.kind === SpanKind.free) free += span.length;
		else t.is(span.kind, SpanKind.zero);
	}
	t.is(free, size - 4 * MIB);
	t.true(steps < 500, `${steps}`);
	const all = offer(size, mark => mark(0, size));
	t.true(all.bytes().length < 32 * KIB);
	const image = openImage(all.source(), openContext([]));
	t.is(image.root.states[3], Math.ceil(size / CHUNK));
	const whole = open(all.source()).disk;
	for (const position of [0, 30 * TIB, size - 1]) {
		whole.locate(position, span);
		t.is(span.kind, SpanKind.free);
	}
});

test('a disk of one byte repeated has no pages but the top one', t => {
	const sink = sparseFile();
	const size = 256 * MIB;
	const plan = makePlan(size, SMALL);
	const writer = creator().open(plan, sink);
	const bytes = new Uint8Array(MIB).fill(0xff);
	for (let position = 0; position < size; position += MIB) {
		writer.encode({position, bytes});
		writer.reserve();
		writer.write();
	}
	finish(writer);
	const {disk} = open(sink.source());
	const part = new Uint8Array(3 * MIB + 5);
	disk.readAt(200 * MIB - 7, part);
	t.true(part.every(byte => byte === 0xff));
	const lookup = chunkLookup(openImage(sink.source(), openContext([])));
	t.true(lookup.find(0) >= 1024);
});

test('identical chunks are stored once, whatever the threads', t => {
	const block = noiseBytes(CHUNK);
	const other = noiseBytes(CHUNK);
	const content = new Uint8Array(100 * CHUNK + 500);
	for (let chunk = 0; chunk < 100; chunk++) {
		if (chunk % 4 !== 3) content.set(chunk % 5 === 0 ? other : block, chunk * CHUNK);
		if (chunk % 7 === 6) content.set(noiseBytes(CHUNK), chunk * CHUNK);
	}
	content.set(block.subarray(0, 500), 100 * CHUNK);
	const {file, facts} = writeDisk(content, {options: SMALL});
	const frames = 2 + Array.from({length: 100}, (_, chunk) => chunk).filter(chunk => chunk % 7 === 6).length + 1;
	t.is(facts['storedBytes'], (frames - 1) * CHUNK + 500);
	t.true((facts['duplicateChunks'] as number) > 50);
	for (const threads of [2, 3, 4]) {
		t.is(Buffer.compare(writeDisk(content, {options: SMALL, threads, seed: threads}).file.bytes(), file.bytes()), 0);
	}
	const {disk} = open(file.source());
	check(disk, content, []);
	t.true(verifyImage(openImage(file.source(), openContext([])), ({message}) => t.fail(message)).proven);
});

test('equal content under other maps stays apart', t => {
	const content = new Uint8Array(4 * CHUNK);
	for (let chunk = 0; chunk < 4; chunk++) content.set(textBytes(2000, 3), chunk * CHUNK);
	const given: DiskMark[] = [
		{position: 4096, length: 512, kind: SpanKind.free},
		{position: CHUNK + 4096, length: 512, kind: SpanKind.unreadable},
		{position: 3 * CHUNK + 4096, length: 1024, kind: SpanKind.excluded},
	];
	const {file} = writeDisk(content, {options: SMALL, marks: given});
	t.notThrows(() => check(open(file.source()).disk, content, given));
});

test('metadata is taken as JSON, and only what is known of it', t => {
	const metadata = {
		source: {name: 'sda', model: 'Disk 9', serial: 'A1', other: 3},
		excluded: [{path: '/pagefile.sys', volume: 3, bytes: 4096, reason: 'page file'}, 'nonsense', {volume: 3}],
		unreadable: [{position: 0, length: 512}],
		partitionData: [{position: 0, base64: 'AAAA'}],
		files: [{number: 1, path: '/etc/passwd'}],
	};
	const file = writeImage(new Uint8Array(1000), {metadata: JSON.stringify(metadata)});
	const read = openImage(file.source(), openContext([])).metadata;
	t.deepEqual(read, {
		software: 'tintype',
		source: {name: 'sda', model: 'Disk 9', serial: 'A1'},
		excluded: [{path: '/pagefile.sys', volume: 3, bytes: 4096, reason: 'page file'}],
		unreadable: [{position: 0, length: 512}],
		partitionData: [{position: 0, base64: 'AAAA'}],
	});
	const facts = Object.fromEntries(
		open(file.source())
			.disk.describe()
			.facts.map(({key, value}) => [key, value]),
	);
	t.like(facts, {'source-model': 'Disk 9', excluded: '3:/pagefile.sys'});
	for (const wrong of ['{', '[]', 'null', 3, `{"source": {"name": "${'x'.repeat(8 * MIB)}"}}`]) {
		t.throws(() => makePlan(1000, {metadata: wrong}), {code: 'tint/option'});
	}
});
