import {WORD} from '../../src/core/bytes/u64.ts';
import type {Stat, Timestamp} from '../../src/core/file-system.ts';
import {
	Attr,
	ATTR_OUT_ATTR,
	AttrOut,
	ENTRY_OUT_ATTR,
	EntryOut,
	FileType,
	STATX_BASIC_STATS,
	STATX_BTIME,
	StatxOut,
} from './abi.ts';
import {type Ownership, shownMode} from './ownership.ts';

/** How long the kernel may keep names and attributes, in seconds. Nothing ever changes: a year stands for ever. */
export const VALID_SECONDS = 31_536_000;
/** What st_blocks counts. */
const STAT_BLOCK = 512;
const BLOCK_SIZE = 4096;

const attr = Attr.fields;
const entry = EntryOut.fields;
const statx = StatxOut.fields;

/** Signed 64-bit seconds. */
function writeSeconds(view: DataView, at: number, seconds: number): void {
	const high = Math.floor(seconds / WORD);
	view.setUint32(at, seconds - high * WORD, true);
	view.setInt32(at + 4, high, true);
}

/** The dev_t of 32 bits that stat gives for a device: 12 bits of major, 20 of minor in two pieces. */
function deviceNumber(stat: Stat): number {
	if (stat.device === undefined) return 0;
	const {major, minor} = stat.device;
	return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

function blocksOf(stat: Stat): number {
	return Math.ceil(stat.allocated / STAT_BLOCK);
}

/** Fills all of an `attr` at `at`. */
export function writeAttr(view: DataView, at: number, id: number, stat: Stat, ownership: Ownership): void {
	const fromImage = ownership.owner === 'image';
	const accessed = stat.accessed ?? stat.modified;
	const changed = stat.changed ?? stat.modified;
	attr.ino.write(view, at, id);
	attr.size.write(view, at, stat.size);
	attr.blocks.write(view, at, blocksOf(stat));
	writeSeconds(view, at + attr.atime.offset, accessed.seconds);
	writeSeconds(view, at + attr.mtime.offset, stat.modified.seconds);
	writeSeconds(view, at + attr.ctime.offset, changed.seconds);
	attr.atimensec.write(view, at, accessed.nanoseconds);
	attr.mtimensec.write(view, at, stat.modified.nanoseconds);
	attr.ctimensec.write(view, at, changed.nanoseconds);
	attr.mode.write(view, at, FileType[stat.type] | shownMode(stat, ownership));
	attr.nlink.write(view, at, stat.links);
	attr.uid.write(view, at, fromImage ? stat.uid : ownership.uid);
	attr.gid.write(view, at, fromImage ? stat.gid : ownership.gid);
	attr.rdev.write(view, at, deviceNumber(stat));
	attr.blksize.write(view, at, BLOCK_SIZE);
	attr.flags.write(view, at, 0);
}

/** Fills an `entry_out` and its `attr`, over zeros. */
export function writeEntry(view: DataView, at: number, id: number, stat: Stat, ownership: Ownership): void {
	entry.nodeid.write(view, at, id);
	entry.entryValid.write(view, at, VALID_SECONDS);
	entry.attrValid.write(view, at, VALID_SECONDS);
	writeAttr(view, at + ENTRY_OUT_ATTR, id, stat, ownership);
}

/** Fills an `entry_out` that says "no such name" and lets the kernel remember it, over zeros. */
export function writeNegativeEntry(view: DataView, at: number): void {
	entry.entryValid.write(view, at, VALID_SECONDS);
}

/** Fills an `attr_out` and its `attr`, over zeros. */
export function writeAttrOut(view: DataView, at: number, id: number, stat: Stat, ownership: Ownership): void {
	AttrOut.fields.attrValid.write(view, at, VALID_SECONDS);
	writeAttr(view, at + ATTR_OUT_ATTR, id, stat, ownership);
}

/** Fills a `statx_out`, over zeros: what stat gives, and the time of creation where the image has it. */
export function writeStatx(view: DataView, at: number, id: number, stat: Stat, ownership: Ownership): void {
	const fromImage = ownership.owner === 'image';
	const writeTime = (offset: number, time: Timestamp): void => {
		writeSeconds(view, at + offset, time.seconds);
		view.setUint32(at + offset + 8, time.nanoseconds, true);
	};
	statx.attrValid.write(view, at, VALID_SECONDS);
	statx.mask.write(view, at, STATX_BASIC_STATS | (stat.created ? STATX_BTIME : 0));
	statx.blksize.write(view, at, BLOCK_SIZE);
	statx.nlink.write(view, at, stat.links);
	statx.uid.write(view, at, fromImage ? stat.uid : ownership.uid);
	statx.gid.write(view, at, fromImage ? stat.gid : ownership.gid);
	statx.mode.write(view, at, FileType[stat.type] | shownMode(stat, ownership));
	statx.ino.write(view, at, id);
	statx.size.write(view, at, stat.size);
	statx.blocks.write(view, at, blocksOf(stat));
	writeTime(statx.atime.offset, stat.accessed ?? stat.modified);
	writeTime(statx.ctime.offset, stat.changed ?? stat.modified);
	writeTime(statx.mtime.offset, stat.modified);
	if (stat.created) writeTime(statx.btime.offset, stat.created);
	if (stat.device) {
		statx.rdevMajor.write(view, at, stat.device.major);
		statx.rdevMinor.write(view, at, stat.device.minor);
	}
}
