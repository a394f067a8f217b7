import test from 'ava';
import {CONTAINERS} from './containers.ts';
import {runSeeds} from './run-child.ts';

const SEEDS = 1000;

for (const [number, make] of CONTAINERS.entries()) {
	const {name} = make();
	test.serial(`${SEEDS} mutations: ${name}`, async t => {
		const outcomes = await runSeeds(t, 'container-run.ts', [String(number)], SEEDS);
		// Both ends are seen, or the mutations test nothing.
		const codes = Object.keys(outcomes);
		t.true((outcomes['none'] ?? 0) > SEEDS / 20, JSON.stringify(outcomes));
		t.true(codes.length >= 4, codes.join(', '));
	});
}
