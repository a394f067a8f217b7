import {type Span, SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import type {Geometry} from './boot-region.ts';
import {BITMAP_PAGE} from './layout.ts';

export interface Bitmap {
	freeClusters(): number;
	/** See `FileSystem.allocated`: all but free clusters is in use, and so is what the bitmap does not tell of. */
	allocated(position: number, span: Span): void;
}

const BITS_SET = Uint8Array.from({length: 256}, (_, byte) => byte.toString(2).replaceAll('0', '').length);
const PAGE_BITS = BITMAP_PAGE * 8;

/**
 * Section 7.1.5: a bit for each cluster, the first one for cluster 2. `read` fills from a position in the bitmap, which
 * has `size` bytes.
 */
export function openBitmap(
	read: (position: number, target: Uint8Array) => void,
	size: number,
	geometry: Geometry,
	volumeSize: number,
): Bitmap {
	const {heapStart, clusterSize, clusterCount} = geometry;
	/** Clusters that have a bit. */
	const bits = Math.min(clusterCount, size * 8);
	const page = new Uint8Array(BITMAP_PAGE);
	/** The page that is in `page`. */
	let loaded = -1;

	function load(index: number): Uint8Array {
		const length = Math.min(BITMAP_PAGE, Math.ceil(bits / 8) - index * BITMAP_PAGE);
		const target = page.subarray(0, length);
		if (loaded === index) return target;
		loaded = -1;
		read(index * BITMAP_PAGE, target);
		loaded = index;
		return target;
	}

	function isSet(bit: number): boolean {
		return ((page[Math.floor(bit / 8)] >> (bit % 8)) & 1) === 1;
	}

	return {
		freeClusters() {
			let used = 0;
			for (let index = 0; index * PAGE_BITS < bits; index++) {
				const bytes = load(index);
				for (const byte of bytes) used += BITS_SET[byte];
				// Bits behind the last one do not count.
				const rest = (index * BITMAP_PAGE + bytes.length) * 8 - bits;
				if (rest > 0) used -= BITS_SET[bytes[bytes.length - 1] >> (8 - rest)];
			}
			return bits - used;
		},
		allocated(position, span) {
			const mapped = heapStart + bits * clusterSize;
			if (position < heapStart || position >= mapped) {
				const end = position < heapStart ? Math.min(heapStart, volumeSize) : volumeSize;
				stored(span, end - position, 0, position);
				return;
			}
			const first = Math.floor((position - heapStart) / clusterSize);
			const index = Math.floor(first / PAGE_BITS);
			load(index);
			const start = index * PAGE_BITS;
			const used = isSet(first - start);
			const whole = used ? 0xff : 0;
			const stop = Math.min(PAGE_BITS, bits - start);
			let bit = first - start + 1;
			while (bit < stop && isSet(bit) === used) {
				// A whole byte at once where it starts.
				bit += bit % 8 === 0 && page[bit / 8] === whole ? 8 : 1;
			}
			const end = heapStart + (start + Math.min(bit, stop)) * clusterSize;
			const length = Math.min(end, volumeSize) - position;
			if (used) stored(span, length, 0, position);
			else unstored(span, SpanKind.free, length);
		},
	};
}
