/**
 * FAT12, FAT16 and FAT32 as data. Sections are those of Microsoft's "FAT: General Overview of On-Disk Format",
 * version 1.03; long names are its section on long directory entries.
 */
import {ascii, bytes, struct, u16, u32, u8} from '../../../src/core/bytes/layout.ts';
import type {ChainRules} from '../../../src/core/cluster-chain.ts';

/** Boot sector and BIOS parameter block, the part that all types share. */
export const BootSector = struct('boot sector', 512, {
	jump: u8(0),
	jumpEnd: u8(2),
	oemName: ascii(3, 8),
	bytesPerSector: u16(11),
	sectorsPerCluster: u8(13),
	reservedSectors: u16(14),
	numberOfFats: u8(16),
	rootEntries: u16(17),
	totalSectors16: u16(19),
	media: u8(21),
	fatSize16: u16(22),
	totalSectors32: u32(32),
	signature: u16(510),
});

/** What follows on FAT12 and FAT16. */
export const BootSector16 = struct('boot sector', 512, {
	flags: u8(37),
	bootSignature: u8(38),
	serial: u32(39),
	label: bytes(43, 11),
	typeName: ascii(54, 8),
});

/** What follows on FAT32. */
export const BootSector32 = struct('boot sector', 512, {
	fatSize32: u32(36),
	extFlags: u16(40),
	version: u16(42),
	rootCluster: u32(44),
	fsInfoSector: u16(48),
	backupBootSector: u16(50),
	flags: u8(65),
	bootSignature: u8(66),
	serial: u32(67),
	label: bytes(71, 11),
	typeName: ascii(82, 8),
});

export const BOOT_SECTOR_SIZE = 512;
/** Reads as 55 AA. */
export const BOOT_SIGNATURE = 0xaa55;
/** `bootSignature`: a serial number follows; with 0x29 a label and a type name too. */
export const SERIAL_FOLLOWS = 0x28;
export const LABEL_FOLLOWS = 0x29;
/** `flags` bit 0: mounted, or not unmounted cleanly (Windows NT and later). */
export const FLAG_DIRTY = 0x01;
/** `extFlags`: bit 7 says that only the FAT of bits 0-3 is kept up to date. */
export const MIRRORING_OFF = 0x80;
export const ACTIVE_FAT = 0x0f;
/** The sector that the specification recommends for the backup; all known formatters use it. */
export const BACKUP_BOOT_SECTOR = 6;
/** What a label field holds when there is no label. */
export const NO_LABEL = 'NO NAME';
/** OEM names of volumes that are something else. */
export const FOREIGN_OEM_NAMES: readonly string[] = ['NTFS    ', 'EXFAT   ', '-FVE-FS-'];
/** Type names (at the place of FAT16's) of volumes with a FAT-like boot sector that are something else. */
export const FOREIGN_TYPE_NAMES: readonly string[] = ['HPFS    ', 'NTFS    '];
/** The GUID 4967d63b-2e29-4ad8-8399-f6a339e3d001 as stored: a BitLocker To Go discovery volume. */
export const TO_GO_POSITION = 424;
export const TO_GO_GUID = [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 1];

/** Every legal sector size. */
export const SECTOR_SIZES: readonly number[] = [512, 1024, 2048, 4096];
/** mkfs.fat writes at most 4; more is a sign of something else. */
export const MAX_FATS = 4;
/** 0xF0 and 0xF8 to 0xFF are the legal media bytes. */
export const MEDIA_REMOVABLE = 0xf0;
export const MEDIA_LEAST_FIXED = 0xf8;
/** Most clusters of FAT12: with one more it is FAT16 (section on FAT type determination). */
export const MAX_CLUSTERS_12 = 4084;
export const MAX_CLUSTERS_16 = 65_524;
/** Entries are 28 bits wide, 0x0FFFFFF7 means bad, and two numbers are not used. */
export const MAX_CLUSTERS_32 = 0x0fff_fff5;
/** The number of the first cluster. */
export const FIRST_CLUSTER = 2;

/** Entries of the table, brought to FAT32's range for every type. */
export const ENTRY_MASK = 0x0fff_ffff;
export const ENTRY_FREE = 0;
export const ENTRY_BAD = 0x0fff_fff7;
export const ENTRY_END = 0x0fff_fff8;
export const CHAIN_RULES: ChainRules = {name: 'fat', bad: ENTRY_BAD, end: ENTRY_END};
/** Entry 1, bit for "unmounted cleanly"; FAT12 has none. */
export const CLEAN_16 = 0x8000;
export const CLEAN_32 = 0x0800_0000;

