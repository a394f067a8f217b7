import {isPowerOfTwo, roundUp} from '../../src/core/bytes/u64.ts';
import type {CreateRequest, WriterOption, WriterPlan} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {batGeometry} from './bat.ts';
import {deriveGuid} from './identifiers.ts';
import {
	BAT_ENTRY_SIZE,
	HEADER_SECTION_SIZE,
	MAX_BLOCK_SIZE,
	MAX_DISK_SIZE,
	MIB,
	MIN_BLOCK_SIZE,
	REGION_ALIGNMENT,
} from './layout.ts';

/** The least block size, so that a piece lies in one block whatever the block size. */
const PIECE_SIZE = MIN_BLOCK_SIZE;
const LOG_LENGTH = MIB;
const METADATA_LENGTH = MIB;
/** What Hyper-V gives to new disks, dynamic or fixed. */
const DEFAULT_BLOCK_SIZE = 32 * MIB;
const DEFAULT_PHYSICAL_SECTOR_SIZE = 4096;

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
		describe: 'unit of allocation, a power of two from 1 to 256 MiB',
		default: DEFAULT_BLOCK_SIZE,
	},
	{
		name: 'physical-sector-size',
		type: 'number',
		describe: 'sector size that the disk reports as its physical one',
		choices: [512, 4096],
		default: DEFAULT_PHYSICAL_SECTOR_SIZE,
	},
];

/** What threads change together: MiB and counts, so that 64 TiB fit into 32 bits. */
export const Shared = {
	/** The first free place in the file, in MiB. */
	nextFree: 0,
	/** The block that was given a place last, and that place in MiB. */
	block: 1,
	place: 2,
	/** Blocks that have a place. */
	blocks: 3,
	/** Zero-detection grains that were written. */
	grains: 4,
} as const;
const SHARED_BYTES = 5 * Int32Array.BYTES_PER_ELEMENT;

export interface VhdxPlan extends WriterPlan {
	readonly fixed: boolean;
	readonly blockSize: number;
	readonly chunkRatio: number;
	/** Payload blocks. */
	readonly blocks: number;
	/** Bytes of the disk, with padding. */
	readonly size: number;
	/** Zero bytes at the end that make the size a multiple of the sector size. */
	readonly padding: number;
	readonly logicalSectorSize: number;
	readonly physicalSectorSize: number;
	readonly log: {readonly offset: number; readonly length: number};
	readonly metadata: {readonly offset: number; readonly length: number};
	readonly bat: {readonly offset: number; readonly length: number};
	/** Where the first block may lie. */
	readonly dataOffset: number;
	readonly diskId: string;
	readonly fileWriteGuid: string;
	readonly dataWriteGuid: string;
	/** An Int32Array of `Shared`. */
	readonly shared: SharedArrayBuffer;
}

function invalid(code: string, message: string): DiskError {
	return new DiskError('invalid', code, message);
}

/** `hasParent`: with room in the BAT for the sector bitmaps of a child. */
export function planVhdx(request: CreateRequest, hasParent = false): VhdxPlan {
	const {options, id, sectorSize: logicalSectorSize} = request;
	const subformat = options['subformat'] ?? 'dynamic';
	const blockSize = options['block-size'] ?? DEFAULT_BLOCK_SIZE;
	const physicalSectorSize = options['physical-sector-size'] ?? DEFAULT_PHYSICAL_SECTOR_SIZE;
	if (subformat !== 'dynamic' && subformat !== 'fixed') {
		throw invalid('vhdx/subformat', `the subformat is dynamic or fixed, not ${subformat}`);
	}
	if (
		typeof blockSize !== 'number' ||
		!isPowerOfTwo(blockSize) ||
		blockSize < MIN_BLOCK_SIZE ||
		blockSize > MAX_BLOCK_SIZE
	) {
		throw invalid('vhdx/block-size', `the block size is a power of two from 1 to 256 MiB, not ${blockSize}`);
	}
	if (logicalSectorSize !== 512 && logicalSectorSize !== 4096) {
		throw invalid('vhdx/sector-size', `the sector size is 512 or 4096, not ${logicalSectorSize}`);
	}
	if (physicalSectorSize !== 512 && physicalSectorSize !== 4096) {
		throw invalid('vhdx/sector-size', `the physical sector size is 512 or 4096, not ${physicalSectorSize}`);
	}
	if (physicalSectorSize < logicalSectorSize) {
		throw invalid('vhdx/sector-size', 'a physical sector of 512 bytes cannot hold a logical one of 4096');
	}
	if (!Number.isSafeInteger(request.size) || request.size <= 0 || request.size > MAX_DISK_SIZE) {
		throw invalid('vhdx/disk-size', `a VHDX holds from 1 byte to 64 TiB, not ${request.size} bytes`);
	}
	const size = roundUp(request.size, logicalSectorSize);
	const {chunkRatio, blocks, entries} = batGeometry(size, blockSize, logicalSectorSize, hasParent);
	const log = {offset: HEADER_SECTION_SIZE, length: LOG_LENGTH};
	const metadata = {offset: log.offset + log.length, length: METADATA_LENGTH};
	const bat = {
		offset: metadata.offset + metadata.length,
		length: roundUp(entries * BAT_ENTRY_SIZE, REGION_ALIGNMENT),
	};
	const dataOffset = bat.offset + bat.length;
	const shared = new SharedArrayBuffer(SHARED_BYTES);
	const state = new Int32Array(shared);
	state[Shared.nextFree] = dataOffset / MIB;
	state[Shared.block] = -1;
	return {
		pieceSize: PIECE_SIZE,
		alignment: MIB,
		fixed: subformat === 'fixed',
		...(subformat === 'fixed' && {fileSize: dataOffset + blocks * blockSize}),
		blockSize,
		chunkRatio,
		blocks,
		size,
		padding: size - request.size,
		logicalSectorSize,
		physicalSectorSize,
		log,
		metadata,
		bat,
		dataOffset,
		diskId: deriveGuid(id, 'vhdx disk'),
		fileWriteGuid: deriveGuid(id, 'vhdx file write'),
		dataWriteGuid: deriveGuid(id, 'vhdx data write'),
		shared,
	};
}
