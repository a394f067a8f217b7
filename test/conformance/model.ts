import {type Mark, SpanKind} from '../../src/core/disk.ts';

export const KIB = 1024;
export const MIB = KIB * KIB;
/** All runs but the very last byte of a disk lie on these borders, so that sectors of any size can hold them. */
const UNIT = 4 * KIB;

/** A run of the disk that is no plain zeros. */
export interface Run {
	readonly position: number;
	readonly length: number;
	/** Data, or how a format that keeps marks is told of it; then it reads as zeros, or not at all. */
	readonly kind: 'data' | Mark['kind'];
	/** In which image of a chain it lies, modulo the number of images: 0 is the oldest. */
	readonly layer: number;
	/** Its bytes; undefined where it is a mark. */
	readonly bytes: Uint8Array | undefined;
}

/** A disk as a map of runs in rising order; all else is zeros. */
export interface Model {
	readonly size: number;
	readonly runs: readonly Run[];
}

/**
 * Bytes that tell where they belong, none of them zero: so any map that calls one of them zero is wrong. Every third run is
 * of one byte, which compressors and the fill states of formats treat apart.
 */
function contentOf(position: number, length: number, seed: number): Uint8Array {
	const bytes = new Uint8Array(length);
	if (seed % 3 === 2) return bytes.fill(0x40 + seed);
	const high = Math.imul(Math.floor(position / 2 ** 32) + seed, 0x9e37_79b1);
	for (let at = 0; at < length; at++) {
		let mixed = Math.imul((((position + at) % 2 ** 32) | 0) ^ high, 0x85eb_ca6b);
		mixed ^= mixed >>> 13;
		bytes[at] = ((mixed >>> 7) & 0xff) | 1;
	}
	return bytes;
}

/** Bytes that no reader must ever show: what lies under newer content, or in parts of a block that are not the image's own. */
export function decoy(length: number): Uint8Array {
	return new Uint8Array(length).fill(0xee);
}

type Plan = readonly [start: number, end: number, kind?: Run['kind']];

function runsOf(plans: readonly Plan[]): Run[] {
	return plans.map(([position, end, kind = 'data'], layer) => {
		const length = end - position;
		return {position, length, kind, layer, bytes: kind === 'data' ? contentOf(position, length, layer) : undefined};
	});
}

/** Blocks and chunks of every size in use begin at some of these borders. */
const NEAR: readonly Plan[] = [
	[0, 64 * KIB],
	[MIB - 2 * UNIT, MIB + 2 * UNIT],
	[2 * MIB - UNIT, 2 * MIB + 3 * UNIT],
	[2 * MIB + 5 * UNIT, 2 * MIB + 6 * UNIT],
	[3 * MIB, 5 * MIB + UNIT],
	[6 * MIB, 6 * MIB + 3 * UNIT],
	[6 * MIB + 3 * UNIT, 6 * MIB + 8 * UNIT, SpanKind.free],
	[6 * MIB + 8 * UNIT, 6 * MIB + 9 * UNIT],
	[6 * MIB + 9 * UNIT, 6 * MIB + 20 * UNIT, SpanKind.excluded],
	[7 * MIB - 3 * UNIT, 7 * MIB + UNIT],
	[8 * MIB, 11 * MIB, SpanKind.free],
	[11 * MIB, 11 * MIB + 4 * UNIT, SpanKind.unreadable],
	[11 * MIB + 4 * UNIT, 12 * MIB - UNIT],
	[13 * MIB, 15 * MIB, SpanKind.unreadable],
	[15 * MIB, 16 * MIB],
];

/** A disk that can be read whole. `odd` bytes behind the last sector. */
export function smallModel(odd = 0): Model {
	const size = 18 * MIB + 3 * UNIT + odd;
	return {size, runs: runsOf([...NEAR, [18 * MIB - UNIT, size]])};
}

/** Positions at which numbers stop to fit: 31, 32 and 33 bits of bytes, 31 bits of sectors. */
const BORDERS = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40] as const;

/** A disk of a TiB and more, with data at each of these borders. */
export function largeModel(odd = 0): Model {
	const size = 2 ** 40 + 3 * MIB + 3 * UNIT + odd;
	const far = BORDERS.map((border): Plan => [border - 2 * UNIT, border + 2 * UNIT]);
	return {size, runs: runsOf([...NEAR, ...far, [size - odd - 2 * UNIT, size]])};
}

/** What a range holds, its unreadable runs as zeros. */
export function expected({runs}: Model, position: number, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	for (const run of runs) {
		if (run.bytes === undefined) continue;
		const from = Math.max(position, run.position);
		const to = Math.min(position + length, run.position + run.length);
		if (from < to) bytes.set(run.bytes.subarray(from - run.position, to - run.position), from - position);
	}
	return bytes;
}

/** The first run of a kind that a range touches. */
export function touched({runs}: Model, kind: Run['kind'], position: number, length: number): Run | undefined {
	const end = position + length;
	if (length === 0) return undefined;
	return runs.find(run => run.kind === kind && run.position < end && position < run.position + run.length);
}

/** The part of a disk that a window shows, or that lies below its end. */
export function cut({runs}: Model, start: number, length: number): Model {
	const inside = runs.flatMap(run => {
		const from = Math.max(start, run.position);
		const to = Math.min(start + length, run.position + run.length);
		if (from >= to) return [];
		const bytes = run.bytes?.subarray(from - run.position, to - run.position);
		return [{...run, position: from - start, length: to - from, bytes}];
	});
	return {size: length, runs: inside};
}

/** The same disk as formats show it that keep no marks: all of them are zeros. */
export function unmarked({size, runs}: Model): Model {
	return {size, runs: runs.filter(run => run.kind === 'data')};
}

/** What one image of a chain adds: its own runs, and over those that newer ones replace something else. */
export function layerOf({size, runs}: Model, layer: number, layers: number): Model {
	const mine = runs.flatMap(run => {
		if (run.bytes === undefined) return [];
		const own = run.layer % layers;
		if (own === layer) return [run];
		return own > layer ? [{...run, bytes: decoy(run.length)}] : [];
	});
	return {size, runs: mine};
}

/** Positions worth asking about: where runs begin and end, where blocks and numbers do, and the end of the disk. */
export function landmarks({size, runs}: Model): number[] {
	const blocks = [64 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 16 * MIB, 32 * MIB, 256 * MIB];
	const places = [...blocks, ...BORDERS, ...runs.flatMap(run => [run.position, run.position + run.length]), size];
	return [...new Set(places)].filter(place => place <= size).sort((a, b) => a - b);
}
