import {readFileSync} from 'node:fs';
import test from 'ava';
import {decode} from '../../../src/core/codecs/lznt1.ts';
import {DiskError} from '../../../src/core/error.ts';
import {haveSharedTestdata, sharedImage} from '../../helpers/shared-testdata.ts';

/** A chunk with its header: compressed when `flags` says so. */
function chunk(compressed: boolean, ...data: number[]): number[] {
	const header = (compressed ? 0xb000 : 0x3000) | (data.length - 1);
	return [header & 0xff, header >> 8, ...data];
}

function decoded(source: number[], size = 20_000): Uint8Array {
	const target = new Uint8Array(size).fill(0xee);
	return target.subarray(0, decode(Uint8Array.from(source), target));
}

test('literals and a match that overlaps itself', t => {
	// Two literals, then: 12 bits of length at position 2, distance 2, length 7.
	t.is(Buffer.from(decoded(chunk(true, 0b100, 0x61, 0x62, 4, 0x10))).toString(), 'ababababa');
});

test('the bits of a match change with the position', t => {
	// 17 literals leave 11 bits for the length and 5 for the distance.
	const literals = Array.from({length: 17}, (_, i) => 0x41 + i);
	const token = (16 << 11) | 2;
	const data = [
		0,
		...literals.slice(0, 8),
		0,
		...literals.slice(8, 16),
		0b10,
		literals[16] ?? 0,
		token & 0xff,
		token >> 8,
	];
	t.is(Buffer.from(decoded(chunk(true, ...data))).toString(), 'ABCDEFGHIJKLMNOPQABCDE');
});

test('plain chunks, a short chunk before another, and the end mark', t => {
	const plain = chunk(false, 1, 2, 3);
	const result = decoded([...plain, ...plain, 0, 0, 9, 9, 9]);
	t.is(result.length, 4099);
	t.deepEqual([...result.subarray(0, 5)], [1, 2, 3, 0, 0]);
	t.true(result.subarray(3, 4096).every(byte => byte === 0));
	t.deepEqual([...result.subarray(4096)], [1, 2, 3]);
});

test('a target smaller than the content takes what fits', t => {
	t.is(decoded(chunk(false, 1, 2, 3), 2).length, 2);
	t.is(Buffer.from(decoded(chunk(true, 0b100, 0x61, 0x62, 4, 0x10), 5)).toString(), 'ababa');
	t.is(decoded([], 5).length, 0);
	t.is(decoded(chunk(false, 1), 0).length, 0);
});

test('damage is corrupt, never more', t => {
	const damaged = {
		'no signature': [0x02, 0x80, 0, 1, 2],
		'beyond the end': [0xff, 0xb0, 0, 1, 2],
		'match before the chunk': chunk(true, 0b10, 0x61, 0x00, 0x10),
		'match first': chunk(true, 0b1, 0x00, 0x00),
		'cut match': chunk(true, 0b10, 0x61, 0x00),
		'more than a chunk': chunk(true, 0b110, 0x61, 0xff, 0x0f, 0xff, 0x0f),
	};
	for (const [title, source] of Object.entries(damaged)) {
		t.throws(() => decoded(source), {instanceOf: DiskError, code: 'lznt1/data'}, title);
	}
});

test('random bytes give a result or corrupt', t => {
	let state = 12_345;
	const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
	let failures = 0;
	for (let round = 0; round < 2000; round++) {
		const source = Uint8Array.from({length: next() % 300}, next);
		if (source.length > 2) source[1] = 0xb0 | ((source[1] ?? 0) & 1);
		const target = new Uint8Array(next() % 9000);
		try {
			t.true(decode(source, target) <= target.length);
		} catch (error) {
			t.true(error instanceof DiskError);
			failures++;
		}
	}
	t.true(failures > 100 && failures < 2000);
});

const shared = haveSharedTestdata ? test : test.skip;

shared('what Windows compressed', t => {
	const target = new Uint8Array(65_536).fill(0xee);
	const count = decode(readFileSync(sharedImage('keramics/lznt1_compressed')), target);
	const text = Buffer.from(target.subarray(0, count)).toString('latin1').replace(/\0+$/, '');
	t.is(text.length, 11_358);
	t.regex(text, /^\s+Apache License\n\s+Version 2.0, January 2004\n/);
	t.regex(text, /limitations under the License\.\n$/);
});
