import {type Disk, newSpan, readsAsZero} from '../core/disk.ts';
import type {Pace} from '../work/pace.ts';

/** What a disk's map says that has to be read. */
export interface Contents {
	/** Bytes that are not known to be zeros. */
	readonly bytes: number;
	/** Blocks of the target, and pieces of its writer, that hold any of them. */
	readonly blocks: number;
	readonly pieces: number;
	/** Where some of these pieces begin, in rising order, evenly spread over all of them. */
	readonly places: readonly number[];
}

export interface Units {
	readonly blockSize: number;
	readonly pieceSize: number;
}

/** How many places are kept at most; half of them at least where there are so many. */
const MOST_PLACES = 128;

/** Goes through the map of a disk without reading its content. */
export async function contentsOf(disk: Disk, {blockSize, pieceSize}: Units, pace: Pace): Promise<Contents> {
	const span = newSpan();
	const blocks = counter(blockSize);
	const pieces = counter(pieceSize);
	let bytes = 0;
	/** Every so many pieces give a place; twice as many whenever there are too many places. */
	let stride = 1;
	let places: {readonly position: number; readonly number: number}[] = [];

	for (let position = 0; position < disk.size; position += span.length) {
		if (pace.due()) await pace.turn();
		disk.locate(position, span);
		if (readsAsZero(span.kind)) continue;
		bytes += span.length;
		blocks.add(position, span.length);
		const before = pieces.count;
		const first = pieces.add(position, span.length);
		for (let number = Math.ceil(before / stride) * stride; number < pieces.count; number += stride) {
			places.push({position: (first + number - before) * pieceSize, number});
			if (places.length <= MOST_PLACES) continue;
			stride *= 2;
			places = places.filter(place => place.number % stride === 0);
			number -= number % stride;
		}
	}
	return {bytes, blocks: blocks.count, pieces: pieces.count, places: places.map(({position}) => position)};
}

/** Counts units that are met in rising order, each once. */
function counter(unit: number) {
	let last = -1;
	let count = 0;
	return {
		get count() {
			return count;
		},
		/** The first unit that had not been met. */
		add(position: number, length: number): number {
			const first = Math.max(Math.floor(position / unit), last + 1);
			last = Math.max(last, Math.floor((position + length - 1) / unit));
			count += Math.max(0, last - first + 1);
			return first;
		},
	};
}
