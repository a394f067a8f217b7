import {corrupt, DiskError, unsupported} from '../../../../src/core/error.ts';
import type {FileSystemContext} from '../../../../src/core/file-system.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {findSuperblock} from '../find-superblock.ts';
import {State} from '../layout.ts';
import type {Superblock} from '../superblock.ts';
import {openVolume} from '../volume.ts';
import {JournalSuperblockLayout} from './layout.ts';
import {type FastCommits, readFastCommits} from './fast-tags.ts';
import {locateJournal} from './locate.ts';
import type {JournalBlocks} from './log.ts';
import {type Overlay, overlay} from './overlay.ts';
import {replayLog} from './replay.ts';
import {scanLog} from './scan.ts';
import {type JournalSuperblock, parseJournalSuperblock} from './superblock.ts';
import {openTags} from './tags.ts';

/** A file system as its journal leaves it. */
export interface Recovered {
	/** Of the replayed file system; `needs_recovery` is gone where all was replayed. */
	readonly superblock: Superblock;
	/** The volume with the journal's blocks in their places; undefined where none was replayed. */
	readonly replayed: Overlay | undefined;
	/** Changes that come after all transactions. */
	readonly fastCommits: FastCommits;
}

const NO_FAST_COMMITS: FastCommits = {commits: 0, changes: []};

/** Replays the journal in memory where the file system was not unmounted. Whatever stands against it is told. */
export function recover(source: ByteSource, superblock: Superblock, context: FileSystemContext): Recovered {
	const untouched: Recovered = {superblock, replayed: undefined, fastCommits: NO_FAST_COMMITS};
	const needed = superblock.names.has('needs_recovery');
	// Copies of the superblock do not say whether the journal is needed; the journal does.
	if (!needed && (superblock.copy === 0 || !superblock.names.has('has_journal'))) return untouched;
	try {
		const blocks = openJournal(source, superblock);
		const journal = readJournalSuperblock(blocks, superblock);
		if (journal.start === 0) return withoutTransactions(superblock, needed, journal, context);
		return replay(source, superblock, blocks, journal, context);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		if (error.family !== 'corrupt' && error.family !== 'unsupported' && error.family !== 'out-of-range') throw error;
		if (needed) tellFailure(error, context);
		return untouched;
	}
}

function openJournal(source: ByteSource, superblock: Superblock): JournalBlocks {
	if (!superblock.names.has('has_journal')) {
		throw corrupt('ext/journal-missing', 'the superblock wants a journal to be replayed, and names none');
	}
	if (superblock.journalInode === 0) {
		throw unsupported('ext/external-journal', `it lies on another device, whose UUID is ${superblock.journalUuid}`);
	}
	return locateJournal(openVolume(source, superblock, {warn: () => {}}));
}

function readJournalSuperblock(blocks: JournalBlocks, {blockSize}: Superblock): JournalSuperblock {
	const bytes = new Uint8Array(JournalSuperblockLayout.size);
	blocks.read(0, bytes);
	return parseJournalSuperblock(bytes, blockSize, blocks.count);
}

/** The same superblock after a whole replay. A journal that was given up makes the file system a damaged one. */
function recovered(superblock: Superblock, {aborted}: JournalSuperblock): Superblock {
	const names = new Set(superblock.names);
	names.delete('needs_recovery');
	return {...superblock, names, state: aborted ? superblock.state | State.errors : superblock.state};
}

function withoutTransactions(
	superblock: Superblock,
	needed: boolean,
	journal: JournalSuperblock,
	context: FileSystemContext,
): Recovered {
	if (needed) {
		context.warn({
			code: 'ext/needs-recovery',
			severity: 'warning',
			message: 'the file system was not unmounted; its journal holds nothing to replay',
		});
	}
	return {superblock: recovered(superblock, journal), replayed: undefined, fastCommits: NO_FAST_COMMITS};
}

function replay(
	source: ByteSource,
	superblock: Superblock,
	blocks: JournalBlocks,
	journal: JournalSuperblock,
	context: FileSystemContext,
): Recovered {
	const tags = openTags(journal);
	const scan = scanLog(blocks, journal, tags);
	if (scan.transactions === 0 && scan.error !== undefined) throw scan.error;
	const found = replayLog(blocks, journal, tags, scan, superblock.blocksCount);
	const replayed = overlay(source, superblock.blockSize, found);
	// That a copy of the superblock is used was told before.
	const after = findSuperblock(replayed, superblock.copy === 0 ? context : {warn: () => {}});
	if (after.blockSize !== superblock.blockSize) {
		throw corrupt('ext/journal-geometry', `the superblock in it has blocks of ${after.blockSize} bytes`);
	}
	// They go on from the last transaction, so they need all of them.
	const whole = scan.error === undefined && found.error === undefined;
	const fastCommits = whole ? readFastCommits(blocks, journal, scan.transactions) : NO_FAST_COMMITS;
	context.warn({
		code: 'ext/journal-replayed',
		severity: 'warning',
		message:
			'the file system was not unmounted; ' +
			`its journal was replayed in memory: ${count(scan.transactions, 'transaction')}, ${count(found.blocks.length, 'block')}` +
			(fastCommits.commits > 0 ? `, ${count(fastCommits.commits, 'fast commit')}` : ''),
	});
	if (scan.error !== undefined) {
		context.warn({
			code: 'ext/journal-incomplete',
			severity: 'damage',
			message: `${scan.error.message}; it is not replayed, nor is what follows it`,
		});
	}
	if (found.error !== undefined) {
		context.warn({
			code: 'ext/journal-blocks-lost',
			severity: 'damage',
			message: `${found.error.message}; ${count(found.lost, 'block')} could not be replayed`,
		});
	}
	// What fast commits take is not in the block bitmaps, so that nothing may be called free.
	const settled = whole && fastCommits.commits === 0;
	return {superblock: settled ? recovered(after, journal) : after, replayed, fastCommits};
}

function count(number: number, what: string): string {
	return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function tellFailure({code, message}: DiskError, context: FileSystemContext): void {
	context.warn({
		code: code === 'ext/external-journal' ? code : 'ext/journal-not-replayed',
		severity: 'damage',
		message:
			'the file system was not unmounted, and its journal cannot be replayed, so the last changes may be missing: ' +
			message,
	});
}
