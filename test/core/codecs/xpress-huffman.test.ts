import {readFileSync} from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import {sameBytes} from '../../../src/core/bytes/text.ts';
import {decode} from '../../../src/core/codecs/xpress-huffman.ts';
import {haveSharedTestdata, sharedImage} from '../../helpers/shared-testdata.ts';
import {testWithWim, wimCompressor, wimDecompressor} from '../../helpers/wimlib.ts';
import {guarded, mutate, random, samples, seed, vectors} from './chunks.ts';

const SIZES = [4096, 8192, 16_384, 65_536];

test('chunks that are kept', t => {
	const all = vectors('xpress');
	t.true(all.length >= 3);
	for (const {name, plain, packed} of all) {
		const {bytes, code} = guarded(decode, packed, plain.length);
		t.is(code, undefined, name);
		t.true(bytes !== undefined && sameBytes(bytes, plain), name);
	}
});

/** A block whose symbols all have nine bits: symbol and code are one. */
function flat(...codes: readonly (readonly [value: number, size: number])[]): Uint8Array {
	const bits = codes.map(([value, size]) => value.toString(2).padStart(size, '0')).join('');
	const words = `${bits}${'0'.repeat(64)}`.match(/.{16}/g) ?? [];
	return Uint8Array.from([
		...new Uint8Array(256).fill(0x99),
		...words.flatMap(word => [Number.parseInt(word.slice(8), 2), Number.parseInt(word.slice(0, 8), 2)]),
	]);
}

test('literals and a match, by hand', t => {
	// Distance 2, of magnitude 1 with one more bit, and length 4 + 3.
	const {bytes} = guarded(decode, flat([0x61, 9], [0x62, 9], [256 + 16 + 4, 9], [0, 1], [0x63, 9]), 10);
	t.is(Buffer.from(bytes ?? []).toString(), 'ababababac');
});

test('damage is corrupt and says where', t => {
	const good = flat([0x61, 9], [0x62, 9]);
	const cases: Record<string, [Uint8Array, number]> = {
		empty: [new Uint8Array(), 1],
		'cut lengths': [good.subarray(0, 255), 2],
		'lengths of nothing': [new Uint8Array(300), 2],
		'too many codes': [new Uint8Array(300).fill(0x11), 2],
		'too few codes': [new Uint8Array(300).fill(0xaa), 2],
		'cut data': [good.subarray(0, 258), 2],
		'match before the block': [flat([256, 9]), 5],
		'far match': [flat([1, 9], [256 + 16, 9], [0, 1]), 5],
		'match behind the block': [flat([1, 9], [256 + 9, 9]), 12],
		'cut length': [flat([1, 9], [256 + 15, 9]).subarray(0, 260), 100],
		'larger than a block': [good, 65_537],
	};
	for (const [title, [packed, size]] of Object.entries(cases)) {
		t.is(guarded(decode, packed, size).code, 'xpress/data', title);
	}
	t.is(guarded(decode, good, 2).code, undefined);
	t.is(guarded(decode, good, 0).code, undefined);
});

testWithWim(test, 'what libwim compresses', t => {
	let count = 0;
	for (const size of SIZES) {
		const compress = wimCompressor('xpress', size);
		for (const [name, plain] of samples(size)) {
			const packed = compress(plain);
			if (packed === undefined) continue;
			const {bytes, code} = guarded(decode, packed, plain.length);
			if (bytes === undefined || !sameBytes(bytes, plain)) t.fail(`${name} of ${size}: ${code ?? 'other bytes'}`);
			// One byte less or more is noticed, or libwim's own end would be elsewhere.
			t.is(guarded(decode, packed, plain.length - 1).bytes?.length ?? plain.length - 1, plain.length - 1);
			count++;
		}
	}
	t.true(count > 150, String(count));
});

testWithWim(test, 'any bytes make the way through libwim and back', t => {
	const compress = wimCompressor('xpress', 16_384, 20);
	const piece = fc.oneof(
		fc.uint8Array({maxLength: 60}),
		fc.tuple(fc.uint8Array({minLength: 1, maxLength: 8}), fc.integer({min: 1, max: 400})).map(([bytes, times]) => {
			const all = new Uint8Array(bytes.length * times);
			for (let i = 0; i < times; i++) all.set(bytes, i * bytes.length);
			return all;
		}),
	);
	fc.assert(
		fc.property(fc.array(piece, {maxLength: 12}), pieces => {
			const plain = new Uint8Array(Buffer.concat(pieces)).subarray(0, 16_384);
			const packed = plain.length < 2 ? undefined : compress(plain);
			if (packed === undefined) return true;
			const {bytes} = guarded(decode, packed, plain.length);
			return bytes !== undefined && sameBytes(bytes, plain);
		}),
		{numRuns: 150, seed},
	);
	t.pass();
});

testWithWim(test, '2,000 damaged blocks give corrupt, or the bytes that libwim gives', t => {
	const compress = wimCompressor('xpress', 16_384);
	const decompress = wimDecompressor('xpress', 16_384);
	const blocks = [...samples(16_384).values()].flatMap(plain => {
		const packed = compress(plain);
		return packed === undefined ? [] : [{packed, size: plain.length}];
	});
	const next = random(seed);
	let decoded = 0;
	for (let round = 0; round < 2000; round++) {
		const {packed, size} = blocks[next(blocks.length)] ?? {packed: new Uint8Array(), size: 0};
		const bytes = mutate(packed, next);
		const ours = guarded(decode, bytes, size).bytes;
		if (ours === undefined) continue;
		decoded++;
		const theirs = decompress(bytes, size);
		if (theirs === undefined || !sameBytes(ours, theirs)) t.fail(`round ${round} of seed ${seed}`);
	}
	t.true(decoded > 100 && decoded < 1900, String(decoded));
});

const shared = haveSharedTestdata ? test : test.skip;

shared('the example of the specification', t => {
	// [MS-XCA] 3.2.
	const packed = new Uint8Array(readFileSync(sharedImage('keramics/lzxpress_huffman_compressed')));
	t.is(Buffer.from(guarded(decode, packed, 26).bytes ?? []).toString(), 'abcdefghijklmnopqrstuvwxyz');
});
