/**
 * NTFS as data. Section names are those of libfsntfs' "New Technologies File System (NTFS)"; all numbers are
 * little-endian.
 */
import {ascii, i8, struct, u8, u16, u32, u64} from '../../../src/core/bytes/layout.ts';

/** "The volume header": the first sector, with a copy in the sector behind the last cluster. */
export const BootSector = struct('NTFS boot sector', 512, {
	signature: ascii(3, 8),
	bytesPerSector: u16(11),
	/** Up to 128 a count; above, 2 to the power of 256 minus the value. */
	sectorsPerCluster: u8(13),
	totalSectors: u64(40),
	mftCluster: u64(48),
	mirrorCluster: u64(56),
	/** Positive: clusters. Negative: 2 to that power, in bytes. */
	clustersPerRecord: i8(64),
	clustersPerIndexBlock: i8(68),
	serialLow: u32(72),
	serialHigh: u32(76),
	endMarker: u16(510),
});
export const BOOT_SIGNATURE = 'NTFS    ';
export const BOOT_END_MARKER = 0xaa55;
/** Where the copy lies, counted back from the end of the volume: one sector of either size. */
export const BACKUP_BOOT_OFFSETS = [512, 4096] as const;

export const SECTOR_SIZE_MIN = 256;
export const SECTOR_SIZE_MAX = 4096;
/** Windows 10 formats up to 2 MiB. */
export const CLUSTER_SIZE_MAX = 2 ** 21;
/** Counts above this in `sectorsPerCluster` are powers. */
export const SECTORS_PER_CLUSTER_COUNT_MAX = 128;
export const RECORD_SIZE_MIN = 512;
/** 1024 and 4096 are what exists; a cluster of an old volume may be one record. */
export const RECORD_SIZE_MAX = 16_384;
export const INDEX_BLOCK_SIZE_MIN = 512;
/** 4096 is what exists; large clusters may be one block. */
export const INDEX_BLOCK_SIZE_MAX = 65_536;
/** Subnode numbers count units of this size where a cluster is larger than an index block. */
export const INDEX_UNIT_SIZE = 512;

/** Other file systems' marks: a volume with one of them is not a damaged NTFS, whatever its last sector says. */
export const FOREIGN_SIGNATURES: readonly {readonly at: number; readonly bytes: readonly number[]}[] = [
	{at: 0x438, bytes: [0x53, 0xef]}, // ext
	{at: 3, bytes: [0x45, 0x58, 0x46, 0x41, 0x54]}, // EXFAT
	{at: 3, bytes: [0x2d, 0x46, 0x56, 0x45, 0x2d]}, // -FVE-, BitLocker
	{at: 3, bytes: [0x52, 0x65, 0x46, 0x53]}, // ReFS
	{at: 54, bytes: [0x46, 0x41, 0x54]}, // FAT12, FAT16
	{at: 82, bytes: [0x46, 0x41, 0x54]}, // FAT32
	{at: 0, bytes: [0x58, 0x46, 0x53, 0x42]}, // XFSB
	{at: 0, bytes: [0x4c, 0x55, 0x4b, 0x53]}, // LUKS
	{at: 0x400, bytes: [0x48, 0x2b]}, // H+
	{at: 32, bytes: [0x4e, 0x58, 0x53, 0x42]}, // NXSB, APFS
	{at: 0x1_0040, bytes: [0x5f, 0x42, 0x48, 0x52, 0x66, 0x53]}, // _BHRfS, Btrfs
	{at: 512, bytes: [0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54]}, // EFI PART
];

/** "MFT entry header". The header ends after `nextAttribute` where NTFS 3.0 or Linux' ntfs3 wrote it. */
export const FileRecord = struct('FILE record', 42, {
	signature: u32(0),
	fixupOffset: u16(4),
	fixupCount: u16(6),
	sequence: u16(16),
	links: u16(18),
	attributesOffset: u16(20),
	flags: u16(22),
	usedSize: u32(24),
	baseRecordLow: u32(32),
	baseRecordHigh: u16(36),
});
export const FILE_SIGNATURE = 0x454c_4946;
export const RecordFlag = {inUse: 1, directory: 2} as const;

