import {outOfRange} from '../error.ts';

/** 2^32: the weight of the upper half of a 64-bit integer. */
export const WORD = 2 ** 32;

/** An upper half at or above this makes a number that JavaScript cannot hold exactly. */
const UPPER_LIMIT = 2 ** 21;

/** Reads an unsigned 64-bit integer; throws `out-of-range` above 2^53-1 (8 PiB is beyond every supported image). */
export function readU64(view: DataView, at: number, littleEndian = true): number {
	const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
	const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
	if (high >= UPPER_LIMIT) {
		const hexadecimal = high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
		throw outOfRange('number/too-large', `the value 0x${hexadecimal} is above 2^53-1`);
	}
	return high * WORD + low;
}

/** Writes a safe integer as unsigned 64-bit. */
export function writeU64(view: DataView, at: number, value: number, littleEndian = true): void {
	if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an unsigned safe integer`);
	view.setUint32(littleEndian ? at : at + 4, value % WORD, littleEndian);
	view.setUint32(littleEndian ? at + 4 : at, Math.floor(value / WORD), littleEndian);
}

/** `a * b` for operands that an image controls; throws `out-of-range` when the result is not exact. */
export function product(a: number, b: number): number {
	const result = a * b;
	if (!Number.isSafeInteger(result)) throw outOfRange('number/too-large', `${a} * ${b} is above 2^53-1`);
	return result;
}

/** `a + b` for operands that an image controls; throws `out-of-range` when the result is not exact. */
export function sum(a: number, b: number): number {
	const result = a + b;
	if (!Number.isSafeInteger(result)) throw outOfRange('number/too-large', `${a} + ${b} is above 2^53-1`);
	return result;
}

/** `value` rounded up to a multiple of `unit`; exact for every safe integer, unlike bit operations. */
export function roundUp(value: number, unit: number): number {
	const rest = value % unit;
	return rest === 0 ? value : value - rest + unit;
}

export function roundDown(value: number, unit: number): number {
	return value - (value % unit);
}

export function isPowerOfTwo(value: number): boolean {
	// The logarithm of a large neighbour of a power rounds to the same integer.
	return value > 0 && Number.isSafeInteger(value) && 2 ** Math.round(Math.log2(value)) === value;
}
