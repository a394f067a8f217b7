import {viewOf} from '../../src/core/bytes/layout.ts';
import type {DiskWriter, Fact, Piece} from '../../src/core/disk.ts';
import {countGrains, GRAIN, usedGrains, writeGrains} from '../../src/core/grains.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {encodeDynamicHeader} from './dynamic-header.ts';
import {encodeFooter} from './footer.ts';
import {BAT_ENTRY_SIZE, BAT_UNUSED, FOOTER_SIZE, KIB, SECTOR_SIZE} from './layout.ts';
import {Shared, type VhdPlan} from './plan.ts';

/** Bytes of the BAT that are made at a time. */
const BAT_PAGE = 64 * KIB;

/** Sets the bits of `count` sectors from `first` on; the highest bit of a byte is its first sector. */
function setBits(bitmap: Uint8Array, first: number, count: number): void {
	for (let sector = first; sector < first + count; sector++) {
		bitmap[sector >> 3] = (bitmap[sector >> 3] ?? 0) | (0x80 >> (sector & 7));
	}
}

/**
 * Blocks of a dynamic image are placed one behind the other, in the order in which `reserve` meets their first piece
 * that is not all zeros. A piece owns its part of the block's sector bitmap, so threads never write the same bytes.
 */
export function openWriter(plan: VhdPlan, sink: ByteSink): DiskWriter {
	const {fixed, size, blockSize, bitmapSize, bat, firstData, stride} = plan;
	const counts = new Int32Array(plan.shared);
	const places = new Uint32Array(plan.places);
	const bitmap = new Uint8Array(plan.pieceSize / SECTOR_SIZE / 8);
	let piece: Piece = {position: 0, bytes: new Uint8Array(0)};
	let grains = 0;
	/** Where the piece goes in the file, and its part of the sector bitmap. */
	let place = 0;
	let bitmapPlace = 0;

	/** Where a block's bitmap lies. */
	function blockPlace(block: number): number {
		if (Atomics.load(places, block) === 0) {
			const index = Atomics.add(counts, Shared.blocks, 1);
			Atomics.store(places, block, (firstData + index * stride - bitmapSize) / SECTOR_SIZE);
		}
		return Atomics.load(places, block) * SECTOR_SIZE;
	}

	/** Where the footer lies. */
	function dataEnd(): number {
		if (fixed) return size;
		const blocks = Atomics.load(counts, Shared.blocks);
		return blocks === 0 ? bat.offset + bat.length : firstData + (blocks - 1) * stride + blockSize;
	}

	function writeBitmap(): void {
		const length = Math.min(plan.pieceSize, size - piece.position);
		bitmap.fill(0);
		for (let grain = 0; grains >>> grain !== 0; grain++) {
			if (((grains >>> grain) & 1) === 0) continue;
			const start = grain * GRAIN;
			const end = Math.min(start + GRAIN, length);
			setBits(bitmap, start / SECTOR_SIZE, Math.ceil((end - start) / SECTOR_SIZE));
		}
		sink.writeAt(bitmapPlace, bitmap);
	}

	function writeBat(): void {
		const page = new Uint8Array(BAT_PAGE);
		const view = viewOf(page);
		for (let start = 0; start < bat.length; start += BAT_PAGE) {
			const length = Math.min(BAT_PAGE, bat.length - start);
			for (let at = 0; at < length; at += BAT_ENTRY_SIZE) {
				view.setUint32(at, places[(start + at) / BAT_ENTRY_SIZE] || BAT_UNUSED);
			}
			sink.writeAt(bat.offset + start, page.subarray(0, length));
		}
	}

	return {
		encode(offered) {
			piece = offered;
			grains = usedGrains(offered);
		},
		reserve() {
			if (grains === 0) return;
			const {position} = piece;
			Atomics.add(counts, Shared.grains, countGrains(grains));
			if (fixed) {
				place = position;
				return;
			}
			const block = Math.floor(position / blockSize);
			const within = position - block * blockSize;
			const start = blockPlace(block);
			place = start + bitmapSize + within;
			bitmapPlace = start + within / SECTOR_SIZE / 8;
		},
		write() {
			writeGrains(sink, place, piece, grains);
			if (!fixed && grains !== 0) writeBitmap();
		},
		writeTables() {
			if (!fixed) {
				const header = {tableOffset: bat.offset, maxTableEntries: plan.blocks, blockSize};
				sink.writeAt(FOOTER_SIZE, encodeDynamicHeader(header));
				writeBat();
			}
			sink.truncate(dataEnd() + FOOTER_SIZE);
		},
		writeRoot() {
			const {geometry, uniqueId, timestamp} = plan;
			const variant = fixed ? 'fixed' : 'dynamic';
			const dataOffset = fixed ? undefined : FOOTER_SIZE;
			const footer = encodeFooter({variant, size, geometry, dataOffset, uniqueId, timestamp});
			sink.writeAt(dataEnd(), footer);
			if (!fixed) sink.writeAt(0, footer);
		},
		describe() {
			const facts: Fact[] = [{key: 'subformat', title: 'subformat', value: fixed ? 'fixed' : 'dynamic'}];
			if (!fixed) {
				facts.push(
					{key: 'blockSize', title: 'block size', value: blockSize, unit: 'bytes'},
					{key: 'blocks', title: 'blocks', value: Atomics.load(counts, Shared.blocks)},
				);
			}
			facts.push(
				{key: 'stored', title: 'stored', value: Atomics.load(counts, Shared.grains) * GRAIN, unit: 'bytes'},
				{key: 'fileSize', title: 'file size', value: dataEnd() + FOOTER_SIZE, unit: 'bytes'},
			);
			if (plan.padding > 0) {
				const title = 'zeros added to fill the last sector';
				facts.push({key: 'padding', title, value: plan.padding, unit: 'bytes'});
			}
			return facts;
		},
	};
}
