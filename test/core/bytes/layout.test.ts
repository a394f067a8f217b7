import test from 'ava';
import * as fc from 'fast-check';
import {
	ascii,
	bits64,
	bytes,
	guid,
	i32,
	i8,
	struct,
	u16,
	u16be,
	u32,
	u32be,
	u64,
	u64be,
	u8,
	viewOf,
} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';

const Every = struct('every kind', 96, {
	byte: u8(0),
	signed: i8(1),
	short: u16(2),
	shortBig: u16be(4),
	word: u32(6),
	wordBig: u32be(10),
	integer: i32(14),
	long: u64(18),
	longBig: u64be(26),
	flags: bits64(34),
	id: guid(42),
	raw: bytes(58, 5),
	text: ascii(63, 7),
});

const values = fc.record({
	byte: fc.nat(0xff),
	signed: fc.integer({min: -128, max: 127}),
	short: fc.nat(0xffff),
	shortBig: fc.nat(0xffff),
	word: fc.nat(0xffff_ffff),
	wordBig: fc.nat(0xffff_ffff),
	integer: fc.integer(),
	long: fc.maxSafeNat(),
	longBig: fc.maxSafeNat(),
	flags: fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
	id: fc.uuid(),
	raw: fc.uint8Array({minLength: 5, maxLength: 5}),
	text: fc.string({unit: fc.constantFrom('A', ' ', '~', 'é', 'ÿ'), maxLength: 7}),
});

test('a structure reads what was written, wherever it lies, and touches nothing else', t => {
	fc.assert(
		fc.property(values, fc.nat(20), (value, base) => {
			const block = new Uint8Array(140).fill(0xcc);
			const view = viewOf(block.subarray(3));
			Every.write(view, base, value);
			t.deepEqual(Every.read(view, base), value);
			t.true(block.subarray(0, 3 + base).every(byte => byte === 0xcc));
			t.true(block.subarray(3 + base + 70).every(byte => byte === 0xcc));
		}),
	);
});

test('every kind of field lies where and as the platform puts it', t => {
	const view = new DataView(new ArrayBuffer(96));
	Every.write(view, 0, {
		signed: -2,
		short: 0x0102,
		shortBig: 0x0102,
		word: 0x0102_0304,
		wordBig: 0x0102_0304,
		integer: -3,
		long: 2 ** 40 + 1,
		longBig: 2 ** 40 + 1,
		text: 'ab',
	});
	t.is(view.getUint8(1), 0xfe);
	t.is(view.getUint16(2, true), 0x0102);
	t.is(view.getUint16(4, false), 0x0102);
	t.is(view.getUint32(6, true), 0x0102_0304);
	t.is(view.getUint32(10, false), 0x0102_0304);
	t.is(view.getInt32(14, true), -3);
	t.is(view.getBigUint64(18, true), 2n ** 40n + 1n);
	t.is(view.getBigUint64(26, false), 2n ** 40n + 1n);
	t.is(Every.fields.text.read(view, 0), 'ab');
});

test('fields that are not given keep their bytes', t => {
	const view = new DataView(new ArrayBuffer(96));
	Every.write(view, 0, {byte: 7, word: 9});
	Every.write(view, 0, {word: 10});
	const {byte, word} = Every.read(view);
	t.deepEqual([byte, word], [7, 10]);
});

test('a structure that does not fit is corrupt, and says which', t => {
	for (const [length, base] of [
		[95, 0],
		[96, 1],
		[0, 0],
		[200, -1],
		[200, 105],
	] as const) {
		const error = t.throws(() => Every.read(new DataView(new ArrayBuffer(length)), base), {instanceOf: DiskError});
		t.is(error.code, 'structure/truncated');
		t.is(error.where.structure, 'every kind');
	}
	t.notThrows(() => Every.read(new DataView(new ArrayBuffer(200)), 104));
});

test('a field outside its structure is a mistake of the declaration', t => {
	t.throws(() => struct('wrong', 8, {field: u32(5)}), {message: 'wrong.field lies outside its structure'});
	t.notThrows(() => struct('right', 8, {field: u32(4)}));
});

test('raw bytes are a copy, and short ones are padded', t => {
	const block = new Uint8Array(96).fill(1);
	const view = viewOf(block);
	const raw = Every.fields.raw.read(view, 0);
	raw.fill(9);
	t.is(block[58], 1);
	Every.fields.raw.write(view, 0, Uint8Array.of(7));
	t.deepEqual([...block.subarray(57, 64)], [1, 7, 0, 0, 0, 0, 1]);
	Every.fields.raw.write(view, 0, new Uint8Array(20).fill(8));
	t.deepEqual([block[62], block[63]], [8, 1]);
	Every.fields.text.write(view, 0, 'longer than seven');
	t.is(Every.fields.text.read(view, 0), 'longer ');
	t.is(block[70], 1);
});

test('text keeps NULs inside and loses them at the end', t => {
	const view = new DataView(new ArrayBuffer(96));
	Every.fields.text.write(view, 0, 'a\0b\0\0');
	t.is(Every.fields.text.read(view, 0), 'a\0b');
});
