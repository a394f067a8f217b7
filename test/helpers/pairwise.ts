import type {Random} from '../fuzz/random.ts';

type Axes = Readonly<Record<string, readonly (string | number)[]>>;
type CaseOf<A extends Axes> = {readonly [K in keyof A]: A[K][number]};

/** How many random cases each choice looks at. */
const TRIES = 60;

/** All combinations of the axes' values that are `possible`. */
export function allCases<const A extends Axes>(axes: A, possible: (each: CaseOf<A>) => boolean): CaseOf<A>[] {
	let cases: Record<string, string | number>[] = [{}];
	for (const [axis, values] of Object.entries(axes)) {
		cases = cases.flatMap(each => values.map(value => ({...each, [axis]: value})));
	}
	return (cases as CaseOf<A>[]).filter(each => possible(each));
}

function pairsOf(each: Readonly<Record<string, string | number>>): string[] {
	const values = Object.entries(each).map(([axis, value]) => `${axis}=${value}`);
	return values.flatMap((one, index) => values.slice(index + 1).map(other => `${one} ${other}`));
}

/** Cases among which every possible pair of two axes' values is: again and again the one that shows most that is new. */
export function pairwise<Case extends Readonly<Record<string, string | number>>>(
	all: readonly Case[],
	random: Random,
): Case[] {
	const open = new Set(all.flatMap(pairsOf));
	const chosen: Case[] = [];
	const news = (each: Case): number => pairsOf(each).filter(pair => open.has(pair)).length;
	while (open.size > 0) {
		const useful = all.filter(each => news(each) > 0);
		const tried = Array.from({length: TRIES}, () => random.pick(useful));
		const best = tried.reduce((one, other) => (news(other) > news(one) ? other : one));
		for (const pair of pairsOf(best)) open.delete(pair);
		chosen.push(best);
	}
	return chosen;
}
