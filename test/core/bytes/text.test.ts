import test from 'ava';
import * as fc from 'fast-check';
import {
	decodeText,
	decodeUtf16,
	encodeText,
	escapeControls,
	parsePrintable,
	printable,
	sameBytes,
} from '../../../src/core/bytes/text.ts';

/** Any sequence of UTF-16 code units, with many surrogates. */
const unit = fc.oneof(
	fc.nat(0x7f),
	fc.nat(0xffff),
	fc.integer({min: 0xd800, max: 0xdfff}),
	fc.constantFrom(0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfeff, 0xfffe, 0xffff),
);
const utf16 = fc.array(unit, {maxLength: 12}).map(units => String.fromCharCode(...units));

/** Bytes that are often nearly UTF-8. */
const octet = fc.oneof(fc.nat(255), fc.constantFrom(0xed, 0xa0, 0xbf, 0x80, 0xb0, 0xef, 0xbb, 0xf0, 0x9f, 0x41));
const octets = fc.array(octet, {maxLength: 12}).map(values => Uint8Array.from(values));

const RUNS = {numRuns: 3000};

test('every UTF-16 string survives the way to WTF-8 and back', t => {
	fc.assert(
		fc.property(utf16, text => {
			t.is(decodeText(encodeText(text)), text);
		}),
		RUNS,
	);
});

test('what decodes has exactly one byte form', t => {
	fc.assert(
		fc.property(octets, bytes => {
			const text = decodeText(bytes);
			if (text !== undefined) t.deepEqual(encodeText(text), bytes);
		}),
		RUNS,
	);
});

test('well-formed text is plain UTF-8', t => {
	fc.assert(
		fc.property(fc.string({unit: 'binary'}), text => {
			t.deepEqual(encodeText(text), new Uint8Array(Buffer.from(text, 'utf8')));
		}),
	);
});

test('lone surrogates, pairs and other edges', t => {
	t.deepEqual(encodeText('\ud800'), Uint8Array.of(0xed, 0xa0, 0x80));
	t.deepEqual(encodeText('\udfff'), Uint8Array.of(0xed, 0xbf, 0xbf));
	t.deepEqual(encodeText('a\udc00\ud800b'), Uint8Array.of(0x61, 0xed, 0xb0, 0x80, 0xed, 0xa0, 0x80, 0x62));
	t.is(decodeText(Uint8Array.of(0x61, 0xed, 0xb0, 0x80, 0xed, 0xa0, 0x80, 0x62)), 'a\udc00\ud800b');
	t.is(decodeText(Uint8Array.of(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80)), undefined, 'a pair in three-byte forms');
	t.is(decodeText(Uint8Array.of(0xed, 0xa0)), undefined, 'cut short');
	t.is(decodeText(Uint8Array.of(0xc0, 0x80)), undefined, 'overlong');
	t.is(decodeText(Uint8Array.of(0xf4, 0x90, 0x80, 0x80)), undefined, 'above U+10FFFF');
	t.is(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa', 'a byte order mark is a character');
	t.is(decodeText(Uint8Array.of(0xed, 0xa0, 0x80, 0xff)), undefined, 'a surrogate beside a bad byte');
	t.is(decodeText(new Uint8Array()), '');
});

test('UTF-16 of either byte order is read unit by unit', t => {
	fc.assert(
		fc.property(utf16, fc.boolean(), (text, littleEndian) => {
			const view = new DataView(new ArrayBuffer(text.length * 2 + 3));
			for (let i = 0; i < text.length; i++) view.setUint16(3 + i * 2, text.charCodeAt(i), littleEndian);
			t.is(decodeUtf16(view, 3, text.length, littleEndian), text);
		}),
	);
});

test('printable text drives no terminal', t => {
	// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
	const dangerous = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
	fc.assert(
		fc.property(octets, bytes => {
			const shown = printable(bytes);
			t.true(shown.isWellFormed());
			t.notRegex(shown, dangerous);
		}),
		RUNS,
	);
	t.is(escapeControls('a\u001b[31m\u007f\u009b\u202eb\n'), 'a\\x1b[31m\\x7f\\xc2\\x9b\\xe2\\x80\\xaeb\\x0a');
	t.is(printable(encodeText('Größe 名前 😀')), 'Größe 名前 😀');
	t.is(printable(Uint8Array.of(0x61, 0xff, 0x5c, 0x0a)), 'a\\xff\\x5c\\x0a');
	t.is(printable(encodeText('x\ud800')), 'x\\xed\\xa0\\x80');
});

test('what is printed can be typed', t => {
	fc.assert(
		fc.property(octets, bytes => t.deepEqual(parsePrintable(printable(bytes)), bytes)),
		RUNS,
	);
	for (const name of ['\\x41', '\\\\x41', '\\\n', '\\x4\u001b', '\u202e\\xe2', '\\']) {
		t.deepEqual(parsePrintable(printable(encodeText(name))), encodeText(name), printable(encodeText(name)));
	}
	t.deepEqual(parsePrintable('a\\xFF\\xg0\\'), Uint8Array.of(0x61, 0xff, ...encodeText('\\xg0\\')));
	t.deepEqual(parsePrintable('é'), Uint8Array.of(0xc3, 0xa9));
});

test('sameBytes compares content', t => {
	fc.assert(
		fc.property(octets, octets, (a, b) => {
			t.is(sameBytes(a, b), Buffer.compare(a, b) === 0);
			t.true(sameBytes(a, a.slice()));
		}),
	);
});
