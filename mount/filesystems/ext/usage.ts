import type {FileSystemUsage} from '../../../src/core/file-system.ts';
import {hasSuperblock, type Superblock} from './superblock.ts';

/** Groups whose metadata is summed up when the superblock does not know the sum: 16 TiB at 4 KiB per block. */
const MAX_GROUPS_COUNTED = 131_072;

/** As statfs(2) tells it: metadata and the journal are no part of the total. */
export function usageOf(superblock: Superblock, journalBlocks: number): FileSystemUsage {
	const {blockSize, blocksCount, clusterBlocks, freeBlocks, inodesCount, freeInodes} = superblock;
	const known = superblock.overheadClusters * clusterBlocks;
	const overhead = known > 0 && known < blocksCount ? known : countOverhead(superblock) + journalBlocks;
	const totalBlocks = Math.max(blocksCount - overhead, 0);
	return {
		blockSize,
		totalBlocks,
		freeBlocks: Math.min(freeBlocks, totalBlocks),
		totalNodes: inodesCount,
		freeNodes: Math.min(freeInodes, inodesCount),
	};
}

function countOverhead(superblock: Superblock): number {
	const {groupCount, blockSize, descriptorSize, inodesPerGroup, inodeSize, firstDataBlock} = superblock;
	const descriptorsPerBlock = blockSize / descriptorSize;
	const descriptorBlocks = Math.ceil(groupCount / descriptorsPerBlock);
	const bitmaps = 2;
	let overhead = firstDataBlock + groupCount * (bitmaps + Math.ceil((inodesPerGroup * inodeSize) / blockSize));
	for (let group = 0; group < Math.min(groupCount, MAX_GROUPS_COUNTED); group++) {
		const copy = hasSuperblock(superblock, group);
		if (copy) overhead++;
		if (Math.floor(group / descriptorsPerBlock) >= superblock.firstMetaGroup) {
			const member = group % descriptorsPerBlock;
			if (member < 2 || member === descriptorsPerBlock - 1) overhead++;
		} else if (copy) {
			overhead += Math.min(descriptorBlocks, superblock.firstMetaGroup) + superblock.reservedDescriptorBlocks;
		}
	}
	return overhead;
}
