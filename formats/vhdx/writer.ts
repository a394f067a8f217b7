import {viewOf} from '../../src/core/bytes/layout.ts';
import type {DiskWriter, Fact, Piece} from '../../src/core/disk.ts';
import {countGrains, GRAIN, usedGrains, writeGrains} from '../../src/core/grains.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {encodeBatEntry, entryIndex, writeBatEntry} from './bat.ts';
import {encodeFileIdentifier} from './file-identifier.ts';
import {encodeHeader} from './header.ts';
import {
	BAT_ENTRY_SIZE,
	BAT_REGION,
	BlockState,
	FILE_IDENTIFIER_OFFSET,
	HEADER_OFFSETS,
	KIB,
	METADATA_REGION,
	MIB,
	REGION_TABLE_OFFSETS,
} from './layout.ts';
import {encodeMetadata} from './metadata.ts';
import {Shared, type VhdxPlan} from './plan.ts';
import {encodeRegionTable} from './region-table.ts';

const CREATOR = 'tintype';
/** Bytes of the BAT of a fixed image that are made at a time. */
const BAT_PAGE = 64 * KIB;

/**
 * Blocks of a dynamic image are placed one behind the other, in the order in which `reserve` meets their first piece
 * that is not all zeros; so the state that threads share is a few numbers, whatever the disk's size. A block's entry
 * goes straight to its place in the BAT, written by the thread that placed the block.
 */
export function openWriter(plan: VhdxPlan, sink: ByteSink): DiskWriter {
	const {blockSize, chunkRatio, fixed, bat, dataOffset} = plan;
	const state = new Int32Array(plan.shared);
	let piece: Piece = {position: 0, bytes: new Uint8Array(0)};
	let grains = 0;
	/** Where the piece goes in the file. */
	let place = 0;
	/** The entry to write with this piece, where it was the first of its block; else undefined. */
	let newBlock: {index: number; offset: number} | undefined;

	function blockPlace(block: number): number {
		if (fixed) return dataOffset + block * blockSize;
		if (Atomics.load(state, Shared.block) !== block) {
			const free = Atomics.add(state, Shared.nextFree, blockSize / MIB);
			Atomics.store(state, Shared.block, block);
			Atomics.store(state, Shared.place, free);
			Atomics.add(state, Shared.blocks, 1);
			newBlock = {index: entryIndex(block, chunkRatio), offset: free * MIB};
		}
		return Atomics.load(state, Shared.place) * MIB;
	}

	function fileSize(): number {
		return fixed ? dataOffset + plan.blocks * blockSize : Atomics.load(state, Shared.nextFree) * MIB;
	}

	/** All blocks in order, with an empty entry where a chunk's sector bitmap would be named. */
	function writeFixedBat(): void {
		const page = new Uint8Array(BAT_PAGE);
		const view = viewOf(page);
		const end = entryIndex(plan.blocks - 1, chunkRatio) + 1;
		const perPage = BAT_PAGE / BAT_ENTRY_SIZE;
		for (let first = 0; first < end; first += perPage) {
			page.fill(0);
			const count = Math.min(perPage, end - first);
			for (let i = 0; i < count; i++) {
				const chunk = Math.floor((first + i) / (chunkRatio + 1));
				if ((first + i) % (chunkRatio + 1) === chunkRatio) continue;
				const offset = dataOffset + (first + i - chunk) * blockSize;
				writeBatEntry(view, i * BAT_ENTRY_SIZE, BlockState.fullyPresent, offset);
			}
			sink.writeAt(bat.offset + first * BAT_ENTRY_SIZE, page.subarray(0, count * BAT_ENTRY_SIZE));
		}
	}

	return {
		encode(offered) {
			piece = offered;
			grains = usedGrains(offered);
		},
		reserve() {
			newBlock = undefined;
			if (grains === 0) return;
			const block = Math.floor(piece.position / blockSize);
			place = blockPlace(block) + (piece.position - block * blockSize);
			Atomics.add(state, Shared.grains, countGrains(grains));
		},
		write() {
			writeGrains(sink, place, piece, grains);
			if (newBlock === undefined) return;
			const entry = encodeBatEntry(BlockState.fullyPresent, newBlock.offset);
			sink.writeAt(bat.offset + newBlock.index * BAT_ENTRY_SIZE, entry);
		},
		writeTables() {
			sink.writeAt(plan.metadata.offset, encodeMetadata(plan));
			if (fixed) writeFixedBat();
			sink.truncate(fileSize());
		},
		writeRoot: () => writeRoot(plan, sink),
		describe() {
			const facts: Fact[] = [
				{key: 'subformat', title: 'subformat', value: fixed ? 'fixed' : 'dynamic'},
				{key: 'blockSize', title: 'block size', value: blockSize, unit: 'bytes'},
				{key: 'blocks', title: 'blocks', value: fixed ? plan.blocks : Atomics.load(state, Shared.blocks)},
				{key: 'stored', title: 'stored', value: Atomics.load(state, Shared.grains) * GRAIN, unit: 'bytes'},
				{key: 'fileSize', title: 'file size', value: fileSize(), unit: 'bytes'},
			];
			if (plan.padding > 0) {
				const title = 'zeros added to fill the last sector';
				facts.push({key: 'padding', title, value: plan.padding, unit: 'bytes'});
			}
			return facts;
		},
	};
}

/** The header section, without which nothing takes the file for a VHDX. */
export function writeRoot(
	{log, bat, metadata, fileWriteGuid, dataWriteGuid}: VhdxPlan,
	sink: Pick<ByteSink, 'writeAt'>,
): void {
	const regions = encodeRegionTable([
		{guid: BAT_REGION, ...bat},
		{guid: METADATA_REGION, ...metadata},
	]);
	for (const offset of REGION_TABLE_OFFSETS) sink.writeAt(offset, regions);
	for (const [index, offset] of HEADER_OFFSETS.entries()) {
		const sequenceNumber = BigInt(index + 1);
		const inFile = {logOffset: log.offset, logLength: log.length};
		sink.writeAt(offset, encodeHeader({sequenceNumber, fileWriteGuid, dataWriteGuid, ...inFile}));
	}
	sink.writeAt(FILE_IDENTIFIER_OFFSET, encodeFileIdentifier(CREATOR));
}
