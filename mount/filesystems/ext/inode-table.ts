import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt} from '../../../src/core/error.ts';
import {inodeChecksumSeed} from './checksums.ts';
import {type Groups, inodePosition} from './groups.ts';
import {type Inode, parseInode} from './inode.ts';
import {INODE_CORE_SIZE, InodeLayout, MAX_CACHED_INODES, MAX_CACHED_RUNS, ROOT_INODE} from './layout.ts';
import {windowCost} from './runs.ts';
import type {Volume} from './volume.ts';

export interface InodeTable {
	/** An inode that a directory may name. Throws `corrupt` where there is none. */
	get(number: number): Inode;
	/** Reserved ones too, such as the journal's. */
	getAny(number: number): Inode;
	/** Told by the block map: an inode keeps so many runs more. */
	countRuns(count: number): void;
}

/**
 * Parsed inodes in two generations: when the young one is full it becomes the old one, and the old one goes. What is
 * used in the meantime moves back into the young one, so a hit costs one look-up and the memory is bounded.
 */
export function openInodeTable(volume: Volume, groups: Groups): InodeTable {
	const {superblock} = volume;
	const {inodeSize, firstInode} = superblock;
	// A 128-byte inode is followed by zeros, so that reads of its later fields stay inside.
	const bytes = new Uint8Array(Math.max(inodeSize, InodeLayout.size, INODE_CORE_SIZE));
	const view = viewOf(bytes);
	const record = bytes.subarray(0, inodeSize);
	let young = new Map<number, Inode>();
	let old = new Map<number, Inode>();
	let runs = 0;

	function turn(): void {
		old = young;
		young = new Map();
		runs = 0;
	}

	function countRuns(count: number): void {
		runs += count;
		if (runs > MAX_CACHED_RUNS) turn();
	}

	function load(number: number): Inode {
		const position = inodePosition(superblock, groups, number);
		const changed = volume.changes?.inodes.get(number);
		if (changed !== undefined) {
			// Its checksum is that of another state, but that of its blocks goes on from its number.
			const copy = changed.slice();
			const inode = parseInode({...superblock, hasChecksums: false}, number, position, copy, viewOf(copy));
			const generation = InodeLayout.fields.generation.read(viewOf(changed), 0);
			return {...inode, checksumSeed: inodeChecksumSeed(superblock.checksumSeed, number, generation)};
		}
		volume.readMetadata(position, record);
		return parseInode(superblock, number, position, record, view);
	}

	function getAny(number: number): Inode {
		const hit = young.get(number);
		if (hit !== undefined) return hit;
		if (young.size >= MAX_CACHED_INODES) turn();
		let inode = old.get(number);
		if (inode === undefined) {
			inode = load(number);
		} else {
			let count = 0;
			for (const window of inode.windows) count += windowCost(window);
			if (count > MAX_CACHED_RUNS) inode.windows.length = 0;
			else countRuns(count);
		}
		young.set(number, inode);
		return inode;
	}

	return {
		get(number) {
			if (number < firstInode && number !== ROOT_INODE) {
				throw corrupt('ext/inode-number', `inode ${number} is reserved`, {node: number});
			}
			return getAny(number);
		},
		getAny,
		countRuns,
	};
}
