/** Runs kept: 16 MiB of memory. An image with more is in pieces, and more of them would tell nobody more. */
const MOST_RUNS = 1 << 20;

/** Disjoint runs of a disk, in rising order. */
export interface Ranges {
	readonly count: number;
	/** Of all runs that were added, also of those that found no room. */
	readonly bytes: number;
	/** Whether all that was added is here. */
	readonly complete: boolean;
	/** Visits what lies between `from` and `to`, cut to it. */
	within(from: number, to: number, visit: (position: number, length: number) => void): void;
}

export interface RangeCollector {
	/** In any order; runs of one collector do not overlap. */
	add(position: number, length: number): void;
	/** Ends the collecting. */
	ranges(): Ranges;
}

/** Gathers runs; neighbours that come one after the other become one. */
export function collectRanges(most = MOST_RUNS): RangeCollector {
	let starts: number[] = [];
	let ends: number[] = [];
	let bytes = 0;
	let complete = true;

	return {
		add(position, length) {
			bytes += length;
			const last = ends.length - 1;
			if (ends[last] === position) ends[last] = position + length;
			else if (ends.length < most) {
				starts.push(position);
				ends.push(position + length);
			} else complete = false;
		},
		ranges() {
			const order = [...starts.keys()].sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));
			const from = Float64Array.from(order, index => starts[index] ?? 0);
			const to = Float64Array.from(order, index => ends[index] ?? 0);
			starts = [];
			ends = [];
			return rangesOf(from, to, {bytes, complete});
		},
	};
}

function rangesOf(
	starts: Float64Array,
	ends: Float64Array,
	facts: {readonly bytes: number; readonly complete: boolean},
): Ranges {
	/** The first run that ends behind `position`. */
	function firstAfter(position: number): number {
		let low = 0;
		let high = ends.length;
		while (low < high) {
			const middle = Math.floor((low + high) / 2);
			if ((ends[middle] ?? 0) <= position) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	return {
		count: starts.length,
		...facts,
		within(from, to, visit) {
			for (let index = firstAfter(from); index < starts.length; index++) {
				const start = Math.max(starts[index] ?? 0, from);
				if (start >= to) return;
				visit(start, Math.min(ends[index] ?? 0, to) - start);
			}
		},
	};
}

/** How much of a run lies in the ranges. */
export function bytesWithin(ranges: Ranges, from: number, to: number): number {
	let bytes = 0;
	ranges.within(from, to, (_, length) => {
		bytes += length;
	});
	return bytes;
}
