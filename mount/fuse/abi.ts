import {bits64, i32, struct, u16, u32, u64} from '../../src/core/bytes/layout.ts';

/**
 * The kernel's FUSE protocol, linux/fuse.h 7.38, and STATX from 7.39: structures under their own names without `fuse_`.
 * Every structure is padded to 8 bytes; numbers are in the machine's order, which is little-endian wherever Node runs.
 */

export const KERNEL_VERSION = 7;
export const KERNEL_MINOR_VERSION = 39;

/** The wire's id of the root. */
export const ROOT_ID = 1;

export const InHeader = struct('in_header', 40, {
	len: u32(0),
	opcode: u32(4),
	unique: bits64(8),
	nodeid: u64(16),
	uid: u32(24),
	gid: u32(28),
	pid: u32(32),
	totalExtlen: u16(36),
});

export const OutHeader = struct('out_header', 16, {
	len: u32(0),
	error: i32(4),
	unique: bits64(8),
});

export const InitIn = struct('init_in', 64, {
	major: u32(0),
	minor: u32(4),
	maxReadahead: u32(8),
	flags: u32(12),
	flags2: u32(16),
});

export const InitOut = struct('init_out', 64, {
	major: u32(0),
	minor: u32(4),
	maxReadahead: u32(8),
	flags: u32(12),
	maxBackground: u16(16),
	congestionThreshold: u16(18),
	maxWrite: u32(20),
	timeGran: u32(24),
	maxPages: u16(28),
	mapAlignment: u16(30),
	flags2: u32(32),
});

/** init_in.flags and init_out.flags; only those that a read-only server can use. */
export const InitFlag = {
	asyncRead: 1 << 0,
	exportSupport: 1 << 4,
	doReaddirplus: 1 << 13,
	readdirplusAuto: 1 << 14,
	asyncDio: 1 << 15,
	noOpenSupport: 1 << 17,
	parallelDirops: 1 << 18,
	posixAcl: 1 << 20,
	abortError: 1 << 21,
	maxPages: 1 << 22,
	cacheSymlinks: 1 << 23,
	noOpendirSupport: 1 << 24,
	explicitInvalData: 1 << 25,
} as const;

/** Times are signed; their seconds are written by `writeSeconds`. */
export const Attr = struct('attr', 88, {
	ino: u64(0),
	size: u64(8),
	blocks: u64(16),
	atime: bits64(24),
	mtime: bits64(32),
	ctime: bits64(40),
	atimensec: u32(48),
	mtimensec: u32(52),
	ctimensec: u32(56),
	mode: u32(60),
	nlink: u32(64),
	uid: u32(68),
	gid: u32(72),
	rdev: u32(76),
	blksize: u32(80),
	flags: u32(84),
});

/** Followed by `attr`. */
export const EntryOut = struct('entry_out', 128, {
	nodeid: u64(0),
	generation: u64(8),
	entryValid: u64(16),
	attrValid: u64(24),
	entryValidNsec: u32(32),
	attrValidNsec: u32(36),
});
export const ENTRY_OUT_ATTR = 40;

/** Followed by `attr`. */
export const AttrOut = struct('attr_out', 104, {
	attrValid: u64(0),
	attrValidNsec: u32(8),
});
export const ATTR_OUT_ATTR = 16;

/** `statx_out` with the `statx` inside it. */
export const StatxOut = struct('statx_out', 288, {
	attrValid: u64(0),
	attrValidNsec: u32(8),
	flags: u32(12),
	mask: u32(32),
	blksize: u32(36),
	attributes: bits64(40),
	nlink: u32(48),
	uid: u32(52),
	gid: u32(56),
	mode: u16(60),
	ino: u64(64),
	size: u64(72),
	blocks: u64(80),
	attributesMask: bits64(88),
	atime: bits64(96),
	atimensec: u32(104),
	btime: bits64(112),
	btimensec: u32(120),
	ctime: bits64(128),
	ctimensec: u32(136),
	mtime: bits64(144),
	mtimensec: u32(152),
	rdevMajor: u32(160),
	rdevMinor: u32(164),
});

/** statx_out.mask (linux/stat.h). */
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;

export const OpenOut = struct('open_out', 16, {
	fh: u64(0),
	openFlags: u32(8),
});

export const OpenFlag = {keepCache: 1 << 1, cacheDir: 1 << 3} as const;

export const ReadIn = struct('read_in', 40, {
	fh: u64(0),
	offset: u64(8),
	size: u32(16),
	readFlags: u32(20),
	flags: u32(32),
});

export const GetxattrIn = struct('getxattr_in', 8, {size: u32(0)});
export const GetxattrOut = struct('getxattr_out', 8, {size: u32(0)});

export const LseekIn = struct('lseek_in', 24, {
	fh: u64(0),
	offset: u64(8),
	whence: u32(16),
});
export const LseekOut = struct('lseek_out', 8, {offset: u64(0)});
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export const StatfsOut = struct('kstatfs', 80, {
	blocks: u64(0),
	bfree: u64(8),
	bavail: u64(16),
	files: u64(24),
	ffree: u64(32),
	bsize: u32(40),
	namelen: u32(44),
	frsize: u32(48),
});

/** Followed by the name; the next record starts at a multiple of 8. */
export const Dirent = struct('dirent', 24, {
	ino: u64(0),
	off: u64(8),
	namelen: u32(16),
	type: u32(20),
});
export const DIRENT_ALIGNMENT = 8;

/** File type bits of st_mode; `type` of a dirent is the same, shifted down by 12. */
export const FileType = {
	fifo: 0o010000,
	'character-device': 0o020000,
	directory: 0o040000,
	'block-device': 0o060000,
	file: 0o100000,
	symlink: 0o120000,
	socket: 0o140000,
} as const;

/** FUSE_NAME_LOW_MAX: the kernel fails a whole directory that holds a longer name. */
export const LONGEST_NAME = 1024;
/** PATH_MAX without its NUL: the kernel takes no longer symlink. */
export const LONGEST_LINK = 4095;
/** XATTR_SIZE_MAX, which is XATTR_LIST_MAX too. */
export const LARGEST_ATTRIBUTE = 65_536;

/** Bytes that one READ may ask for: 256 pages, the kernel's own limit (fs.fuse.max_pages_limit). */
export const LARGEST_READ = 1 << 20;
export const PAGES_PER_READ = 256;
/** Nothing is ever written, so the least that the kernel takes; it sets the least size of the request buffer. */
export const LARGEST_WRITE = 4096;
/** Holds the longest request that may come: a write of 4 KiB, an xattr of 64 KiB with its name. */
export const REQUEST_BUFFER = 1 << 17;
