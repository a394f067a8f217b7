import {ascii, bytes, struct, u16be, u32be, u64be, u8} from '../../src/core/bytes/layout.ts';

/** "Virtual Hard Disk Image Format Specification", version 1.0 (October 2006), as data. All numbers are big-endian. */

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** Places in the file, and the sizes of disks, count in sectors of this many bytes; there are no others. */
export const SECTOR_SIZE = 512;

// "Hard Disk Footer Format"

/** At the end of every file, and at the start of those that have a table. */
export const FOOTER_SIZE = 512;
/** What Virtual PC wrote before 2004: the last reserved byte is missing. */
export const OLD_FOOTER_SIZE = 511;
export const Footer = struct('hard disk footer', FOOTER_SIZE, {
	cookie: ascii(0, 8),
	features: u32be(8),
	version: u32be(12),
	timestamp: u32be(24),
	creator: ascii(28, 4),
	creatorVersion: u32be(32),
	hostSystem: ascii(36, 4),
	cylinders: u16be(56),
	heads: u8(58),
	sectorsPerTrack: u8(59),
	diskType: u32be(60),
	checksum: u32be(64),
	uniqueId: bytes(68, 16),
	savedState: u8(84),
});
/** Of fixed disks, all ones: so it is read where it is needed, and nowhere else. */
export const DATA_OFFSET = u64be(16);
export const ORIGINAL_SIZE = u64be(40);
export const CURRENT_SIZE = u64be(48);
export const FOOTER_COOKIE = 'conectix';
export const FEATURE_TEMPORARY = 1;
/** "This bit must always be set to 1." */
export const FEATURE_RESERVED = 2;
/** Of footers and of dynamic disk headers. A new major version is another format. */
export const FORMAT_VERSION = 0x1_0000;
/** Seconds from 1970 to 2000, where the time stamps begin. */
export const EPOCH_2000 = 946_684_800;

export const DiskType = {fixed: 2, dynamic: 3, differencing: 4} as const;

/**
 * Whose disks are as large as their geometry says: with Virtual PC and Virtual Server the machine sees no more, and
 * qemu writes both alike. Hyper-V (`win `), Disk2vhd (`d2v`), XenServer (`tap`), XenConvert (`CTXS`), Azure (`wa`),
 * qemu with `force_size` (`qem2`) and VirtualBox (`vbox`) mean the current size.
 */
export const GEOMETRY_CREATORS: ReadonlySet<string> = new Set(['vpc ', 'vs  ', 'qemu']);
/** The largest geometry: it says no more than that the disk is at least as large. */
export const MAX_CYLINDERS = 65_535;
export const MAX_HEADS = 16;
export const MAX_SECTORS_PER_TRACK = 255;

// "Dynamic Disk Header Format"

export const DynamicHeader = struct('dynamic disk header', 1024, {
	cookie: ascii(0, 8),
	tableOffset: u64be(16),
	version: u32be(24),
	maxTableEntries: u32be(28),
	blockSize: u32be(32),
	checksum: u32be(36),
	parentId: bytes(40, 16),
	parentTimestamp: u32be(56),
});
export const DYNAMIC_HEADER_COOKIE = 'cxsparse';
/** Points nowhere: all ones. */
export const NEXT_OFFSET = {offset: 8, size: 8} as const;
/** UTF-16. */
export const PARENT_NAME = {offset: 64, units: 256} as const;

export const ParentLocator = struct('parent locator', 24, {
	platformCode: ascii(0, 4),
	/** "Number of 512-byte sectors", says the specification; Windows, XenServer and all others write bytes. */
	dataSpace: u32be(4),
	dataLength: u32be(8),
	dataOffset: u64be(16),
});
export const PARENT_LOCATORS = {offset: 576, count: 8} as const;
/** Bytes of the longest path of Windows: 32,767 UTF-16 units. */
export const MAX_LOCATOR_LENGTH = 64 * KIB;
/** Hyper-V stops at 50 checkpoints; every link holds an open file. */
export const MAX_CHAIN_DEPTH = 256;

/** The least is one sector; the most is what a power of two in 32 bits can be, since blocks are never held in memory. */
export const MIN_BLOCK_SIZE = 512;

// "Block Allocation Table and Data Blocks"

export const BAT_ENTRY_SIZE = 4;
export const BAT_UNUSED = 0xffff_ffff;
/** What a block's place, in sectors, can be at most. */
export const MAX_PLACE = BAT_UNUSED - 1;

/**
 * Of a BAT in which overlapping blocks are looked for at opening: what the largest disk has with blocks of 512 KiB. It
 * takes 0.1 s and 50 MiB; smaller blocks on such disks are not known to exist.
 */
export const MAX_CHECKED_ENTRIES = 2 ** 22 + 2 ** 12;

/** The specification's own limit for disks with a table. */
export const MAX_DISK_SIZE = 2040 * GIB;
/** For reading. A fixed disk can be larger than the specification says; no writer is known that makes such. */
export const MAX_READABLE_SIZE = 64 * 1024 * GIB;
