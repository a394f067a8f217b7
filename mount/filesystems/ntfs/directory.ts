import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {DirectoryEntry, NodeType} from '../../../src/core/file-system.ts';
import type {Collation, Wanted} from './collation.ts';
import {
	damagedIndex,
	type DirectoryIndex,
	entryLength,
	type IndexBlocks,
	type IndexNodeView,
	subnodeOf,
} from './index-block.ts';
import {type Inode, stale} from './inode.ts';
import {
	DAMAGED_BLOCKS_MAX,
	FILE_NAME_AT,
	FileName,
	FIRST_USER_RECORD,
	INDEX_BLOCK_SIZE_MAX,
	INDEX_DEPTH_MAX,
	INDEX_KEY_AT,
	IndexEntry,
	IndexEntryFlag,
	NAMESPACE_DOS,
	RECORD_LIMIT,
	SystemRecord,
} from './layout.ts';
import type {Mft} from './mft.ts';
import {NAME_BYTES_MAX, writeName} from './name.ts';

export interface Directories {
	/** The record of the entry with this name, short names included; exactly, or whatever the case. */
	lookup(directory: Inode, name: string, anyCase: boolean): number | undefined;
	/** The same whatever the case, with the name as it is stored. */
	lookupName(directory: Inode, name: string): {readonly record: number; readonly name: string} | undefined;
	/** See `FileSystem.readDirectory`. */
	read(directory: Inode, cursor: number, visit: (entry: DirectoryEntry) => boolean): void;
}

/** What the type of an entry is, from the copy of the file's attributes in the index and, where that is not enough, the file. */
export type EntryType = (record: number, fileAttributes: number) => NodeType;

/** An index entry. */
interface Found {
	readonly view: DataView;
	readonly at: number;
}

/** Runs a step and keeps its error for later. */
type Attempt = <T>(step: () => T) => T | undefined;

const entry = IndexEntry.fields;
const name = FileName.fields;

function recordOf(view: DataView, at: number): number {
	return entry.recordHigh.read(view, at) * WORD + entry.recordLow.read(view, at);
}

/**
 * A cursor is twice the place behind an entry, plus 1 when something before it was damaged: that is a function of the
 * disk too, and lets the last of several calls fail. Places count bytes: those of the root first, then of each block.
 */
const PLACES_PER_NODE = INDEX_BLOCK_SIZE_MAX * 2;

