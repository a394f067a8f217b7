import test from 'ava';
import * as fc from 'fast-check';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {cachedSource} from '../../../src/core/sources/cached.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {concatSource} from '../../../src/core/sources/concat.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {windowSource} from '../../../src/core/sources/window.ts';

const BEYOND = {instanceOf: DiskError, code: 'source/beyond-end'} as const;

/** Bytes in which every run of a few bytes is different. */
function pattern(length: number, salt = 0): Uint8Array {
	return Uint8Array.from({length}, (_, index) => (index * 7 + (index >> 8) * 13 + salt * 31) & 0xff);
}

function readOf(source: ByteSource, position: number, length: number): Uint8Array {
	const target = new Uint8Array(length).fill(0xee);
	source.readAt(position, target);
	return target;
}

/** A source that counts its reads and knows in blocks of ten bytes which are holes. */
function sparse(length: number, holes: ReadonlySet<number>): ByteSource & {reads: number; closed: number} {
	const bytes = pattern(length);
	const seek = (position: number, hole: boolean): number => {
		let at = position;
		while (at < length && holes.has(Math.floor(at / 10)) !== hole) at = (Math.floor(at / 10) + 1) * 10;
		return Math.min(at, length);
	};
	const source = {
		...memorySource(bytes, 'sparse'),
		reads: 0,
		closed: 0,
		readAt(position: number, target: Uint8Array) {
			source.reads++;
			target.set(bytes.subarray(position, position + target.length));
		},
		seekData: (position: number) => seek(position, false),
		seekHole: (position: number) => seek(position, true),
		[Symbol.dispose]() {
			source.closed++;
		},
	};
	return source;
}

/** Every range inside `size` bytes. */
function ranges(size: number) {
	return fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => ({position: Math.min(a, b), length: Math.abs(a - b)}));
}

test('memory reads what it was given', t => {
	const bytes = pattern(100);
	const source = checked(memorySource(bytes));
	t.is(source.size, 100);
	fc.assert(
		fc.property(ranges(100), ({position, length}) => {
			t.deepEqual(readOf(source, position, length), bytes.slice(position, position + length));
		}),
	);
});

test('checked lets through what lies inside, and nothing else', t => {
	const source = checked(memorySource(pattern(100)));
	for (const position of [-1, 0.5, Number.NaN, Infinity, 2 ** 53, 101]) {
		t.throws(() => readOf(source, position, 0), BEYOND);
	}
	t.throws(() => readOf(source, 90, 11), BEYOND);
	t.throws(() => readOf(source, 0, 101), BEYOND);
	t.notThrows(() => readOf(source, 100, 0));
	const error = t.throws(() => readOf(source, 99, 2), BEYOND);
	t.deepEqual(error.where, {file: 'memory', position: 99});
});

test('checked keeps the other members and closes what it wraps', t => {
	const inner = sparse(100, new Set([1]));
	const source = checked(inner);
	t.is(source.seekHole?.(0), 10);
	t.is(source.seekData?.(10), 20);
	source[Symbol.dispose]();
	t.is(inner.closed, 1);
});

test('a window is a part of its source', t => {
	const bytes = pattern(200);
	const whole = memorySource(bytes);
	fc.assert(
		fc.property(ranges(200), ranges(200), (outer, inner) => {
			const window = windowSource(whole, outer.position, outer.length, 'window');
			t.is(window.size, outer.length);
			if (inner.position + inner.length > outer.length) return;
			const start = outer.position + inner.position;
			t.deepEqual(readOf(window, inner.position, inner.length), bytes.slice(start, start + inner.length));
		}),
	);
	t.throws(() => windowSource(whole, 150, 51, 'window'), {instanceOf: RangeError});
	t.throws(() => windowSource(whole, -1, 5, 'window'), {instanceOf: RangeError});
	t.throws(() => windowSource(whole, 0, -1, 'window'), {instanceOf: RangeError});
});

test('a window does not close its source, and knows holes only where the source does', t => {
	const inner = sparse(100, new Set());
	windowSource(inner, 10, 10, 'window')[Symbol.dispose]();
	t.is(inner.closed, 0);
	const plain = windowSource(memorySource(pattern(10)), 0, 10, 'window');
	t.is(plain.seekData, undefined);
	t.is(plain.seekHole, undefined);
});

/** What seekData and seekHole must answer, byte by byte. */
function assertSeeks(
	t: {is: (actual: number | undefined, expected: number) => unknown},
	source: ByteSource,
	holes: boolean[],
) {
	for (let position = 0; position <= holes.length; position++) {
		const data = holes.indexOf(false, position);
		const hole = holes.indexOf(true, position);
		t.is(source.seekData?.(position), data === -1 ? holes.length : data);
		t.is(source.seekHole?.(position), hole === -1 ? holes.length : hole);
	}
}

const holeBlocks = fc.uniqueArray(fc.nat(9), {maxLength: 10}).map(blocks => new Set(blocks));

function holesOf(blocks: ReadonlySet<number>, length: number): boolean[] {
	return Array.from({length}, (_, at) => blocks.has(Math.floor(at / 10)));
}

test('holes seen through a window', t => {
	fc.assert(
		fc.property(holeBlocks, ranges(95), (blocks, {position, length}) => {
			const window = windowSource(sparse(95, blocks), position, length, 'window');
			assertSeeks(t, window, holesOf(blocks, 95).slice(position, position + length));
		}),
	);
});

