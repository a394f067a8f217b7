import {viewOf} from '../../../src/core/bytes/layout.ts';
import {isPowerOfTwo, readU64} from '../../../src/core/bytes/u64.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {Attribute} from './attribute.ts';
import type {Data} from './data.ts';
import {applyFixups} from './fixup.ts';
import type {Geometry} from './geometry.ts';
import {derive, type Inode, type Inodes} from './inode.ts';
import {
	AttributeType,
	COLLATION_FILE_NAME,
	DIRECTORY_INDEX,
	FileName,
	INDEX_BITMAP_MAX,
	INDEX_BLOCK_NODE_AT,
	INDEX_BLOCK_SIZE_MAX,
	INDEX_BLOCK_SIZE_MIN,
	INDEX_CACHE_SIZE,
	INDEX_KEY_AT,
	INDEX_ROOT_NODE_AT,
	INDEX_SIGNATURE,
	INDEX_UNIT_SIZE,
	IndexBlock,
	IndexEntry,
	IndexEntryFlag,
	IndexNode,
	IndexRoot,
	RECORD_SIZE_MAX,
} from './layout.ts';

/** One node of a directory's index: the root in the record, or a block. */
export interface IndexNodeView {
	readonly view: DataView;
	/** Where its entries start and end in `view`. */
	readonly start: number;
	readonly end: number;
}

/** A directory's index, or one of another kind, but for its blocks. */
export interface DirectoryIndex {
	readonly name: string;
	readonly root: IndexNodeView;
	/** Bytes. */
	readonly blockSize: number;
	/** How many blocks there are. */
	readonly blockCount: number;
	/** Subnode numbers count units of so many bytes. */
	readonly unitSize: number;
	readonly allocation: Attribute | undefined;
	/** One bit for each block in use. */
	readonly bitmap: Uint8Array;
	/** Why the bitmap cannot be read: then blocks are found through the tree, but not listed. */
	readonly damage: DiskError | undefined;
}

export interface IndexBlocks {
	/** The index of names unless another is named. */
	open(inode: Inode, name?: string): DirectoryIndex;
	/** Reads, checks and caches a block. */
	block(inode: Inode, index: DirectoryIndex, number: number): IndexNodeView;
}

export function damagedIndex(node: number, message: string): DiskError {
	return corrupt('ntfs/index', `the index of directory ${node} ${message}`, {structure: 'index', node});
}

/** Checks where the entries of the node with its header at `at` lie; `size` is the end of what is there. */
function nodeView(view: DataView, at: number, size: number, node: number): IndexNodeView {
	const start = at + IndexNode.fields.entriesOffset.read(view, at);
	const end = at + IndexNode.fields.usedSize.read(view, at);
	if (start < at + IndexNode.size || end > size || start + IndexEntry.size > end) {
		throw damagedIndex(node, 'has a node with impossible sizes');
	}
	return {view, start, end};
}

