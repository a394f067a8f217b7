import test from 'ava';
import fc from 'fast-check';
import {sameBytes} from '../../../src/core/bytes/text.ts';
import {openLzx} from '../../../src/core/codecs/lzx.ts';
import {testWithWim, wimCompressor, wimDecompressor} from '../../helpers/wimlib.ts';
import {guarded, mutate, random, samples, seed, vectors} from './chunks.ts';

test('chunks that are kept', t => {
	const all = vectors('lzx');
	t.true(all.length >= 3);
	for (const {name, windowOrder, plain, packed} of all) {
		const {bytes, code} = guarded(openLzx(windowOrder), packed, plain.length);
		t.is(code, undefined, name);
		t.true(bytes !== undefined && sameBytes(bytes, plain), name);
	}
});

/** 16-bit words of bits, the first bit on top. */
function words(...bits: readonly string[]): number[] {
	const all = bits.join('').replaceAll(' ', '');
	const padded = all.padEnd(Math.ceil(all.length / 16) * 16, '0');
	return (padded.match(/.{16}/g) ?? []).flatMap(word => [
		Number.parseInt(word.slice(8), 2),
		Number.parseInt(word.slice(0, 8), 2),
	]);
}

const RECENT = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];

/** The head of a block of plain bytes: type 3, its size. */
function plainHead(size: number): number[] {
	return words('011', '0', size.toString(2).padStart(16, '0'));
}

testWithWim(test, 'blocks of plain bytes, of odd length too', t => {
	const theirs = wimDecompressor('lzx', 32_768);
	const cases: [number[], string][] = [
		[[...plainHead(4), ...RECENT, ...Buffer.from('abcd')], 'abcd'],
		[[...plainHead(3), ...RECENT, ...Buffer.from('abc'), 0, ...plainHead(2), ...RECENT, ...Buffer.from('de')], 'abcde'],
		[[...plainHead(3), ...RECENT, ...Buffer.from('abc')], 'abc'],
	];
	for (const [packed, text] of cases) {
		const {bytes} = guarded(openLzx(), Uint8Array.from(packed), text.length);
		t.is(Buffer.from(bytes ?? []).toString(), text);
		t.deepEqual(Buffer.from(theirs(Uint8Array.from(packed), text.length) ?? []).toString(), text);
	}
	// With the usual size there are four bits, and with them twelve that are left out.
	const large = random(5);
	const content = Uint8Array.from({length: 32_768}, () => large(200));
	const packed = Uint8Array.from([...words('0111'), ...RECENT, ...content]);
	t.true(sameBytes(guarded(openLzx(), packed, 32_768).bytes ?? new Uint8Array(), content));
	t.true(sameBytes(theirs(packed, 32_768) ?? new Uint8Array(), content));
});

test('damage is corrupt and says where', t => {
	const good = [...plainHead(4), ...RECENT, ...Buffer.from('abcd')];
	const cases: Record<string, [number[], number]> = {
		empty: [[], 1],
		'cut head': [good.slice(0, 2), 4],
		'cut offsets': [good.slice(0, 10), 4],
		'cut bytes': [good.slice(0, -1), 4],
		'block of nothing': [[...plainHead(0), ...RECENT], 4],
		'larger than the chunk': [good, 3],
		'smaller than the chunk': [good, 5],
		'offset of 0': [[...plainHead(1), ...RECENT.with(4, 0), 1, 0], 1],
		'no such type': [words('000 1'), 32_768],
		'types above': [words('111 1'), 32_768],
		'no code': [words('001 0', '0000000000000100', '0'.repeat(80)), 4],
		'larger than the window': [good, 32_769],
	};
	for (const [title, [packed, size]] of Object.entries(cases)) {
		t.is(guarded(openLzx(), Uint8Array.from(packed), size).code, 'lzx/data', title);
	}
	t.is(guarded(openLzx(), new Uint8Array(), 0).code, undefined);
	t.throws(() => openLzx(14), {code: 'lzx/data'});
	t.throws(() => openLzx(22), {code: 'lzx/data'});
});

for (const windowOrder of [15, 16, 18, 21]) {
	testWithWim(test, `what libwim compresses with windows of 2^${windowOrder} bytes`, t => {
		const size = 2 ** Math.min(windowOrder, 19);
		const decode = openLzx(windowOrder);
		const compress = wimCompressor('lzx', 2 ** windowOrder);
		let count = 0;
		for (const [name, plain] of samples(size)) {
			if (windowOrder > 15 && !/text at [0-2]|binary [0-2]$|far|long|skewed|calls|pairs/.test(name)) continue;
			const packed = compress(plain);
			if (packed === undefined) continue;
			const {bytes, code} = guarded(decode, packed, plain.length);
			if (bytes === undefined || !sameBytes(bytes, plain)) t.fail(`${name}: ${code ?? 'other bytes'}`);
			count++;
		}
		t.true(count > 10, String(count));
	});
}

testWithWim(test, 'any bytes make the way through libwim and back', t => {
	const compress = wimCompressor('lzx', 32_768, 20);
	const decode = openLzx();
	const piece = fc.oneof(
		fc.uint8Array({maxLength: 60}),
		fc.constant(Uint8Array.of(0xe8, 0x10, 0x20, 0, 0, 0x90)),
		fc.tuple(fc.uint8Array({minLength: 1, maxLength: 8}), fc.integer({min: 1, max: 400})).map(([bytes, times]) => {
			const all = new Uint8Array(bytes.length * times);
			for (let i = 0; i < times; i++) all.set(bytes, i * bytes.length);
			return all;
		}),
	);
	fc.assert(
		fc.property(fc.array(piece, {maxLength: 12}), pieces => {
			const plain = new Uint8Array(Buffer.concat(pieces)).subarray(0, 32_768);
			const packed = plain.length < 2 ? undefined : compress(plain);
			if (packed === undefined) return true;
			const {bytes} = guarded(decode, packed, plain.length);
			return bytes !== undefined && sameBytes(bytes, plain);
		}),
		{numRuns: 150, seed},
	);
	t.pass();
});

testWithWim(test, '2,000 damaged chunks give corrupt, or the bytes that libwim gives', t => {
	const compress = wimCompressor('lzx', 32_768);
	const decompress = wimDecompressor('lzx', 32_768);
	const decode = openLzx();
	const blocks = [...samples(32_768).values()].flatMap(plain => {
		const packed = compress(plain);
		return packed === undefined ? [] : [{packed, size: plain.length}];
	});
	blocks.push({packed: Uint8Array.from([...plainHead(4), ...RECENT, ...Buffer.from('abcd')]), size: 4});
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
