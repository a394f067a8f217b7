import {crc32cRaw} from '../../../../src/core/bytes/checksums.ts';
import {DiskError} from '../../../../src/core/error.ts';
import * as layout from './layout.ts';
import {type JournalBlocks, newLogBlock} from './log.ts';
import {transactionNumber} from './scan.ts';
import type {JournalSuperblock} from './superblock.ts';

/** One change of a fast commit. */
export interface FastChange {
	/** Of `FastTag`. */
	readonly tag: number;
	readonly value: Uint8Array;
}

export interface FastCommits {
	readonly commits: number;
	readonly changes: readonly FastChange[];
}

/** The least that a tag's value has; tags that are not here end the area. */
const LEAST: Readonly<Record<number, number>> = {
	[layout.FastTag.addRange]: layout.FAST_ADD_RANGE_SIZE,
	[layout.FastTag.deleteRange]: layout.FastRangeLayout.size,
	[layout.FastTag.create]: layout.FastEntryLayout.size + 1,
	[layout.FastTag.link]: layout.FastEntryLayout.size + 1,
	[layout.FastTag.unlink]: layout.FastEntryLayout.size + 1,
	[layout.FastTag.inode]: layout.FAST_INODE_SIZE + 128,
	[layout.FastTag.padding]: 0,
	[layout.FastTag.tail]: layout.FastTailLayout.size,
	[layout.FastTag.head]: layout.FastHeadLayout.size,
};

/**
 * Reads the fast commits that follow the last whole transaction: up to the last tail that matches its checksum. What
 * comes after was being written, or is left from before.
 */
export function readFastCommits(blocks: JournalBlocks, journal: JournalSuperblock, transactions: number): FastCommits {
	const none: FastCommits = {commits: 0, changes: []};
	if (journal.fastCommits === undefined) return none;
	const expected = transactionNumber(journal, transactions);
	const {bytes, view} = newLogBlock(journal.blockSize);
	const changes: FastChange[] = [];
	let register = 0;
	let commits = 0;
	let valid = 0;

	/** Returns false where the area ends. */
	function readTag(at: number, tag: number, length: number): boolean {
		const start = at + layout.FastTagLayout.size;
		if (tag === layout.FastTag.tail) {
			const {transaction, checksum} = layout.FastTailLayout.read(view, start);
			register = crc32cRaw(bytes.subarray(at, start + layout.FastTailLayout.fields.checksum.offset), register);
			if (transaction !== expected || checksum !== register) return false;
			register = 0;
			commits++;
			valid = changes.length;
			return true;
		}
		if (tag === layout.FastTag.head) {
			const {features, transaction} = layout.FastHeadLayout.read(view, start);
			if (features !== 0 || transaction !== expected) return false;
		} else if (tag !== layout.FastTag.padding) {
			if (changes.length >= layout.MAX_FAST_TAGS) return false;
			changes.push({tag, value: bytes.slice(start, start + length)});
		}
		register = crc32cRaw(bytes.subarray(at, start + length), register);
		return true;
	}

	/** Returns false where the area ends. */
	function readBlock(): boolean {
		for (let at = 0; at + layout.FastTagLayout.size <= bytes.length; ) {
			const {tag, length} = layout.FastTagLayout.read(view, at);
			const next = at + layout.FastTagLayout.size + length;
			const least = LEAST[tag];
			// The last byte of a block may be left over, and a tail may claim more than there is.
			const fits = next <= bytes.length || tag === layout.FastTag.tail;
			if (least === undefined || length < least || !fits || !readTag(at, tag, length)) return false;
			at = next;
		}
		return true;
	}

	try {
		for (let block = journal.fastCommits.first; block < journal.fastCommits.end; block++) {
			blocks.read(block, bytes);
			const isFirst = block === journal.fastCommits.first;
			if (isFirst && layout.FastTagLayout.fields.tag.read(view, 0) !== layout.FastTag.head) return none;
			if (!readBlock()) break;
		}
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
	}
	return {commits, changes: changes.slice(0, valid)};
}
