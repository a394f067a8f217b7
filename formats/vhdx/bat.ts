import {viewOf} from '../../src/core/bytes/layout.ts';
import {corrupt} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {
	BAT_ENTRY_SIZE,
	BAT_STATE_MASK,
	BITMAP_PRESENT,
	BlockState,
	MIB,
	REGION_ALIGNMENT,
	SECTOR_BITMAP_SIZE,
	SECTORS_PER_CHUNK,
} from './layout.ts';
import {PAGE_SIZE, pagesOf} from './pages.ts';
import type {Region, Regions} from './region-table.ts';

/** The shape of a BAT (section 2.5): after the payload entries of each chunk comes one for its sector bitmap. */
export interface BatGeometry {
	readonly blockSize: number;
	/** Payload blocks in a chunk. */
	readonly chunkRatio: number;
	/** Payload blocks. */
	readonly blocks: number;
	/** Entries in all, sector bitmaps included. */
	readonly entries: number;
}

export function batGeometry(size: number, blockSize: number, sectorSize: number, hasParent: boolean): BatGeometry {
	const chunkRatio = (SECTORS_PER_CHUNK * sectorSize) / blockSize;
	const blocks = Math.ceil(size / blockSize);
	const chunks = Math.ceil(blocks / chunkRatio);
	// Without a parent the last chunk needs no bitmap, so its entry is left out.
	const entries = hasParent ? chunks * (chunkRatio + 1) : blocks + Math.max(0, chunks - 1);
	return {blockSize, chunkRatio, blocks, entries};
}

/** The index of a payload block's entry. */
export function entryIndex(block: number, chunkRatio: number): number {
	return block + Math.floor(block / chunkRatio);
}

/** A payload block's entry, reused by the caller. */
export interface BatEntry {
	state: number;
	/** In the file; holds nothing where the state says that nothing is stored. */
	offset: number;
}

export interface Bat {
	/** Throws `corrupt` where the entry is impossible. */
	lookup(block: number, entry: BatEntry): void;
	/** How many blocks from `block` on are in the state of the first; bounded by a page and the hole behind it, at least 1. */
	run(block: number, state: number): number;
	/** Where the sector bitmap of a block's chunk lies in the file; throws `corrupt` if it is not there. */
	bitmapOf(block: number): number;
}

/** The MiB of an entry: its upper 44 bits. */
function offsetIn(view: DataView, at: number): number {
	return (view.getUint32(at + 4, true) * 4096 + (view.getUint32(at, true) >>> 20)) * MIB;
}

/** `source` is the file with its log replayed. Nothing is read before it is asked for. */
export function openBat(source: ByteSource, regions: Regions, geometry: BatGeometry): Bat {
	const {bat: region, reserved} = regions;
	const {blockSize, chunkRatio, blocks, entries} = geometry;
	const pages = pagesOf(source);
	if (entries * BAT_ENTRY_SIZE > region.length) {
		throw corrupt('vhdx/bat-too-small', `${entries} entries do not fit into a BAT of ${region.length} bytes`, {
			file: source.name,
			position: region.offset,
			structure: 'BAT',
		});
	}

	function damaged(code: string, index: number, message: string): Error {
		return corrupt(code, message, {
			file: source.name,
			position: region.offset + index * BAT_ENTRY_SIZE,
			structure: 'BAT entry',
		});
	}

	function check(index: number, offset: number, length: number): void {
		const owner = ownerOf(reserved, offset, length);
		if (owner !== undefined) {
			throw damaged('vhdx/block-overlap', index, `a block at ${offset} overlaps the ${owner.name}`);
		}
		if (offset >= source.size) {
			throw damaged('vhdx/block-beyond-file', index, `a block at ${offset} lies beyond the end of the file`);
		}
	}

	/** The block of the first entry at or after `index` that does not lie in a hole of the file: there all is zero. */
	function firstBeyondHole(index: number): number {
		const position = region.offset + index * BAT_ENTRY_SIZE;
		if (source.seekData === undefined || position >= source.size) return 0;
		const entry = Math.floor((source.seekData(position) - region.offset) / BAT_ENTRY_SIZE);
		return entry - Math.floor(entry / (chunkRatio + 1));
	}

	return {
		lookup(block, entry) {
			const index = entryIndex(block, chunkRatio);
			const position = region.offset + index * BAT_ENTRY_SIZE;
			const view = pages.at(position);
			const at = position % PAGE_SIZE;
			const state = view.getUint8(at) & BAT_STATE_MASK;
			entry.state = state;
			entry.offset = 0;
			if (state <= BlockState.unmapped) return;
			if (state !== BlockState.fullyPresent && state !== BlockState.partiallyPresent) {
				throw damaged('vhdx/block-state', index, `block ${block} is in the unknown state ${state}`);
			}
			entry.offset = offsetIn(view, at);
			check(index, entry.offset, blockSize);
		},
		run(block, state) {
			let index = entryIndex(block, chunkRatio);
			const position = region.offset + index * BAT_ENTRY_SIZE;
			const view = pages.at(position);
			let at = position % PAGE_SIZE;
			let next = block;
			while (next < blocks && at < PAGE_SIZE) {
				// The chunk's sector bitmap stands between its last block and the next chunk's first.
				if (index % (chunkRatio + 1) !== chunkRatio) {
					if ((view.getUint8(at) & BAT_STATE_MASK) !== state) break;
					next++;
				}
				index++;
				at += BAT_ENTRY_SIZE;
			}
			if (state === BlockState.notPresent && at === PAGE_SIZE) next = Math.max(next, firstBeyondHole(index));
			return Math.min(next, blocks) - block;
		},
		bitmapOf(block) {
			const chunk = Math.floor(block / chunkRatio);
			const index = chunk * (chunkRatio + 1) + chunkRatio;
			const position = region.offset + index * BAT_ENTRY_SIZE;
			const view = pages.at(position);
			const at = position % PAGE_SIZE;
			if ((view.getUint8(at) & BAT_STATE_MASK) !== BITMAP_PRESENT) {
				throw damaged('vhdx/bitmap-missing', index, `block ${block} needs a sector bitmap, and there is none`);
			}
			const offset = offsetIn(view, at);
			check(index, offset, SECTOR_BITMAP_SIZE);
			if (offset + SECTOR_BITMAP_SIZE > source.size) {
				throw damaged(
					'vhdx/block-beyond-file',
					index,
					`a sector bitmap at ${offset} reaches beyond the end of the file`,
				);
			}
			return offset;
		},
	};
}

function ownerOf(reserved: readonly Region[], offset: number, length: number): Region | undefined {
	for (const region of reserved) {
		if (offset < region.offset + region.length && offset + length > region.offset) return region;
	}
	return undefined;
}

/** Writes an entry at `at`; `offset` is a multiple of 1 MiB. */
export function writeBatEntry(view: DataView, at: number, state: number, offset: number): void {
	const place = offset / REGION_ALIGNMENT;
	view.setUint32(at, (place % 4096) * REGION_ALIGNMENT + state, true);
	view.setUint32(at + 4, Math.floor(place / 4096), true);
}

export function encodeBatEntry(state: number, offset: number): Uint8Array {
	const bytes = new Uint8Array(BAT_ENTRY_SIZE);
	writeBatEntry(viewOf(bytes), 0, state, offset);
	return bytes;
}
