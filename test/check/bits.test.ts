import test from 'ava';
import {newBits} from '../../src/check/bits.ts';
import {seededRandom} from '../fuzz/random.ts';

const PAGE = 1 << 19;

test('bits are a set of numbers, also across pages', t => {
	const random = seededRandom(3);
	const bits = newBits();
	const again = newBits();
	const model = new Set<number>();
	const twice = new Set<number>();
	for (let round = 0; round < 400; round++) {
		const first = random.pick([0, PAGE - 100, 5 * PAGE, 3 * PAGE - 40]) + random.below(200);
		const count = 1 + random.below(100);
		let known = 0;
		for (let number = first; number < first + count; number++) {
			if (model.has(number)) {
				known++;
				twice.add(number);
			}
			model.add(number);
		}
		t.is(bits.take(first, count, again), known);
		t.is(bits.size, model.size);
		t.is(again.size, twice.size);
		const from = random.pick([0, PAGE - 100, 5 * PAGE]) + random.below(250);
		const length = 1 + random.below(60);
		const expected = Array.from({length}, (_, index) => from + index).find(number => model.has(number)) ?? -1;
		t.is(bits.find(from, length), expected);
	}
	for (const number of twice) t.is(again.find(number, 1), number);
});

test('what finds no room is counted, and all else is kept', t => {
	const bits = newBits(2);
	t.is(bits.take(10, 4), 0);
	t.is(bits.take(PAGE * 9 - 3, 10), 0);
	t.is(bits.forgotten, 7);
	t.is(bits.take(PAGE * 9 - 3, 10), 3);
	t.is(bits.take(2 ** 40, 2 ** 31), 0);
	t.is(bits.forgotten, 14 + 2 ** 31);
	t.is(bits.size, 7);
});
