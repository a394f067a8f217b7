import {DiskError} from '../../../src/core/error.ts';
import type {Groups} from './groups.ts';
import type {InodeTable} from './inode-table.ts';
import {GroupFlag, InodeFlag} from './layout.ts';
import type {Volume} from './volume.ts';

/**
 * See `FileSystem.needsName`: inodes in use but for the file system's own, those that hold attributes, and those that
 * were deleted while they were open (they have no links).
 */
export function openNamed(volume: Volume, groups: Groups, inodes: InodeTable): (node: number) => boolean | undefined {
	const {superblock} = volume;
	const {blockSize, firstInode, inodesCount, inodesPerGroup, orphanFileInode} = superblock;
	const bitmap = new Uint8Array(blockSize);
	/** The group whose bitmap is in memory. */
	let current = -1;
	let known = false;

	/** INODE_UNINIT: the bitmap was never written, and all of the group's inodes are free. */
	function loadGroup(group: number): void {
		current = group;
		known = false;
		const {inodeBitmap, flags, current: isCurrent} = groups.descriptor(group);
		if (!isCurrent) return;
		const hasFlags = superblock.hasChecksums || superblock.names.has('uninit_bg');
		if (hasFlags && flags & GroupFlag.inodeUninit) bitmap.fill(0);
		else volume.readBlock(inodeBitmap, bitmap, 'inode bitmap');
		known = true;
	}

	/** Undefined where the bitmap is in doubt. */
	function isMarked(node: number): boolean | undefined {
		const group = Math.floor((node - 1) / inodesPerGroup);
		if (group !== current) loadGroup(group);
		const bit = (node - 1) % inodesPerGroup;
		return known ? ((bitmap[bit >>> 3] >>> (bit & 7)) & 1) === 1 : undefined;
	}

	return node => {
		if (node < firstInode || node > inodesCount || node === orphanFileInode) return undefined;
		try {
			const marked = isMarked(node);
			if (marked !== true) return marked;
			const {links, flags} = inodes.getAny(node);
			return links > 0 && (flags & InodeFlag.eaInode) === 0 ? true : undefined;
		} catch (error) {
			if (error instanceof DiskError) return undefined;
			throw error;
		}
	};
}
