import type {ByteSource} from '../../src/core/source.ts';
import type {LoggedWrite} from './log-entry.ts';

/** A source with writes laid over it in memory. */
export interface Overlay extends ByteSource {
	/** Whether any of `[start, end)` differs from the source below, the bytes beyond its end included. */
	touches(start: number, end: number): boolean;
	/** What is left of the writes, disjoint and by position: all that differs from the source below, but for its size. */
	extents(): Iterable<LoggedWrite>;
}

/** What is left of writes when later ones cover earlier ones: disjoint, by position. */
interface Extents {
	readonly starts: Float64Array;
	readonly ends: Float64Array;
	readonly bytes: readonly (Uint8Array | undefined)[];
}

/** The first index whose value is at or above `wanted`. */
function lowerBound(values: Float64Array, wanted: number): number {
	let low = 0;
	let high = values.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (values[middle] < wanted) low = middle + 1;
		else high = middle;
	}
	return low;
}

/**
 * Paints the pieces between all borders from the newest write to the oldest, each piece once: a log may hold millions
 * of overlapping zero descriptors, so that nothing here may depend on how much they cover.
 */
function flatten(writes: readonly LoggedWrite[]): Extents {
	const all = new Float64Array(writes.length * 2);
	for (const [index, {start, end}] of writes.entries()) {
		all[index * 2] = start;
		all[index * 2 + 1] = end;
	}
	const borders = all.sort().filter((value, index) => index === 0 || value !== all[index - 1]);
	const pieces = Math.max(0, borders.length - 1);
	const owner = new Int32Array(pieces).fill(-1);
	// From a piece to the next that is not painted yet, shortened on the way.
	const next = Int32Array.from({length: pieces + 1}, (_, index) => index);
	function unpainted(piece: number): number {
		let found = piece;
		while (next[found] !== found) {
			next[found] = next[next[found]];
			found = next[found];
		}
		return found;
	}
	for (let index = writes.length - 1; index >= 0; index--) {
		const {start, end} = writes[index];
		const last = lowerBound(borders, end);
		for (let piece = unpainted(lowerBound(borders, start)); piece < last; piece = unpainted(piece)) {
			owner[piece] = index;
			next[piece] = piece + 1;
		}
	}
	const painted = [...owner.keys()].filter(piece => owner[piece] >= 0);
	return {
		starts: Float64Array.from(painted, piece => borders[piece]),
		ends: Float64Array.from(painted, piece => borders[piece + 1]),
		// A write of data is one sector, and all borders lie between sectors: it is never cut in two.
		bytes: painted.map(piece => writes[owner[piece]].bytes),
	};
}

/** `size` may lie beyond the source's end; what lies between reads as zeros. Closing it leaves the source open. */
export function overlay(source: ByteSource, size: number, writes: readonly LoggedWrite[]): Overlay {
	const {starts, ends, bytes} = flatten(writes);

	/** The first extent that ends after `position`. */
	function extentAfter(position: number): number {
		const index = lowerBound(starts, position);
		return index > 0 && ends[index - 1] > position ? index - 1 : index;
	}

	function readBelow(position: number, target: Uint8Array): void {
		const inside = Math.max(0, Math.min(target.length, source.size - position));
		if (inside > 0) source.readAt(position, target.subarray(0, inside));
		target.fill(0, inside);
	}

	return {
		name: source.name,
		size,
		touches(start, end) {
			const index = extentAfter(start);
			return end > source.size || (index < starts.length && starts[index] < end);
		},
		*extents() {
			for (const [index, start] of starts.entries()) yield {start, end: ends[index], bytes: bytes[index]};
		},
		readAt(position, target) {
			const end = position + target.length;
			let done = position;
			for (let index = extentAfter(position); done < end; index++) {
				const start = index < starts.length ? Math.min(starts[index], end) : end;
				if (start > done) readBelow(done, target.subarray(done - position, start - position));
				done = Math.max(done, start);
				if (done >= end) return;
				const stop = Math.min(ends[index], end);
				const data = bytes[index];
				if (data === undefined) target.fill(0, done - position, stop - position);
				else target.set(data.subarray(done - starts[index], stop - starts[index]), done - position);
				done = stop;
			}
		},
		[Symbol.dispose]() {},
	};
}
