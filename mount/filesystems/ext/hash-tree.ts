import {corrupt, type DiskError} from '../../../src/core/error.ts';
import type {NodeId} from '../../../src/core/file-system.ts';
import type {BlockBuffer, DirectoryBlocks} from './directory.ts';
import {DAMAGED, findInBlock} from './directory-block.ts';
import {hashName} from './hash.ts';
import type {Inode} from './inode.ts';
import * as layout from './layout.ts';
import type {Volume} from './volume.ts';

const root = layout.HashTreeRootLayout.fields;
const ENTRY = layout.HASH_TREE_ENTRY_SIZE;
/** A hash with this bit goes on from the block before it, which ended within one hash. */
const COLLISION = 1;

export interface HashTree {
	/** Throws `corrupt` when the tree is damaged; then a linear search may still find the name. */
	find(directory: Inode, name: Uint8Array): NodeId | undefined;
}

/** A node on the way to a leaf. */
interface Frame {
	readonly buffer: BlockBuffer;
	start: number;
	count: number;
	index: number;
}

function damaged(directory: Inode, message: string): DiskError {
	return corrupt('ext/hash-tree', `${message} in the hash tree of directory ${directory.number}`, {
		node: directory.number,
		structure: 'hash tree',
	});
}

/** Looks a name up through the hash tree of a large directory (directory.rst, hash tree directories). */
export function openHashTree(volume: Volume, blocks: DirectoryBlocks): HashTree {
	const {blockSize, hashSeed, unsignedHash, names} = volume.superblock;
	const maxLevels = names.has('large_dir') ? layout.MAX_HASH_TREE_LEVELS_LARGEDIR : layout.MAX_HASH_TREE_LEVELS;
	const frames: Frame[] = Array.from({length: maxLevels + 1}, () => ({
		buffer: blocks.lend(),
		start: 0,
		count: 0,
		index: 0,
	}));
	const leaf = blocks.lend();

	function hashAt({buffer, start}: Frame, index: number): number {
		return buffer.view.getUint32(start + index * ENTRY, true);
	}

	function childAt({buffer, start}: Frame, index: number): number {
		return (buffer.view.getUint32(start + index * ENTRY + 4, true) & layout.HASH_TREE_BLOCK_MASK) >>> 0;
	}

	/** The first entry has no hash: its place holds `limit` and `count`. */
	function enter(directory: Inode, frame: Frame, start: number): void {
		const {view} = frame.buffer;
		const limit = view.getUint16(start, true);
		const count = view.getUint16(start + 2, true);
		if (count === 0 || count > limit || start + limit * ENTRY > blockSize) {
			throw damaged(directory, `a node with ${count} of ${limit} entries`);
		}
		frame.start = start;
		frame.count = count;
		frame.index = 0;
	}

	function loadNode(directory: Inode, frame: Frame, block: number): void {
		checkBlock(directory, block);
		blocks.load(directory, block, frame.buffer);
		enter(directory, frame, layout.HASH_TREE_NODE_ENTRIES);
	}

	function checkBlock(directory: Inode, block: number): void {
		if (block === 0 || block >= directory.size / blockSize) throw damaged(directory, `a pointer to block ${block}`);
	}

	function choose(frame: Frame, hash: number): void {
		let low = 0;
		let high = frame.count - 1;
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			if (hashAt(frame, middle) <= hash) low = middle;
			else high = middle - 1;
		}
		frame.index = low;
	}

	/** Moves to the next leaf if it may hold the same hash. */
	function advance(directory: Inode, levels: number, hash: number): boolean {
		let level = levels;
		while (++frames[level].index >= frames[level].count) if (--level < 0) return false;
		if ((hashAt(frames[level], frames[level].index) & ~COLLISION) >>> 0 !== hash) return false;
		for (; level < levels; level++) {
			loadNode(directory, frames[level + 1], childAt(frames[level], frames[level].index));
		}
		return true;
	}

	function search(directory: Inode, name: Uint8Array, version: number, levels: number): NodeId | undefined {
		const hash = hashName(name, version, hashSeed);
		choose(frames[0], hash);
		for (let level = 0; level < levels; level++) {
			loadNode(directory, frames[level + 1], childAt(frames[level], frames[level].index));
			choose(frames[level + 1], hash);
		}
		// Each turn takes the next entry of a node, and the nodes are as many as the directory has blocks at most.
		let left = Math.ceil(directory.size / blockSize);
		do {
			const block = childAt(frames[levels], frames[levels].index);
			checkBlock(directory, block);
			blocks.load(directory, block, leaf);
			const found = findInBlock(leaf.view, leaf.bytes, 0, blockSize, name);
			if (found === DAMAGED) throw damaged(directory, `block ${block} is damaged`);
			if (found !== 0) return found;
			if (--left < 0) throw damaged(directory, 'a loop');
		} while (advance(directory, levels, hash));
		return undefined;
	}

	return {
		find(directory, name) {
			const [top] = frames;
			blocks.load(directory, 0, top.buffer);
			const {view} = top.buffer;
			const version = root.hashVersion.read(view, 0);
			const levels = root.indirectLevels.read(view, 0);
			const isTree =
				root.reservedZero.read(view, 0) === 0 &&
				root.infoLength.read(view, 0) === layout.HASH_TREE_INFO_LENGTH &&
				version <= layout.HashVersion.teaUnsigned &&
				levels <= maxLevels;
			if (!isTree) throw damaged(directory, 'a root that makes no sense');
			enter(directory, top, layout.HASH_TREE_ROOT_ENTRIES);
			const signed = version <= layout.HashVersion.tea;
			const offset = layout.HashVersion.legacyUnsigned;
			if (!signed || unsignedHash === false) return search(directory, name, version, levels);
			if (unsignedHash === true) return search(directory, name, version + offset, levels);
			// The superblock does not say how the writer's machine took bytes above 127.
			return search(directory, name, version, levels) ?? search(directory, name, version + offset, levels);
		},
	};
}
