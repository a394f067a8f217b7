import test from 'ava';
import * as fc from 'fast-check';
import {readDosTime, readFiletime} from '../../../src/core/bytes/times.ts';

function filetime(ticks: bigint): {seconds: number; nanoseconds: number} {
	const view = new DataView(new ArrayBuffer(12));
	view.setBigUint64(4, ticks, true);
	return readFiletime(view, 4);
}

const EPOCH_TICKS = 116_444_736_000_000_000n;

test('a FILETIME agrees with BigInt over the whole 64-bit range', t => {
	const edges = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 48n - 1n, 2n ** 48n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
	const check = (ticks: bigint): void => {
		const {seconds, nanoseconds} = filetime(ticks);
		t.is(BigInt(seconds), ticks / 10_000_000n - 11_644_473_600n);
		t.is(BigInt(nanoseconds), (ticks % 10_000_000n) * 100n);
	};
	for (const edge of [...edges, EPOCH_TICKS, EPOCH_TICKS - 1n]) check(edge);
	fc.assert(fc.property(fc.bigInt({min: 0n, max: 2n ** 64n - 1n}), check), {numRuns: 5000});
	// Small halves and full ones together, which uniform numbers hardly meet.
	const half = fc.oneof(fc.constantFrom(0, 1, 0xffff, 0x1_0000, 0xffff_fffe, 0xffff_ffff), fc.nat(0xffff_ffff));
	fc.assert(
		fc.property(half, half, (low, high) => check((BigInt(high) << 32n) | BigInt(low))),
		{numRuns: 2000},
	);
});

test('known FILETIMEs', t => {
	t.deepEqual(filetime(EPOCH_TICKS), {seconds: 0, nanoseconds: 0});
	t.deepEqual(filetime(EPOCH_TICKS - 1n), {seconds: -1, nanoseconds: 999_999_900});
	t.deepEqual(filetime(0n), {seconds: Date.UTC(1601, 0, 1) / 1000, nanoseconds: 0});
	t.deepEqual(filetime(133_485_408_000_000_000n), {seconds: Date.UTC(2024, 0, 1) / 1000, nanoseconds: 0});
});

test('every valid DOS date and time is the moment that it names', t => {
	const parts = fc.record({
		date: fc.date({min: new Date('1980-01-01T00:00:00Z'), max: new Date('2107-12-31T23:59:58Z'), noInvalidDate: true}),
		tens: fc.nat(199),
	});
	fc.assert(
		fc.property(parts, ({date, tens}) => {
			const [year, month, day] = [date.getUTCFullYear() - 1980, date.getUTCMonth() + 1, date.getUTCDate()];
			const packedDate = (year << 9) | (month << 5) | day;
			const even = date.getUTCSeconds() >> 1;
			const packedTime = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | even;
			const {seconds, nanoseconds} = readDosTime(packedDate, packedTime, tens);
			const expected = Date.UTC(year + 1980, month - 1, day, date.getUTCHours(), date.getUTCMinutes(), even * 2);
			t.is(seconds * 1000 + nanoseconds / 1_000_000, expected + tens * 10);
		}),
	);
});

test('senseless DOS dates still give a timestamp', t => {
	fc.assert(
		fc.property(fc.nat(0xffff), fc.nat(0xffff), fc.nat(255), (date, time, tens) => {
			const {seconds, nanoseconds} = readDosTime(date, time, tens);
			t.true(Number.isSafeInteger(seconds));
			t.true(Number.isInteger(nanoseconds) && nanoseconds >= 0 && nanoseconds < 1_000_000_000);
		}),
	);
	t.deepEqual(readDosTime(0, 0), {seconds: Date.UTC(1980, 0, 1) / 1000, nanoseconds: 0});
});
