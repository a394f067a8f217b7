import {ascii, bits64, guid, struct, u16, u32, u64} from '../../src/core/bytes/layout.ts';

/** [MS-VHDX] v20180912, "Virtual Hard Disk v2 (VHDX) File Format", as data. Section numbers are that document's. */

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const TIB = MIB * MIB;

// 2.2 Header section: five structures, each at a multiple of 64 KiB, within the first MiB.

export const HEADER_SECTION_SIZE = 1 * MIB;
export const FILE_IDENTIFIER_OFFSET = 0;
export const HEADER_OFFSETS = [64 * KIB, 128 * KIB] as const;
export const REGION_TABLE_OFFSETS = [192 * KIB, 256 * KIB] as const;

/** 2.2.1 */
export const FileIdentifier = struct('file identifier', 520, {
	signature: ascii(0, 8),
});
export const FILE_SIGNATURE = 'vhdxfile';
export const CREATOR_OFFSET = 8;
/** UTF-16 units, the terminator included. */
export const CREATOR_UNITS = 256;

/** 2.2.2; the checksum covers all 4 KiB. */
export const Header = struct('header', 4 * KIB, {
	signature: ascii(0, 4),
	checksum: u32(4),
	sequenceNumber: bits64(8),
	fileWriteGuid: guid(16),
	dataWriteGuid: guid(32),
	logGuid: guid(48),
	logVersion: u16(64),
	version: u16(66),
	logLength: u32(68),
	logOffset: u64(72),
});
export const HEADER_SIGNATURE = 'head';
export const FORMAT_VERSION = 1;
export const LOG_VERSION = 0;

/** 2.2.3: 64 KiB, covered by the checksum as a whole. */
export const REGION_TABLE_SIZE = 64 * KIB;
export const RegionTableHeader = struct('region table header', 16, {
	signature: ascii(0, 4),
	checksum: u32(4),
	entryCount: u32(8),
});
export const REGION_TABLE_SIGNATURE = 'regi';
/** The specification's own limit: as many as fit. */
export const MAX_REGION_ENTRIES = 2047;

export const RegionTableEntry = struct('region table entry', 32, {
	guid: guid(0),
	fileOffset: u64(16),
	length: u32(24),
	flags: u32(28),
});
export const REGION_REQUIRED = 1;
export const BAT_REGION = '2dc27766-f623-4200-9d64-115e9bfd4a08';
export const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e';
/** Regions, the log and blocks lie at multiples of it. */
export const REGION_ALIGNMENT = 1 * MIB;

// 2.3 Log

export const LOG_SECTOR_SIZE = 4 * KIB;
/** 2.3.1.1 */
export const LogEntryHeader = struct('log entry header', 64, {
	signature: ascii(0, 4),
	checksum: u32(4),
	entryLength: u32(8),
	tail: u32(12),
	sequenceNumber: bits64(16),
	descriptorCount: u32(24),
	logGuid: guid(32),
	flushedFileOffset: bits64(48),
	lastFileOffset: bits64(56),
});
export const LOG_ENTRY_SIGNATURE = 'loge';

/** 2.3.1.2 and 2.3.1.3: two kinds of one size, told apart by their signature. */
export const ZeroDescriptor = struct('zero descriptor', 32, {
	signature: ascii(0, 4),
	zeroLength: bits64(8),
	fileOffset: bits64(16),
	sequenceNumber: bits64(24),
});
export const DataDescriptor = struct('data descriptor', 32, {
	signature: ascii(0, 4),
	fileOffset: bits64(16),
	sequenceNumber: bits64(24),
});
export const ZERO_DESCRIPTOR_SIGNATURE = 'zero';
export const DATA_DESCRIPTOR_SIGNATURE = 'desc';
/** The bytes of the sector that the data sector's own fields displace. */
export const TRAILING_BYTES = {offset: 4, size: 4} as const;
export const LEADING_BYTES = {offset: 8, size: 8} as const;

/** 2.3.1.4: 4084 bytes of data between its fields. */
export const DataSector = struct('data sector', 4 * KIB, {
	signature: ascii(0, 4),
	sequenceHigh: u32(4),
	sequenceLow: u32(4092),
});
export const DATA_SECTOR_SIGNATURE = 'data';
/** Nothing below it is ever logged: the file identifier and the headers are written in place. */
export const FIRST_LOGGED_OFFSET = REGION_TABLE_OFFSETS[0];
/**
 * Of a log that has to be replayed. The specification allows 4 GiB; Hyper-V and qemu write 1 MiB. What is replayed is
 * held in memory: one full of zero descriptors takes 1 s and 140 MiB at this size, four times that at 64 MiB.
 */
