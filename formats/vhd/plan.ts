import {isPowerOfTwo, roundUp} from '../../src/core/bytes/u64.ts';
import type {CreateRequest, WriterOption, WriterPlan} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {bitmapSizeOf} from './bat.ts';
import {type Geometry, geometryOf} from './geometry.ts';
import {BAT_ENTRY_SIZE, DynamicHeader, FOOTER_SIZE, KIB, MAX_DISK_SIZE, MAX_PLACE, MIB, SECTOR_SIZE} from './layout.ts';

export const MIN_WRITTEN_BLOCK_SIZE = 512 * KIB;
export const MAX_WRITTEN_BLOCK_SIZE = 16 * MIB;
const DEFAULT_BLOCK_SIZE = 2 * MIB;
const LARGEST_PIECE = MIB;
/** To which data is aligned, as Windows 8 and later do: 4 KiB is a page of memory, a file system's block, a disk's sector. */
const DATA_ALIGNMENT = 4 * KIB;

export const WRITER_OPTIONS: readonly WriterOption[] = [
	{
		name: 'subformat',
		type: 'string',
		describe: 'dynamic grows with its content; fixed has its full size from the start',
		choices: ['dynamic', 'fixed'],
		default: 'dynamic',
	},
	{
		name: 'block-size',
		type: 'size',
		describe: 'unit of allocation, a power of two from 512 KiB to 16 MiB; Hyper-V makes 512 KiB and 2 MiB',
		default: DEFAULT_BLOCK_SIZE,
	},
];

/** What threads count together. */
export const Shared = {
	/** Blocks that have a place. */
	blocks: 0,
	/** Zero-detection grains that were written. */
	grains: 1,
} as const;
const SHARED_BYTES = 2 * Int32Array.BYTES_PER_ELEMENT;

export interface VhdPlan extends WriterPlan {
	readonly alignment: number;
	readonly fixed: boolean;
	/** Bytes of the disk, with padding. */
	readonly size: number;
	/** Zero bytes at the end that make the size a multiple of the sector size. */
	readonly padding: number;
	readonly geometry: Geometry;
	readonly uniqueId: Uint8Array;
	/** Seconds since 1970. */
	readonly timestamp: number;
	readonly blockSize: number;
	readonly bitmapSize: number;
	readonly blocks: number;
	readonly bat: {readonly offset: number; readonly length: number};
	/** Where the data of the first block lies, and how far apart the data of two blocks. */
	readonly firstData: number;
	readonly stride: number;
	/** An Int32Array of `Shared`. */
	readonly shared: SharedArrayBuffer;
	/** A Uint32Array: each block's BAT entry, 0 while it has no place. At most 16 MiB, and none for fixed disks. */
	readonly places: SharedArrayBuffer;
}

function invalid(code: string, message: string, hint?: string): DiskError {
	return new DiskError('invalid', code, message, hint === undefined ? {} : {hint});
}

export function planVhd(request: CreateRequest): VhdPlan {
	const {options, id, timestamp, sectorSize} = request;
	const subformat = options['subformat'] ?? 'dynamic';
	const blockSize = options['block-size'] ?? DEFAULT_BLOCK_SIZE;
	if (subformat !== 'dynamic' && subformat !== 'fixed') {
		throw invalid('vhd/subformat', `the subformat is dynamic or fixed, not ${subformat}`);
	}
	if (
		typeof blockSize !== 'number' ||
		!isPowerOfTwo(blockSize) ||
		blockSize < MIN_WRITTEN_BLOCK_SIZE ||
		blockSize > MAX_WRITTEN_BLOCK_SIZE
	) {
		throw invalid('vhd/block-size', `the block size is a power of two from 512 KiB to 16 MiB, not ${blockSize}`);
	}
	if (sectorSize !== SECTOR_SIZE) {
		throw invalid(
			'vhd/sector-size',
			`the disk has sectors of ${sectorSize} bytes, and a VHD knows only those of 512`,
			'a VHDX can have sectors of 4096 bytes: --to vhdx',
		);
	}
	if (!Number.isSafeInteger(request.size) || request.size <= 0 || request.size > MAX_DISK_SIZE) {
		throw invalid(
			'vhd/disk-size',
			`a VHD holds from 1 byte to 2040 GiB, not ${request.size} bytes`,
			'a VHDX holds up to 64 TiB: --to vhdx',
		);
	}
	const fixed = subformat === 'fixed';
	const size = roundUp(request.size, SECTOR_SIZE);
	const blocks = Math.ceil(size / blockSize);
	const bat = {offset: FOOTER_SIZE + DynamicHeader.size, length: roundUp(blocks * BAT_ENTRY_SIZE, SECTOR_SIZE)};
	const dynamic = placement(bat.offset + bat.length, blockSize, blocks);
	return {
		pieceSize: Math.min(blockSize, LARGEST_PIECE),
		fixed,
		...(fixed && {fileSize: size + FOOTER_SIZE}),
		size,
		padding: size - request.size,
		geometry: geometryOf(size),
		uniqueId: id,
		timestamp,
		blockSize,
		blocks,
		bat,
		...dynamic,
		alignment: fixed ? Math.min(blockSize, LARGEST_PIECE) : dynamic.alignment,
		shared: new SharedArrayBuffer(SHARED_BYTES),
		places: new SharedArrayBuffer(fixed ? 0 : blocks * BAT_ENTRY_SIZE),
	};
}

/** Data is aligned by gaps before the bitmaps. Small blocks of a huge disk have no room for them: the BAT ends at 2 TiB. */
function placement(
	start: number,
	blockSize: number,
	blocks: number,
): Pick<VhdPlan, 'alignment' | 'bitmapSize' | 'firstData' | 'stride'> {
	const bitmapSize = bitmapSizeOf(blockSize);
	const aligned = (alignment: number) => ({
		alignment,
		bitmapSize,
		firstData: roundUp(start + bitmapSize, alignment),
		stride: roundUp(bitmapSize, alignment) + blockSize,
	});
	const wide = aligned(DATA_ALIGNMENT);
	const last = wide.firstData + (blocks - 1) * wide.stride;
	return last / SECTOR_SIZE <= MAX_PLACE ? wide : aligned(SECTOR_SIZE);
}
