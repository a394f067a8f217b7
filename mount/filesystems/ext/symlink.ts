import {corrupt, type DiskError} from '../../../src/core/error.ts';
import type {Inode} from './inode.ts';
import {INODE_BLOCK_SIZE, InodeFlag, SECTOR} from './layout.ts';
import type {Superblock} from './superblock.ts';

/** The target of a symbolic link: in `i_block` when it is short, else content of one block or inline data. */
export function readLink(
	superblock: Superblock,
	inode: Inode,
	readContent: (inode: Inode, position: number, target: Uint8Array) => number,
): Uint8Array {
	const {size} = inode;
	if (isShort(superblock, inode)) {
		const target = inode.block.slice(0, size);
		// A NUL must stand behind the target and none in it; newer kernels refuse anything else too.
		if (size === 0 || size >= INODE_BLOCK_SIZE || inode.block.indexOf(0) !== size) throw damaged(inode);
		return target;
	}
	if (size === 0 || size > superblock.blockSize) throw damaged(inode);
	const target = new Uint8Array(size);
	readContent(inode, 0, target);
	// The kernel takes a target up to its first NUL, so one that holds a NUL would not be what it was.
	if (target.includes(0)) throw damaged(inode);
	return target;
}

/** Short links have no blocks but the one with attributes. With ea_inode the count says nothing, so the size decides. */
function isShort(superblock: Superblock, {size, flags, allocated, attributeBlock}: Inode): boolean {
	if (flags & (InodeFlag.inlineData | InodeFlag.extents)) return false;
	if (superblock.names.has('ea_inode')) return size < INODE_BLOCK_SIZE;
	const attributes = attributeBlock === 0 ? 0 : superblock.blockSize * superblock.clusterBlocks;
	return allocated - Math.floor(attributes / SECTOR) * SECTOR === 0;
}

function damaged(inode: Inode): DiskError {
	return corrupt('ext/symlink', `the symbolic link of inode ${inode.number} with ${inode.size} bytes is damaged`, {
		node: inode.number,
		structure: 'symbolic link',
	});
}
