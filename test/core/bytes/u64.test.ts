import test from 'ava';
import * as fc from 'fast-check';
import {isPowerOfTwo, product, readU64, roundDown, roundUp, sum, writeU64} from '../../../src/core/bytes/u64.ts';
import {DiskError} from '../../../src/core/error.ts';

const safe = fc.maxSafeNat();
const TOO_LARGE = {instanceOf: DiskError, code: 'number/too-large'} as const;

test('readU64 equals the reader of the platform up to 2^53-1, and refuses what is above', t => {
	fc.assert(
		fc.property(fc.bigInt({min: 0n, max: 2n ** 64n - 1n}), fc.boolean(), fc.nat(9), (value, littleEndian, at) => {
			const view = new DataView(new ArrayBuffer(20));
			for (const each of [value, value >> 11n, value >> 40n]) {
				view.setBigUint64(at, each, littleEndian);
				if (each <= BigInt(Number.MAX_SAFE_INTEGER)) t.is(readU64(view, at, littleEndian), Number(each));
				else t.throws(() => readU64(view, at, littleEndian), TOO_LARGE);
			}
		}),
	);
});

test('the limit is exact, and the message shows the value', t => {
	const view = new DataView(new ArrayBuffer(8));
	view.setBigUint64(0, 2n ** 53n - 1n, true);
	t.is(readU64(view, 0), Number.MAX_SAFE_INTEGER);
	view.setBigUint64(0, 2n ** 53n, true);
	const error = t.throws(() => readU64(view, 0), TOO_LARGE);
	t.is(error.family, 'out-of-range');
	t.true(error.message.includes('0x0020000000000000'));
});

test('writeU64 is the inverse of readU64 and touches eight bytes', t => {
	fc.assert(
		fc.property(safe, fc.boolean(), (value, littleEndian) => {
			const bytes = new Uint8Array(10).fill(0xa5);
			const view = new DataView(bytes.buffer);
			writeU64(view, 1, value, littleEndian);
			t.is(view.getBigUint64(1, littleEndian), BigInt(value));
			t.is(readU64(view, 1, littleEndian), value);
			t.deepEqual([bytes[0], bytes[9]], [0xa5, 0xa5]);
		}),
	);
	for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Infinity]) {
		t.throws(() => writeU64(new DataView(new ArrayBuffer(8)), 0, value), {instanceOf: RangeError});
	}
});

test('product and sum are exact or refused', t => {
	const limit = BigInt(Number.MAX_SAFE_INTEGER);
	const operand = fc.oneof(safe, fc.nat(), fc.nat(2 ** 26), fc.constantFrom(0, 1, 2 ** 52, 2 ** 53 - 1));
	fc.assert(
		fc.property(operand, operand, (a, b) => {
			const exact = BigInt(a) * BigInt(b);
			if (exact <= limit) t.is(product(a, b), Number(exact));
			else t.throws(() => product(a, b), TOO_LARGE);
			const total = BigInt(a) + BigInt(b);
			if (total <= limit) t.is(sum(a, b), Number(total));
			else t.throws(() => sum(a, b), TOO_LARGE);
		}),
		{numRuns: 1000},
	);
});

test('rounding agrees with BigInt', t => {
	fc.assert(
		fc.property(fc.nat(2 ** 52), fc.integer({min: 1, max: 2 ** 40}), (value, unit) => {
			const [bigValue, bigUnit] = [BigInt(value), BigInt(unit)];
			t.is(roundDown(value, unit), Number((bigValue / bigUnit) * bigUnit));
			t.is(roundUp(value, unit), Number(((bigValue + bigUnit - 1n) / bigUnit) * bigUnit));
		}),
	);
});

test('isPowerOfTwo holds for powers and not for their neighbours', t => {
	for (let exponent = 0; exponent < 53; exponent++) {
		const power = 2 ** exponent;
		t.true(isPowerOfTwo(power), `2^${exponent}`);
		if (exponent > 1) t.false(isPowerOfTwo(power - 1), `2^${exponent} - 1`);
		if (exponent > 0) t.false(isPowerOfTwo(power + 1), `2^${exponent} + 1`);
	}
	for (const value of [0, -1, -2, 0.5, 2 ** 53 - 1, 2 ** 53, 2 ** 60, Infinity, Number.NaN]) {
		t.false(isPowerOfTwo(value), String(value));
	}
});
