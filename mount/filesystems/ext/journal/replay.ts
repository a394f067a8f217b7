import {corrupt, DiskError, outOfRange} from '../../../../src/core/error.ts';
import {dataChecksum} from './checksums.ts';
import * as layout from './layout.ts';
import {blockTypeOf, type JournalBlocks, type LogBlock, newLogBlock} from './log.ts';
import {nextInLog, type Scan, transactionNumber} from './scan.ts';
import type {JournalSuperblock} from './superblock.ts';
import type {Tag, TagReader} from './tags.ts';

/** Where the blocks of the file system lie that the journal replaces, by their numbers. */
export interface ReplayedBlocks {
	/** Rising. */
	readonly blocks: Float64Array;
	/** Of each its place in the volume. */
	readonly positions: Float64Array;
	/** Whether the first four bytes are those of the journal's magic, which the log has zeros for. */
	readonly escaped: Uint8Array;
	/** Blocks that could not be replayed: the first one's error, and how many. */
	readonly error: DiskError | undefined;
	readonly lost: number;
}

/** Every block of every transaction, in the order of the log. */
interface Logged {
	readonly count: number;
	/** In the file system. */
	readonly targets: Float64Array;
	/** In the journal. */
	readonly sources: Uint32Array;
	/** Counted from the oldest transaction. */
	readonly transactions: Uint32Array;
	readonly checksums: Uint32Array;
	readonly escaped: Uint8Array;
}

/** Visits the descriptors and revocations of all whole transactions. `next` is the block behind. */
function walk(
	blocks: JournalBlocks,
	journal: JournalSuperblock,
	tags: TagReader,
	{transactions}: Scan,
	visit: (type: number, block: LogBlock, transaction: number, next: number) => void,
): void {
	const block = newLogBlock(journal.blockSize);
	let at = journal.start;
	for (let transaction = 0; transaction < transactions; ) {
		blocks.read(at, block.bytes);
		const type = blockTypeOf(block, transactionNumber(journal, transaction));
		at = nextInLog(at, 1, journal);
		if (type === layout.BlockType.commit) transaction++;
		else if (type === undefined) throw corrupt('ext/journal-changed', 'the journal changed while it was read');
		else visit(type, block, transaction, at);
		if (type === layout.BlockType.descriptor) at = nextInLog(at, tags.count(block), journal);
	}
}

/** The first pass has seen that they are not too many. */
function collect(blocks: JournalBlocks, journal: JournalSuperblock, tags: TagReader, scan: Scan): Logged {
	let total = 0;
	walk(blocks, journal, tags, scan, (type, block) => {
		if (type === layout.BlockType.descriptor) total += tags.count(block);
	});
	const targets = new Float64Array(total);
	const sources = new Uint32Array(total);
	const transactions = new Uint32Array(total);
	const checksums = new Uint32Array(total);
	const escaped = new Uint8Array(total);
	let count = 0;
	walk(blocks, journal, tags, scan, (type, block, transaction, next) => {
		if (type !== layout.BlockType.descriptor) return;
		let source = next;
		tags.visit(block, (tag: Tag) => {
			targets[count] = tag.block;
			sources[count] = source;
			transactions[count] = transaction;
			checksums[count] = tag.checksum;
			escaped[count] = tag.escaped ? 1 : 0;
			count++;
			source = nextInLog(source, 1, journal);
		});
	});
	return {count, targets, sources, transactions, checksums, escaped};
}

