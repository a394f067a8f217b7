import type {Random} from './random.ts';

/** One change to a file: new bytes at a position, or a new end. */
export type Mutation =
	| {readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array}
	| {readonly kind: 'truncate'; readonly size: number};

/** Values at the borders of what fields hold. */
const INTERESTING = [
	0, 1, 2, 3, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/**
 * Where metadata lies: the 64-byte lines of a file that hold anything. Most of an image is zeros or content, and a
 * change there proves nothing.
 */
export function usedLines(bytes: Uint8Array): number[] {
	const lines: number[] = [];
	for (let at = 0; at < bytes.length; at += 64)
		if (bytes.subarray(at, at + 64).some(byte => byte !== 0)) lines.push(at);
	return lines;
}

/** One to four changes near each other or far apart, as damage and malice make them. */
export function mutations(bytes: Uint8Array, lines: readonly number[], random: Random): Mutation[] {
	if (random.below(20) === 0) return [{kind: 'truncate', size: random.below(bytes.length)}];
	return Array.from({length: 1 + random.below(4)}, () =>
		mutateOnce(bytes, random.pick(lines) + random.below(64), random),
	);
}

function mutateOnce(bytes: Uint8Array, place: number, random: Random): Mutation {
	const position = Math.min(place, bytes.length - 8);
	const change = Uint8Array.from(bytes.subarray(position, position + 8));
	const view = new DataView(change.buffer);
	switch (random.below(6)) {
		case 0:
			view.setUint8(0, view.getUint8(0) ^ (1 << random.below(8)));
			break;
		case 1:
			view.setUint8(0, random.below(256));
			break;
		case 2:
			view.setUint16(0, random.pick(INTERESTING) & 0xffff, true);
			break;
		case 3:
			view.setUint32(0, random.pick(INTERESTING), true);
			break;
		case 4:
			view.setUint32(0, view.getUint32(0, true) + random.pick([-1, 1, 2, -2, 16]), true);
			break;
		default:
			// Another place's bytes: a stale or misdirected write.
			change.set(bytes.subarray(random.below(bytes.length - 8)).subarray(0, 8));
	}
	return {kind: 'write', position, bytes: change};
}