export function openIndexBlocks(inodes: Inodes, data: Data, {clusterSize}: Geometry): IndexBlocks {
	/** Blocks by directory and number, the oldest first. */
	const cache = new Map<string, IndexNodeView>();
	let cached = 0;

	function parseRoot(inode: Inode, name: string): DirectoryIndex {
		const node = inode.record;
		const attribute = inodes.find(inode, AttributeType.indexRoot, name);
		if (attribute === undefined) throw damagedIndex(node, 'has no root');
		const bytes = data.value(inode, attribute, RECORD_SIZE_MAX);
		const view = viewOf(bytes);
		const {type, collation, blockSize} = IndexRoot.read(view);
		if (name === DIRECTORY_INDEX && (type !== AttributeType.fileName || collation !== COLLATION_FILE_NAME)) {
			throw damagedIndex(node, 'is not ordered by file names');
		}
		if (!isPowerOfTwo(blockSize) || blockSize < INDEX_BLOCK_SIZE_MIN || blockSize > INDEX_BLOCK_SIZE_MAX) {
			throw damagedIndex(node, `has blocks of ${blockSize} bytes`);
		}
		const root = nodeView(view, INDEX_ROOT_NODE_AT, bytes.length, node);
		const allocation = inodes.find(inode, AttributeType.indexAllocation, name);
		const unitSize = clusterSize <= blockSize ? clusterSize : INDEX_UNIT_SIZE;
		let bitmap: Uint8Array = new Uint8Array();
		let blockCount = 0;
		let damage: DiskError | undefined;
		if (allocation !== undefined) {
			try {
				const used = inodes.find(inode, AttributeType.bitmap, name);
				if (used === undefined) throw damagedIndex(node, 'has no bitmap');
				bitmap = data.value(inode, used, INDEX_BITMAP_MAX);
				blockCount = Math.min(Math.floor(inodes.facts(inode, allocation).size / blockSize), bitmap.length * 8);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				damage = error;
			}
		}
		inodes.weigh(inode, bytes.length + bitmap.length);
		return {name, root, blockSize, blockCount, unitSize, allocation, bitmap, damage};
	}

	function readBlock(inode: Inode, index: DirectoryIndex, number: number): IndexNodeView {
		const {blockSize, allocation, unitSize} = index;
		const node = inode.record;
		const bytes = new Uint8Array(blockSize);
		if (!Number.isSafeInteger(number)) throw damagedIndex(node, 'refers to the middle of a block');
		if (allocation === undefined || data.read(inode, allocation, number * blockSize, bytes) < blockSize) {
			throw damagedIndex(node, `refers to block ${number}, which it does not have`);
		}
		const view = viewOf(bytes);
		if (IndexBlock.fields.signature.read(view, 0) !== INDEX_SIGNATURE) {
			throw damagedIndex(node, `has a block ${number} without an INDX signature`);
		}
		if (!applyFixups(view, 0, blockSize)) {
			throw damagedIndex(node, `has a block ${number} that was not written whole: its fixups do not match`);
		}
		if (IndexBlock.fields.vcn.read(view, 0) * unitSize !== number * blockSize) {
			throw damagedIndex(node, `has another block in the place of block ${number}`);
		}
		return nodeView(view, INDEX_BLOCK_NODE_AT, blockSize, node);
	}

	return {
		open(inode, name = DIRECTORY_INDEX) {
			return derive(inode, name, () => parseRoot(inode, name));
		},
		block(inode, index, number) {
			const key = `${inode.record}${index.name}${number}`;
			let block = cache.get(key);
			if (block !== undefined) return block;
			block = readBlock(inode, index, number);
			cache.set(key, block);
			cached += index.blockSize;
			if (cached <= INDEX_CACHE_SIZE) return block;
			for (const [oldest, {view}] of cache) {
				if (cached <= INDEX_CACHE_SIZE / 2) break;
				cache.delete(oldest);
				cached -= view.byteLength;
			}
			return block;
		},
	};
}

const fields = IndexEntry.fields;

/** Length of the entry at `at`; throws where it does not fit into its node. */
export function entryLength({view, end}: IndexNodeView, at: number, node: number): number {
	const length = at + IndexEntry.size <= end ? fields.length.read(view, at) : 0;
	const flags = length === 0 ? 0 : fields.flags.read(view, at);
	const minimum = IndexEntry.size + ((flags & IndexEntryFlag.subnode) === 0 ? 0 : 8);
	if (length < minimum || length % 8 !== 0 || at + length > end) {
		throw damagedIndex(node, 'has an entry of impossible length');
	}
	if ((flags & IndexEntryFlag.last) !== 0) return length;
	const keyLength = fields.keyLength.read(view, at);
	const units = length < INDEX_KEY_AT + FileName.size ? 0 : FileName.fields.nameLength.read(view, at + INDEX_KEY_AT);
	if (units === 0 || keyLength < FileName.size + units * 2 || minimum + keyLength > length) {
		throw damagedIndex(node, 'has an entry with an impossible name');
	}
	return length;
}

/** The block number that the subnode reference at the end of an entry leads to. */
export function subnodeOf({view}: IndexNodeView, at: number, length: number, index: DirectoryIndex): number {
	return (readU64(view, at + length - 8) * index.unitSize) / index.blockSize;
}
