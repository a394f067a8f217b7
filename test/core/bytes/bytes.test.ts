import {randomBytes} from 'node:crypto';
import {crc32 as zlibCrc32} from 'node:zlib';
import test from 'ava';
import * as fc from 'fast-check';
import {crc16, crc32, crc32c, crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {formatUuid, readGuid, writeGuid, ZERO_GUID} from '../../../src/core/bytes/guid.ts';
import {isZero} from '../../../src/core/bytes/zeros.ts';

const CHECK = new TextEncoder().encode('123456789');

test('checksums of the usual nine digits and of nothing', t => {
	t.is(crc32(CHECK), 0xcbf4_3926);
	t.is(crc32c(CHECK), 0xe306_9283);
	t.is(crc16(CHECK, 0), 0xbb3d, 'CRC-16/ARC');
	t.is(crc16(CHECK, 0xffff), 0x4b37, 'CRC-16/MODBUS, the register of ext4');
	t.is(crc32cRaw(CHECK, 0xffff_ffff), ~0xe306_9283 >>> 0);
	const nothing = new Uint8Array();
	t.deepEqual([crc32(nothing), crc32c(nothing), crc16(nothing, 7), crc32cRaw(nothing, 7)], [0, 0, 7, 7]);
});

test('CRC-32C vectors of RFC 3720, B.4', t => {
	t.is(crc32c(new Uint8Array(32)), 0x8a91_36aa);
	t.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
	t.is(crc32c(Uint8Array.from({length: 32}, (_, index) => index)), 0x46dd_794e);
	t.is(crc32c(Uint8Array.from({length: 32}, (_, index) => 31 - index)), 0x113f_db5c);
});

test('checksums agree with zlib and can be made in parts', t => {
	fc.assert(
		fc.property(fc.uint8Array({maxLength: 200}), fc.nat(200), (bytes, where) => {
			const [first, second] = [bytes.subarray(0, where), bytes.subarray(where)];
			t.is(crc32(bytes), zlibCrc32(bytes));
			t.is(crc32(second, crc32(first)), crc32(bytes));
			t.is(crc32c(second, crc32c(first)), crc32c(bytes));
			t.is(crc32cRaw(second, crc32cRaw(first, 0xffff_ffff)), crc32cRaw(bytes, 0xffff_ffff));
			t.is(crc16(second, crc16(first, 0xffff)), crc16(bytes, 0xffff));
		}),
	);
});

test('a GUID is written as it is read, in any notation', t => {
	fc.assert(
		fc.property(fc.uint8Array({minLength: 16, maxLength: 16}), bytes => {
			const text = readGuid(new DataView(bytes.buffer), 0);
			t.regex(text, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
			for (const form of [text, text.toUpperCase(), `{${text}}`, text.replaceAll('-', '')]) {
				const target = new Uint8Array(20);
				writeGuid(new DataView(target.buffer), 2, form);
				t.deepEqual(target.subarray(2, 18), bytes);
			}
			t.is(formatUuid(bytes).replaceAll('-', ''), Buffer.from(bytes).toString('hex'));
		}),
	);
});

test('known GUIDs and their byte order', t => {
	const bytes = Uint8Array.from(Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex'));
	t.is(readGuid(new DataView(bytes.buffer), 0), 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b');
	t.is(formatUuid(bytes), '28732ac1-1ff8-d211-ba4b-00a0c93ec93b');
	t.is(readGuid(new DataView(new ArrayBuffer(16)), 0), ZERO_GUID);
	for (const text of ['', 'c12a7328', 'g12a7328-f81f-11d2-ba4b-00a0c93ec93b', `${ZERO_GUID}0`]) {
		t.throws(() => writeGuid(new DataView(new ArrayBuffer(16)), 0, text), {instanceOf: RangeError});
	}
});

test('isZero sees a single byte anywhere, at any alignment and length', t => {
	const buffer = new Uint8Array(160);
	for (let start = 0; start < 9; start++) {
		for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 63, 64, 65, 100, 140]) {
			const bytes = buffer.subarray(start, start + length);
			buffer.fill(0xff);
			bytes.fill(0);
			t.true(isZero(bytes), `${length} zeros at ${start}, and noise around them`);
			for (let at = 0; at < length; at++) {
				bytes[at] = at % 2 === 0 ? 1 : 0x80;
				if (isZero(bytes)) t.fail(`missed byte ${at} of ${length} at ${start}`);
				bytes[at] = 0;
			}
		}
	}
	t.false(isZero(randomBytes(1 << 16)));
});
