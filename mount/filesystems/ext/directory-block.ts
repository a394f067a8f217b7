import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import type {NodeType} from '../../../src/core/file-system.ts';
import {tailChecksum} from './checksums.ts';
import * as layout from './layout.ts';

const entry = layout.DirectoryEntryLayout.fields;
const HEADER = layout.DIRECTORY_ENTRY_HEADER;

/** directory.rst, file type codes. */
const FILE_TYPES: readonly (NodeType | undefined)[] = [
	undefined,
	'file',
	'directory',
	'character-device',
	'block-device',
	'fifo',
	'socket',
	'symlink',
];

/** The type that an entry records; undefined where it records none. */
export function recordedType(view: DataView, at: number): NodeType | undefined {
	return FILE_TYPES[entry.fileType.read(view, at)];
}

/** Blocks of 64 KiB do not fit into the 16 bits of the length, so its lowest two bits stand for the upper ones. */
export function recordLength(view: DataView, at: number, blockSize: number): number {
	const length = entry.recordLength.read(view, at);
	if (blockSize < 0x1_0000) return length;
	if (length === 0xffff || length === 0) return blockSize;
	return (length & 0xfffc) | ((length & 3) << 16);
}

/** The length of the entry at `at`, which must lie before `end`; 0 when it is damaged. */
export function checkedRecordLength(view: DataView, at: number, end: number, blockSize: number): number {
	if (at + HEADER > end) return 0;
	const length = recordLength(view, at, blockSize);
	const needed = HEADER + entry.nameLength.read(view, at);
	return length >= layout.MIN_RECORD_LENGTH && length % 4 === 0 && length >= needed && at + length <= end ? length : 0;
}

/** Finds a name among the entries of one block. Returns its inode number, or 0; `damaged` when the chain breaks. */
export function findInBlock(view: DataView, bytes: Uint8Array, start: number, end: number, name: Uint8Array): number {
	const {length} = name;
	for (let at = start; at < end; ) {
		const recorded = checkedRecordLength(view, at, end, bytes.length);
		if (recorded === 0) return DAMAGED;
		if (bytes[at + 6] === length) {
			let same = 0;
			while (same < length && bytes[at + HEADER + same] === name[same]) same++;
			if (same === length) {
				const inode = entry.inode.read(view, at);
				if (inode !== 0) return inode;
			}
		}
		at += recorded;
	}
	return 0;
}

/** What `findInBlock` returns when entries may be missing. */
export const DAMAGED = -1;

/** Whether a block of an indexed directory is a node of its hash tree: to a linear reader it looks like a free block. */
export function isIndexBlock(view: DataView, logical: number, blockSize: number): boolean {
	return logical === 0 || (entry.inode.read(view, 0) === 0 && recordLength(view, 0, blockSize) === blockSize);
}

/** directory.rst, ext4_dir_entry_tail: an entry without a name that carries the checksum. */
export function leafChecksumMatches(view: DataView, bytes: Uint8Array, seed: number): boolean {
	const tail = bytes.length - layout.DIRECTORY_TAIL_SIZE;
	if (
		entry.inode.read(view, tail) !== 0 ||
		entry.recordLength.read(view, tail) !== layout.DIRECTORY_TAIL_SIZE ||
		entry.nameLength.read(view, tail) !== 0 ||
		entry.fileType.read(view, tail) !== layout.DIRECTORY_TAIL_TYPE
	) {
		return false;
	}
	return crc32cRaw(bytes.subarray(0, tail), seed) === view.getUint32(tail + HEADER, true);
}

/** directory.rst, dx_tail: it stands behind room for `limit` entries and covers the `count` that are used. */
export function indexChecksumMatches(view: DataView, bytes: Uint8Array, logical: number, seed: number): boolean {
	const start = indexEntriesStart(view, logical, bytes.length);
	const limit = view.getUint16(start, true);
	const count = view.getUint16(start + 2, true);
	const tail = start + limit * layout.HASH_TREE_ENTRY_SIZE;
	if (count > limit || tail + 8 > bytes.length) return false;
	const register = crc32cRaw(bytes.subarray(0, start + count * layout.HASH_TREE_ENTRY_SIZE), seed);
	return tailChecksum(register, view.getUint32(tail, true)) === view.getUint32(tail + 4, true);
}

function indexEntriesStart(view: DataView, logical: number, blockSize: number): number {
	const isNode = logical !== 0 || recordLength(view, 0, blockSize) === blockSize;
	return isNode ? layout.HASH_TREE_NODE_ENTRIES : layout.HASH_TREE_ROOT_ENTRIES;
}
