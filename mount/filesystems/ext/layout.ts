import {bytes, i32, struct, u16, u32, u8} from '../../../src/core/bytes/layout.ts';

/**
 * The on-disk format of ext2, ext3 and ext4 as data. Sections are the pages of the kernel's
 * Documentation/filesystems/ext4/ (super.rst, group_descr.rst, inodes.rst, ifork.rst, directory.rst, attributes.rst).
 * Everything is little-endian.
 */

/** super.rst: the primary superblock lies here, whatever the block size. */
export const SUPERBLOCK_POSITION = 1024;
export const SUPERBLOCK_MAGIC = 0xef53;

export const SuperblockLayout = struct('superblock', 1024, {
	inodesCount: u32(0x0),
	blocksCountLow: u32(0x4),
	freeBlocksCountLow: u32(0xc),
	freeInodesCount: u32(0x10),
	firstDataBlock: u32(0x14),
	logBlockSize: u32(0x18),
	logClusterSize: u32(0x1c),
	blocksPerGroup: u32(0x20),
	clustersPerGroup: u32(0x24),
	inodesPerGroup: u32(0x28),
	magic: u16(0x38),
	state: u16(0x3a),
	creatorOs: u32(0x48),
	revLevel: u32(0x4c),
	firstInode: u32(0x54),
	inodeSize: u16(0x58),
	blockGroupNumber: u16(0x5a),
	featureCompat: u32(0x5c),
	featureIncompat: u32(0x60),
	featureRoCompat: u32(0x64),
	uuid: bytes(0x68, 16),
	volumeName: bytes(0x78, 16),
	reservedGdtBlocks: u16(0xce),
	journalUuid: bytes(0xd0, 16),
	journalInode: u32(0xe0),
	lastOrphan: u32(0xe8),
	hashSeed: bytes(0xec, 16),
	journalBackupType: u8(0xfd),
	descriptorSize: u16(0xfe),
	firstMetaGroup: u32(0x104),
	journalBackup: bytes(0x10c, 68),
	blocksCountHigh: u32(0x150),
	freeBlocksCountHigh: u32(0x158),
	flags: u32(0x160),
	logGroupsPerFlex: u8(0x174),
	checksumType: u8(0x175),
	overheadClusters: u32(0x248),
	backupGroup0: u32(0x24c),
	backupGroup1: u32(0x250),
	checksumSeed: u32(0x270),
	orphanFileInode: u32(0x280),
	checksum: u32(0x3fc),
});

/** super.rst, s_state. */
export const State = {clean: 0x1, errors: 0x2} as const;
/** super.rst, s_flags: how the directory hash takes bytes above 127. */
export const SuperblockFlag = {signedHash: 0x1, unsignedHash: 0x2} as const;
/** super.rst, s_rev_level: revision 0 has fixed inode sizes and no feature fields of its own. */
export const REVISION_ORIGINAL = 0;
export const CREATOR_LINUX = 0;
export const CHECKSUM_CRC32C = 1;

/** Revision 0 values of fields that came with revision 1. */
export const ORIGINAL_INODE_SIZE = 128;
export const ORIGINAL_FIRST_INODE = 11;

/** super.rst, s_jnl_backup_type. */
export const JOURNAL_BACKUP_BLOCKS = 1;

/** 64 KiB blocks are the largest of the format (s_log_block_size 6). */
export const MAX_LOG_BLOCK_SIZE = 6;
/** Clusters reach 512 MiB (s_log_cluster_size 19); the kernel allows no more than 2^30 bytes. */
export const MAX_LOG_CLUSTER_SIZE = 20;
/** The sizes that mke2fs and resize2fs write when 64bit is set lie between these. */
export const MIN_DESCRIPTOR_SIZE_64BIT = 64;
export const DESCRIPTOR_SIZE = 32;
/** Groups in which sparse_super puts copies, in the order in which they are tried. */
export const BACKUP_GROUPS = [1, 3, 5, 7, 9, 25, 27, 49] as const;
/** mke2fs -g: the smallest group, and what its size is a multiple of. */
export const MIN_BLOCKS_PER_GROUP = 256;
export const BLOCKS_PER_GROUP_STEP = 8;

