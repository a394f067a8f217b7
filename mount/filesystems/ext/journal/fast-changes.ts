import {viewOf} from '../../../../src/core/bytes/layout.ts';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {corrupt, DiskError, outOfRange} from '../../../../src/core/error.ts';
import {type BlockMap, openBlockMap} from '../block-map.ts';
import {type Directories, openDirectories} from '../directory.ts';
import {inodePosition, openGroups} from '../groups.ts';
import type {Inode} from '../inode.ts';
import {type InodeTable, openInodeTable} from '../inode-table.ts';
import {
	EXTENT_MAGIC,
	ExtentHeaderLayout,
	ExtentLayout,
	INODE_BLOCK_OFFSET,
	INODE_BLOCK_SIZE,
	InodeFlag,
	InodeLayout,
	MAX_INITIALISED_LENGTH,
	MAX_LOGICAL_BLOCKS,
} from '../layout.ts';
import {HOLE, type RunWindow} from '../runs.ts';
import type {Volume} from '../volume.ts';
import type {FastChange} from './fast-tags.ts';
import {nameKey} from './name-key.ts';
import * as layout from './layout.ts';

/** inodes.rst, i_mode. */
const TYPE_MASK = 0xf000;
const DIRECTORY = 0x4000;

/** A name that was added; `undefined` stands for one that was removed. */
export interface AddedName {
	readonly name: Uint8Array;
	readonly node: number;
}

/** What fast commits change in a file system, to be laid over what its blocks say. */
export interface FastChanges {
	/** The raw inode; its checksum is not kept. */
	readonly inodes: ReadonlyMap<number, Uint8Array>;
	/** All of the map of a file. */
	readonly maps: ReadonlyMap<number, RunWindow>;
	/** By directory, then by `nameKey`, in the order in which they came. */
	readonly names: ReadonlyMap<number, ReadonlyMap<string, AddedName | undefined>>;
	/** Directories that have no blocks yet, and their parents. */
	readonly created: ReadonlyMap<number, number>;
}

/** A run of a file: blocks from `first` up to the next run's. */
interface Run {
	readonly first: number;
	readonly physical: number;
}

/** Applies the changes to the file system as the transactions before them leave it, without writing anything. */
export function applyFastChanges(volume: Volume, changes: readonly FastChange[]): FastChanges {
	const groups = openGroups(volume);
	const table = openInodeTable(volume, groups);
	const map = openBlockMap(volume, table);
	const directories = openDirectories(volume, map, () => 'file');
	const inodes = new Map<number, Uint8Array>();
	const maps = new Map<number, Run[]>();
	const names = new Map<number, Map<string, AddedName | undefined>>();
	const created = new Map<number, number>();
	const {inodeSize} = volume.superblock;

	function replaceInode(value: Uint8Array): void {
		const number = viewOf(value).getUint32(0, true);
		const fresh = value.subarray(layout.FAST_INODE_SIZE);
		const raw = inodes.get(number) ?? new Uint8Array(Math.max(inodeSize, InodeLayout.size));
		if (!inodes.has(number)) {
			volume.readMetadata(inodePosition(volume.superblock, groups, number), raw.subarray(0, inodeSize));
		}
		// What is in i_block stays where it is a map: ranges change it.
		const block = raw.slice(INODE_BLOCK_OFFSET, INODE_BLOCK_OFFSET + INODE_BLOCK_SIZE);
		const view = viewOf(raw);
		const {mode, sizeLow} = InodeLayout.read(view);
		raw.set(fresh.subarray(0, Math.min(fresh.length, inodeSize)));
		const flags = InodeLayout.fields.flags.read(view, 0);
		if (flags & InodeFlag.extents && !(flags & InodeFlag.inlineData)) {
			raw.set(block, INODE_BLOCK_OFFSET);
			if (view.getUint16(INODE_BLOCK_OFFSET, true) !== EXTENT_MAGIC) {
				raw.fill(0, INODE_BLOCK_OFFSET, INODE_BLOCK_OFFSET + INODE_BLOCK_SIZE);
				ExtentHeaderLayout.write(view, INODE_BLOCK_OFFSET, {magic: EXTENT_MAGIC, max: 4});
			}
		}
		// New blocks of directories are nowhere: their names are in the tags.
		if ((mode & TYPE_MASK) === DIRECTORY && !created.has(number)) InodeLayout.fields.sizeLow.write(view, 0, sizeLow);
		inodes.set(number, raw);
	}

	function setRange(number: number, first: number, count: number, physical: number): void {
		if (physical !== HOLE && !volume.holds(physical, count)) {
			throw corrupt('ext/fast-commit-range', `${count} blocks at ${physical} lie outside the file system`);
		}
		const runs = maps.get(number) ?? readRuns(map, table, number, volume.superblock.blockSize);
		const end = Math.min(first + count, MAX_LOGICAL_BLOCKS);
		maps.set(number, replaceRange(runs, first, end, physical));
		if (runs.length > layout.MAX_FAST_RUNS) {
			throw outOfRange('ext/fast-commit-runs', `inode ${number} has more than ${layout.MAX_FAST_RUNS} runs`);
		}
	}

	function addRange(value: Uint8Array): void {
		const extent = ExtentLayout.read(viewOf(value), layout.FAST_RANGE_EXTENT);
		const unwritten = extent.length > MAX_INITIALISED_LENGTH;
		const count = unwritten ? extent.length - MAX_INITIALISED_LENGTH : extent.length;
		const start = extent.startLow + extent.startHigh * 2 ** 32;
		setRange(viewOf(value).getUint32(0, true), extent.block, count, unwritten ? HOLE : start);
	}

	function findName(parent: number, name: Uint8Array): number | undefined {
		const changed = names.get(parent);
		const key = nameKey(name);
		if (changed?.has(key)) return changed.get(key)?.node;
		return created.has(parent) ? undefined : lookup(directories, table, parent, name);
	}

	function changeName(tag: number, value: Uint8Array): void {
		const {parent, inode} = layout.FastEntryLayout.read(viewOf(value));
		const name = value.subarray(layout.FastEntryLayout.size);
		const present = findName(parent, name);
		if (tag === layout.FastTag.unlink ? present !== inode : present !== undefined) return;
		const changed = names.get(parent) ?? new Map<string, AddedName | undefined>();
		names.set(parent, changed);
		const key = nameKey(name);
		// The order of a map is that of the first time.
		changed.delete(key);
		changed.set(key, tag === layout.FastTag.unlink ? undefined : {name, node: inode});
		const raw = inodes.get(inode);
		const isDirectory = raw !== undefined && (InodeLayout.fields.mode.read(viewOf(raw), 0) & TYPE_MASK) === DIRECTORY;
		if (tag === layout.FastTag.create && isDirectory) created.set(inode, parent);
	}

	for (const {tag, value} of changes) {
		if (tag === layout.FastTag.inode) {
			replaceInode(value);
		} else if (tag === layout.FastTag.addRange) {
			addRange(value);
		} else if (tag === layout.FastTag.deleteRange) {
			const {inode, block, count} = layout.FastRangeLayout.read(viewOf(value));
			setRange(inode, block, count, HOLE);
		} else {
			changeName(tag, value);
		}
	}
	return {
		inodes,
		maps: new Map([...maps].map(([number, runs]) => [number, toWindow(runs)])),
		names,
		created,
	};
}

