import {type Disk, newSpan, readsAsZero, type Span, SpanKind, unstored} from '../core/disk.ts';
import {mappedDisk} from '../core/mapped-disk.ts';
import type {Image, Volume} from '../image/image.ts';

/**
 * What a capture leaves out; plain data that crosses to workers. Ranges are pairs of start and end on the disk, in
 * rising order, without overlap.
 */
export interface CaptureView {
	/** Left out because the user said so. */
	readonly excluded: Float64Array;
	/** Volumes whose file system is trusted to say what it does not use. */
	readonly skipFreeOf: readonly number[];
}

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
 * The disk as a capture takes it: the same bytes, but what is left out says so in `locate`. The image stays the
 * caller's; disposing of the view does nothing.
 */
export function captureView(image: Image, view: CaptureView): Disk {
	const {disk} = image;
	const {excluded, skipFreeOf} = view;
	const free = image.volumes
		.filter(({number, fileSystem}) => fileSystem?.allocated !== undefined && skipFreeOf.includes(number))
		.sort((a, b) => a.partition.start - b.partition.start);
	const use = newSpan();

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

	return mappedDisk({
		format: disk.format,
		name: disk.name,
		size: disk.size,
		sectorSize: disk.sectorSize,
		sources: disk.sources,
		locate,
		decode: (position, target) => disk.readAt(position, target),
		describe: () => disk.describe(),
	});
}
