import {type Span, SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import {corrupt} from '../../../src/core/error.ts';
import type {FileSystemUsage} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import type {Data} from './data.ts';
import type {Geometry} from './geometry.ts';
import type {Inode, Inodes} from './inode.ts';
import {AttributeType, BITMAP_BLOCK_SIZE, SystemRecord} from './layout.ts';
import type {Mft} from './mft.ts';

export interface Bitmaps {
	usage(): FileSystemUsage;
	allocated(position: number, span: Span): void;
}

const BITS_SET = Uint8Array.from({length: 256}, (_, byte) => byte.toString(2).replaceAll('0', '').length);
const BITS_PER_BLOCK = BITMAP_BLOCK_SIZE * 8;

/** $Bitmap, with a bit for each cluster, and the bitmap of $MFT, with one for each record. */
export function openBitmaps(volume: ByteSource, inodes: Inodes, data: Data, mft: Mft, geometry: Geometry): Bitmaps {
	const {clusterSize} = geometry;
	// A boot sector that claims more than there is must not keep the count going.
	const clusterCount = Math.min(geometry.clusterCount, Math.ceil(volume.size / clusterSize));
	const block = new Uint8Array(BITMAP_BLOCK_SIZE);
	/** The part of $Bitmap that `block` holds. */
	let loaded = -1;
	let known: FileSystemUsage | undefined;

	/** Reads a part of a bitmap into `block`; what the bitmap lacks is an error. */
	function load(inode: Inode, type: number, index: number, bits: number): Uint8Array {
		loaded = -1;
		const bytes = Math.min(BITMAP_BLOCK_SIZE, Math.ceil(bits / 8) - index * BITMAP_BLOCK_SIZE);
		const target = block.subarray(0, bytes);
		const attribute = inodes.find(inode, type, '');
		if (attribute === undefined || data.read(inode, attribute, index * BITMAP_BLOCK_SIZE, target) < bytes) {
			throw corrupt('ntfs/bitmap', `the bitmap of MFT record ${inode.record} is too short`, {node: inode.record});
		}
		return target;
	}

	/** How many of the first `bits` bits are clear. */
	function countClear(inode: Inode, type: number, bits: number): number {
		let set = 0;
		for (let index = 0; index * BITS_PER_BLOCK < bits; index++) {
			const bytes = load(inode, type, index, bits);
			for (let at = 0; at < bytes.length; at++) set += BITS_SET[bytes[at]];
			// Bits behind the last one do not count.
			const rest = (index * BITMAP_BLOCK_SIZE + bytes.length) * 8 - bits;
			if (rest > 0) set -= BITS_SET[(bytes[bytes.length - 1] ?? 0) >> (8 - rest)];
		}
		return bits - set;
	}

	function isSet(cluster: number): boolean {
		const bit = cluster % BITS_PER_BLOCK;
		return ((block[Math.floor(bit / 8)] >> (bit % 8)) & 1) === 1;
	}

	return {
		usage() {
			known ??= {
				blockSize: clusterSize,
				totalBlocks: clusterCount,
				freeBlocks: countClear(inodes.get(SystemRecord.bitmap), AttributeType.data, clusterCount),
				// Behind the clusters lie less than one of sectors, and the copy of the boot sector.
				volumeSize: (clusterCount + 1) * clusterSize,
				totalNodes: mft.count(),
				freeNodes: countClear(inodes.get(SystemRecord.mft), AttributeType.bitmap, mft.count()),
			};
			return known;
		},
		allocated(position, span) {
			const first = Math.floor(position / clusterSize);
			// Behind the last cluster lies the copy of the boot sector.
			if (first >= clusterCount) return stored(span, volume.size - position, 0, position);
			const index = Math.floor(first / BITS_PER_BLOCK);
			if (loaded !== index) {
				load(inodes.get(SystemRecord.bitmap), AttributeType.data, index, clusterCount);
				loaded = index;
			}
			const used = isSet(first);
			const stop = Math.min((index + 1) * BITS_PER_BLOCK, clusterCount);
			const whole = used ? 0xff : 0;
			let cluster = first + 1;
			while (cluster < stop && isSet(cluster) === used) {
				// A whole byte at once where it starts.
				if (cluster % 8 === 0 && block[(cluster % BITS_PER_BLOCK) / 8] === whole) cluster += 8;
				else cluster++;
			}
			const length = Math.min(Math.min(cluster, stop) * clusterSize, volume.size) - position;
			if (used) stored(span, length, 0, position);
			else unstored(span, SpanKind.free, length);
		},
	};
}