/** "Attribute header", with the resident and the non-resident form. */
export const AttributeHeader = struct('attribute header', 16, {
	type: u32(0),
	/** The upper half of the 32-bit length was seen to hold remnants, and a record is smaller than 64 KiB. */
	length: u16(4),
	nonResident: u8(8),
	nameLength: u8(9),
	nameOffset: u16(10),
	flags: u16(12),
	instance: u16(14),
});
export const ResidentAttribute = struct('resident attribute', 24, {valueLength: u32(16), valueOffset: u16(20)});
export const NonResidentAttribute = struct('non-resident attribute', 64, {
	lowestVcn: u64(16),
	highestVcnLow: u32(24),
	highestVcnHigh: u32(28),
	runsOffset: u16(32),
	compressionUnit: u16(34),
	allocatedSize: u64(40),
	size: u64(48),
	initializedSize: u64(56),
});
/** The header where the attribute is compressed or sparse: what it really occupies, holes left out. */
export const TotalAllocated = struct('compressed attribute', 72, {allocatedSize: u64(64)});
export const AttributeFlag = {compressionMask: 0x00ff, lznt1: 0x0001, encrypted: 0x4000, sparse: 0x8000} as const;

export const AttributeType = {
	standardInformation: 0x10,
	attributeList: 0x20,
	fileName: 0x30,
	objectId: 0x40,
	securityDescriptor: 0x50,
	volumeName: 0x60,
	volumeInformation: 0x70,
	data: 0x80,
	indexRoot: 0x90,
	indexAllocation: 0xa0,
	bitmap: 0xb0,
	reparsePoint: 0xc0,
	extendedAttributes: 0xe0,
	end: 0xffff_ffff,
} as const;

/** "The standard information attribute"; the times are FILETIMEs. */
export const StandardInformation = struct('$STANDARD_INFORMATION', 36, {fileAttributes: u32(32)});
/** From NTFS 3.0 on. */
export const StandardSecurity = struct('$STANDARD_INFORMATION, version 3', 72, {securityId: u32(52)});
export const StandardTime = {created: 0, modified: 8, changed: 16, accessed: 24} as const;

export const FileAttribute = {
	readOnly: 0x1,
	system: 0x4,
	/** Only in what programs see. */
	shownDirectory: 0x10,
	normal: 0x80,
	reparsePoint: 0x400,
	offline: 0x1000,
	recallOnOpen: 0x4_0000,
	recallOnDataAccess: 0x40_0000,
	/** Only in $FILE_NAME. */
	directory: 0x1000_0000,
} as const;

/** "The attribute list entry header". */
export const AttributeListEntry = struct('$ATTRIBUTE_LIST entry', 26, {
	type: u32(0),
	length: u16(4),
	nameLength: u8(6),
	nameOffset: u8(7),
	lowestVcn: u64(8),
	recordLow: u32(16),
	recordHigh: u16(20),
	sequence: u16(22),
	instance: u16(24),
});
/** Windows' own limit, in bytes. */
export const ATTRIBUTE_LIST_MAX = 256 * 1024;

/** "The file name attribute", alone or as the key of an index entry. */
export const FileName = struct('$FILE_NAME', 66, {
	parentLow: u32(0),
	parentHigh: u16(4),
	parentSequence: u16(6),
	fileAttributes: u32(56),
	nameLength: u8(64),
	namespace: u8(65),
});
export const FILE_NAME_AT = 66;
export const NAMESPACE_DOS = 2;
export const NAMESPACE_WINDOWS_AND_DOS = 3;
/** UTF-16 units, the widest value of an 8-bit length. */
export const NAME_UNITS_MAX = 255;

/** "The index root header", with the node header behind it. */
export const IndexRoot = struct('$INDEX_ROOT', 32, {
	type: u32(0),
	collation: u32(4),
	blockSize: u32(8),
});
export const INDEX_ROOT_NODE_AT = 16;
export const COLLATION_FILE_NAME = 1;
/** "The index entry header", the block that $INDEX_ALLOCATION is made of. */
export const IndexBlock = struct('INDX block', 40, {signature: u32(0), vcn: u64(16)});
export const INDEX_SIGNATURE = 0x5844_4e49;
export const INDEX_BLOCK_NODE_AT = 24;
/** "The index node header"; offsets count from it. */
export const IndexNode = struct('index node header', 16, {entriesOffset: u32(0), usedSize: u32(4)});
/** "The index value". */
export const IndexEntry = struct('index entry', 16, {
	recordLow: u32(0),
	recordHigh: u16(4),
	sequence: u16(6),
	length: u16(8),
	keyLength: u16(10),
	flags: u16(12),
});
export const INDEX_KEY_AT = 16;
export const IndexEntryFlag = {subnode: 1, last: 2} as const;
export const DIRECTORY_INDEX = '$I30';

