import {type Disk, newSpan, readsAsZero, type Span, SpanKind, unstored} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {mappedDisk} from '../core/mapped-disk.ts';
import type {Image, Volume} from '../image/image.ts';

/**
 * What is left out; plain data that crosses to workers. Ranges are pairs of start and end on the disk, in
 * rising order, without overlap.
 */
export interface CaptureView {
	/** Left out because the user said so. */
	readonly excluded: Float64Array;
	/** Volumes whose file system is trusted to say what it does not use. */
	readonly skipFreeOf: readonly number[];
}

/** Free space shorter than this between what is in use is read with it: that is cheaper than a read of its own. */
const SHORT_GAP = 64 << 10;

/** The index of the first pair that ends after `position`; the number of pairs when there is none. */
function rangeAfter(ranges: Float64Array, position: number): number {
	let low = 0;
	let high = ranges.length / 2;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (ranges[middle * 2 + 1] <= position) low = middle + 1;
		else high = middle;
	}
	return low;
}

/**
 * The disk without what is left out: it says so in `locate`, and reads as zeros. The image stays the caller's;
 * disposing of the view does nothing.
 */
export function captureView(image: Image, view: CaptureView): Disk {
	const {disk} = image;
	const {excluded, skipFreeOf} = view;
	const free = image.volumes
		.filter(({number, fileSystem}) => fileSystem?.allocated !== undefined && skipFreeOf.includes(number))
		.sort((a, b) => a.partition.start - b.partition.start);
	const use = newSpan();
	const left = newSpan();
	/** Starts and ends within a read. */
	const gaps: number[] = [];

	/** Free space of the volume at `position`, if it is such; otherwise how far no answer can change. */
	function freeAt(position: number, span: Span): number {
		for (const volume of free) {
			const {start, length} = volume.partition;
			if (position < start) return start - position;
			if (position >= start + length) continue;
			allocationOf(volume, position - start);
			const run = Math.min(use.length, start + length - position);
			if (use.kind === SpanKind.free) unstored(span, SpanKind.free, run);
			return run;
		}
		return disk.size - position;
	}

	/** How much is left out at `position`; where nothing is, how much is not, as a negative number. */
	function leftOutAt(position: number): number {
		const index = rangeAfter(excluded, position);
		const next = index * 2 < excluded.length ? excluded[index * 2] : disk.size;
		if (next <= position) return excluded[index * 2 + 1] - position;
		unstored(left, SpanKind.zero, 1);
		const length = Math.min(freeAt(position, left), next - position);
		return left.kind === SpanKind.free ? length : -length;
	}

	/** Asks nothing of the disk's own map: what lies there is read, whatever it is. */
	function readAt(position: number, target: Uint8Array): void {
		let from = 0;
		let to = 0;
		gaps.length = 0;
		for (let at = 0; at < target.length; ) {
			const length = leftOutAt(position + at);
			const end = Math.min(at + Math.abs(length), target.length);
			if (length > 0) gaps.push(at, end);
			else {
				if (at - to > SHORT_GAP || to === 0) {
					readRun(position, target, from, to);
					from = at;
				}
				to = end;
			}
			at = end;
		}
		readRun(position, target, from, to);
		for (let index = 0; index < gaps.length; index += 2) target.fill(0, gaps[index], gaps[index + 1]);
	}

	function readRun(position: number, target: Uint8Array, from: number, to: number): void {
		if (to <= from) return;
		try {
			disk.readAt(position + from, target.subarray(from, to));
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			// What failed may lie in a gap.
			mapped.readAt(position + from, target.subarray(from, to));
		}
	}

	function allocationOf({fileSystem}: Volume, position: number): void {
		fileSystem?.allocated?.(position, use);
	}

	function locate(position: number, span: Span): void {
		const index = rangeAfter(excluded, position);
		const inside = index * 2 < excluded.length && excluded[index * 2] <= position;
		if (inside) return unstored(span, SpanKind.excluded, excluded[index * 2 + 1] - position);
		const next = index * 2 < excluded.length ? excluded[index * 2] : disk.size;
		disk.locate(position, span);
		// What is known to be zero stays that: it is more than free, and costs nothing either.
		const known = readsAsZero(span.kind) || span.kind === SpanKind.unreadable;
		const limit = known ? span.length : Math.min(span.length, freeAt(position, span));
		span.length = Math.min(limit, next - position);
	}

	const mapped = mappedDisk({
		format: disk.format,
		name: disk.name,
		size: disk.size,
		sectorSize: disk.sectorSize,
		sources: disk.sources,
		locate,
		decode: (position, target) => disk.readAt(position, target),
		describe: () => disk.describe(),
	});
	return {...mapped, readAt};
}
