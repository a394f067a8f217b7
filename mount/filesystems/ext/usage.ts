import type {FileSystemUsage} from '../../../src/core/file-system.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {Groups} from './groups.ts';
import {hasSuperblock, type Superblock} from './superblock.ts';

/** Groups whose metadata is summed up when the superblock does not know the sum: 16 TiB at 4 KiB per block. */
const MAX_GROUPS_COUNTED = 131_072;

/**
 * As statfs(2) tells it: metadata and the journal are no part of the total. The superblock's counts of what is free are
 * right after unmounting alone; else the sums of the groups' are, which `groups` asks for.
 */
export function usageOf(superblock: Superblock, journalBlocks: number, groups?: Groups): FileSystemUsage {
	const {blockSize, blocksCount, clusterBlocks, inodesCount} = superblock;
	const {freeBlocks, freeInodes} = (groups && countFree(superblock, groups)) ?? superblock;
	const known = superblock.overheadClusters * clusterBlocks;
	const overhead = known > 0 && known < blocksCount ? known : countOverhead(superblock) + journalBlocks;
	const totalBlocks = Math.max(blocksCount - overhead, 0);
	return {
		blockSize,
		totalBlocks,
		freeBlocks: Math.min(freeBlocks, totalBlocks),
		volumeSize: blocksCount * blockSize,
		totalNodes: inodesCount,
		freeNodes: Math.min(freeInodes, inodesCount),
	};
}

/** Undefined where there are too many groups, or one of them is damaged. */
function countFree(
	{groupCount, clusterBlocks}: Superblock,
	groups: Groups,
): Pick<Superblock, 'freeBlocks' | 'freeInodes'> | undefined {
	if (groupCount > MAX_GROUPS_COUNTED) return undefined;
	let freeClusters = 0;
	let freeInodes = 0;
	try {
		for (let group = 0; group < groupCount; group++) {
			const descriptor = groups.descriptor(group);
			freeClusters += descriptor.freeClusters;
			freeInodes += descriptor.freeInodes;
		}
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	return {freeBlocks: freeClusters * clusterBlocks, freeInodes};
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
