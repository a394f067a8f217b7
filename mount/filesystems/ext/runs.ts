import {corrupt} from '../../../src/core/error.ts';
import type {Volume} from './volume.ts';

/** The physical block of a run that reads as zeros. */
export const HOLE = -1;

/**
 * A piece of a file's map: what one leaf of an extent tree, or one block of pointers, says. It covers all logical
 * blocks from `first` up to `end`; run `i` begins at logical block `starts[i]`.
 */
export interface RunWindow {
	readonly first: number;
	readonly end: number;
	readonly count: number;
	readonly starts: Float64Array;
	/** Physical blocks, or HOLE. */
	readonly blocks: Float64Array;
}

/** What a window costs in memory, in runs: its own, and the objects around them. */
export function windowCost(window: RunWindow): number {
	return window.count + 16;
}

/** Collects runs from left to right and joins those that continue each other. */
export interface RunCollector {
	begin(first: number): void;
	/** Appends `length` logical blocks that lie from `physical` on, or are a HOLE. */
	add(length: number, physical: number): void;
	finish(): RunWindow;
}

export function runCollector(volume: Volume, capacity: number): RunCollector {
	const starts = new Float64Array(capacity);
	const blocks = new Float64Array(capacity);
	let first = 0;
	let end = 0;
	let count = 0;
	return {
		begin(at) {
			first = at;
			end = at;
			count = 0;
		},
		add(length, physical) {
			if (physical !== HOLE && !volume.holds(physical, length)) {
				throw corrupt('ext/block-number', `${length} blocks at ${physical} lie outside the file system`);
			}
			const last = count - 1;
			const joins =
				count > 0 &&
				(physical === HOLE
					? blocks[last] === HOLE
					: blocks[last] !== HOLE && blocks[last] + end - starts[last] === physical);
			if (!joins) {
				starts[count] = end;
				blocks[count] = physical;
				count++;
			}
			end += length;
		},
		finish: () => ({first, end, count, starts: starts.slice(0, count), blocks: blocks.slice(0, count)}),
	};
}
