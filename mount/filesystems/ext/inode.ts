import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt} from '../../../src/core/error.ts';
import type {NodeType, Timestamp} from '../../../src/core/file-system.ts';
import {inodeChecksumSeed} from './checksums.ts';
import * as layout from './layout.ts';
import type {RunWindow} from './runs.ts';
import type {Superblock} from './superblock.ts';

const {fields} = layout.InodeLayout;

/** Content that lies in the inode itself: in `i_block`, and beyond that in an attribute's value. */
export interface InlineData {
	readonly content: Uint8Array;
	/** Where the bytes beyond `i_block` lie in the volume. */
	readonly restPosition: number;
}

/** One inode, as far as every operation needs it. */
export interface Inode {
	readonly number: number;
	/** Where it lies in the volume, in bytes. */
	readonly position: number;
	readonly type: NodeType;
	readonly mode: number;
	readonly links: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	readonly allocated: number;
	readonly flags: number;
	readonly accessed: Timestamp;
	readonly modified: Timestamp;
	readonly changed: Timestamp;
	readonly created: Timestamp | undefined;
	/** `i_block`: pointers, an extent tree's root, a short symlink's target, a device number, or inline data. */
	readonly block: Uint8Array;
	/** Bytes of the fields beyond the first 128; attributes begin behind them. */
	readonly extraSize: number;
	/** The block with extended attributes; 0 without. */
	readonly attributeBlock: number;
	/** The checksum register from which its own blocks go on. */
	readonly checksumSeed: number;
	/** What is known of where its content lies; filled as it is read. */
	readonly windows: RunWindow[];
	inline: InlineData | undefined;
}

const TYPES: Readonly<Record<number, NodeType>> = {
	0x1000: 'fifo',
	0x2000: 'character-device',
	0x4000: 'directory',
	0x6000: 'block-device',
	0x8000: 'file',
	0xa000: 'symlink',
	0xc000: 'socket',
};

/** `bytes` holds the inode alone and is changed; `view` is over it. Throws `corrupt`. */
export function parseInode(
	superblock: Superblock,
	number: number,
	position: number,
	bytes: Uint8Array,
	view: DataView,
): Inode {
	const where = {node: number, position, structure: 'inode'};
	const generation = fields.generation.read(view, 0);
	const extraSize = superblock.inodeSize > layout.INODE_CORE_SIZE ? fields.extraSize.read(view, 0) : 0;
	const inodeSeed = superblock.hasChecksums ? inodeChecksumSeed(superblock.checksumSeed, number, generation) : 0;
	const mode = fields.mode.read(view, 0);
	const links = fields.linksCount.read(view, 0);
	if (mode === 0 && links === 0) throw corrupt('ext/inode-unused', `inode ${number} is not in use`, where);
	if (extraSize > superblock.inodeSize - layout.INODE_CORE_SIZE || extraSize % 4 !== 0) {
		throw corrupt('ext/inode-extra-size', `inode ${number} has ${extraSize} extra bytes`, where);
	}
	if (superblock.hasChecksums && superblock.createdByLinux && !checksumMatches(bytes, view, extraSize, inodeSeed)) {
		throw corrupt('ext/inode-checksum', `inode ${number} does not match its checksum`, where);
	}
	const type = TYPES[mode & 0xf000];
	if (type === undefined) {
		throw corrupt('ext/inode-mode', `inode ${number} has mode 0${mode.toString(8)}`, {...where, field: 'i_mode'});
	}

	const flags = fields.flags.read(view, 0);
	const wideSize = type === 'file' || superblock.names.has('large_dir');
	const size = fields.sizeLow.read(view, 0) + (wideSize ? fields.sizeHigh.read(view, 0) * WORD : 0);
	if (!Number.isSafeInteger(size) || size > maxFileSize(superblock.blockSize, flags)) {
		throw corrupt('ext/inode-size', `inode ${number} claims ${size} bytes`, {...where, field: 'i_size_high'});
	}
	return {
		number,
		position,
		type,
		mode: mode & 0o7777,
		links,
		uid: fields.uidLow.read(view, 0) + fields.uidHigh.read(view, 0) * 0x1_0000,
		gid: fields.gidLow.read(view, 0) + fields.gidHigh.read(view, 0) * 0x1_0000,
		size,
		allocated: readAllocated(superblock, view, flags),
		flags,
		accessed: readTime(view, fields.accessTime.read(view, 0), fields.accessTimeExtra.offset, extraSize),
		modified: readTime(view, fields.modificationTime.read(view, 0), fields.modificationTimeExtra.offset, extraSize),
		changed: readTime(view, fields.changeTime.read(view, 0), fields.changeTimeExtra.offset, extraSize),
		created: reaches(extraSize, fields.creationTime.offset)
			? readTime(view, fields.creationTime.read(view, 0), fields.creationTimeExtra.offset, extraSize)
			: undefined,
		block: fields.block.read(view, 0),
		extraSize,
		attributeBlock:
			fields.fileAclLow.read(view, 0) + (superblock.names.has('64bit') ? fields.fileAclHigh.read(view, 0) * WORD : 0),
		checksumSeed: inodeSeed,
		windows: [],
		inline: undefined,
	};
}

/** Logical blocks are 32-bit numbers under extents; pointers reach as far as three levels of blocks. */
function maxFileSize(blockSize: number, flags: number): number {
	if (flags & layout.InodeFlag.extents) return layout.MAX_LOGICAL_BLOCKS * blockSize;
	const pointers = blockSize / 4;
	const blocks = layout.DIRECT_BLOCKS + pointers + pointers ** 2 + pointers ** 3;
	return Math.min(blocks, layout.MAX_LOGICAL_BLOCKS) * blockSize;
}

/** Whether a 32-bit field at `offset` exists in an inode with so many extra bytes. */
function reaches(extraSize: number, offset: number): boolean {
	return offset + 4 <= layout.INODE_CORE_SIZE + extraSize;
}

function checksumMatches(bytes: Uint8Array, view: DataView, extraSize: number, seed: number): boolean {
	const {checksumLow, checksumHigh} = fields;
	let expected = checksumLow.read(view, 0);
	checksumLow.write(view, 0, 0);
	const full = checksumHigh.offset + checksumHigh.size <= layout.INODE_CORE_SIZE + extraSize;
	if (full) {
		expected += checksumHigh.read(view, 0) * 0x1_0000;
		checksumHigh.write(view, 0, 0);
	}
	const actual = crc32cRaw(bytes, seed);
	return (full ? actual : actual & 0xffff) === expected;
}

/** inodes.rst, inode timestamps: the extra field holds 2 more bits of seconds and 30 of nanoseconds. */
function readTime(view: DataView, seconds: number, extraOffset: number, extraSize: number): Timestamp {
	if (!reaches(extraSize, extraOffset)) return {seconds, nanoseconds: 0};
	const extra = view.getUint32(extraOffset, true);
	const nanoseconds = extra >>> 2;
	return {seconds: seconds + (extra & 3) * WORD, nanoseconds: nanoseconds < 1_000_000_000 ? nanoseconds : 0};
}

function readAllocated(superblock: Superblock, view: DataView, flags: number): number {
	const low = fields.blocksLow.read(view, 0);
	if (!superblock.names.has('huge_file')) return low * layout.SECTOR;
	const count = low + fields.blocksHigh.read(view, 0) * WORD;
	return count * (flags & layout.InodeFlag.hugeFile ? superblock.blockSize : layout.SECTOR);
}
