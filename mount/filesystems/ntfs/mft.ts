import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {type Extents, findRun, HOLE} from './extents.ts';
import {applyFixups} from './fixup.ts';
import type {Geometry} from './geometry.ts';
import {FILE_SIGNATURE, FileRecord, MFT_BLOCK_SIZE, MFT_BLOCKS, MIRRORED_RECORDS, RecordFlag} from './layout.ts';

/** A FILE record inside the cache. One object serves all: it is valid until the next call of `load`. */
export interface RecordView {
	bytes: Uint8Array;
	view: DataView;
	/** Where the record starts in `view`. */
	at: number;
	/** Where its used part ends in `view`. */
	end: number;
	record: number;
}

export interface Mft {
	/** How many records there are. */
	readonly count: () => number;
	/** How many of them its runs reach, as far as they are known. */
	readonly reachable: () => number;
	/** Finds a record, checks its signature and fixups. */
	load(record: number): RecordView;
	/** The sequence number of a record in use, or -1 where it is not in use; the record is not checked further. */
	sequence(record: number): number;
	/** Says where $MFT lies, as far as it is known. */
	setExtents(extents: Extents, size: number): void;
}

/** States of a record in a cached block. */
const UNCHECKED = 0;
const GOOD = 1;

interface Block {
	readonly bytes: Uint8Array;
	readonly view: DataView;
	/** One byte for each record. */
	readonly states: Uint8Array;
	/** Failures to read single records; most blocks have none. */
	errors: Map<number, DiskError> | undefined;
	index: number;
	/** Looked at since the hand of the clock last passed. */
	recent: boolean;
}

function damaged(record: number, message: string): DiskError {
	return corrupt('ntfs/record', `MFT record ${record} ${message}`, {structure: FileRecord.name, node: record});
}

