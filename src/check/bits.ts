/** Bits of one page, which is made when the first of them is set: 64 KiB. */
const PAGE_BITS = 1 << 19;
const WORD_BITS = 32;
/** Pages of one set: 256 MiB, which is 2^31 bits, or 8 TiB in clusters of 4 KiB. */
const MOST_PAGES = 4096;

/** A set of small numbers, a bit for each, in memory that grows with what is in it. */
export interface Bits {
	/** Adds `count` numbers from `first` on; returns how many were there already, and adds those to `again`. */
	take(first: number, count: number, again?: Bits): number;
	/** The first of `count` numbers from `first` on that is in the set, or -1. */
	find(first: number, count: number): number;
	/** Numbers that it holds. */
	readonly size: number;
	/** Numbers that were added in vain, since there was no more room. */
	readonly forgotten: number;
}

/** Cuts a run of bits into words. `each` is given the page, the word in it, the bits meant and the first bit's number. */
function words(
	first: number,
	count: number,
	pageOf: (index: number, length: number) => Uint32Array | undefined,
	each: (page: Uint32Array, word: number, mask: number, base: number) => boolean,
): void {
	const end = first + count;
	for (let bit = first; bit < end; ) {
		const index = Math.floor(bit / PAGE_BITS);
		const pageStart = index * PAGE_BITS;
		const pageEnd = Math.min(pageStart + PAGE_BITS, end);
		const page = pageOf(index, pageEnd - bit);
		if (page === undefined) {
			bit = pageEnd;
			continue;
		}
		while (bit < pageEnd) {
			const within = bit - pageStart;
			const low = within % WORD_BITS;
			const high = Math.min(WORD_BITS, low + pageEnd - bit);
			const mask = high - low === WORD_BITS ? 0xffff_ffff : (((1 << (high - low)) - 1) << low) >>> 0;
			if (!each(page, (within - low) / WORD_BITS, mask, bit - low)) return;
			bit += high - low;
		}
	}
}

export function newBits(mostPages = MOST_PAGES): Bits {
	const pages = new Map<number, Uint32Array>();
	let size = 0;
	let forgotten = 0;

	function pageToFill(index: number, length: number): Uint32Array | undefined {
		let page = pages.get(index);
		if (page !== undefined) return page;
		if (pages.size >= mostPages) {
			forgotten += length;
			return undefined;
		}
		page = new Uint32Array(PAGE_BITS / WORD_BITS);
		pages.set(index, page);
		return page;
	}

	return {
		take(first, count, again) {
			let known = 0;
			words(first, count, pageToFill, (page, word, mask, base) => {
				const both = (page[word] & mask) >>> 0;
				page[word] |= mask;
				const there = countOnes(both);
				size += countOnes(mask) - there;
				known += there;
				if (again !== undefined && both !== 0) {
					for (let bit = 0; bit < WORD_BITS; bit++) if ((both >>> bit) & 1) again.take(base + bit, 1);
				}
				return true;
			});
			return known;
		},
		find(first, count) {
			let found = -1;
			words(
				first,
				count,
				index => pages.get(index),
				(page, word, mask, base) => {
					const both = (page[word] & mask) >>> 0;
					if (both !== 0) found = base + 31 - Math.clz32(both & -both);
					return found < 0;
				},
			);
			return found;
		},
		get size() {
			return size;
		},
		get forgotten() {
			return forgotten;
		},
	};
}

function countOnes(word: number): number {
	let bits = word - ((word >>> 1) & 0x5555_5555);
	bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
	return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