/** "The index value" of an index with keys other than names. */
export const ViewEntry = struct('view index entry', 16, {
	dataOffset: u16(0),
	dataLength: u16(2),
	length: u16(8),
	keyLength: u16(10),
	flags: u16(12),
});

/** "$Secure": descriptors in a stream, found by their number. The same header is the data of the index. */
export const SECURITY_STREAM = '$SDS';
export const SECURITY_ID_INDEX = '$SII';
/** `size` counts the header too. */
export const SecurityHeader = struct('security descriptor header', 20, {id: u32(4), offset: u64(8), size: u32(16)});
/** Bytes: descriptors lie within blocks of $SDS of this size. */
export const SECURITY_DESCRIPTOR_MAX = 2 ** 18;

/** "$ObjId": found by object id, the file reference and three more ids. */
export const OBJECT_ID_FILE = '$ObjId';
export const OBJECT_ID_INDEX = '$O';
export const OBJECT_ID_SIZE = 16;
export const ObjectIdIndexData = struct('$O data', 56, {});

/** "Reparse point". */
export const ReparsePoint = struct('reparse point', 8, {tag: u32(0), dataLength: u16(4)});
/** MAXIMUM_REPARSE_DATA_BUFFER_SIZE, in bytes. */
export const REPARSE_DATA_MAX = 16 * 1024;
export const ReparseTag = {
	mountPoint: 0xa000_0003,
	symbolicLink: 0xa000_000c,
	lxSymlink: 0xa000_001d,
	afUnix: 0x8000_0023,
	lxFifo: 0x8000_0024,
	lxCharacterDevice: 0x8000_0025,
	lxBlockDevice: 0x8000_0026,
	wof: 0x8000_0017,
	nfs: 0x8000_0014,
	appExecLink: 0x8000_001b,
	cloud: 0x9000_001a,
} as const;
/** The nibble in which the sixteen cloud tags differ. */
export const CLOUD_TAG_VARIANT = 0xf000;
/** Tags whose file content lies elsewhere or in another form, by the name Windows gives them. */
export const REPARSE_TAG_NAMES: ReadonlyMap<number, string> = new Map([
	[0xc000_0004, 'HSM (remote storage)'],
	[0x8000_0006, 'HSM2 (remote storage)'],
	[0x8000_0007, 'SIS (single instance store)'],
	[0x8000_0008, 'WIM (content in a WIM image)'],
	[0x8000_0009, 'CSV (cluster shared volume)'],
	[0x8000_000a, 'DFS'],
	[0x8000_0012, 'DFSR'],
	[0x8000_0013, 'DEDUP (Windows Server data deduplication)'],
	[0x8000_0014, 'NFS'],
	[0x8000_0015, 'FILE_PLACEHOLDER'],
	[0x8000_0017, 'WOF (compressed by the system)'],
	[0x8000_0018, 'WCI (Windows container isolation)'],
	[0x9000_1018, 'WCI (Windows container isolation)'],
	[0x8000_001b, 'APPEXECLINK (app execution alias)'],
	[0x9000_001c, 'PROJFS (projected file system)'],
	[0x8000_001e, 'STORAGE_SYNC (Azure file sync)'],
	[0x8000_0021, 'ONEDRIVE'],
	[0xa000_0019, 'GLOBAL_REPARSE'],
]);

/** [MS-FSCC] 2.1.2.6: what Windows' server for NFS keeps, by the number that the data starts with. */
export const NfsReparseData = struct('NFS reparse data', 8, {typeLow: u32(0), typeHigh: u32(4)});
export const NfsType = {
	symlink: 0x014b_4e4c,
	characterDevice: 0x0052_4843,
	blockDevice: 0x004b_4c42,
	fifo: 0x4f46_4946,
	socket: 0x4b43_4f53,
} as const;
export const NfsDevice = struct('NFS device', 16, {major: u32(8), minor: u32(12)});
/** An alias of a store app: texts in UTF-16, each with a NUL, behind a version; this one is the program's path. */
export const APP_EXEC_TEXTS_AT = 4;
export const APP_EXEC_TARGET = 2;