/** $MFT through a cache of large blocks, in which records are put right once, in place. */
export function openMft(volume: ByteSource, geometry: Geometry, context: FileSystemContext): Mft {
	const {recordSize, clusterSize, mirrorPosition} = geometry;
	const perBlock = MFT_BLOCK_SIZE / recordSize;
	/** Until more is known, $MFT is one run that holds its own record. */
	let extents: Extents = {
		count: 1,
		starts: Float64Array.of(0, Math.ceil(recordSize / clusterSize)),
		clusters: Float64Array.of(geometry.mftPosition / clusterSize),
	};
	let size = recordSize;
	const blocks = new Map<number, Block>();
	const clock: Block[] = [];
	let hand = 0;
	let last: Block | undefined;
	const warned = new Set<number>();
	const current: RecordView = {
		bytes: new Uint8Array(),
		view: new DataView(new ArrayBuffer(0)),
		at: 0,
		end: 0,
		record: 0,
	};

	/** Reads bytes of $MFT; what its runs do not cover or the volume no longer has stays zero, and so fails the checks. */
	function readMft(position: number, target: Uint8Array): void {
		let done = 0;
		while (done < target.length) {
			const vcn = Math.floor((position + done) / clusterSize);
			const run = findRun(extents, vcn);
			if (run === -1) break;
			const within = position + done - extents.starts[run] * clusterSize;
			const runSize = (extents.starts[run + 1] - extents.starts[run]) * clusterSize;
			const length = Math.min(runSize - within, target.length - done);
			if (extents.clusters[run] === HOLE) {
				target.fill(0, done, done + length);
			} else {
				const at = extents.clusters[run] * clusterSize + within;
				const there = Math.max(0, Math.min(length, volume.size - at));
				if (there > 0) volume.readAt(at, target.subarray(done, done + there));
				target.fill(0, done + there, done + length);
			}
			done += length;
		}
		target.fill(0, done);
	}

	function claim(index: number): Block {
		if (clock.length < MFT_BLOCKS) {
			const bytes = new Uint8Array(Math.min(MFT_BLOCK_SIZE, perBlock * recordSize));
			const block: Block = {
				bytes,
				view: viewOf(bytes),
				states: new Uint8Array(perBlock),
				errors: undefined,
				index,
				recent: true,
			};
			clock.push(block);
			return block;
		}
		for (;;) {
			const block = clock[hand];
			hand = (hand + 1) % clock.length;
			if (block.recent) {
				block.recent = false;
				continue;
			}
			blocks.delete(block.index);
			block.states.fill(UNCHECKED);
			block.errors = undefined;
			block.index = index;
			return block;
		}
	}

	/** A block that cannot be read as a whole is read record by record, so that one bad sector costs one record. */
	function fill(block: Block): void {
		const start = block.index * perBlock * recordSize;
		const length = Math.min(block.bytes.length, Math.max(0, size - start));
		block.bytes.fill(0, length);
		try {
			readMft(start, block.bytes.subarray(0, length));
			return;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
		block.errors = new Map();
		for (let slot = 0; slot * recordSize < length; slot++) {
			try {
				readMft(start + slot * recordSize, block.bytes.subarray(slot * recordSize, (slot + 1) * recordSize));
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				block.errors.set(slot, error);
			}
		}
	}

	function blockOf(record: number): Block {
		const index = Math.floor(record / perBlock);
		if (last !== undefined && last.index === index) return last;
		let block = blocks.get(index);
		if (block === undefined) {
			block = claim(index);
			fill(block);
			blocks.set(index, block);
		}
		block.recent = true;
		last = block;
		return block;
	}

	/** What is wrong with a record, or undefined; puts its sectors right. */
	function check(view: DataView, at: number): string | undefined {
		if (FileRecord.fields.signature.read(view, at) !== FILE_SIGNATURE) return 'has no FILE signature';
		const used = FileRecord.fields.usedSize.read(view, at);
		const first = FileRecord.fields.attributesOffset.read(view, at);
		if (used > recordSize || first < FileRecord.size || first > used) return 'has impossible sizes';
		return applyFixups(view, at, recordSize) ? undefined : 'was not written whole: its fixups do not match';
	}

	/** Replaces a damaged record with its copy in $MFTMirr, where there is a sound one. */
	function repair(block: Block, record: number, message: string): boolean {
		const copy = new Uint8Array(recordSize);
		const position = mirrorPosition + record * recordSize;
		if (position + recordSize > volume.size) return false;
		try {
			volume.readAt(position, copy);
		} catch (error) {
			if (error instanceof DiskError) return false;
			throw error;
		}
		if (check(viewOf(copy), 0) !== undefined) return false;
		block.bytes.set(copy, (record % perBlock) * recordSize);
		if (!warned.has(record)) {
			warned.add(record);
			context.warn({
				code: 'ntfs/mirror-record',
				severity: 'warning',
				message: `MFT record ${record} ${message}; its copy in $MFTMirr was used`,
			});
		}
		return true;
	}

	return {
		count: () => Math.floor(size / recordSize),
		reachable: () => Math.floor(Math.min(size, extents.starts[extents.count] * clusterSize) / recordSize),
		load(record) {
			if (record >= size / recordSize) throw damaged(record, 'lies beyond the end of $MFT');
			const block = blockOf(record);
			const slot = record % perBlock;
			const at = slot * recordSize;
			if (block.states[slot] !== GOOD) {
				const failure = block.errors?.get(slot);
				// The check changes bytes only when it succeeds, so a bad record fails again with the same words.
				const message = failure === undefined ? check(block.view, at) : 'cannot be read';
				if (message !== undefined && !(record < MIRRORED_RECORDS && repair(block, record, message))) {
					throw failure ?? damaged(record, message);
				}
				block.states[slot] = GOOD;
			}
			current.bytes = block.bytes;
			current.view = block.view;
			current.at = at;
			current.end = at + FileRecord.fields.usedSize.read(block.view, at);
			current.record = record;
			return current;
		},
		sequence(record) {
			if (record >= size / recordSize) return -1;
			const {view} = blockOf(record);
			const at = (record % perBlock) * recordSize;
			// A damaged record is not a stale one: whoever opens it gets the error that says so.
			if (FileRecord.fields.signature.read(view, at) !== FILE_SIGNATURE) return 0;
			if ((FileRecord.fields.flags.read(view, at) & RecordFlag.inUse) === 0) return -1;
			return FileRecord.fields.sequence.read(view, at);
		},
		setExtents(known, bytes) {
			extents = known;
			size = bytes;
			// Blocks may have been filled when less was known.
			blocks.clear();
			clock.length = 0;
			hand = 0;
			last = undefined;
		},
	};
}
