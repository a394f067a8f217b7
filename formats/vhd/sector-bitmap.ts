import type {ByteSource} from '../../src/core/source.ts';
import {PAGE_SIZE, pagesOf} from './pages.ts';

/** Reads the bitmaps that lie before the data of blocks, a page at a time. */
export interface SectorBitmaps {
	/** Whether the bit of a sector is set in the bitmap at `offset`. */
	isSet(offset: number, sector: number): boolean;
	/** How many sectors from `sector` on are as it is; at least 1, at most `limit`, and bounded by a page. */
	run(offset: number, sector: number, limit: number): number;
}

/** The highest bit of a byte is its first sector. */
export function openSectorBitmaps(source: ByteSource): SectorBitmaps {
	const pages = pagesOf(source, 0);

	return {
		isSet(offset, sector) {
			const at = offset + Math.floor(sector / 8);
			return ((pages.at(at).getUint8(at % PAGE_SIZE) >> (7 - (sector % 8))) & 1) === 1;
		},
		run(offset, sector, limit) {
			const at = offset + Math.floor(sector / 8);
			const view = pages.at(at);
			/** In bits from the start of the page. */
			const first = (at % PAGE_SIZE) * 8 + (sector % 8);
			const end = Math.min(first + limit, PAGE_SIZE * 8);
			const wanted = (view.getUint8(first >> 3) >> (7 - (first & 7))) & 1;
			const whole = wanted === 1 ? 0xff : 0;
			let next = first + 1;
			while (next < end) {
				const byte = view.getUint8(next >> 3);
				if ((next & 7) === 0 && byte === whole) next += 8;
				else if (((byte >> (7 - (next & 7))) & 1) === wanted) next++;
				else break;
			}
			return Math.min(next, end) - first;
		},
	};
}
