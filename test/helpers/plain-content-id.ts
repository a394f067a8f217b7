import {createHash} from 'node:crypto';

const LEAF = 65_536;

function sha256(...parts: readonly (string | Uint8Array)[]): Buffer {
	const hash = createHash('sha256');
	for (const part of parts) hash.update(part);
	return hash.digest();
}

/** RFC 6962 section 2.1, word by word, over leaves `from` to `to`. */
function root(content: Uint8Array, from: number, to: number): Buffer {
	if (from === to) return sha256();
	if (to - from === 1) return sha256(Uint8Array.of(0), content.subarray(from * LEAF, to * LEAF));
	let left = 1;
	while (left * 2 < to - from) left *= 2;
	return sha256(Uint8Array.of(1), root(content, from, from + left), root(content, from + left, to));
}

/** The content id of bytes in memory, written from SPEC.md section 11 alone. */
export function plainContentId(content: Uint8Array): string {
	const size = new DataView(new ArrayBuffer(8));
	size.setBigUint64(0, BigInt(content.length), true);
	const top = root(content, 0, Math.ceil(content.length / LEAF));
	return sha256('tintype-id-1', new Uint8Array(size.buffer), top).toString('hex');
}
