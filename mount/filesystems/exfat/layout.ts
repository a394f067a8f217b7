/** exFAT as data. Sections are those of Microsoft's "exFAT file system specification", revision 1.00. */
import {ascii, bytes, guid, struct, u16, u32, u64, u8} from '../../../src/core/bytes/layout.ts';
import type {ChainRules} from '../../../src/core/cluster-chain.ts';

/** Section 3.1: the first 512 bytes of the boot region. Offsets and lengths count sectors. */
export const BootSector = struct('boot sector', 512, {
	fileSystemName: ascii(3, 8),
	mustBeZero: bytes(11, 53),
	volumeLength: u64(72),
	fatOffset: u32(80),
	fatLength: u32(84),
	clusterHeapOffset: u32(88),
	clusterCount: u32(92),
	rootCluster: u32(96),
	serial: u32(100),
	minorRevision: u8(104),
	majorRevision: u8(105),
	volumeFlags: u16(106),
	bytesPerSectorShift: u8(108),
	sectorsPerClusterShift: u8(109),
	numberOfFats: u8(110),
	signature: u16(510),
});

export const BOOT_SECTOR_SIZE = 512;
export const FILE_SYSTEM_NAME = 'EXFAT   ';
/** Reads as 55 AA. */
export const BOOT_SIGNATURE = 0xaa55;
/** Section 3: sectors of a boot region. The last one repeats the checksum of those in front of it. */
export const REGION_SECTORS = 12;
export const CHECKSUM_SECTOR = 11;
/** Section 3.4: volume flags and percent in use, which the checksum leaves out. */
export const UNCHECKED_BYTES: readonly number[] = [106, 107, 112];
/** Both boot regions lie in front of the FAT. */
export const LEAST_FAT_OFFSET = 24;
/** Section 3.1.13. */
export const VolumeFlag = {activeFat: 1, dirty: 2, mediaFailure: 4} as const;
/** Section 3.1.12: other major revisions shall not be mounted. */
export const MAJOR_REVISION = 1;
/** Section 3.1.14: 512 to 4096 bytes. */
export const LEAST_SECTOR_SHIFT = 9;
export const MOST_SECTOR_SHIFT = 12;
export const SECTOR_SIZES: readonly number[] = [512, 1024, 2048, 4096];
/** Section 3.1.15: 32 MiB. */
export const MOST_CLUSTER_SHIFT = 25;
/** Section 3.1.9. */
export const MAX_CLUSTERS = 2 ** 32 - 11;
export const MAX_FATS = 2;

/** Other file systems' marks: a volume with one of them is no damaged exFAT, whatever its sector 12 says. */
export const FOREIGN_SIGNATURES: readonly {readonly at: number; readonly bytes: readonly number[]}[] = [
	{at: 3, bytes: [0x4e, 0x54, 0x46, 0x53]}, // NTFS
	{at: 3, bytes: [0x2d, 0x46, 0x56, 0x45, 0x2d]}, // -FVE-, BitLocker
	{at: 3, bytes: [0x52, 0x65, 0x46, 0x53]}, // ReFS
	{at: 54, bytes: [0x46, 0x41, 0x54]}, // FAT12, FAT16
	{at: 82, bytes: [0x46, 0x41, 0x54]}, // FAT32
	{at: 0, bytes: [0x58, 0x46, 0x53, 0x42]}, // XFSB
	{at: 0, bytes: [0x4c, 0x55, 0x4b, 0x53]}, // LUKS
	{at: 0, bytes: [0x68, 0x73, 0x71, 0x73]}, // squashfs
	{at: 32, bytes: [0x4e, 0x58, 0x53, 0x42]}, // NXSB, APFS
	{at: 0x200, bytes: [0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54]}, // EFI PART
	{at: 0x200, bytes: [0x4c, 0x41, 0x42, 0x45, 0x4c, 0x4f, 0x4e, 0x45]}, // LABELONE, LVM
	{at: 0x400, bytes: [0x48, 0x2b]}, // H+
	{at: 0x400, bytes: [0x48, 0x58]}, // HX
	{at: 0x438, bytes: [0x53, 0xef]}, // ext
	{at: 0x8001, bytes: [0x43, 0x44, 0x30, 0x30, 0x31]}, // CD001
	{at: 0x1_0040, bytes: [0x5f, 0x42, 0x48, 0x52, 0x66, 0x53]}, // _BHRfS, Btrfs
];

/** The number of the first cluster. */
export const FIRST_CLUSTER = 2;
/** Section 4.1. */
export const FAT_ENTRY_SIZE = 4;
/** Section 4.1.1: what stands above the media type. */
export const MEDIA_ONES = 0xff_ffff;
export const CHAIN_RULES: ChainRules = {name: 'exfat', bad: 0xffff_fff7, end: 0xffff_fff8};

