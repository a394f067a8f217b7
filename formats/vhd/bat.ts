import {roundUp} from '../../src/core/bytes/u64.ts';
import {corrupt} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {DiskHeader} from './dynamic-header.ts';
import {BAT_ENTRY_SIZE, BAT_UNUSED, DynamicHeader, FOOTER_SIZE, SECTOR_SIZE} from './layout.ts';
import {findOverlaps} from './overlaps.ts';
import {PAGE_SIZE, pagesOf} from './pages.ts';

/** Bytes of the sector bitmap before each block's data. */
export function bitmapSizeOf(blockSize: number): number {
	return roundUp(Math.ceil(blockSize / SECTOR_SIZE / 8), SECTOR_SIZE);
}

/** What `Bat.lookup` answers for a block that has no place in the file. */
export const NO_PLACE = -1;

export interface Bat {
	/** Bytes of a block's sector bitmap; the block's data follows it. */
	readonly bitmapSize: number;
	/** Where a block's sector bitmap lies in the file, or `NO_PLACE`. Throws `corrupt` where the entry is impossible. */
	lookup(block: number): number;
	/** How many blocks from `block` on, which has none, have no place; bounded by a page, at least 1. */
	unusedRun(block: number): number;
}

/** A structure that no block may overlap. */
interface Reserved {
	readonly name: string;
	readonly offset: number;
	readonly end: number;
}

/**
 * Entries are checked when they are asked for, so that a bad one costs its block and no more. `blocks` is what the disk
 * needs, whatever the header claims; blocks must end at `dataEnd`.
 */
export function openBat(source: ByteSource, header: DiskHeader, blocks: number, dataEnd: number): Bat {
	const {tableOffset, maxTableEntries, blockSize} = header;
	const bitmapSize = bitmapSizeOf(blockSize);
	const stride = bitmapSize + blockSize;
	const pages = pagesOf(source, tableOffset);
	const inFile = Math.floor((source.size - tableOffset) / BAT_ENTRY_SIZE);
	const entries = Math.min(maxTableEntries, inFile, blocks);
	const reserved: readonly Reserved[] = [
		{name: 'copy of the footer', offset: 0, end: FOOTER_SIZE},
		{name: 'dynamic disk header', offset: header.position, end: header.position + DynamicHeader.size},
		{name: 'BAT', offset: tableOffset, end: tableOffset + entries * BAT_ENTRY_SIZE},
	];

	function damaged(code: string, block: number, message: string): Error {
		const position = tableOffset + block * BAT_ENTRY_SIZE;
		return corrupt(code, message, {file: source.name, position, structure: 'BAT entry'});
	}

	/** The structure that a block would lie over. */
	function reservedAt(place: number): Reserved | undefined {
		for (const region of reserved) if (place < region.end && place + stride > region.offset) return region;
		return undefined;
	}

	const overlaps = findOverlaps(source, {
		offset: tableOffset,
		entries,
		stride,
		dataEnd,
		isPossible: place => place + bitmapSize <= dataEnd && reservedAt(place) === undefined,
	});

	function entryOf(block: number): number {
		const at = block * BAT_ENTRY_SIZE;
		return pages.at(at).getUint32(at % PAGE_SIZE);
	}

	return {
		bitmapSize,
		lookup(block) {
			if (block >= entries) {
				throw block >= maxTableEntries
					? damaged('vhd/bat-too-small', block, `block ${block} has no entry in a BAT of ${maxTableEntries}`)
					: damaged('vhd/bat-beyond-file', block, `the entry of block ${block} lies beyond the end of the file`);
			}
			const entry = entryOf(block);
			if (entry === BAT_UNUSED) return NO_PLACE;
			const place = entry * SECTOR_SIZE;
			const region = reservedAt(place);
			if (region !== undefined) {
				throw damaged('vhd/block-overlap', block, `a block at ${place} overlaps the ${region.name}`);
			}
			if (place + bitmapSize > dataEnd) {
				throw damaged('vhd/block-beyond-file', block, `a block at ${place} lies beyond the end of the file`);
			}
			if (overlaps !== undefined && ((overlaps[block >> 3] ?? 0) & (1 << (block & 7))) !== 0) {
				throw damaged('vhd/block-overlap', block, `a block at ${place} overlaps another block`);
			}
			return place;
		},
		unusedRun(block) {
			const inPage = PAGE_SIZE - ((block * BAT_ENTRY_SIZE) % PAGE_SIZE);
			const end = Math.min(entries, block + inPage / BAT_ENTRY_SIZE);
			let next = block + 1;
			while (next < end && entryOf(next) === BAT_UNUSED) next++;
			return next - block;
		},
	};
}
