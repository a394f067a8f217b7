import {bytes, struct, u16, u16be, u32, u32be, u8} from '../../../../src/core/bytes/layout.ts';

/** The on-disk format of the journal (jbd2) as data: journal.rst. Everything but fast commits is big-endian. */

export const JOURNAL_MAGIC = 0xc03b_3998;

/** journal.rst, block header. */
export const BlockHeaderLayout = struct('journal block header', 12, {
	magic: u32be(0x0),
	blockType: u32be(0x4),
	sequence: u32be(0x8),
});
export const BlockType = {descriptor: 1, commit: 2, superblockV1: 3, superblockV2: 4, revoke: 5} as const;

/** journal.rst, super block. Fields from `featureCompat` on are those of version 2. */
export const JournalSuperblockLayout = struct('journal superblock', 1024, {
	magic: u32be(0x0),
	blockType: u32be(0x4),
	blockSize: u32be(0xc),
	maxLength: u32be(0x10),
	first: u32be(0x14),
	sequence: u32be(0x18),
	start: u32be(0x1c),
	errorNumber: u32be(0x20),
	featureCompat: u32be(0x24),
	featureIncompat: u32be(0x28),
	uuid: bytes(0x30, 16),
	checksumType: u8(0x50),
	fastCommitBlocks: u32be(0x54),
	checksum: u32be(0xfc),
});
export const CompatibleFeature = {checksum: 0x1} as const;
export const IncompatibleFeature = {
	revoke: 0x1,
	'64bit': 0x2,
	asyncCommit: 0x4,
	checksumV2: 0x8,
	checksumV3: 0x10,
	fastCommit: 0x20,
} as const;
export const KNOWN_INCOMPATIBLE = 0x3f;
/** journal.rst, jbd2_checksum_type. */
export const ChecksumType = {crc32: 1, crc32c: 4} as const;
export const CHECKSUM_SIZE = 4;

/** journal.rst, descriptor block: `journal_block_tag_s`. The upper half of the number is there with 64bit alone. */
export const TagLayout = struct('journal block tag', 12, {
	blockLow: u32be(0x0),
	checksum: u16be(0x4),
	flags: u16be(0x6),
	blockHigh: u32be(0x8),
});
/** `journal_block_tag3_s`, with checksums of version 3. All flags are in the lower half of its field. */
export const Tag3Layout = struct('journal block tag', 16, {
	blockLow: u32be(0x0),
	flags: u16be(0x6),
	blockHigh: u32be(0x8),
	checksum: u32be(0xc),
});
/** Without 64bit; with it the tag has 4 bytes more. */
export const TAG_SIZE = 8;
export const TAG_SIZE_64BIT = 4;
/** Version 2 puts its checksums into the tag's own field and yet makes the tag 2 bytes longer. */
export const TAG_SIZE_CHECKSUM_V2 = 2;
export const TAG_UUID_SIZE = 16;
export const TagFlag = {escape: 0x1, sameUuid: 0x2, last: 0x8} as const;
/** `jbd2_journal_block_tail`: the checksum at the end of descriptors and revocation blocks, with versions 2 and 3. */
export const BLOCK_TAIL_SIZE = 4;

/** journal.rst, revocation block. */
export const RevokeHeaderLayout = struct('journal revocation block', 16, {count: u32be(0xc)});

/** journal.rst, commit block. */
export const CommitLayout = struct('journal commit block', 64, {
	checksumType: u8(0xc),
	checksumSize: u8(0xd),
	checksum: u32be(0x10),
	secondsHigh: u32be(0x30),
	secondsLow: u32be(0x34),
});

/** Blocks at the end of the log for fast commits, where the superblock does not say. */
export const DEFAULT_FAST_COMMIT_BLOCKS = 256;
/** A log shorter than this gives no blocks away to fast commits. */
export const MIN_JOURNAL_BLOCKS = 1024;

/** mke2fs makes no longer journal. */
export const MAX_JOURNAL_BLOCKS = 10_240_000;
/**
 * Blocks that transactions may hold, before later ones replace earlier ones: 8 GiB at 4 KiB per block, and 40 MiB of
 * memory while they are sorted. mke2fs gives the largest file systems journals of 1 GiB. A longer log is replayed so far.
 */
export const MAX_LOGGED_BLOCKS = 2 ** 21;
/** Descriptors, revocations and commits that are read: 4 GiB of blocks of 4 KiB, a second or two. */
export const MAX_CONTROL_BLOCKS = 2 ** 20;
/** Revocations that are compared with what was logged: some seconds. A log of 1 GiB of nothing else has 2^27. */
export const MAX_REVOCATIONS = 2 ** 25;

/** journal.rst, fast commits: tags of variable length, little-endian, as the file system itself. */
export const FastTagLayout = struct('fast commit tag', 4, {tag: u16(0), length: u16(2)});
export const FastTag = {
	addRange: 1,
	deleteRange: 2,
	create: 3,
	link: 4,
	unlink: 5,
	inode: 6,
	padding: 7,
	tail: 8,
	head: 9,
} as const;
export const FastHeadLayout = struct('fast commit head', 8, {features: u32(0), transaction: u32(4)});
export const FastTailLayout = struct('fast commit tail', 8, {transaction: u32(0), checksum: u32(4)});
/** Both kinds of range, `ext4_fc_add_range` and `ext4_fc_del_range`; the former goes on with an extent. */
export const FastRangeLayout = struct('fast commit range', 12, {inode: u32(0), block: u32(4), count: u32(8)});
export const FAST_RANGE_EXTENT = 4;
export const FAST_ADD_RANGE_SIZE = 16;
/** `ext4_fc_dentry_info`, before the name. */
export const FastEntryLayout = struct('fast commit entry', 8, {parent: u32(0), inode: u32(4)});
/** `ext4_fc_inode`, before the inode. */
export const FAST_INODE_SIZE = 4;

/** Tags that are applied: the kernel's area of 256 blocks has room for 65,536 of 16 bytes. */
export const MAX_FAST_TAGS = 65_536;
/** Runs of a file that fast commits change; each of its tags walks them. */
export const MAX_FAST_RUNS = 8192;
