import {isZero} from './bytes/zeros.ts';
import type {Piece} from './disk.ts';
import type {ByteSink} from './source.ts';

/** Zeros are looked for in units of this many bytes. A piece of a writer has at most 32 of them, one bit each. */
export const GRAIN = 64 * 1024;

/** A bit for every grain of a piece that is not all zeros; by its runs, where they are given: they are not read. */
export function usedGrains({bytes, runs}: Piece): number {
	let mask = 0;
	for (const {offset, length} of runs ?? []) {
		for (let start = offset - (offset % GRAIN); start < offset + length; start += GRAIN) mask |= 1 << (start / GRAIN);
	}
	for (let start = 0, grain = 0; start < bytes.length; start += GRAIN, grain++) {
		if (!isZero(bytes.subarray(start, Math.min(start + GRAIN, bytes.length)))) mask |= 1 << grain;
	}
	return mask;
}

export function countGrains(mask: number): number {
	let count = 0;
	for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
	return count;
}

/** Writes the grains of a piece that `mask` names, which goes to `place`; neighbours in one call. */
export function writeGrains(sink: ByteSink, place: number, {bytes, runs}: Piece, mask: number): void {
	for (const {offset, length, source, at} of runs ?? []) sink.cloneAt?.(place + offset, source, at, length);
	if (runs !== undefined) return;
	let grain = 0;
	while (mask >>> grain !== 0 && grain < 32) {
		const start = grain;
		const used = (mask >>> grain) & 1;
		while (grain < 32 && ((mask >>> grain) & 1) === used) grain++;
		if (used === 0) continue;
		sink.writeAt(place + start * GRAIN, bytes.subarray(start * GRAIN, Math.min(grain * GRAIN, bytes.length)));
	}
}