function lookup(directories: Directories, table: InodeTable, parent: number, name: Uint8Array): number | undefined {
	const directory = table.get(parent);
	return directory.type === 'directory' ? directories.lookup(directory, name) : undefined;
}

/** The map of an inode as its blocks have it; nothing but a hole where it is not in use yet. */
function readRuns(map: BlockMap, table: InodeTable, number: number, blockSize: number): Run[] {
	let inode: Inode;
	try {
		inode = table.get(number);
	} catch (error) {
		if (!(error instanceof DiskError) || error.code !== 'ext/inode-unused') throw error;
		return [{first: 0, physical: HOLE}];
	}
	if (!(inode.flags & InodeFlag.extents)) return [{first: 0, physical: HOLE}];
	const span = newSpan();
	const runs: Run[] = [];
	for (let block = 0; block < MAX_LOGICAL_BLOCKS; block += span.length / blockSize) {
		if (runs.length >= layout.MAX_FAST_RUNS) {
			throw outOfRange('ext/fast-commit-runs', `inode ${number} has more than ${layout.MAX_FAST_RUNS} runs`);
		}
		map.locate(inode, block * blockSize, span);
		runs.push({first: block, physical: span.kind === SpanKind.stored ? span.at / blockSize : HOLE});
	}
	return runs;
}

/** Puts blocks `first` up to `end` where `physical` says. */
function replaceRange(runs: readonly Run[], first: number, end: number, physical: number): Run[] {
	if (first >= end) return [...runs];
	const before = runs.filter(run => run.first < first);
	const after = runs.filter(run => run.first >= end);
	// What covered `end` goes on there, unless another run begins there anyway.
	const cut = runs.findLast(run => run.first < end);
	const goesOn = end < MAX_LOGICAL_BLOCKS && after[0]?.first !== end && cut !== undefined;
	const rest = goesOn ? [{first: end, physical: cut.physical === HOLE ? HOLE : cut.physical + end - cut.first}] : [];
	return [...before, {first, physical}, ...rest, ...after];
}

function toWindow(runs: readonly Run[]): RunWindow {
	return {
		first: 0,
		end: MAX_LOGICAL_BLOCKS,
		count: runs.length,
		starts: Float64Array.from(runs, run => run.first),
		blocks: Float64Array.from(runs, run => run.physical),
	};
}