test('a concatenation reads across its parts, empty ones included', t => {
	const sizes = fc.array(fc.oneof(fc.constant(0), fc.nat(40)), {maxLength: 8});
	fc.assert(
		fc.property(sizes, fc.nat(1000), fc.nat(1000), (lengths, first, second) => {
			const parts = lengths.map((length, index) => pattern(length, index + 1));
			const model = Uint8Array.from(parts.flatMap(part => [...part]));
			const source = checked(
				concatSource(
					parts.map(part => memorySource(part)),
					'all',
				),
			);
			t.is(source.size, model.length);
			const [a, b] = [first % (model.length + 1), second % (model.length + 1)];
			const [from, to] = [Math.min(a, b), Math.max(a, b)];
			t.deepEqual(readOf(source, from, to - from), model.slice(from, to));
			t.deepEqual(readOf(source, 0, model.length), model);
		}),
		{numRuns: 500},
	);
});

test('a concatenation closes all its parts', t => {
	const parts = [sparse(5, new Set()), sparse(0, new Set()), sparse(7, new Set())];
	concatSource(parts, 'all')[Symbol.dispose]();
	t.deepEqual(
		parts.map(({closed}) => closed),
		[1, 1, 1],
	);
});

test('holes seen through a concatenation, where some parts do not know theirs', t => {
	const part = fc.record({blocks: holeBlocks, length: fc.nat(60), knows: fc.boolean()});
	fc.assert(
		fc.property(fc.array(part, {minLength: 1, maxLength: 4}), parts => {
			const sources = parts.map(({blocks, length, knows}) => {
				return knows ? sparse(length, blocks) : memorySource(pattern(length));
			});
			const holes = parts.flatMap(({blocks, length, knows}) => {
				return knows ? holesOf(blocks, length) : Array.from({length}, () => false);
			});
			assertSeeks(t, concatSource(sources, 'all'), holes);
		}),
	);
});

test('a cache of any shape gives the bytes of its source', t => {
	const bytes = pattern(3000);
	const shape = fc.record({blockSize: fc.constantFrom(1, 2, 16, 64, 512, 4096), blocks: fc.integer({min: 1, max: 5})});
	fc.assert(
		fc.property(shape, fc.array(ranges(3000), {maxLength: 40}), (options, reads) => {
			const source = cachedSource(memorySource(bytes), options);
			for (const {position, length} of reads) {
				t.deepEqual(readOf(source, position, length), bytes.slice(position, position + length));
			}
			// Short ones, which do stay in the cache.
			for (const {position} of reads) {
				const length = Math.min(5, 3000 - position);
				t.deepEqual(readOf(source, position, length), bytes.slice(position, position + length));
			}
		}),
		{numRuns: 300},
	);
});

test('a cache reads a block once while it holds it, and gives up the one used longest ago', t => {
	const inner = sparse(1000, new Set());
	const source = cachedSource(inner, {blockSize: 64, blocks: 2});
	const blocks = (...numbers: number[]): number => {
		inner.reads = 0;
		for (const number of numbers) readOf(source, number * 64 + 3, 5);
		return inner.reads;
	};
	t.is(blocks(0, 0, 0), 1);
	t.is(blocks(1, 0, 1, 0), 1);
	t.is(blocks(2), 1, 'takes the place of 1');
	t.is(blocks(0), 0);
	t.is(blocks(1), 1, 'takes the place of 2');
	t.is(blocks(2), 1);
	inner.reads = 0;
	readOf(source, 0, 64);
	t.is(inner.reads, 1, 'a whole block goes past it');
	readOf(source, 990, 10);
	t.is(inner.reads, 2, 'the last block is short');
});

test('after a failed read a cache forgets, and never gives half a block', t => {
	const bytes = pattern(1000);
	let bad = new Set<number>();
	const inner: ByteSource = {
		...memorySource(bytes),
		readAt(position, target) {
			target.fill(0xbd);
			if (bad.has(Math.floor(position / 16))) throw new DiskError('io', 'test/bad-sector', 'bad sector');
			target.set(bytes.subarray(position, position + target.length));
		},
	};
	const source = cachedSource(inner, {blockSize: 16, blocks: 3});
	const step = fc.record({position: fc.nat(980), length: fc.nat(15), bad: fc.uniqueArray(fc.nat(62), {maxLength: 20})});
	fc.assert(
		fc.property(fc.array(step, {maxLength: 30}), steps => {
			for (const {position, length, bad: numbers} of steps) {
				bad = new Set(numbers);
				const target = new Uint8Array(length);
				try {
					source.readAt(position, target);
				} catch (error) {
					t.true(error instanceof DiskError);
					continue;
				}
				t.deepEqual(target, bytes.slice(position, position + length));
			}
		}),
		{numRuns: 300},
	);
});

test('a cache passes on what it does not hold', t => {
	const inner = sparse(100, new Set([1]));
	const source = cachedSource(inner);
	t.is(source.seekHole?.(0), 10);
	t.is(source.seekData?.(10), 20);
	t.is(cachedSource(memorySource(pattern(5))).seekData, undefined);
	source[Symbol.dispose]();
	t.is(inner.closed, 1);
});
