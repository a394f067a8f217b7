import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, outOfRange} from '../../../src/core/error.ts';
import {RUNS_MAX} from './layout.ts';

/** The cluster of a run that is not stored. */
export const HOLE = -1;

/** Where the clusters of an attribute lie. */
export interface Extents {
	readonly count: number;
	/** First virtual cluster of each run, then the first one behind the last run. */
	readonly starts: Float64Array;
	/** First cluster on the volume of each run, or HOLE. */
	readonly clusters: Float64Array;
}

export interface ExtentsBuilder {
	/** The virtual cluster at which the next run starts. */
	readonly next: () => number;
	/** Decodes the runs ("Data runs") that lie from `at` to `end`. */
	append(view: DataView, at: number, end: number, node: number): void;
	build(): Extents;
}

/** A little-endian integer of 1 to 8 bytes; not a safe integer where it is not exact. */
function readInteger(view: DataView, at: number, size: number, signed: boolean): number {
	let low = 0;
	let weight = 1;
	const lowSize = Math.min(size, 4);
	for (let i = 0; i < lowSize; i++) {
		low += view.getUint8(at + i) * weight;
		weight *= 256;
	}
	if (size <= 4) return signed && view.getInt8(at + size - 1) < 0 ? low - weight : low;
	let high = 0;
	weight = 1;
	for (let i = 4; i < size; i++) {
		high += view.getUint8(at + i) * weight;
		weight *= 256;
	}
	if (signed && view.getInt8(at + size - 1) < 0) high -= weight;
	return high * WORD + low;
}

export function extentsBuilder(clusterCount: number, clusterSize: number): ExtentsBuilder {
	let starts = new Float64Array(9);
	let clusters = new Float64Array(8);
	let count = 0;
	let next = 0;
	const limit = Math.floor(Number.MAX_SAFE_INTEGER / clusterSize);

	function push(cluster: number, length: number, node: number): void {
		if (count === clusters.length) {
			if (count >= RUNS_MAX) {
				throw outOfRange('ntfs/too-many-runs', `an attribute has more than ${RUNS_MAX} runs`, {
					structure: 'runs',
					node,
				});
			}
			const grownStarts = new Float64Array(count * 2 + 1);
			const grownClusters = new Float64Array(count * 2);
			grownStarts.set(starts);
			grownClusters.set(clusters);
			starts = grownStarts;
			clusters = grownClusters;
		}
		starts[count] = next;
		clusters[count] = cluster;
		count++;
		next += length;
		starts[count] = next;
	}

	return {
		next: () => next,
		append(view, from, end, node) {
			let at = from;
			let cluster = 0;
			for (;;) {
				if (at >= end)
					throw corrupt('ntfs/runs', 'the runs do not end within their attribute', {structure: 'runs', node});
				const header = view.getUint8(at);
				if (header === 0) return;
				const lengthSize = header & 0xf;
				const offsetSize = header >> 4;
				if (lengthSize === 0 || lengthSize > 8 || offsetSize > 8 || at + 1 + lengthSize + offsetSize > end) {
					throw corrupt('ntfs/runs', `a run starts with the impossible byte ${header}`, {structure: 'runs', node});
				}
				const length = readInteger(view, at + 1, lengthSize, false);
				if (!(length > 0 && next + length <= limit)) {
					throw corrupt('ntfs/runs', 'a run has an impossible length', {structure: 'runs', field: 'length', node});
				}
				if (offsetSize === 0) {
					push(HOLE, length, node);
				} else {
					cluster += readInteger(view, at + 1 + lengthSize, offsetSize, true);
					if (!(cluster >= 0 && cluster + length <= clusterCount)) {
						throw corrupt('ntfs/runs', 'a run lies outside the volume', {structure: 'runs', field: 'cluster', node});
					}
					push(cluster, length, node);
				}
				at += 1 + lengthSize + offsetSize;
			}
		},
		build: () => ({count, starts: starts.slice(0, count + 1), clusters: clusters.slice(0, count)}),
	};
}

/** The index of the run that holds the virtual cluster `vcn`, or -1 behind the last one. */
export function findRun({count, starts}: Extents, vcn: number): number {
	if (vcn >= starts[count]) return -1;
	let low = 0;
	let high = count - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (starts[middle] <= vcn) low = middle;
		else high = middle - 1;
	}
	return low;
}
