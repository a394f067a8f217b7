import {viewOf} from '../bytes/layout.ts';
import {writeU64} from '../bytes/u64.ts';
import {isZero} from '../bytes/zeros.ts';
import {HASH_SIZE, leafHash, nodeHash, sha256} from './sha256.ts';

/** Bytes of plain content under one leaf; the last leaf of a disk may have fewer. */
export const LEAF_SIZE = 65_536;

/** Subtrees up to 2^37 leaves: 8 PiB, all that a position can reach. */
const MAX_LEVEL = 40;

const ID_PREFIX = new TextEncoder().encode('tintype-id-1');
const ZEROS = new Uint8Array(LEAF_SIZE);

const zeroSubtrees: Uint8Array[] = [];

/** The root of a subtree of `2 ** level` whole leaves of zeros. */
export function zeroSubtree(level: number): Uint8Array {
	for (let next = zeroSubtrees.length; next <= level; next++) {
		const below = zeroSubtrees[next - 1];
		zeroSubtrees.push(below === undefined ? leafHash(ZEROS) : nodeHash(below, below));
	}
	return zeroSubtrees[level];
}

/** The hash of up to 64 KiB of content as one leaf. */
export function leafOf(content: Uint8Array): Uint8Array {
	if (isZero(content)) return zeroLeaf(content.length);
	return leafHash(content);
}

function zeroLeaf(length: number): Uint8Array {
	return length === LEAF_SIZE ? zeroSubtree(0) : leafHash(ZEROS.subarray(0, length));
}

/** The root over hashes of neighbouring subtrees of equal size, of which only the last may be smaller (RFC 6962, 2.1). */
export function treeRoot(hashes: readonly Uint8Array[], from = 0, to = hashes.length): Uint8Array {
	const count = to - from;
	if (count === 0) return sha256();
	if (count === 1) return hashes[from];
	let left = 1;
	while (left * 2 < count) left *= 2;
	return nodeHash(treeRoot(hashes, from, from + left), treeRoot(hashes, from + left, to));
}

/** The root over `content`, which starts on a leaf boundary of the disk. */
export function contentHash(content: Uint8Array): Uint8Array {
	const leaves: Uint8Array[] = [];
	for (let at = 0; at < content.length; at += LEAF_SIZE) leaves.push(leafOf(content.subarray(at, at + LEAF_SIZE)));
	return treeRoot(leaves);
}

/** The root over `length` zeros that start on a leaf boundary. */
export function zeroContentHash(length: number): Uint8Array {
	const whole = Math.floor(length / LEAF_SIZE);
	const level = Math.log2(whole);
	if (length % LEAF_SIZE === 0 && Number.isInteger(level)) return zeroSubtree(level);
	const memory = new Uint8Array(CONTENT_TREE_SIZE);
	return contentTree(memory).finish(length);
}

/** SHA-256("tintype-id-1" || size || root). */
export function contentId(size: number, root: Uint8Array): Uint8Array {
	const length = new Uint8Array(8);
	writeU64(viewOf(length), 0, size);
	return sha256(ID_PREFIX, length, root);
}

/** Bytes of memory that a content tree needs. */
export const CONTENT_TREE_SIZE = 16 + MAX_LEVEL * (8 + HASH_SIZE);

/**
 * Builds the tree from left to right, while holes cost nothing. Its whole state lies in `memory`, which may be shared:
 * threads may take turns, each with a builder of its own over the same memory.
 */
export interface ContentTree {
	/** Leaves added so far. */
	leaves(): number;
	/** Adds whole leaves of zeros until there are `leaf` of them. */
	zerosTo(leaf: number): void;
	/** Adds a subtree of `count` leaves at an index that is a multiple of it, unless it is the disk's last. */
	add(count: number, root: Uint8Array): void;
	/** Zeros to the end of a disk of `size` bytes; returns the root. Nothing may be added after it. */
	finish(size: number): Uint8Array;
}

export function contentTree(memory: Uint8Array): ContentTree {
	const view = viewOf(memory);
	const HASHES = 16 + MAX_LEVEL * 8;

	const leaves = (): number => view.getFloat64(0, true);
	const depth = (): number => view.getUint32(8, true);
	const countAt = (index: number): number => view.getFloat64(16 + index * 8, true);
	const hashAt = (index: number): Uint8Array =>
		memory.subarray(HASHES + index * HASH_SIZE, HASHES + (index + 1) * HASH_SIZE);

	function add(count: number, root: Uint8Array): void {
		const total = leaves() + count;
		let top = depth();
		let size = count;
		let hash = root;
		while (top > 0 && countAt(top - 1) === size) {
			top--;
			hash = nodeHash(hashAt(top), hash);
			size *= 2;
		}
		view.setFloat64(16 + top * 8, size, true);
		hashAt(top).set(hash);
		view.setUint32(8, top + 1, true);
		view.setFloat64(0, total, true);
	}

	function zerosTo(leaf: number): void {
		for (let at = leaves(); at < leaf; at = leaves()) {
			let level = 0;
			while (level + 1 < MAX_LEVEL && at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= leaf) level++;
			add(2 ** level, zeroSubtree(level));
		}
	}

	return {
		leaves,
		zerosTo,
		add,
		finish(size) {
			const whole = Math.floor(size / LEAF_SIZE);
			const rest = size - whole * LEAF_SIZE;
			zerosTo(whole);
			if (rest > 0 && leaves() === whole) add(1, zeroLeaf(rest));
			const count = depth();
			if (count === 0) return sha256();
			let root = Uint8Array.from(hashAt(count - 1));
			for (let index = count - 2; index >= 0; index--) root = Uint8Array.from(nodeHash(hashAt(index), root));
			return root;
		},
	};
}
