import {viewOf} from '../../src/core/bytes/layout.ts';
import type {ByteSource} from '../../src/core/source.ts';

export const PAGE_SIZE = 4096;
/** Together 1 MiB for each table: 256 Ki BAT entries, or the sector bitmaps of 256 blocks. */
const SLOT_BITS = 8;
/** Spreads pages over the slots, since bitmaps lie a power of two apart: Knuth's multiplier. */
const SPREAD = 0x9e3779b1;

/** A table of any size, read in pages of which the last few are kept. A hit allocates nothing. */
export interface Pages {
	/** The page that holds `position`, which counts from `base`; `position % PAGE_SIZE` is the place in it. Valid until the next call. */
	at(position: number): DataView;
}

/** Behind the end of the file a page reads as zeros: who asks knows where that is. */
export function pagesOf(source: ByteSource, base: number): Pages {
	const held = new Float64Array(1 << SLOT_BITS).fill(-1);
	const views: (DataView | undefined)[] = Array.from({length: 1 << SLOT_BITS});

	function load(page: number, slot: number): DataView {
		const view = views[slot] ?? viewOf(new Uint8Array(PAGE_SIZE));
		views[slot] = view;
		held[slot] = -1;
		const bytes = new Uint8Array(view.buffer);
		const start = base + page * PAGE_SIZE;
		const inside = Math.max(0, Math.min(PAGE_SIZE, source.size - start));
		if (inside > 0) source.readAt(start, bytes.subarray(0, inside));
		bytes.fill(0, inside);
		held[slot] = page;
		return view;
	}

	return {
		at(position) {
			const page = Math.floor(position / PAGE_SIZE);
			const slot = Math.imul(page, SPREAD) >>> (32 - SLOT_BITS);
			const view = views[slot];
			return view !== undefined && held[slot] === page ? view : load(page, slot);
		},
	};
}
