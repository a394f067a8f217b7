/** A small seeded generator (mulberry32): the same seed gives the same run on every machine. */
export interface Random {
	/** An integer, `0 <= result < limit`. */
	below(limit: number): number;
	pick<T>(choices: readonly T[]): T;
}

export function seededRandom(seed: number): Random {
	let state = seed >>> 0;
	function next(): number {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	}
	const below = (limit: number): number => Math.floor(next() * limit);
	return {below, pick: choices => choices[below(choices.length)]};
}