export function openDirectories(
	mft: Mft,
	blocks: IndexBlocks,
	collation: Collation,
	entryType: EntryType,
): Directories {
	/** Throws where an entry's reference leads to a record that is free or belongs to another file by now. */
	function checkReference(view: DataView, at: number): number {
		const record = recordOf(view, at);
		if (record >= RECORD_LIMIT) throw stale(record, 'is impossible');
		const wanted = entry.sequence.read(view, at);
		const found = mft.sequence(record);
		if (found === -1 || (wanted !== 0 && found !== 0 && wanted !== found)) {
			throw stale(record, 'from a directory is stale');
		}
		return record;
	}

	/** Compares the name of the entry at `at`; 0 only for a match of the wanted kind. */
	function compare(view: DataView, at: number, wanted: Wanted, anyCase: boolean): number {
		const units = name.nameLength.read(view, at + INDEX_KEY_AT);
		const nameAt = at + INDEX_KEY_AT + FILE_NAME_AT;
		const order = collation.compareAnyCase(view, nameAt, units, wanted);
		return order !== 0 || anyCase ? order : collation.compareCase(view, nameAt, wanted);
	}

	/** Goes down the tree. */
	function descend(directory: Inode, index: DirectoryIndex, wanted: Wanted, anyCase: boolean): Found | undefined {
		let node = index.root;
		for (let depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
			let at = node.start;
			for (;;) {
				const length = entryLength(node, at, directory.record);
				const flags = entry.flags.read(node.view, at);
				const last = (flags & IndexEntryFlag.last) !== 0;
				const order = last ? 1 : compare(node.view, at, wanted, anyCase);
				if (order === 0) return {view: node.view, at};
				if (order > 0) {
					if ((flags & IndexEntryFlag.subnode) === 0) return undefined;
					node = blocks.block(directory, index, subnodeOf(node, at, length, index));
					break;
				}
				at += length;
			}
		}
		throw damagedIndex(directory.record, 'is too deep');
	}

	/** Looks at every entry, and returns the first match. */
	function scan(directory: Inode, index: DirectoryIndex, wanted: Wanted, anyCase: boolean): Found | undefined {
		let found: Found | undefined;
		walk(directory, index, 0, 0, (node, at) => {
			if (compare(node.view, at, wanted, anyCase) !== 0) return true;
			found = {view: node.view, at};
			return false;
		});
		return found;
	}

	/**
	 * Visits the entries of the root, then of each block in use, from `from` on. What is damaged is passed over, and the
	 * first error thrown in the end; `damage` tells of what was damaged before `from`.
	 */
	function walk(
		directory: Inode,
		index: DirectoryIndex,
		from: number,
		damage: number,
		visit: (node: IndexNodeView, at: number, next: number, attempt: Attempt) => boolean,
	): void {
		let failure: DiskError | undefined = index.damage;
		let failures = 0;
		/** Runs a step of reading, but not the visitor's own work; damage is kept for the end. */
		const attempt = <T>(step: () => T): T | undefined => {
			try {
				return step();
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				failure ??= error;
				failures++;
				return undefined;
			}
		};
		/** Returns false when the visitor has had enough. */
		const walkNode = (node: IndexNodeView, base: number): boolean => {
			for (let at = node.start; ; ) {
				const length = attempt(() => entryLength(node, at, directory.record));
				if (length === undefined || (entry.flags.read(node.view, at) & IndexEntryFlag.last) !== 0) return true;
				if (base + at >= from) {
					const damaged = damage !== 0 || failure !== undefined ? 1 : 0;
					if (!visit(node, at, (base + at + length) * 2 + damaged, attempt)) return false;
				}
				at += length;
			}
		};

		if (from < PLACES_PER_NODE && !walkNode(index.root, 0)) return;
		const firstBlock = Math.max(0, Math.floor(from / PLACES_PER_NODE) - 1);
		for (let number = firstBlock; number < index.blockCount; number++) {
			if (failures >= DAMAGED_BLOCKS_MAX) break;
			if (((index.bitmap[Math.floor(number / 8)] >> (number % 8)) & 1) === 0) continue;
			const block = attempt(() => blocks.block(directory, index, number));
			if (block !== undefined && !walkNode(block, (number + 1) * PLACES_PER_NODE)) return;
		}
		if (failure !== undefined) throw failure;
		if (damage !== 0) {
			throw corrupt('ntfs/index', `an earlier part of directory ${directory.record} is damaged`, {
				node: directory.record,
			});
		}
	}

	function find(directory: Inode, text: string, anyCase: boolean): Found | undefined {
		const index = blocks.open(directory);
		const wanted = collation.wanted(text);
		try {
			return descend(directory, index, wanted, anyCase);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			return scan(directory, index, wanted, anyCase);
		}
	}

	return {
		lookup(directory, text, anyCase) {
			const found = find(directory, text, anyCase);
			return found === undefined ? undefined : checkReference(found.view, found.at);
		},
		lookupName(directory, text) {
			const found = find(directory, text, true);
			if (found === undefined) return undefined;
			const key = found.at + INDEX_KEY_AT;
			return {
				record: checkReference(found.view, found.at),
				name: decodeUtf16(found.view, key + FILE_NAME_AT, name.nameLength.read(found.view, key)),
			};
		},
		read(directory, cursor, visit) {
			const index = blocks.open(directory);
			const buffer = new Uint8Array(NAME_BYTES_MAX);
			const current = {name: buffer, node: 0, type: 'file' as NodeType, cursor: 0};
			const isRoot = directory.record === SystemRecord.root;
			walk(directory, index, Math.floor(cursor / 2), cursor % 2, ({view}, at, next, attempt) => {
				const key = at + INDEX_KEY_AT;
				if (name.namespace.read(view, key) === NAMESPACE_DOS) return true;
				if (isRoot && recordOf(view, at) < FIRST_USER_RECORD) return true;
				const record = attempt(() => checkReference(view, at));
				if (record === undefined) return true;
				const length = writeName(view, key + FILE_NAME_AT, name.nameLength.read(view, key), buffer);
				current.name = buffer.subarray(0, length);
				current.node = record;
				current.type = entryType(record, name.fileAttributes.read(view, key));
				current.cursor = next;
				return visit(current);
			});
		},
	};
}
