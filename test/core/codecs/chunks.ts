import {readFileSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../../../src/core/error.ts';
import type {LzxDecode} from '../../../src/core/codecs/lzx.ts';

/** Numbers below a limit, the same on every run with the same seed. */
export function random(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return below => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

export const seed = Number(process.env['SEED'] ?? 20_260_101);

function noise(length: number): Uint8Array {
	const next = random(7);
	return Uint8Array.from({length}, () => next(256));
}

const binary = readFileSync(process.execPath);

/** Chunks of many kinds, `size` bytes long at most: what compressors see and where they have their limits. */
export function samples(size: number): Map<string, Uint8Array> {
	const text = Buffer.from(
		readFileSync(new URL('../../../package-lock.json', import.meta.url), 'latin1').repeat(9),
		'latin1',
	);
	const all = new Map<string, Uint8Array>();
	for (const length of [1, 2, 3, 5, 16, 17, 18, 19, 255, 256, 257, 272, 273, 274, size - 1, size]) {
		all.set(`text ${length}`, text.subarray(1000, 1000 + length));
		all.set(`zeros ${length}`, new Uint8Array(length));
		all.set(
			`pairs ${length}`,
			Uint8Array.from({length}, (_, i) => i % 2),
		);
		all.set(`noise ${length}`, noise(length));
	}
	for (let i = 0; i < 12; i++) {
		all.set(`binary ${i}`, binary.subarray(6_000_000 + i * 2_000_003).subarray(0, size));
		all.set(`text at ${i}`, text.subarray(i * 13_331, i * 13_331 + size));
	}
	// A match as far back and as long as there can be one.
	const far = noise(size);
	far.set(far.subarray(0, 300), size - 300);
	all.set('far match', far);
	const long = noise(size);
	long.fill(5, 20, size - 20);
	all.set('long match', long);
	const skewed = new Uint8Array(size);
	const next = random(3);
	// Very unequal frequencies make the longest codes.
	for (let i = 0; i < size; i++) skewed[i] = Math.min(255, Math.floor(-Math.log2(next(2 ** 30) / 2 ** 30 + 1e-9) * 9));
	all.set('skewed', skewed);
	// Calls, near the end of the chunk too.
	const calls = noise(size).map(byte => byte & 15);
	for (let at = 0; at + 5 <= size; at += 13)
		calls.set([0xe8, next(256), next(256), next(8) === 0 ? 0xff : next(4), 0], at);
	all.set('calls', calls);
	return all;
}

export interface Outcome {
	readonly bytes?: Uint8Array;
	readonly code?: string;
}

/** Decodes into the middle of a larger buffer, whose other bytes must stay as they are. */
export function guarded(decode: LzxDecode, packed: Uint8Array, size: number): Outcome {
	const room = new Uint8Array(size + 64).fill(0xa5);
	const target = room.subarray(32, 32 + size);
	let outcome: Outcome = {bytes: target};
	try {
		decode(packed, target);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		if (error.family !== 'corrupt' || error.where.position === undefined) throw error;
		outcome = {code: error.code};
	}
	for (let i = 0; i < 32; i++) {
		if (room[i] !== 0xa5 || room[32 + size + i] !== 0xa5) throw new Error('written outside of the target');
	}
	return outcome;
}

/** Damages a copy in one of several ways. */
export function mutate(packed: Uint8Array, next: (below: number) => number): Uint8Array {
	const bytes = packed.slice();
	switch (next(6)) {
		case 0:
			return bytes.subarray(0, next(bytes.length));
		case 1: {
			const from = next(bytes.length);
			bytes.fill(next(2) * 255, from, from + 1 + next(40));
			return bytes;
		}
		case 2: {
			// Most of what there is to hurt lies at the start.
			for (let i = next(4); i >= 0; i--) bytes[next(Math.min(64, bytes.length))] = next(256);
			return bytes;
		}
		case 3: {
			const from = next(bytes.length);
			bytes.copyWithin(from, next(bytes.length), bytes.length);
			return bytes;
		}
		default: {
			for (let i = next(3); i >= 0; i--) bytes[next(bytes.length)] ^= 1 << next(8);
			return bytes;
		}
	}
}

/** Chunks kept as files: testdata/codecs/README.md. */
export interface Vector {
	readonly name: string;
	readonly codec: 'xpress' | 'lzx';
	readonly windowOrder?: number;
	readonly plain: Uint8Array;
	readonly packed: Uint8Array;
}

export function vectors(codec: Vector['codec']): Vector[] {
	const path = new URL('../../../testdata/codecs/chunks.json', import.meta.url);
	type Stored = Omit<Vector, 'plain' | 'packed'> & {readonly plain: string; readonly packed: string};
	return (JSON.parse(readFileSync(path, 'utf8')) as Stored[])
		.filter(vector => vector.codec === codec)
		.map(vector => ({
			...vector,
			plain: Buffer.from(vector.plain, 'base64'),
			packed: Buffer.from(vector.packed, 'base64'),
		}));
}
