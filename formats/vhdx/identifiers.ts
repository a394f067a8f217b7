import {readGuid} from '../../src/core/bytes/guid.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';

/** Odd constants with well-spread bits, as in MurmurHash3's and xxHash's mixing steps. */
const MIX_IN = 0xcc9e2d51;
const MIX_ROUND = 0x9e3779b1;
const MIX_FINAL_1 = 0x85ebca6b;
const MIX_FINAL_2 = 0xc2b2ae35;

function hash32(bytes: Uint8Array, seed: number): number {
	let state = seed | 0;
	for (const byte of bytes) {
		state = Math.imul(state ^ Math.imul(byte + 1, MIX_IN), MIX_ROUND);
		state ^= state >>> 15;
	}
	state = Math.imul(state ^ (state >>> 16), MIX_FINAL_1);
	state = Math.imul(state ^ (state >>> 13), MIX_FINAL_2);
	return (state ^ (state >>> 16)) >>> 0;
}

/**
 * A GUID in the form of a random one (version 4), which only depends on `id` and `purpose`: equal requests give equal
 * files. It spreads bits and keeps no secrets.
 */
export function deriveGuid(id: Uint8Array, purpose: string): string {
	const input = new Uint8Array(id.length + purpose.length);
	input.set(id);
	for (let i = 0; i < purpose.length; i++) input[id.length + i] = purpose.charCodeAt(i);
	const view = viewOf(new Uint8Array(16));
	for (let word = 0; word < 4; word++) view.setUint32(word * 4, hash32(input, Math.imul(word + 1, MIX_ROUND)), true);
	// RFC 9562, 4.1 and 5.4; Microsoft's byte order puts the version's byte seventh.
	view.setUint8(7, (view.getUint8(7) & 0x0f) | 0x40);
	view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
	return readGuid(view, 0);
}