/** The second pass: of each logged block the last transaction that revokes it, plus 1; 0 where none does. */
function readRevocations(
	blocks: JournalBlocks,
	journal: JournalSuperblock,
	tags: TagReader,
	scan: Scan,
	targets: Float64Array,
): Uint32Array {
	const revoked = new Uint32Array(targets.length);
	const size = journal.is64bit ? 8 : 4;
	const room = journal.blockSize - (journal.checksums > 1 ? layout.BLOCK_TAIL_SIZE : 0);
	let seen = 0;
	walk(blocks, journal, tags, scan, (type, {view}, transaction) => {
		if (type !== layout.BlockType.revoke) return;
		const end = layout.RevokeHeaderLayout.fields.count.read(view, 0);
		if (end > room) throw corrupt('ext/journal-revoke', `a revocation block of the journal claims ${end} bytes`);
		for (let at = layout.RevokeHeaderLayout.size; at + size <= end; at += size) {
			if (++seen > layout.MAX_REVOCATIONS) {
				throw outOfRange('ext/journal-revoke', `the journal has more than ${layout.MAX_REVOCATIONS} revocations`);
			}
			const high = size === 8 ? view.getUint32(at, false) : 0;
			const block = high * 2 ** 32 + view.getUint32(at + size - 4, false);
			const index = indexOf(targets, block);
			// Transactions come in rising order.
			if (index >= 0) revoked[index] = transaction + 1;
		}
	});
	return revoked;
}

/** -1 where it is not among them. */
function indexOf(sorted: Float64Array, wanted: number): number {
	const index = lowerBound(sorted, wanted);
	return index < sorted.length && sorted[index] === wanted ? index : -1;
}

/** The first index whose value is at or above `wanted`. */
export function lowerBound(sorted: Float64Array, wanted: number): number {
	let low = 0;
	let high = sorted.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (sorted[middle] < wanted) low = middle + 1;
		else high = middle;
	}
	return low;
}

/**
 * The second and third pass: which block of the file system is to be read from where. Of a block that was logged more
 * than once the last one counts that is neither revoked by its own or a later transaction nor damaged.
 */
export function replayLog(
	blocks: JournalBlocks,
	journal: JournalSuperblock,
	tags: TagReader,
	scan: Scan,
	blocksCount: number,
): ReplayedBlocks {
	const logged = collect(blocks, journal, tags, scan);
	const order = Uint32Array.from({length: logged.count}, (_, index) => index).sort(
		(a, b) => logged.targets[a] - logged.targets[b] || a - b,
	);
	const targets = logged.targets.slice().sort();
	const distinct = targets.filter((target, index) => index === 0 || target !== targets[index - 1]);
	const revoked = readRevocations(blocks, journal, tags, scan, distinct);
	const data = new Uint8Array(journal.blockSize);
	const positions = new Float64Array(distinct.length);
	const escaped = new Uint8Array(distinct.length);
	let lost = 0;
	let first: DiskError | undefined;

	function damaged(error: DiskError): false {
		lost++;
		first ??= error;
		return false;
	}

	function isWhole(index: number): boolean {
		const target = logged.targets[index];
		if (target >= blocksCount) {
			return damaged(corrupt('ext/journal-target', `the journal has block ${target} of ${blocksCount}`));
		}
		try {
			const source = logged.sources[index];
			const position = blocks.position(source);
			if (journal.checksums < 2) return position > 0;
			blocks.read(source, data);
			const number = transactionNumber(journal, logged.transactions[index]);
			if (dataChecksum(data, number, journal) === logged.checksums[index]) return true;
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			return damaged(error);
		}
		return damaged(corrupt('ext/journal-data-checksum', `block ${target} in the journal does not match its checksum`));
	}

	let end = 0;
	for (let index = 0; index < distinct.length; index++) {
		const start = end;
		while (end < order.length && logged.targets[order[end]] === distinct[index]) end++;
		for (let candidate = end - 1; candidate >= start; candidate--) {
			const chosen = order[candidate];
			if (logged.transactions[chosen] < revoked[index]) break;
			if (!isWhole(chosen)) continue;
			positions[index] = blocks.position(logged.sources[chosen]);
			escaped[index] = logged.escaped[chosen];
			break;
		}
	}
	// The journal itself lies behind the superblock, so no block of it is at 0.
	const kept = (_: unknown, index: number): boolean => positions[index] > 0;
	return {
		blocks: distinct.filter(kept),
		escaped: escaped.filter(kept),
		positions: positions.filter(position => position > 0),
		error: first,
		lost,
	};
}