export const MAX_LOG_LENGTH = 16 * MIB;

// 2.5 BAT

export const BAT_ENTRY_SIZE = 8;
export const BAT_STATE_MASK = 7;
/** 2.5.1.1; 4 and 5 do not exist. */
export const BlockState = {
	notPresent: 0,
	undefined: 1,
	zero: 2,
	unmapped: 3,
	fullyPresent: 6,
	partiallyPresent: 7,
} as const;
/** 2.5.1.2; the only other state is 0, not present. */
export const BITMAP_PRESENT = 6;
/** 2.4.2: one sector bitmap block is 1 MiB and speaks of 2^23 sectors, which make one chunk. */
export const SECTOR_BITMAP_SIZE = 1 * MIB;
export const SECTORS_PER_CHUNK = 2 ** 23;

// 2.6 Metadata region

/** 2.6.1 */
export const METADATA_TABLE_SIZE = 64 * KIB;
export const MetadataTableHeader = struct('metadata table header', 32, {
	signature: ascii(0, 8),
	entryCount: u16(10),
});
export const METADATA_SIGNATURE = 'metadata';
/** The specification's own limit: as many as fit. */
export const MAX_METADATA_ENTRIES = 2047;
/** The specification's own limit on one item. */
export const MAX_METADATA_ITEM_SIZE = 1 * MIB;

/** 2.6.1.2; `offset` counts from the start of the metadata region. */
export const MetadataTableEntry = struct('metadata table entry', 32, {
	itemId: guid(0),
	offset: u32(16),
	length: u32(20),
	flags: u32(24),
});
export const METADATA_IS_USER = 1;
export const METADATA_IS_VIRTUAL_DISK = 2;
export const METADATA_IS_REQUIRED = 4;

/** 2.6.2 */
export const ItemId = {
	fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
	virtualDiskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
	virtualDiskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
	logicalSectorSize: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
	physicalSectorSize: 'cda348c7-445d-4471-9cc9-e9885251c556',
	parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const;
export type ItemName = keyof typeof ItemId;

/** Seen in files of Hyper-V, outside the specification: a required one can be refused by name. */
export const OTHER_ITEM_NAMES: ReadonlyMap<string, string> = new Map([
	['da02d7bc-3d3a-423c-ac88-2a36ab21479b', 'CHS parameters'],
	['71cc85f0-1b69-4e28-9558-c3bf83ae75d3', 'incomplete file'],
	['10e1ae8a-4b7e-4169-a40f-cd70de928393', 'persistent memory label storage area'],
]);

/** 2.6.2.1 */
export const FileParameters = struct('file parameters', 8, {
	blockSize: u32(0),
	flags: u32(4),
});
export const LEAVE_BLOCKS_ALLOCATED = 1;
export const HAS_PARENT = 2;
export const MIN_BLOCK_SIZE = 1 * MIB;
export const MAX_BLOCK_SIZE = 256 * MIB;

/** 2.6.2.2 to 2.6.2.5: single values. */
export const VirtualDiskSize = struct('virtual disk size', 8, {bytes: u64(0)});
export const VirtualDiskId = struct('virtual disk id', 16, {id: guid(0)});
export const SectorSize = struct('sector size', 4, {bytes: u32(0)});
/** The specification's own limit. */
export const MAX_DISK_SIZE = 64 * TIB;

/** 2.6.2.6; offsets in the entries count from the start of the item. */
export const ParentLocatorHeader = struct('parent locator header', 20, {
	type: guid(0),
	keyValueCount: u16(18),
});
export const ParentLocatorEntry = struct('parent locator entry', 12, {
	keyOffset: u32(0),
	valueOffset: u32(4),
	keyLength: u16(8),
	valueLength: u16(10),
});
export const VHDX_PARENT_LOCATOR = 'b04aefb7-d19e-4a81-b789-25b8e9445913';
/** Five keys are known. Values may overlap, so that only a cap on their number bounds the text. */
export const MAX_LOCATOR_ENTRIES = 256;
/** Hyper-V stops at 50 checkpoints; every link holds an open file. */
export const MAX_CHAIN_DEPTH = 256;