/** Symbolic links and mount points: where their names lie, counted from the reparse data. */
export const LinkNames = struct('link names', 8, {substituteOffset: u16(0), substituteLength: u16(2)});
export const MOUNT_POINT_NAMES_AT = 8;
export const SymbolicLinkFlags = struct('symbolic link flags', 12, {flags: u32(8)});
export const SYMBOLIC_LINK_NAMES_AT = 12;
export const SYMBOLIC_LINK_RELATIVE = 1;
/** A version word stands before the UTF-8 target of a WSL link. */
export const LX_SYMLINK_TARGET_AT = 4;

/** Reparse data of WOF: which provider holds the content, and for single files how it is compressed. */
export const WofReparseData = struct('WOF reparse data', 8, {version: u32(0), provider: u32(4)});
export const WofFileProvider = struct('WOF file provider data', 16, {algorithm: u32(12)});
/** The content is in a WIM file that the volume's list of overlays names by this number. */
export const WofWimProvider = struct('WOF WIM provider data', 24, {sourceLow: u32(16), sourceHigh: u32(20)});
export const WOF_PROVIDER_FILE = 2;
export interface WofAlgorithm {
	readonly title: string;
	readonly codec: 'xpress' | 'lzx';
	/** Plain bytes of every chunk but the last. */
	readonly chunkSize: number;
}
export const WOF_ALGORITHMS: readonly WofAlgorithm[] = [
	{title: 'XPRESS4K', codec: 'xpress', chunkSize: 4096},
	{title: 'LZX', codec: 'lzx', chunkSize: 32_768},
	{title: 'XPRESS8K', codec: 'xpress', chunkSize: 8192},
	{title: 'XPRESS16K', codec: 'xpress', chunkSize: 16_384},
];
/** The stream with the compressed content, which Windows hides. */
export const WOF_STREAM = 'WofCompressedData';
/** From this size on the offsets of chunks have 64 bits. */
export const WOF_WIDE_SIZE = 2 ** 32;

/** `\System Volume Information\WimOverlay.dat`, as wimlib documents it: header, entries, locations with a path behind. */
export const WIM_OVERLAY_PATH = ['System Volume Information', 'WimOverlay.dat'] as const;
export const WimOverlayHeader = struct('WimOverlay.dat header', 24, {magic: u32(0), entryCount: u32(12)});
export const WIM_OVERLAY_MAGIC = 0x6643_6f57;
export const WimOverlayEntry = struct('WimOverlay.dat entry', 40, {
	sourceLow: u32(0),
	sourceHigh: u32(4),
	locationOffset: u32(8),
	locationLength: u32(12),
});
export const WimOverlayLocation = struct('WimOverlay.dat location', 104, {});
/** Bytes; a volume has a few WIM files at most. */
export const WIM_OVERLAY_MAX = 2 ** 20;
export const WIM_OVERLAY_ENTRIES_MAX = 1024;

/** Interix files: a system file that starts with one of these, then a UTF-16 target or two 64-bit device numbers. */
export const INTERIX_MAGIC_SIZE = 8;
export const INTERIX_SYMLINK = 'IntxLNK\u0001';
export const INTERIX_CHARACTER_DEVICE = 'IntxCHR\0';
export const INTERIX_BLOCK_DEVICE = 'IntxBLK\0';
export const InterixDevice = struct('Interix device', 24, {major: u64(8), minor: u64(16)});
/** Magic and PATH_MAX UTF-16 units, in bytes. */
export const INTERIX_SIZE_MAX = INTERIX_MAGIC_SIZE + 2 * 4096;

/** "The extended attribute": entries of $EA; the name is followed by a NUL and the value. */
export const ExtendedAttribute = struct('$EA entry', 8, {next: u32(0), nameLength: u8(5), valueLength: u16(6)});
/** Windows' own limit, in bytes. */
export const EXTENDED_ATTRIBUTES_MAX = 64 * 1024;
/** Linux' own limit for the value of an extended attribute, in bytes. */
export const NODE_ATTRIBUTE_MAX = 65_536;
/** What the Windows Subsystem for Linux keeps there. */
export const LX_DEVICE_NAME = '$LXDEV';
export const LX_USER_NAME = '$LXUID';
export const LX_GROUP_NAME = '$LXGID';
export const LX_MODE_NAME = '$LXMOD';
export const LxNumber = struct('$LXUID, $LXGID, $LXMOD', 4, {number: u32(0)});
/** The type of a file above them is that of its reparse point. */
export const LX_PERMISSIONS = 0o7777;
export const LxDevice = struct('$LXDEV', 8, {major: u32(0), minor: u32(4)});

