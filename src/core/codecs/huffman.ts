/**
 * Canonical prefix codes, read from the most significant bit: shorter codes first, then by symbol, as XPRESS and LZX
 * have them. Codes of up to `HUFFMAN_TABLE_BITS` bits are found by one look into a table; longer ones, which are rare, by
 * comparing with the first code of each length.
 */
export interface Huffman {
	/** For each value of the next `HUFFMAN_TABLE_BITS` bits the entry of the code that they start with; 0: a longer code. */
	readonly table: Uint16Array;
	/** Symbols in the order of their codes. */
	readonly sorted: Uint16Array;
	/** By length in bits: how many codes, the first code, and its place in `sorted`. */
	readonly counts: Int32Array;
	readonly firsts: Int32Array;
	readonly places: Int32Array;
}

/** 4 KiB of table: more costs a chunk of 4 KiB too much to fill, fewer sends too many symbols the long way. */
export const HUFFMAN_TABLE_BITS = 12;
/** Shifts the next 32 bits down to an index of the table. */
export const HUFFMAN_SHIFT = 32 - HUFFMAN_TABLE_BITS;
/** An entry is the symbol above this many bits of its code's length. */
export const HUFFMAN_LENGTH_BITS = 5;
export const HUFFMAN_LENGTH_MASK = 2 ** HUFFMAN_LENGTH_BITS - 1;
const LONGEST = 16;

export function newHuffman(symbols: number): Huffman {
	return {
		table: new Uint16Array(2 ** HUFFMAN_TABLE_BITS),
		sorted: new Uint16Array(symbols),
		counts: new Int32Array(LONGEST + 1),
		firsts: new Int32Array(LONGEST + 1),
		places: new Int32Array(LONGEST + 1),
	};
}

/**
 * Makes the code from the lengths of its first `symbols` symbols, each up to 16 bits; 0 leaves a symbol out. Returns
 * what it is: `complete`, `empty` (no symbol at all; every look-up then fails) or `wrong`, where it must not be used.
 */
export function buildHuffman(code: Huffman, lengths: Uint8Array, symbols: number): 'complete' | 'empty' | 'wrong' {
	const {table, sorted, counts, firsts, places} = code;
	counts.fill(0);
	for (let symbol = 0; symbol < symbols; symbol++) counts[lengths[symbol]]++;
	const used = symbols - counts[0];
	counts[0] = 0;
	if (used === 0) {
		table.fill(0);
		return 'empty';
	}
	let first = 0;
	let place = 0;
	for (let length = 1; length <= LONGEST; length++) {
		first = (first + counts[length - 1]) * 2;
		firsts[length] = first;
		places[length] = place;
		place += counts[length];
	}
	if (first + counts[LONGEST] !== 2 ** LONGEST) return 'wrong';
	for (let symbol = 0; symbol < symbols; symbol++) {
		const length = lengths[symbol];
		if (length !== 0) sorted[places[length]++] = symbol;
	}
	let at = 0;
	let rank = 0;
	for (let length = 1; length <= HUFFMAN_TABLE_BITS; length++) {
		const span = 1 << (HUFFMAN_TABLE_BITS - length);
		for (const end = rank + counts[length]; rank < end; rank++) {
			const entry = (sorted[rank] << HUFFMAN_LENGTH_BITS) | length;
			for (const stop = at + span; at < stop; ) table[at++] = entry;
		}
	}
	table.fill(0, at);
	for (let length = HUFFMAN_TABLE_BITS + 1; length <= LONGEST; length++) places[length] -= counts[length];
	return 'complete';
}

/** The entry of a code that is longer than the table's; `bits` are the next 32, the missing ones zero. -1: there is none. */
export function longCode({sorted, counts, firsts, places}: Huffman, bits: number): number {
	for (let length = HUFFMAN_TABLE_BITS + 1; length <= LONGEST; length++) {
		const index = (bits >>> (32 - length)) - firsts[length];
		if (index >= 0 && index < counts[length]) return (sorted[places[length] + index] << HUFFMAN_LENGTH_BITS) | length;
	}
	return -1;
}
