import {viewOf} from '../../src/core/bytes/layout.ts';
import {roundUp} from '../../src/core/bytes/u64.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {Disk, Span, VirtualFile} from '../../src/core/disk.ts';
import {newSpan, readsAsZero, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {batGeometry, entryIndex, writeBatEntry} from './bat.ts';
import {BAT_ENTRY_SIZE, BlockState, MAX_DISK_SIZE} from './layout.ts';
import {encodeMetadata} from './metadata.ts';
import {PAGE_SIZE, pagesOf} from './pages.ts';
import {planVhdx, type VhdxPlan} from './plan.ts';
import {writeRoot} from './writer.ts';

const PAGE_ENTRIES = PAGE_SIZE / BAT_ENTRY_SIZE;
/**
 * Holes of one block that are looked at: a block with more of them, 16 KiB each and less, is called present, and reads as
 * zeros all the same. A page of the BAT then takes at most a million looks, however the disk is cut up.
 */
const MOST_HOLES = 2048;

/** A page of the tables in front of the BAT that is not all zeros. */
interface Table {
	readonly at: number;
	readonly bytes: Uint8Array;
}

/**
 * A disk as the dynamic image that it would make, every block in its own place: block i lies at `dataOffset` + i x block
 * size, there or not, so that nothing has to be known of one block to find another. Undefined above 64 TiB.
 */
export function presentVhdx(disk: Disk, id: Uint8Array): VirtualFile | undefined {
	if (disk.size > MAX_DISK_SIZE) return undefined;
	const plan = planVhdx({size: disk.size, sectorSize: disk.sectorSize, options: {}, id, timestamp: 0});
	const {bat, blockSize, blocks, dataOffset} = plan;
	const name = `${disk.name} as VHDX`;
	const size = dataOffset + blocks * blockSize;
	const {entries} = batGeometry(plan.size, blockSize, plan.logicalSectorSize, false);
	const batEnd = bat.offset + roundUp(entries * BAT_ENTRY_SIZE, PAGE_SIZE);
	const pages = pagesOf({name, size: bat.length, readAt: fillBatPage, [Symbol.dispose]() {}});
	const span = newSpan();
	let tables: readonly Table[] | undefined;

	/** Which blocks of one page are there: those of which anything does not read as zeros. */
	function fillBatPage(position: number, page: Uint8Array): void {
		page.fill(0);
		const view = viewOf(page);
		const firstEntry = position / BAT_ENTRY_SIZE;
		const end = Math.min(blocks, blockAt(firstEntry + PAGE_ENTRIES));
		let block = blockAt(firstEntry);
		let at = block * blockSize;
		let holes = 0;
		while (block < end) {
			const length = holes < MOST_HOLES ? holeAt(at) : 0;
			if (length === 0) {
				const entry = (entryIndex(block, plan.chunkRatio) - firstEntry) * BAT_ENTRY_SIZE;
				writeBatEntry(view, entry, BlockState.fullyPresent, dataOffset + block * blockSize);
				block += 1;
				at = block * blockSize;
				holes = 0;
				continue;
			}
			at = Math.min(at + length, disk.size);
			const next = at === disk.size ? blocks : Math.floor(at / blockSize);
			holes = next === block ? holes + 1 : 0;
			block = next;
		}
	}

	/** The first block whose entry is this one or a later one: the entry of a sector bitmap stands before the next chunk. */
	function blockAt(index: number): number {
		const chunk = Math.floor(index / (plan.chunkRatio + 1));
		return index - chunk;
	}

	/** How much reads as zeros from a place on the disk on; 0 where anything may be. */
	function holeAt(position: number): number {
		try {
			disk.locate(position, span);
			return readsAsZero(span.kind) ? span.length : 0;
		} catch (error) {
			// Damage of the image: whoever reads the block hears of it, and all other blocks can be had.
			if (error instanceof DiskError) return 0;
			throw error;
		}
	}

	function readTables(position: number, target: Uint8Array): void {
		tables ??= tablesOf(plan);
		target.fill(0);
		for (const {at, bytes} of tables) {
			const from = Math.max(position, at);
			const to = Math.min(position + target.length, at + bytes.length);
			if (from < to) target.set(bytes.subarray(from - at, to - at), from - position);
		}
	}

	function readBat(position: number, target: Uint8Array): void {
		for (let done = 0; done < target.length; ) {
			const at = position + done;
			const within = at % PAGE_SIZE;
			const length = Math.min(PAGE_SIZE - within, target.length - done);
			const {buffer, byteOffset} = pages.at(at);
			target.set(new Uint8Array(buffer, byteOffset + within, length), done);
			done += length;
		}
	}

	/** Behind the end of the disk, to the end of its last block, are zeros. */
	function readDisk(position: number, target: Uint8Array): void {
		const inside = Math.max(0, Math.min(target.length, disk.size - position));
		if (inside > 0) disk.readAt(position, inside === target.length ? target : target.subarray(0, inside));
		if (inside < target.length) target.fill(0, inside);
	}

	function locateTables(position: number, into: Span): void {
		tables ??= tablesOf(plan);
		for (const {at, bytes} of tables) {
			if (position < at) return unstored(into, SpanKind.zero, at - position);
			if (position < at + bytes.length) return unstored(into, SpanKind.encoded, at + bytes.length - position);
		}
		return unstored(into, SpanKind.zero, bat.offset - position);
	}

	return {
		name,
		size,
		readAt(position, target) {
			if (position >= dataOffset) return readDisk(position - dataOffset, target);
			for (let done = 0; done < target.length; ) {
				const at = position + done;
				const isTable = at < bat.offset;
				const isBat = !isTable && at < dataOffset;
				const end = isTable ? bat.offset : isBat ? dataOffset : size;
				const part = target.subarray(done, Math.min(target.length, done + end - at));
				if (isTable) readTables(at, part);
				else if (isBat) readBat(at - bat.offset, part);
				else readDisk(at - dataOffset, part);
				done += part.length;
			}
		},
		locate(position, into) {
			if (position < bat.offset) return locateTables(position, into);
			if (position < batEnd) return unstored(into, SpanKind.encoded, batEnd - position);
			if (position < dataOffset) return unstored(into, SpanKind.zero, dataOffset - position);
			const at = position - dataOffset;
			if (at >= disk.size) return unstored(into, SpanKind.zero, size - position);
			disk.locate(at, into);
			if (into.kind === SpanKind.stored) stored(into, into.length, 0, at);
		},
		[Symbol.dispose]() {},
	};
}

/** What a writer would write in front of the BAT, without the pages of it that are zeros. */
function tablesOf(plan: VhdxPlan): readonly Table[] {
	const written: Table[] = [{at: plan.metadata.offset, bytes: encodeMetadata(plan)}];
	writeRoot(plan, {writeAt: (at, bytes) => void written.push({at, bytes})});
	return written.flatMap(pagesOfTable).sort((a, b) => a.at - b.at);
}

function pagesOfTable({at, bytes}: Table): Table[] {
	const tables: Table[] = [];
	for (let from = 0; from < bytes.length; from += PAGE_SIZE) {
		const part = bytes.subarray(from, from + PAGE_SIZE);
		if (isZero(part)) continue;
		const page = new Uint8Array(PAGE_SIZE);
		page.set(part);
		tables.push({at: at + from, bytes: page});
	}
	return tables;
}
