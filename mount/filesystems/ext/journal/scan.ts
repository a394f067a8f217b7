import {WORD} from '../../../../src/core/bytes/u64.ts';
import {corrupt, DiskError, outOfRange} from '../../../../src/core/error.ts';
import {commitMatches, crc32BigEndian, tailMatches} from './checksums.ts';
import {BlockType, CHECKSUM_SIZE, ChecksumType, CommitLayout, MAX_CONTROL_BLOCKS, MAX_LOGGED_BLOCKS} from './layout.ts';
import {blockTypeOf, type JournalBlocks, newLogBlock} from './log.ts';
import type {JournalSuperblock} from './superblock.ts';
import type {TagReader} from './tags.ts';

const commit = CommitLayout.fields;
const CHECKSUM_START = 0xffff_ffff;

/** What the first pass finds. */
export interface Scan {
	/** Whole transactions, which can be replayed, from the oldest on. */
	readonly transactions: number;
	/** Why what follows them cannot be; undefined where the log simply ends. */
	readonly error: DiskError | undefined;
}

/** The next block of the log, which goes round. */
export function nextInLog(block: number, count: number, {first, last}: JournalSuperblock): number {
	const next = block + count;
	return next < last ? next : first + ((next - last) % (last - first));
}

/** The number of a transaction: numbers go on with 0 after 2^32 - 1. */
export function transactionNumber({sequence}: JournalSuperblock, index: number): number {
	return (sequence + index) % WORD;
}

/**
 * The first pass: looks for the end of the log. A transaction counts from its commit block on, and only where all that
 * has a checksum matches it.
 *
 * Blocks that an earlier round left behind may have the number that is looked for, so a wrong checksum is damage only
 * where the commit block is not older than the one before it. That is the kernel's rule, as is going on behind a bad
 * commit block that was written without waiting: where another follows, it is damage, else a commit cut short.
 */
export function scanLog(blocks: JournalBlocks, journal: JournalSuperblock, tags: TagReader): Scan {
	const block = newLogBlock(journal.blockSize);
	const data = newLogBlock(journal.blockSize);
	const length = journal.last - journal.first;
	let at = journal.start;
	/** Blocks of the log behind `at`: it is followed for one round. */
	let passed = 0;
	let control = 0;
	let logged = 0;
	let transactions = 0;
	let lastCommit = 0;
	/** Of the transaction in hand: a checksum that does not match, and that of version 1 so far. */
	let doubtful = false;
	let register = CHECKSUM_START;
	/** A bad commit block, behind which the scan goes on to see whether there is another. */
	let failed: DiskError | undefined;

	function advance(count: number): void {
		at = nextInLog(at, count, journal);
		passed += count;
	}

	function mismatch(): DiskError {
		const number = transactionNumber(journal, transactions);
		return corrupt('ext/journal-checksum', `transaction ${number} of the journal does not match its checksum`, {
			structure: 'journal',
		});
	}

	function passDescriptor(): void {
		const count = tags.count(block);
		logged += count;
		if (logged > MAX_LOGGED_BLOCKS) {
			throw outOfRange(
				'ext/journal-long',
				`the transactions of the journal hold more than ${MAX_LOGGED_BLOCKS} blocks`,
			);
		}
		if (journal.checksums !== 1 || doubtful || failed !== undefined) return advance(count + 1);
		register = crc32BigEndian(block.bytes, register);
		advance(1);
		for (let index = 0; index < count && passed < length; index++) {
			blocks.read(at, data.bytes);
			register = crc32BigEndian(data.bytes, register);
			advance(1);
		}
	}

	/** journal.rst, commit block: version 1 may be left out, all fields being zero. */
	function transactionMatches(): boolean {
		if (journal.checksums !== 1) return commitMatches(block, journal);
		const type = commit.checksumType.read(block.view, 0);
		const size = commit.checksumSize.read(block.view, 0);
		const checksum = commit.checksum.read(block.view, 0);
		if (type === 0 && size === 0 && checksum === 0) return true;
		return type === ChecksumType.crc32 && size === CHECKSUM_SIZE && checksum === register;
	}

	/** Returns false at the end of the log. */
	function passCommit(): boolean {
		// Seconds since 1970: an upper half that makes the number inexact is nonsense, and compares well enough.
		const time = commit.secondsHigh.read(block.view, 0) * WORD + commit.secondsLow.read(block.view, 0);
		if (failed !== undefined) throw failed;
		const matches = !doubtful && transactionMatches();
		if (!matches && time < lastCommit) return false;
		if (!matches) {
			failed = mismatch();
			if (doubtful || !journal.asyncCommit) throw failed;
		} else {
			transactions++;
		}
		lastCommit = time;
		doubtful = false;
		register = CHECKSUM_START;
		advance(1);
		return true;
	}

	function passBlock(): boolean {
		blocks.read(at, block.bytes);
		const number = transactionNumber(journal, transactions + (failed === undefined ? 0 : 1));
		const type = blockTypeOf(block, number);
		switch (type) {
			case BlockType.descriptor:
				doubtful ||= !tailMatches(block, journal);
				passDescriptor();
				return true;
			case BlockType.revoke:
				doubtful ||= !tailMatches(block, journal);
				advance(1);
				return true;
			case BlockType.commit:
				return passCommit();
			default:
				return false;
		}
	}

	try {
		while (passBlock()) {
			if (passed > length) throw corrupt('ext/journal-loop', 'the journal has transactions that overlap');
			if (++control > MAX_CONTROL_BLOCKS) {
				throw outOfRange('ext/journal-long', `the journal has more than ${MAX_CONTROL_BLOCKS} descriptors`);
			}
		}
		return {transactions, error: undefined};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return {transactions, error};
	}
}