/** group_descr.rst. The high halves exist when a descriptor has 64 bytes or more. */
export const GroupDescriptorLayout = struct('group descriptor', 64, {
	blockBitmapLow: u32(0x0),
	inodeBitmapLow: u32(0x4),
	inodeTableLow: u32(0x8),
	freeClustersLow: u16(0xc),
	freeInodesLow: u16(0xe),
	flags: u16(0x12),
	blockBitmapChecksumLow: u16(0x18),
	checksum: u16(0x1e),
	blockBitmapHigh: u32(0x20),
	inodeBitmapHigh: u32(0x24),
	inodeTableHigh: u32(0x28),
	freeClustersHigh: u16(0x2c),
	freeInodesHigh: u16(0x2e),
	blockBitmapChecksumHigh: u16(0x38),
});
export const GroupFlag = {inodeUninit: 0x1, blockUninit: 0x2} as const;

/**
 * Descriptors looked at when a file system is opened, so that damage is told at once; 1024 groups are 128 GiB at
 * 4 KiB per block and took 4 to 24 ms. Later ones are checked when they are used.
 */
export const DESCRIPTORS_CHECKED_AT_OPEN = 1024;
/** Descriptors kept parsed: 16384 groups are 2 TiB at 4 KiB per block and a few MiB of memory. */
export const MAX_CACHED_DESCRIPTORS = 16_384;
/** A flex group larger than this is not searched for foreign metadata; its uninitialised groups count as in use. */
export const MAX_FLEX_GROUP = 1024;

/** inodes.rst. Fields from `extraSize` on exist in inodes above 128 bytes, as far as `extraSize` reaches. */
export const InodeLayout = struct('inode', 160, {
	mode: u16(0x0),
	uidLow: u16(0x2),
	sizeLow: u32(0x4),
	accessTime: i32(0x8),
	changeTime: i32(0xc),
	modificationTime: i32(0x10),
	deletionTime: u32(0x14),
	gidLow: u16(0x18),
	linksCount: u16(0x1a),
	blocksLow: u32(0x1c),
	flags: u32(0x20),
	block: bytes(0x28, 60),
	generation: u32(0x64),
	fileAclLow: u32(0x68),
	sizeHigh: u32(0x6c),
	blocksHigh: u16(0x74),
	fileAclHigh: u16(0x76),
	uidHigh: u16(0x78),
	gidHigh: u16(0x7a),
	checksumLow: u16(0x7c),
	extraSize: u16(0x80),
	checksumHigh: u16(0x82),
	changeTimeExtra: u32(0x84),
	modificationTimeExtra: u32(0x88),
	accessTimeExtra: u32(0x8c),
	creationTime: i32(0x90),
	creationTimeExtra: u32(0x94),
});
/** The part of an inode that every revision has. */
export const INODE_CORE_SIZE = 128;
/** Where `i_block` lies and how long it is. */
export const INODE_BLOCK_OFFSET = 0x28;
export const INODE_BLOCK_SIZE = 60;

export const InodeFlag = {
	encrypted: 0x800,
	index: 0x1000,
	hugeFile: 0x4_0000,
	extents: 0x8_0000,
	eaInode: 0x20_0000,
	inlineData: 0x1000_0000,
	casefold: 0x4000_0000,
} as const;

export const ROOT_INODE = 2;

/** orphans.rst, `ext4_orphan_block_tail`. */
export const OrphanTailLayout = struct('orphan block tail', 8, {magic: u32(0)});
export const ORPHAN_MAGIC = 0x0b10_ca04;
/** The kernel takes no larger file of orphans. */
export const MAX_ORPHAN_FILE_SIZE = 8 << 20;
/** Deleted files that are counted; each costs a read. A server that crashed had some thousands open at most. */
export const MAX_ORPHANS = 100_000;

/** Inodes kept parsed in each of two generations: 730 bytes each, so 6 MiB. */
export const MAX_CACHED_INODES = 4096;
/** Runs kept in each of two generations: 16 bytes each, so 8 MiB. */
export const MAX_CACHED_RUNS = 262_144;

/** ifork.rst, extent tree. */
export const EXTENT_MAGIC = 0xf30a;
export const ExtentHeaderLayout = struct('extent header', 12, {
	magic: u16(0),
	entries: u16(2),
	max: u16(4),
	depth: u16(6),
});
/** Both kinds of entry, `ext4_extent_idx` and `ext4_extent`, begin with a logical block. */
export const ExtentIndexLayout = struct('extent index', 12, {block: u32(0), leafLow: u32(4), leafHigh: u16(8)});
export const ExtentLayout = struct('extent', 12, {block: u32(0), length: u16(4), startHigh: u16(6), startLow: u32(8)});
export const EXTENT_ENTRY_SIZE = 12;
/** Lengths above this mark an extent that is reserved but was never written. */
export const MAX_INITIALISED_LENGTH = 32_768;
/** ifork.rst: 4 * (((blockSize - 12) / 12) ^ 5) >= 2^32, so no valid tree is deeper. */
export const MAX_EXTENT_DEPTH = 5;
/** Logical blocks of a file are 32-bit numbers. */
export const MAX_LOGICAL_BLOCKS = 2 ** 32;