/** Section "FSInfo sector structure". */
export const FsInfo = struct('FSInfo', 512, {
	leadSignature: u32(0),
	structSignature: u32(484),
	freeCount: u32(488),
	trailSignature: u32(508),
});
export const FSINFO_LEAD = 0x4161_5252;
export const FSINFO_STRUCT = 0x6141_7272;
export const FSINFO_TRAIL = 0xaa55_0000;

/** Floppies of DOS 1 have no parameter block: their size and the media byte in the FAT say it all. */
export const DOS1_FLOPPIES = [
	{size: 163_840, media: 0xfe, sectorsPerCluster: 1, rootEntries: 64, fatSize: 1},
	{size: 184_320, media: 0xfc, sectorsPerCluster: 1, rootEntries: 64, fatSize: 2},
	{size: 327_680, media: 0xff, sectorsPerCluster: 2, rootEntries: 112, fatSize: 1},
	{size: 368_640, media: 0xfd, sectorsPerCluster: 2, rootEntries: 112, fatSize: 2},
] as const;

export const ENTRY_SIZE = 32;

/** Section "FAT directory structure". */
export const ShortEntry = struct('directory entry', ENTRY_SIZE, {
	name: bytes(0, 11),
	attributes: u8(11),
	/** Windows NT: which parts of the name were lower case. */
	caseFlags: u8(12),
	createdTens: u8(13),
	createdTime: u16(14),
	createdDate: u16(16),
	accessedDate: u16(18),
	/** FAT32 only; OS/2 keeps something else here on FAT12 and FAT16. */
	firstClusterHigh: u16(20),
	modifiedTime: u16(22),
	modifiedDate: u16(24),
	firstClusterLow: u16(26),
	size: u32(28),
});

/** Section "FAT long directory entries". */
export const LongEntry = struct('long directory entry', ENTRY_SIZE, {
	order: u8(0),
	attributes: u8(11),
	checksum: u8(13),
});

export const NAME_SIZE = 11;
export const BASE_SIZE = 8;
/** First byte of a name: nothing here and behind; deleted; stands for 0xE5. */
export const NAME_END = 0x00;
export const NAME_DELETED = 0xe5;
export const NAME_E5 = 0x05;
export const ATTRIBUTE_READ_ONLY = 0x01;
export const ATTRIBUTE_VOLUME = 0x08;
export const ATTRIBUTE_DIRECTORY = 0x10;
/** An entry with all of read-only, hidden, system and volume among these six bits is part of a long name. */
export const ATTRIBUTE_LONG_NAME = 0x0f;
export const ATTRIBUTE_LONG_NAME_MASK = 0x3f;
export const CASE_LOWER_BASE = 0x08;
export const CASE_LOWER_EXTENSION = 0x10;
/** `order` of the last part of a long name, which is stored first. */
export const LAST_LONG_ENTRY = 0x40;
export const LONG_ORDER_MASK = 0x3f;
/** Where the UTF-16 units of one part lie. */
export const LONG_UNIT_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;
/** 20 parts of 13 units hold 255 units and the NUL. */
export const MAX_LONG_ENTRIES = 20;
export const MAX_LONG_UNITS = 255;

/** The specification allows 65,536 entries; a longer chain is damage. */
export const MAX_DIRECTORY_SIZE = 65_536 * ENTRY_SIZE;
/** Bytes of a directory read at once: one page, since most directories are short and most visits stop early. */
export const DIRECTORY_BLOCK = 4096;

/** Bytes in which `..` is looked for. It belongs into the second slot, but damaged volumes have it behind others. */
export const PARENT_SEARCH = 512;

/** FAT pages: 16 KiB hold all of FAT12's table, so that none of its entries lies across two. */
export const TABLE_PAGE = 16_384;
/** 1 MiB in all: the table of a 1 GiB volume with 4 KiB clusters. */
export const TABLE_PAGES = 64;
/** Entries looked at to find how far free or used space reaches, per call. */
export const ALLOCATED_LOOKAHEAD = 65_536;
/** Names kept in all for look-ups: two names for each entry of the largest directory. */
export const MAX_INDEXED_NAMES = 131_072;
export const MAX_INDEXED_DIRECTORIES = 64;
