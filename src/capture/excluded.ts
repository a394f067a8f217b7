import {newSpan, SpanKind} from '../core/disk.ts';
import {encodeText} from '../core/bytes/text.ts';
import type {FileSystem, NodeId} from '../core/file-system.ts';
import type {Image, Volume} from '../image/image.ts';

/** What can be left out by name: its content is of use to no one but the machine that wrote it, while it ran. */
export const EXCLUDABLE = {
	pagefile: ['pagefile.sys', 'swapfile.sys', 'swapfile', 'swap.img'],
	hibernation: ['hiberfil.sys'],
} as const;
export type Excludable = keyof typeof EXCLUDABLE;

/** Swap space begins with a page that holds its label, UUID and size; it ends with this. */
const SWAP_MAGIC = 'SWAPSPACE2';
const SWAP_HEADER = 4096;

/** Runs of one file: more than a page file in the worst state has, and an end to what a hostile one can have. */
const MOST_RUNS = 1_000_000;

/** Something left out, for the image's metadata and for the user. */
export interface Exclusion {
	readonly volume: number;
	/** Within the volume; empty for all of it. */
	readonly path: string;
	readonly bytes: number;
	readonly reason: 'volume not chosen' | Excludable;
}

export interface Excluded {
	/** See `CaptureView.excluded`. */
	readonly ranges: Float64Array;
	readonly exclusions: readonly Exclusion[];
}

export interface Choice {
	/** Numbers of the volumes to keep; all when absent. */
	readonly volumes?: readonly number[];
	readonly exclude: readonly Excludable[];
}

interface Range {
	readonly start: number;
	readonly end: number;
}

/** The ranges of a disk that a choice leaves out. Partition tables and the gaps between partitions are always kept. */
export function excludedRanges(image: Image, {volumes, exclude}: Choice): Excluded {
	const ranges: Range[] = [];
	const exclusions: Exclusion[] = [];
	for (const volume of image.volumes) {
		const {number, partition} = volume;
		if (volumes !== undefined && !volumes.includes(number)) {
			ranges.push({start: partition.start, end: partition.start + partition.length});
			exclusions.push({volume: number, path: '', bytes: partition.length, reason: 'volume not chosen'});
			continue;
		}
		for (const {path, runs, reason} of excludedIn(volume, exclude)) {
			const bytes = runs.reduce((total, {start, end}) => total + end - start, 0);
			if (bytes === 0) continue;
			for (const {start, end} of runs) ranges.push({start: partition.start + start, end: partition.start + end});
			exclusions.push({volume: number, path, bytes, reason});
		}
	}
	return {ranges: merged(ranges), exclusions};
}

function excludedIn(
	volume: Volume,
	exclude: readonly Excludable[],
): {path: string; runs: Range[]; reason: Excludable}[] {
	const {fileSystem, source} = volume;
	if (fileSystem === undefined) {
		const isSwap =
			exclude.includes('pagefile') && hasSwapHeader((position, target) => source.readAt(position, target), source.size);
		return isSwap ? [{path: '', runs: [{start: SWAP_HEADER, end: source.size}], reason: 'pagefile'}] : [];
	}
	return exclude.flatMap(reason =>
		EXCLUDABLE[reason].flatMap(name => {
			const node = inRoot(fileSystem, name);
			if (node === undefined || fileSystem.stat(node).type !== 'file') return [];
			return [{path: `/${name}`, runs: contentRuns(fileSystem, node), reason}];
		}),
	);
}

function inRoot(fileSystem: FileSystem, name: string): NodeId | undefined {
	const bytes = encodeText(name);
	return fileSystem.lookup(fileSystem.root, bytes) ?? fileSystem.lookupAnyCase?.(fileSystem.root, bytes);
}

/** Where a file's content lies in its volume; the header page of Linux swap stays. */
function contentRuns(fileSystem: FileSystem, node: NodeId): Range[] {
	const {size} = fileSystem.stat(node);
	const isSwap = hasSwapHeader((position, target) => fileSystem.read(node, position, target), size);
	const span = newSpan();
	const runs: Range[] = [];
	for (let position = isSwap ? SWAP_HEADER : 0; position < size; position += span.length) {
		fileSystem.locate(node, position, span);
		if (span.kind !== SpanKind.stored) continue;
		if (runs.length >= MOST_RUNS) return [];
		// Marks are of whole sectors; the one that the file ends in is kept.
		const end = span.at + span.length;
		runs.push({start: span.at, end: end - (end % 512)});
	}
	return runs.filter(({start, end}) => end > start && start % 512 === 0);
}

function hasSwapHeader(read: (position: number, target: Uint8Array) => unknown, size: number): boolean {
	if (size < SWAP_HEADER) return false;
	const found = new Uint8Array(SWAP_MAGIC.length);
	read(SWAP_HEADER - SWAP_MAGIC.length, found);
	return found.every((byte, index) => byte === SWAP_MAGIC.charCodeAt(index));
}

function merged(ranges: Range[]): Float64Array {
	const sorted = ranges.sort((a, b) => a.start - b.start);
	const pairs: number[] = [];
	for (const {start, end} of sorted) {
		const last = pairs.at(-1);
		if (last !== undefined && start <= last) pairs[pairs.length - 1] = Math.max(last, end);
		else pairs.push(start, end);
	}
	return Float64Array.from(pairs);
}
