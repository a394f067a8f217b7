import type {ByteSource} from '../../src/core/source.ts';
import {PAGE_SIZE, pagesOf} from './pages.ts';

/** Reads sector bitmaps (section 2.4.2), a page at a time. */
export interface SectorBitmaps {
	/** Whether the child holds this sector of the chunk whose bitmap lies at `offset`. */
	isPresent(offset: number, sector: number): boolean;
	/** How many sectors from `sector` on are as it is; at least 1, at most `limit`, and bounded by a page. */
	run(offset: number, sector: number, limit: number): number;
}

const SECTORS_PER_PAGE = PAGE_SIZE * 8;

/** `source` is the file with its log replayed. The lowest bit of a byte is its first sector. */
export function openSectorBitmaps(source: ByteSource): SectorBitmaps {
	const pages = pagesOf(source);

	return {
		isPresent(offset, sector) {
			const at = offset + Math.floor(sector / 8);
			return ((pages.at(at).getUint8(at % PAGE_SIZE) >> (sector % 8)) & 1) === 1;
		},
		run(offset, sector, limit) {
			const view = pages.at(offset + Math.floor(sector / 8));
			const first = sector % SECTORS_PER_PAGE;
			const end = Math.min(first + limit, SECTORS_PER_PAGE);
			const wanted = (view.getUint8(first >> 3) >> (first & 7)) & 1;
			const whole = wanted === 1 ? 0xff : 0;
			let next = first + 1;
			while (next < end) {
				const byte = view.getUint8(next >> 3);
				if ((next & 7) === 0 && byte === whole) next += 8;
				else if (((byte >> (next & 7)) & 1) === wanted) next++;
				else break;
			}
			return Math.min(next, end) - first;
		},
	};
}