/** "Volume information". */
export const VolumeInformation = struct('$VOLUME_INFORMATION', 12, {major: u8(8), minor: u8(9), flags: u16(10)});
export const VOLUME_DIRTY = 1;
/** UTF-16 units of a label, times two; Windows writes 32 units at most. */
export const VOLUME_NAME_MAX = 256;
export const HIBERNATION_FILE = 'hiberfil.sys';
/** The first bytes of a hibernation file that Windows would resume from. */
export const HIBERNATED = ['hibr', 'HIBR'] as const;

/** "Metadata file: $LogFile", the restart page header; there are two such pages, the second at `pageSize`. */
export const RestartPage = struct('$LogFile restart page', 30, {
	signature: ascii(0, 4),
	pageSize: u32(16),
	areaOffset: u16(24),
});
export const RESTART_SIGNATURE = 'RSTR';
/** Pages of the systems that NTFS runs on; anything else is no restart page. */
export const RESTART_PAGE_SIZES = [4096, 8192, 16_384, 65_536] as const;
/** "The restart area". */
export const RestartArea = struct('$LogFile restart area', 16, {
	lastSequence: u64(0),
	firstClientInUse: u16(12),
	flags: u16(14),
});
/** Whoever closes the log leaves no client in it. */
export const NO_LOG_CLIENT = 0xffff;
export const LOG_CLEAN = 2;

/** Records with a fixed meaning. */
export const SystemRecord = {mft: 0, log: 2, volume: 3, root: 5, bitmap: 6, secure: 9, upcase: 10, extend: 11} as const;
/** Records below this are the file system's own and are not listed. */
export const FIRST_USER_RECORD = 24;
/** $MFTMirr holds at least so many records. */
export const MIRRORED_RECORDS = 4;
/** Records are named by 48 bits; node ids by 44. */
export const RECORD_LIMIT = 2 ** 44;
export const UPCASE_UNITS = 65_536;

/** Clusters of a compression unit, as a power of two, where the attribute leaves it out (seen from Windows XP). */
export const DEFAULT_COMPRESSION_UNIT = 4;
/** Bytes: Windows compresses only clusters up to 4 KiB, 16 to a unit; this leaves room for 64 KiB clusters. */
export const COMPRESSION_UNIT_MAX = 2 ** 20;

/** Runs of one attribute: more than a full attribute list can name (8,192 records of about 300 runs). */
export const RUNS_MAX = 2 ** 22;
/** Parts of $MFT's own run list: tens exist; each one costs a fresh look at all that came before. */
export const MFT_PLACES_MAX = 1024;
/** Levels of an index: 32 levels of two entries each exceed any volume. */
export const INDEX_DEPTH_MAX = 32;
/** Bytes of an index bitmap: 8 Mi blocks, a directory of more than 200 million names. */
export const INDEX_BITMAP_MAX = 2 ** 20;
/** Damaged blocks after which a directory is given up: a sparse, empty index could else keep a reader busy for hours. */
export const DAMAGED_BLOCKS_MAX = 1024;
/** A Windows path has at most 32,767 units, so at most half as many levels. */
export const PATH_DEPTH_MAX = 16_384;

/** Bytes of $MFT read at once: neighbours come for free. */
export const MFT_BLOCK_SIZE = 65_536;
/** 16 MiB: 16,384 records, so that a directory of that many names is walked without reading twice. */
export const MFT_BLOCKS = 256;
/** Parsed records that are kept. */
export const INODES_MAX = 1024;
/** Bytes of run lists and index bitmaps that parsed records may hold together. */
export const INODES_WEIGHT_MAX = 2 ** 26;
/** Bytes of index blocks that are kept. */
export const INDEX_CACHE_SIZE = 2 ** 21;
/** Compression units that are kept decoded. */
export const DECODED_UNITS = 8;
/** Chunks compressed by the system that are kept decoded, each up to 32 KiB: 8 MiB at most. */
export const WOF_CACHED_CHUNKS = 256;
/** Bytes of compressed chunks that are read at once: what a mount's largest read asks for needs less. */
export const WOF_PACKED_MAX = 2 ** 18;
/** Bytes of chunk offsets read at once: those of 4 MiB of content in the smallest chunks. */
export const WOF_TABLE_BLOCK = 4096;
/** Bytes of $Bitmap read at once: the state of 2 GiB with 4 KiB clusters. */
export const BITMAP_BLOCK_SIZE = 65_536;
