import {WORD} from '../../../../src/core/bytes/u64.ts';
import * as layout from './layout.ts';
import type {LogBlock} from './log.ts';
import type {JournalSuperblock} from './superblock.ts';

const tag = layout.TagLayout.fields;
const tag3 = layout.Tag3Layout.fields;

/** What a descriptor says of one of the blocks that follow it. Reused from tag to tag. */
export interface Tag {
	/** The block of the file system. */
	block: number;
	escaped: boolean;
	checksum: number;
}

export interface TagReader {
	/** Returns how many blocks of the log belong to a descriptor. */
	count(descriptor: LogBlock): number;
	visit(descriptor: LogBlock, visit: (tag: Tag) => void): void;
}

/** journal.rst, descriptor block: tags up to one that is marked as the last, or to the end of the block. */
export function openTags({checksums, is64bit, blockSize}: JournalSuperblock): TagReader {
	const size = tagSize(checksums, is64bit);
	const end = blockSize - (checksums > 1 ? layout.BLOCK_TAIL_SIZE : 0);
	const found: Tag = {block: 0, escaped: false, checksum: 0};

	function walk({view}: LogBlock, visit: ((tag: Tag) => void) | undefined): number {
		let count = 0;
		for (let at = layout.BlockHeaderLayout.size; at + size <= end; ) {
			const flags = tag.flags.read(view, at);
			count++;
			if (visit !== undefined) {
				found.block = tag.blockLow.read(view, at) + (is64bit ? tag.blockHigh.read(view, at) * WORD : 0);
				found.escaped = (flags & layout.TagFlag.escape) !== 0;
				found.checksum = checksums === 3 ? tag3.checksum.read(view, at) : tag.checksum.read(view, at);
				visit(found);
			}
			if (flags & layout.TagFlag.last) break;
			at += size + (flags & layout.TagFlag.sameUuid ? 0 : layout.TAG_UUID_SIZE);
		}
		return count;
	}

	return {count: descriptor => walk(descriptor, undefined), visit: (descriptor, visit) => void walk(descriptor, visit)};
}

function tagSize(checksums: number, is64bit: boolean): number {
	if (checksums === 3) return layout.Tag3Layout.size;
	const version2 = checksums === 2 ? layout.TAG_SIZE_CHECKSUM_V2 : 0;
	return layout.TAG_SIZE + (is64bit ? layout.TAG_SIZE_64BIT : 0) + version2;
}
