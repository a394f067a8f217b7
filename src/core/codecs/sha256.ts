import {createHash, hash} from 'node:crypto';

/** Bytes of a SHA-256. */
export const HASH_SIZE = 32;

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = 1;
const pair = new Uint8Array(1 + 2 * HASH_SIZE);
pair[0] = NODE_PREFIX;

export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
	const digest = createHash('sha256');
	for (const part of parts) digest.update(part);
	return digest.digest();
}

/** SHA-256(0x00 || content): a leaf of a Merkle tree as in RFC 6962. */
export function leafHash(content: Uint8Array): Uint8Array {
	return createHash('sha256').update(LEAF_PREFIX).update(content).digest();
}

/** SHA-256(0x01 || left || right): an inner node of a Merkle tree as in RFC 6962. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
	pair.set(left, 1);
	pair.set(right, 1 + HASH_SIZE);
	return hash('sha256', pair, 'buffer');
}