/** ifork.rst, direct and indirect blocks. */
export const DIRECT_BLOCKS = 12;

/** directory.rst. */
export const DirectoryEntryLayout = struct('directory entry', 8, {
	inode: u32(0),
	recordLength: u16(4),
	nameLength: u8(6),
	fileType: u8(7),
});
export const DIRECTORY_ENTRY_HEADER = 8;
export const MIN_RECORD_LENGTH = 12;
export const MAX_NAME_LENGTH = 255;
/** The pseudo entry that carries a leaf block's checksum. */
export const DIRECTORY_TAIL_SIZE = 12;
export const DIRECTORY_TAIL_TYPE = 0xde;
/** An inline directory begins with its parent's inode number instead of `.` and `..`. */
export const INLINE_DIRECTORY_START = 4;

/** directory.rst, hash tree. */
export const HashTreeRootLayout = struct('hash tree root', 40, {
	reservedZero: u32(24),
	hashVersion: u8(28),
	infoLength: u8(29),
	indirectLevels: u8(30),
});
export const HASH_TREE_ROOT_ENTRIES = 32;
export const HASH_TREE_NODE_ENTRIES = 8;
export const HASH_TREE_INFO_LENGTH = 8;
export const HASH_TREE_ENTRY_SIZE = 8;
/** The upper bits of a block number in the tree are reserved. */
export const HASH_TREE_BLOCK_MASK = 0x0fff_ffff;
/** Index levels below the root; one more with the largedir feature. */
export const MAX_HASH_TREE_LEVELS = 1;
export const MAX_HASH_TREE_LEVELS_LARGEDIR = 2;

export const HashVersion = {
	legacy: 0,
	halfMd4: 1,
	tea: 2,
	legacyUnsigned: 3,
	halfMd4Unsigned: 4,
	teaUnsigned: 5,
} as const;

/** attributes.rst. */
export const ATTRIBUTE_MAGIC = 0xea02_0000;
export const AttributeBlockLayout = struct('attribute block', 32, {
	magic: u32(0),
	blocks: u32(8),
	checksum: u32(16),
});
export const AttributeEntryLayout = struct('attribute entry', 16, {
	nameLength: u8(0),
	nameIndex: u8(1),
	valueOffset: u16(2),
	valueInode: u32(4),
	valueSize: u32(8),
});
/** Names of one casefolded directory that are kept folded: some 40 MiB. Longer ones are searched each time. */
export const MAX_FOLDED_NAMES = 262_144;
/** The kernel passes no larger attribute through (XATTR_SIZE_MAX). */
export const MAX_ATTRIBUTE_SIZE = 65_536;

/** attributes.rst, e_name_index. Indexes that are missing belong to the file system itself and are not shown. */
export const ATTRIBUTE_PREFIXES: Readonly<Record<number, string>> = {
	1: 'user.',
	2: 'system.posix_acl_access',
	3: 'system.posix_acl_default',
	4: 'trusted.',
	6: 'security.',
	7: 'system.',
	8: 'system.richacl',
	10: 'gnu.',
};
export const ATTRIBUTE_INDEX_SYSTEM = 7;
export const ATTRIBUTE_INDEX_ACL_ACCESS = 2;
export const ATTRIBUTE_INDEX_ACL_DEFAULT = 3;
/** The attribute that continues inline data. */
export const INLINE_DATA_NAME = 'data';

/** attributes.rst, POSIX ACLs: a short form on disk, and what getxattr(2) gives. */
export const ACL_DISK_VERSION = 1;
export const ACL_ATTRIBUTE_VERSION = 2;
export const AclTag = {user: 0x2, group: 0x8} as const;
export const ACL_NO_ID = 0xffff_ffff;

/** Metadata is kept in pages of this size: one page holds 256 inodes of 256 bytes, or 16 blocks of 4 KiB. */
export const METADATA_PAGE_SIZE = 65_536;
/** 4 MiB of pages for each open file system. */
export const METADATA_PAGES = 64;

/** Multiplies like i_blocks: in sectors of this size unless the inode says otherwise. */
export const SECTOR = 512;
