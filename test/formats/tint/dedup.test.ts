import test from 'ava';
import {dedupMemory, dedupRoom, dedupTable} from '../../../formats/tint/dedup.ts';
import {newReference} from '../../../formats/tint/reference.ts';
import {leafHash} from '../../../src/core/codecs/sha256.ts';

const hashOf = (number: number): Uint8Array => leafHash(Uint8Array.of(number % 256, Math.floor(number / 256) % 256, 7));
const referenceTo = (number: number) => ({
	state: 1,
	codec: 2,
	length: number + 1,
	file: number % 3,
	position: number * 16,
	check: number * 77,
});

test('what goes in is found, also through another view of the same memory', t => {
	const shared = new SharedArrayBuffer(dedupMemory(5000));
	const table = dedupTable(new Uint8Array(shared));
	const found = newReference();
	for (let number = 0; number < 5000; number++) {
		t.false(table.find(hashOf(number), found));
		t.false(table.insert(hashOf(number), referenceTo(number)));
	}
	const other = dedupTable(new Uint8Array(shared));
	for (let number = 0; number < 5000; number++) {
		if (!other.find(hashOf(number), found)) t.fail(`${number}`);
		t.deepEqual(found, referenceTo(number));
	}
	t.false(other.insert(hashOf(3), referenceTo(4)), 'known content keeps its place');
	t.true(other.find(hashOf(3), found));
	t.is(found.length, 4);
});

test('a full table forgets something, says so, and never answers wrong', t => {
	const memory = dedupMemory(100);
	const run = () => {
		const bytes = new Uint8Array(memory);
		const table = dedupTable(bytes);
		let forgotten = 0;
		for (let number = 0; number < 3000; number++) if (table.insert(hashOf(number), referenceTo(number))) forgotten++;
		return {bytes, table, forgotten};
	};
	const {bytes, table, forgotten} = run();
	t.is(forgotten, 3000 - 2 * dedupRoom(memory));
	const found = newReference();
	let known = 0;
	for (let number = 0; number < 3000; number++) {
		if (!table.find(hashOf(number), found)) continue;
		known++;
		t.deepEqual(found, referenceTo(number));
	}
	t.is(known, 3000 - forgotten);
	t.true(table.find(hashOf(2999), found), 'the newest is there');
	t.deepEqual(run().bytes, bytes);
	t.true(dedupMemory(2 ** 40) <= 128 * 1024 * 1024);
});
