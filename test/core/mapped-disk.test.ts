import test from 'ava';
import * as fc from 'fast-check';
import {type Disk, newSpan, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {type Mapping, mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';

const SOURCE_SIZE = 400;
const SOURCES = 3;

interface Run {
	readonly kind: SpanKind;
	readonly length: number;
	readonly source: number;
	readonly at: number;
}

/** A disk of given runs, and the same as plain bytes; -1 is what cannot be read. */
interface Model {
	readonly disk: Disk;
	readonly bytes: readonly number[];
	readonly reads: {source: number; position: number; length: number}[];
	readonly closed: number[];
}

function contentOf(source: number): Uint8Array {
	return Uint8Array.from({length: SOURCE_SIZE}, (_, at) => ((at * 11) ^ (at >> 3) ^ (source * 77)) & 0xff);
}

/** The bytes of an encoded run, by their position on the disk. */
function decoded(position: number): number {
	return (position * 5 + 3) & 0xff;
}

function build(runs: readonly Run[], overhang = 0): Model {
	const reads: Model['reads'] = [];
	const closed: number[] = [];
	const bytes = runs.flatMap((run, index) => {
		const start = runs.slice(0, index).reduce((total, {length}) => total + length, 0);
		return Array.from({length: run.length}, (_, offset) => {
			if (run.kind === SpanKind.stored) return contentOf(run.source)[run.at + offset];
			if (run.kind === SpanKind.encoded) return decoded(start + offset);
			return run.kind === SpanKind.unreadable ? -1 : 0;
		});
	});
	const sources = Array.from({length: SOURCES}, (_, index): ByteSource => {
		const memory = memorySource(contentOf(index), `source ${index}`);
		return {
			...memory,
			readAt(position, target) {
				reads.push({source: index, position, length: target.length});
				memory.readAt(position, target);
			},
			[Symbol.dispose]() {
				closed.push(index);
			},
		};
	});
	const mapping: Mapping = {
		format: 'test',
		name: 'test disk',
		size: bytes.length,
		sectorSize: 512,
		sources,
		locate(position, span) {
			let start = 0;
			for (const run of runs) {
				const rest = start + run.length - position;
				if (rest > 0) {
					// The last run may reach beyond the end of the disk: the engine cuts it.
					const length = run === runs.at(-1) ? rest + overhang : rest;
					if (run.kind === SpanKind.stored) stored(span, length, run.source, run.at + position - start);
					else unstored(span, run.kind, length);
					return;
				}
				start += run.length;
			}
		},
		decode(position, target) {
			for (let offset = 0; offset < target.length; offset++) target[offset] = decoded(position + offset);
		},
		describe: () => ({facts: [{key: 'runs', title: 'runs', value: runs.length}]}),
	};
	return {disk: checked(mappedDisk(mapping)), bytes, reads, closed};
}

const anyRun = fc.record({
	kind: fc.constantFrom(...Object.values(SpanKind), SpanKind.stored, SpanKind.stored),
	length: fc.integer({min: 1, max: 60}),
	source: fc.nat(SOURCES - 1),
	at: fc.nat(SOURCE_SIZE - 60),
	/** Whether it goes on where the run before it ended. */
	joined: fc.boolean(),
});

const anyRuns = fc.array(anyRun, {minLength: 1, maxLength: 12}).map(list => {
	const runs: Run[] = [];
	for (const {joined, ...run} of list) {
		const previous = runs.at(-1);
		const follows = joined && previous?.kind === SpanKind.stored && run.kind === SpanKind.stored;
		const at = follows ? previous.at + previous.length : run.at;
		const fits = follows && at + run.length <= SOURCE_SIZE;
		runs.push(fits ? {...run, source: previous.source, at} : run);
	}
	return runs;
});

test('reads agree with a plain byte array, whatever the runs', t => {
	fc.assert(
		fc.property(
			anyRuns,
			fc.array(fc.tuple(fc.nat(800), fc.nat(800)), {maxLength: 20}),
			fc.nat(1000),
			(runs, pairs, over) => {
				const {disk, bytes} = build(runs, over);
				for (const [first, second] of [...pairs, [0, bytes.length]]) {
					const [a, b] = [first % (bytes.length + 1), second % (bytes.length + 1)];
					const [from, to] = [Math.min(a, b), Math.max(a, b)];
					const expected = bytes.slice(from, to);
					// Dirty, and inside a larger buffer: zeros must be written, and nothing beside the target.
					const buffer = new Uint8Array(to - from + 8).fill(0xee);
					const target = buffer.subarray(4, 4 + to - from);
					if (expected.includes(-1)) {
						const error = t.throws(() => disk.readAt(from, target), {instanceOf: DiskError, code: 'disk/unreadable'});
						t.is(error.where.position, from + expected.indexOf(-1));
					} else {
						disk.readAt(from, target);
						t.deepEqual([...target], expected);
					}
					t.true([...buffer.subarray(0, 4), ...buffer.subarray(4 + to - from)].every(byte => byte === 0xee));
				}
			},
		),
		{numRuns: 1000},
	);
});

test('locate tells the kind of every byte and never reaches beyond the end', t => {
	fc.assert(
		fc.property(anyRuns, fc.nat(5000), (runs, over) => {
			const {disk, bytes} = build(runs, over);
			const span = newSpan();
			const kinds = runs.flatMap(({kind, length}) => Array.from({length}, () => kind));
			for (let position = 0; position < bytes.length; position++) {
				disk.locate(position, span);
				t.is(span.kind, kinds[position]);
				t.true(span.length >= 1 && position + span.length <= bytes.length);
				if (span.kind === SpanKind.stored) t.is(contentOf(span.source)[span.at], bytes[position]);
			}
		}),
		{numRuns: 200},
	);
});

function storedRun(source: number, at: number, length: number): Run {
	return {kind: SpanKind.stored, source, at, length};
}

test('runs that lie side by side in one source are read in one go', t => {
	const zero: Run = {kind: SpanKind.zero, length: 10, source: 0, at: 0};
	const {disk, bytes, reads} = build([
		storedRun(0, 100, 10),
		storedRun(0, 110, 20),
		storedRun(0, 130, 5),
		storedRun(1, 135, 5),
		zero,
		storedRun(1, 140, 5),
		storedRun(1, 50, 5),
	]);
	const target = new Uint8Array(bytes.length);
	disk.readAt(0, target);
	t.deepEqual([...target], bytes);
	t.deepEqual(reads, [
		{source: 0, position: 100, length: 35},
		{source: 1, position: 135, length: 5},
		{source: 1, position: 140, length: 5},
		{source: 1, position: 50, length: 5},
	]);
	reads.length = 0;
	disk.readAt(5, new Uint8Array(27));
	t.deepEqual(reads, [{source: 0, position: 105, length: 27}]);
});

test('an image that refers to bytes beyond its file is corrupt, also when runs are joined', t => {
	for (const runs of [
		[storedRun(0, SOURCE_SIZE - 5, 10)],
		[storedRun(0, SOURCE_SIZE - 5, 5), storedRun(0, SOURCE_SIZE, 5)],
		[storedRun(0, -1, 5)],
	]) {
		const {disk} = build(runs);
		const error = t.throws(() => disk.readAt(0, new Uint8Array(disk.size)), {instanceOf: DiskError});
		t.is(error.code, 'disk/beyond-source');
		t.is(error.family, 'corrupt');
		t.is(error.where.file, 'source 0');
	}
});

test('mistakes of a format are no DiskErrors', t => {
	const base = {format: 'test', name: 'test', size: 10, sectorSize: 512, sources: [], describe: () => ({facts: []})};
	const empty = mappedDisk({...base, locate: (_, span) => unstored(span, SpanKind.zero, 0)});
	t.throws(() => empty.readAt(0, new Uint8Array(1)), {message: /empty span/});
	const unknown = mappedDisk({...base, locate: (_, span) => stored(span, 10, 3, 0)});
	t.throws(() => unknown.readAt(0, new Uint8Array(1)), {message: /source 3 of 0/});
	const undecodable = mappedDisk({...base, locate: (_, span) => unstored(span, SpanKind.encoded, 10)});
	t.throws(() => undecodable.readAt(0, new Uint8Array(1)));
});

test('a disk closes its sources and shows what the format says', t => {
	const {disk, closed} = build([{kind: SpanKind.zero, length: 5, source: 0, at: 0}]);
	t.is(disk.describe().facts[0]?.value, 1);
	t.is(disk.sources.length, SOURCES);
	disk[Symbol.dispose]();
	t.deepEqual(closed, [0, 1, 2]);
});

test('holes of a sparse source are zeros within stored runs', t => {
	const bytes = Uint8Array.from({length: 4096}, (_, at) => (at >= 1024 && at < 3072 ? 0 : 7));
	const source: ByteSource = {
		...memorySource(bytes),
		seekData: position => (position >= 1024 && position < 3072 ? 3072 : position),
		seekHole: position => (position < 1024 ? 1024 : position < 3072 ? position : 4096),
	};
	const disk = mappedDisk({
		format: 'test',
		name: 'test',
		size: 4000,
		sectorSize: 512,
		sources: [source],
		locate: (position, span) => stored(span, 4000 - position, 0, position + 96),
		describe: () => ({facts: []}),
	});
	const span = newSpan();
	const found: [number, SpanKind, number][] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		found.push([position, span.kind, span.length]);
	}
	t.deepEqual(found, [
		[0, SpanKind.stored, 928],
		[928, SpanKind.zero, 2048],
		[2976, SpanKind.stored, 1024],
	]);
	const content = new Uint8Array(4000);
	disk.readAt(0, content);
	t.deepEqual(content, bytes.subarray(96));
});
