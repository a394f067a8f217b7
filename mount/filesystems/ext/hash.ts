import {HashVersion} from './layout.ts';

/**
 * The hashes of directory names (directory.rst, hash tree). Numbers are 32-bit; `| 0` and `>>> 0` keep them so.
 */
const MD4_START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;
const MD4_ROUND2 = 0x5a827999;
const MD4_ROUND3 = 0x6ed9eba1;
const TEA_DELTA = 0x9e3779b9;
/** The hash that marks the end of a directory is never given to a name. */
const END_OF_DIRECTORY = 0xffff_fffe;
const LAST_HASH = 0xffff_fffc;

const state = new Int32Array(4);
const words = new Int32Array(8);

/** The hash of a name under `version`, with the lowest bit clear, which marks collisions in the tree. */
export function hashName(name: Uint8Array, version: number, seed: Uint32Array): number {
	const unsigned = version >= HashVersion.legacyUnsigned;
	const kind = unsigned ? version - HashVersion.legacyUnsigned : version;
	let hash: number;
	if (kind === HashVersion.legacy) {
		hash = legacyHash(name, unsigned);
	} else {
		state.set(seed.some(word => word !== 0) ? seed : MD4_START);
		const halfMd4 = kind === HashVersion.halfMd4;
		const count = halfMd4 ? 8 : 4;
		// The kernel's loop runs while bytes are left, so an empty name leaves the start values.
		for (let at = 0; at < name.length; at += count * 4) {
			fillWords(name, at, count, unsigned);
			if (halfMd4) mixHalfMd4();
			else mixTea();
		}
		hash = state[halfMd4 ? 1 : 0];
	}
	hash = (hash & ~1) >>> 0;
	return hash === END_OF_DIRECTORY ? LAST_HASH : hash;
}

function byteAt(name: Uint8Array, at: number, unsigned: boolean): number {
	const byte = name[at];
	return unsigned || byte < 0x80 ? byte : byte - 0x100;
}

function legacyHash(name: Uint8Array, unsigned: boolean): number {
	let hash = 0x12a3fe2d;
	let previous = 0x37abe8f9;
	for (let at = 0; at < name.length; at++) {
		let next = (previous + (hash ^ Math.imul(byteAt(name, at, unsigned), 7_152_373))) >>> 0;
		if (next & 0x8000_0000) next = (next - 0x7fff_ffff) >>> 0;
		previous = hash;
		hash = next;
	}
	return hash << 1;
}

/** Packs up to `count` words of the name from `at`; what is missing is filled with the length that is left. */
function fillWords(name: Uint8Array, at: number, count: number, unsigned: boolean): void {
	const left = name.length - at;
	const length = Math.min(left, count * 4);
	const pad = Math.imul(left, 0x0101_0101);
	let index = 0;
	let value = pad;
	for (let i = 0; i < length; i++) {
		value = (byteAt(name, at + i, unsigned) + (value << 8)) | 0;
		if (i % 4 === 3) {
			words[index++] = value;
			value = pad;
		}
	}
	if (index < count) words[index++] = value;
	while (index < count) words[index++] = pad;
}

function rotate(value: number, by: number): number {
	return (value << by) | (value >>> (32 - by));
}

const ROUND1 = {order: [0, 1, 2, 3, 4, 5, 6, 7], shifts: [3, 7, 11, 19], constant: 0} as const;
const ROUND2 = {order: [1, 3, 5, 7, 0, 2, 4, 6], shifts: [3, 5, 9, 13], constant: MD4_ROUND2} as const;
const ROUND3 = {order: [3, 7, 2, 6, 1, 5, 0, 4], shifts: [3, 9, 11, 15], constant: MD4_ROUND3} as const;

function choose(x: number, y: number, z: number): number {
	return z ^ (x & (y ^ z));
}

function majority(x: number, y: number, z: number): number {
	// A sum, as MD4 has it: the two terms share no bits.
	return (x & y) + ((x ^ y) & z);
}

function parity(x: number, y: number, z: number): number {
	return x ^ y ^ z;
}

/** Each step mixes one word into the first of the four registers, which then move round by one place. */
function mixHalfMd4(): void {
	let [a, b, c, d] = state;
	for (const [{order, shifts, constant}, mix] of [
		[ROUND1, choose],
		[ROUND2, majority],
		[ROUND3, parity],
	] as const) {
		for (let step = 0; step < 8; step++) {
			const mixed = rotate((a + mix(b, c, d) + words[order[step]] + constant) | 0, shifts[step % 4]);
			a = d;
			d = c;
			c = b;
			b = mixed;
		}
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

function mixTea(): void {
	let [first, second] = state;
	const [a, b, c, d] = words;
	let total = 0;
	for (let round = 0; round < 16; round++) {
		total = (total + TEA_DELTA) | 0;
		first = (first + (((second << 4) + a) ^ (second + total) ^ ((second >>> 5) + b))) | 0;
		second = (second + (((first << 4) + c) ^ (first + total) ^ ((first >>> 5) + d))) | 0;
	}
	state[0] += first;
	state[1] += second;
}