/** Section 6.2: what all directory entries are. */
export const ENTRY_SIZE = 32;
/** Section 6.2.1. */
export const END_OF_DIRECTORY = 0x00;
export const EntryBit = {benign: 0x20, secondary: 0x40, inUse: 0x80} as const;
/** Section 7. */
export const EntryType = {
	allocationBitmap: 0x81,
	upcaseTable: 0x82,
	volumeLabel: 0x83,
	file: 0x85,
	volumeGuid: 0xa0,
	streamExtension: 0xc0,
	fileName: 0xc1,
} as const;

/** Section 6.3: the part of a primary entry that says what belongs to it. */
export const PrimaryEntry = struct('directory entry', ENTRY_SIZE, {
	secondaryCount: u8(1),
	setChecksum: u16(2),
});
/** The set checksum leaves itself out (section 6.3.3). */
export const SET_CHECKSUM_AT = 2;
/** Section 6.3.2: a primary entry and at most 255 more. */
export const MAX_SET_ENTRIES = 256;

/** Section 7.1. */
export const BitmapEntry = struct('allocation bitmap entry', ENTRY_SIZE, {
	flags: u8(1),
	firstCluster: u32(20),
	dataLength: u64(24),
});
/** `flags`: 1 for the bitmap that goes with the second FAT. */
export const SECOND_BITMAP = 1;

/** Section 7.2. */
export const UpcaseEntry = struct('up-case table entry', ENTRY_SIZE, {
	checksum: u32(4),
	firstCluster: u32(20),
	dataLength: u64(24),
});
/** One unit for each that UTF-16 has. */
export const UPCASE_UNITS = 0x1_0000;
/** Section 7.2.5: introduces a count of units that stay as they are. */
export const UPCASE_RUN = 0xffff;
/** A table that is not compressed; compressing never makes it longer. */
export const MAX_UPCASE_SIZE = UPCASE_UNITS * 2;

/** Section 7.3. */
export const LabelEntry = struct('volume label entry', ENTRY_SIZE, {
	count: u8(1),
});
export const LABEL_AT = 2;
/** The specification reserves what is behind 11 units; exfatprogs before 1.2 filled it. */
export const MAX_LABEL_UNITS = 15;

/** Section 7.5. */
export const GuidEntry = struct('volume GUID entry', ENTRY_SIZE, {
	secondaryCount: u8(1),
	setChecksum: u16(2),
	volumeGuid: guid(6),
});

/** Section 7.4. */
export const FileEntry = struct('file entry', ENTRY_SIZE, {
	attributes: u16(4),
	createdTime: u16(8),
	createdDate: u16(10),
	modifiedTime: u16(12),
	modifiedDate: u16(14),
	accessedTime: u16(16),
	accessedDate: u16(18),
	createdTens: u8(20),
	modifiedTens: u8(21),
	createdOffset: u8(22),
	modifiedOffset: u8(23),
	accessedOffset: u8(24),
});
export const FileAttribute = {readOnly: 0x01, directory: 0x10} as const;
/** Section 7.4.10: quarters of an hour in seven bits, and whether they are known. */
export const OFFSET_VALID = 0x80;
export const OFFSET_UNIT_SECONDS = 900;

/** Section 7.6. */
export const StreamEntry = struct('stream extension entry', ENTRY_SIZE, {
	flags: u8(1),
	nameLength: u8(3),
	nameHash: u16(4),
	validDataLength: u64(8),
	firstCluster: u32(20),
	dataLength: u64(24),
});
/** Section 6.4.2. */
export const StreamFlag = {allocationPossible: 1, noFatChain: 2} as const;

/** Section 7.7: units of the name in one file name entry, and where they start. */
export const NAME_UNITS = 15;
export const NAME_AT = 2;

/** Section 7.6.7: 256 MiB. The root has no recorded length, and gets the same limit. */
export const MAX_DIRECTORY_SIZE = 2 ** 28;
/** Bytes of a directory read at once: one page, since most directories are short and most visits stop early. */
export const DIRECTORY_BLOCK = 4096;

/** Bytes of the FAT in one page. */
export const TABLE_PAGE = 16_384;
/** 1 MiB in all: the FAT of a 32 GiB volume with 128 KiB clusters, whole. */
export const TABLE_PAGES = 64;
/** Bytes of the allocation bitmap read at once: 131,072 clusters. */
export const BITMAP_PAGE = 16_384;

/** Names kept in all for look-ups; directories with more are searched from their start each time. */
export const MAX_INDEXED_NAMES = 131_072;
export const MAX_INDEXED_DIRECTORIES = 64;
/** Directories whose parents are remembered, since nothing on disk leads upwards. */
export const MAX_KNOWN_PARENTS = 65_536;
/** Directories looked at to find a parent: as many as fit into 96 MB of the set that remembers them. */
export const MAX_SEARCHED_DIRECTORIES = 1_000_000;
