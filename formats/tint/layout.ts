import {bits64, bytes, struct, u16, u32, u64, u8} from '../../src/core/bytes/layout.ts';

// Section numbers are those of SPEC.md.

/** 3: the first eight bytes of every file: not text, and damaged by every kind of line-ending conversion. */
export const MAGIC = Uint8Array.of(0x89, 0x54, 0x49, 0x4e, 0x54, 0x0d, 0x0a, 0x1a);
export const VERSION = 1;

/** 3: header, root slot 0 and root slot 1 have a block each, so that a torn write hits one of them. */
export const BLOCK = 4096;
export const ROOT_SLOTS = [BLOCK, 2 * BLOCK] as const;
/** 4: where the first frame that is not a root may lie. */
export const FIRST_FRAME = 3 * BLOCK;
/** What is read of a file first: an encrypted one has its run frame and its key table behind the slots. */
export const FIRST_READ = 4 * BLOCK;

/** 3: file header. */
export const Header = struct('file header', 256, {
	magic: bytes(0, 8),
	version: u32(8),
	headerLength: u32(12),
	incompatible: bits64(16),
	imageId: bytes(24, 16),
	size: u64(40),
	chunkSize: u32(48),
	logicalSectorSize: u32(52),
	physicalSectorSize: u32(56),
	pageEntries: u32(60),
	created: u64(64),
	checksum: u32(252),
});

export const MIN_CHUNK_SIZE = 64 * 1024;
/** 3: a reader decodes a whole chunk for any byte of it, so larger ones would only hurt. */
export const MAX_CHUNK_SIZE = 1024 * 1024;
/** 14: half of it would double the index, twice as much halves the speed of small reads for 1 % of the size. */
export const DEFAULT_CHUNK_SIZE = 128 * 1024;

export const MIN_PAGE_ENTRIES = 256;
/** 6: 64 KiB for an index page, 128 KiB for a page of hashes: the most that one lookup may have to read. */
export const MAX_PAGE_ENTRIES = 4096;
/** 16 KiB: small enough for random reads over disks whose index does not fit into the cache. */
export const DEFAULT_PAGE_ENTRIES = 1024;

/** 4: frame header. */
export const FRAME_MAGIC = 0x4d_52_46_74;
export const Frame = struct('frame header', 64, {
	magic: u32(0),
	type: u8(4),
	codec: u8(5),
	level: u8(6),
	reserved: u8(7),
	storedLength: u32(8),
	plainLength: u32(12),
	run: u32(16),
	number: u32(20),
	subject: u64(24),
	imageId: bytes(32, 16),
	payloadChecksum: u32(48),
	checksum: u32(60),
});
export const FRAME_SIZE = Frame.size;

/** 4: frames start at multiples of this; references count in it. */
export const FRAME_ALIGNMENT = 16;

export const FrameType = {
	chunk: 1,
	indexPage: 2,
	hashPage: 3,
	metadata: 4,
	fileTable: 5,
	keyTable: 6,
	root: 7,
	run: 8,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** 5: reference. */
export const REFERENCE_SIZE = 16;

/** 5.1: chunk states. */
export const ChunkState = {
	zero: 0,
	data: 1,
	fill: 2,
	free: 3,
	excluded: 4,
	unreadable: 5,
	inherited: 6,
	mixed: 7,
} as const;
export type ChunkState = (typeof ChunkState)[keyof typeof ChunkState];

/** 5.2: bytes of the disk that one byte of a mixed chunk's map tells of. */
export const MAP_UNIT = 512;

/** 7: root record: the payload of a root frame. */
export const Root = struct('root record', BLOCK - FRAME_SIZE, {
	// Never encrypted.
	sequence: u64(0),
	incompatible: bits64(8),
	compatible: bits64(16),
	autoclear: bits64(24),
	keyTable: bytes(32, REFERENCE_SIZE),
	runSalt: bytes(48, 32),
	header: bytes(128, Header.size),
	// Encrypted with bit 0.
	index: bytes(384, REFERENCE_SIZE),
	hashes: bytes(400, REFERENCE_SIZE),
	metadata: bytes(416, REFERENCE_SIZE),
	fileTable: bytes(432, REFERENCE_SIZE),
	size: u64(448),
	contentId: bytes(512, 32),
	contentRoot: bytes(544, 32),
	fileSize: u64(576),
	chunksDone: u64(584),
	finished: u64(592),
	storedBytes: u64(600),
	nextFrame: u32(608),
});

/** 7: how many chunks have each state: u64 by state number. */
export const ROOT_STATES_OFFSET = 640;
export const STATE_COUNT = 16;

/** 7.1: incompatible features by bit. */
export const INCOMPATIBLE = ['encrypted', 'streamed', 'chained', 'unfinished'] as const;
export const ENCRYPTED = 1n;
export const STREAMED = 2n;
export const CHAINED = 4n;
export const UNFINISHED = 8n;

/** 7.1: autoclear features by bit. */
export const CONTENT_HASHES = 1n;

/** 8: a table's payload at most, stored or plain; it bounds what a reader allocates. */
export const MAX_METADATA = 8 * 1024 * 1024;
/** 9: an entry of the file table. */
export const FileTableEntry = struct('entry of the file table', 128, {
	imageId: bytes(0, 16),
	run: u32(16),
	flags: u16(20),
	end: u64(24),
	contentId: bytes(32, 32),
	runSalt: bytes(64, 32),
});
/** 9: bit 0 of the flags. */
export const PARENT_FLAG = 1;
/** 9: file numbers have 16 bits. */
export const MAX_FILES = 65_535;
/** Files of a chain that are opened: each costs a descriptor for as long as the image is open. */
export const MAX_OPEN_FILES = 255;

/** 8: free text, so that it cannot fill a terminal. */
export const MAX_COMMENT = 65_536;
/** 8: entries of each list that a reader takes; the lists are for people. */
export const MAX_METADATA_ENTRIES = 65_536;
/** 8: runs of unreadable bytes that a writer lists; the index has all of them. */
export const MAX_UNREADABLE_RUNS = 1024;

/** Memory of the table that finds identical chunks: 2.8 million of them, 350 GiB at 128 KiB each. */
export const MAX_DEDUP_BYTES = 128 * 1024 * 1024;
