import {viewOf} from '../../src/core/bytes/layout.ts';
import type {ByteSource} from '../../src/core/source.ts';

export const PAGE_SIZE = 4096;
/** Together 1 MiB for each table: 128 Ki BAT entries, or sector bitmaps for 4 GiB of disk. */
const SLOTS = 256;

/** A table of any size, read in pages of which the last few are kept. A hit allocates nothing. */
export interface Pages {
	/** The page that holds `position` of the source; `position % PAGE_SIZE` is the place in it. Valid until the next call. */
	at(position: number): DataView;
}

/** Pages lie at multiples of their size, which the table's own alignment of 1 MiB allows. */
export function pagesOf(source: ByteSource): Pages {
	const held = new Float64Array(SLOTS).fill(-1);
	const views: (DataView | undefined)[] = Array.from({length: SLOTS});

	function load(page: number, slot: number): DataView {
		const view = views[slot] ?? viewOf(new Uint8Array(PAGE_SIZE));
		views[slot] = view;
		held[slot] = -1;
		source.readAt(page * PAGE_SIZE, new Uint8Array(view.buffer));
		held[slot] = page;
		return view;
	}

	return {
		at(position) {
			const page = Math.floor(position / PAGE_SIZE);
			const slot = page % SLOTS;
			const view = views[slot];
			return view !== undefined && held[slot] === page ? view : load(page, slot);
		},
	};
}
