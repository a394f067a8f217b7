import {viewOf} from '../../../../src/core/bytes/layout.ts';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {corrupt} from '../../../../src/core/error.ts';
import type {BlockMap} from '../block-map.ts';
import type {Inode} from '../inode.ts';
import type {Volume} from '../volume.ts';
import {BlockHeaderLayout, JOURNAL_MAGIC} from './layout.ts';

const header = BlockHeaderLayout.fields;

/** The blocks of a journal, by their numbers within it. */
export interface JournalBlocks {
	readonly count: number;
	/** Where a block lies in the volume. Throws `corrupt` where the journal has a hole, or no such block. */
	position(block: number): number;
	read(block: number, target: Uint8Array): void;
}

export function openJournalBlocks(volume: Volume, map: BlockMap, inode: Inode): JournalBlocks {
	const {blockSize} = volume.superblock;
	const count = Math.floor(inode.size / blockSize);
	const span = newSpan();
	/** The run that was asked for last: the log is read from start to end. */
	let runStart = 0;
	let runEnd = 0;
	let runPosition = 0;

	function position(block: number): number {
		if (block < runStart || block >= runEnd) {
			if (block >= count) {
				throw corrupt('ext/journal-block', `block ${block} lies outside the journal of ${count} blocks`);
			}
			map.locate(inode, block * blockSize, span);
			if (span.kind !== SpanKind.stored) throw corrupt('ext/journal-hole', `the journal has a hole at block ${block}`);
			runStart = block;
			runEnd = Math.min(count, block + Math.floor(span.length / blockSize));
			runPosition = span.at;
		}
		return runPosition + (block - runStart) * blockSize;
	}

	return {count, position, read: (block, target) => volume.readContent(position(block), target)};
}

/** One block of the log in memory. */
export interface LogBlock {
	readonly bytes: Uint8Array;
	readonly view: DataView;
}

export function newLogBlock(blockSize: number): LogBlock {
	const bytes = new Uint8Array(blockSize);
	return {bytes, view: viewOf(bytes)};
}

/** The type of a block of transaction `sequence`; undefined for any other block, with which the log ends. */
export function blockTypeOf({view}: LogBlock, sequence: number): number | undefined {
	const own = header.magic.read(view, 0) === JOURNAL_MAGIC && header.sequence.read(view, 0) === sequence;
	return own ? header.blockType.read(view, 0) : undefined;
}
