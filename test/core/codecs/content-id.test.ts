import {createHash} from 'node:crypto';
import test from 'ava';
import * as fc from 'fast-check';
import {
	CONTENT_TREE_SIZE,
	contentHash,
	contentId,
	contentTree,
	LEAF_SIZE,
	treeRoot,
	zeroContentHash,
	zeroSubtree,
} from '../../../src/core/codecs/content-id.ts';
import {textBytes} from '../../formats/tint/tools.ts';

/** RFC 6962 section 2.1, word by word. */
function merkle(leaves: readonly Uint8Array[]): Uint8Array {
	const hash = createHash('sha256');
	if (leaves.length === 0) return hash.digest();
	if (leaves.length === 1) return hash.update(Uint8Array.of(0)).update(leaves[0]).digest();
	let k = 1;
	while (k * 2 < leaves.length) k *= 2;
	return hash
		.update(Uint8Array.of(1))
		.update(merkle(leaves.slice(0, k)))
		.update(merkle(leaves.slice(k)))
		.digest();
}

function leavesOf(content: Uint8Array): Uint8Array[] {
	const leaves: Uint8Array[] = [];
	for (let at = 0; at < content.length; at += LEAF_SIZE) leaves.push(content.subarray(at, at + LEAF_SIZE));
	return leaves;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

test('the hash of content is the root of RFC 6962 over its leaves', t => {
	for (const size of [0, 1, LEAF_SIZE, LEAF_SIZE + 1, 3 * LEAF_SIZE, 7 * LEAF_SIZE - 9]) {
		const content = textBytes(size, 3);
		t.true(same(contentHash(content), merkle(leavesOf(content))), `${size}`);
		t.true(same(zeroContentHash(size), merkle(leavesOf(new Uint8Array(size)))), `zeros ${size}`);
	}
	t.true(same(zeroSubtree(3), merkle(leavesOf(new Uint8Array(8 * LEAF_SIZE)))));
});

test('the tree built from pieces and holes is the one over all leaves', t => {
	const pieceLeaves = 4;
	fc.assert(
		fc.property(
			fc.array(fc.boolean(), {maxLength: 20}),
			fc.integer({min: 0, max: pieceLeaves * LEAF_SIZE - 1}),
			fc.boolean(),
			(pieces, tail, tailHasData) => {
				const pieceSize = pieceLeaves * LEAF_SIZE;
				const content = new Uint8Array(pieces.length * pieceSize + tail);
				const memory = new Uint8Array(new SharedArrayBuffer(CONTENT_TREE_SIZE));
				const withData = [...pieces, tailHasData && tail > 0];
				for (const [index, data] of withData.entries()) {
					if (!data) continue;
					const piece = content.subarray(index * pieceSize, (index + 1) * pieceSize);
					piece.set(textBytes(Math.min(piece.length, 900), index + 1), Math.max(0, piece.length - 900));
					// A new builder each time, as when threads take turns.
					const tree = contentTree(memory);
					tree.zerosTo(index * pieceLeaves);
					tree.add(Math.ceil(piece.length / LEAF_SIZE), contentHash(piece));
				}
				const root = contentTree(memory).finish(content.length);
				return same(root, merkle(leavesOf(content)));
			},
		),
		{numRuns: 60, seed: 1},
	);
	t.pass();
});

test('roots of aligned subtrees combine to the root of all, whatever their size', t => {
	const content = textBytes(11 * LEAF_SIZE + 77, 5);
	for (const chunk of [1, 2, 4, 8, 16]) {
		const roots: Uint8Array[] = [];
		for (let at = 0; at < content.length; at += chunk * LEAF_SIZE) {
			roots.push(contentHash(content.subarray(at, at + chunk * LEAF_SIZE)));
		}
		t.true(same(treeRoot(roots), merkle(leavesOf(content))), `${chunk}`);
	}
});

test('64 TiB of zeros have their id at once', t => {
	const size = 64 * 2 ** 40;
	const root = contentTree(new Uint8Array(CONTENT_TREE_SIZE)).finish(size);
	t.true(same(root, zeroSubtree(30)));
	t.false(same(contentId(size, root), contentId(size / 2, root)));
});

test('the id is SHA-256 of prefix, size and root', t => {
	const content = textBytes(1000, 3);
	const expected = createHash('sha256')
		.update('tintype-id-1')
		.update(Uint8Array.of(0xe8, 3, 0, 0, 0, 0, 0, 0))
		.update(merkle([content]))
		.digest();
	t.true(same(contentId(1000, contentHash(content)), expected));
});
