import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {type Span, SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {GroupDescriptor, Groups} from './groups.ts';
import {GroupFlag, MAX_FLEX_GROUP, State} from './layout.ts';
import {firstBlockOfGroup, hasSuperblock} from './superblock.ts';
import type {Volume} from './volume.ts';

/**
 * Which bytes of the volume are in use. Where that is in doubt they count as in use: a bitmap that is damaged, a
 * descriptor that is a copy, a journal that was not replayed, an ext2 that was not unmounted.
 */
export function openAllocation(volume: Volume, groups: Groups): (position: number, span: Span) => void {
	const {superblock, size} = volume;
	const {blockSize, blocksCount, firstDataBlock, blocksPerGroup, clusterBlocks, groupCount} = superblock;
	const bits = blocksPerGroup / clusterBlocks;
	const bitmap = new Uint8Array(blockSize);
	const covered = bitmap.subarray(0, bits / 8);
	/** The group whose bitmap is in memory, and whether all of it counts as in use. */
	let current = -1;
	let full = true;
	const trusted =
		superblock.copy === 0 &&
		!superblock.names.has('needs_recovery') &&
		!superblock.names.has('shared_blocks') &&
		(superblock.state & State.errors) === 0 &&
		(superblock.names.has('has_journal') || (superblock.state & State.clean) !== 0);

	function setBlocks(group: number, block: number, count: number): void {
		const start = firstBlockOfGroup(superblock, group);
		const first = Math.max(block - start, 0);
		const last = Math.min(block + count - start, blocksPerGroup) - 1;
		for (let bit = Math.floor(first / clusterBlocks); bit <= Math.floor(last / clusterBlocks); bit++) {
			bitmap[bit >>> 3] |= 1 << (bit & 7);
		}
	}

	/** BLOCK_UNINIT: the bitmap was never written; only metadata that lies in the group is in use. */
	function buildBitmap(group: number): boolean {
		const {flexGroupSize, inodesPerGroup, inodeSize, descriptorSize, reservedDescriptorBlocks} = superblock;
		if (flexGroupSize > MAX_FLEX_GROUP) return false;
		bitmap.fill(0);
		const descriptorBlocks = Math.ceil((groupCount * descriptorSize) / blockSize);
		// meta_bg puts one block of descriptors here at most, and the sum is never less than that.
		const copies = hasSuperblock(superblock, group) ? 1 + descriptorBlocks + reservedDescriptorBlocks : 0;
		const own = superblock.firstMetaGroup === Number.POSITIVE_INFINITY ? copies : Math.max(copies, 2);
		setBlocks(group, firstBlockOfGroup(superblock, group), own);
		const tableBlocks = Math.ceil((inodesPerGroup * inodeSize) / blockSize);
		const flexStart = group - (group % flexGroupSize);
		for (let member = flexStart; member < Math.min(flexStart + flexGroupSize, groupCount); member++) {
			const {blockBitmap, inodeBitmap, inodeTable} = groups.descriptor(member);
			setBlocks(group, blockBitmap, 1);
			setBlocks(group, inodeBitmap, 1);
			setBlocks(group, inodeTable, tableBlocks);
		}
		return true;
	}

	function bitmapMatches(descriptor: GroupDescriptor): boolean {
		if (!superblock.hasChecksums) return true;
		const checksum = crc32cRaw(covered, superblock.checksumSeed);
		return (superblock.descriptorSize >= 64 ? checksum : checksum & 0xffff) === descriptor.blockBitmapChecksum;
	}

	function readBitmap(group: number): boolean {
		const descriptor = groups.descriptor(group);
		if (!descriptor.current) return false;
		const checked = superblock.hasChecksums || superblock.names.has('uninit_bg');
		if (checked && descriptor.flags & GroupFlag.blockUninit) return buildBitmap(group);
		volume.readBlock(descriptor.blockBitmap, bitmap, 'block bitmap');
		if (bitmapMatches(descriptor)) return true;
		volume.warn({
			code: 'ext/bitmap-checksum',
			severity: 'warning',
			message: `the block bitmap of group ${group} is damaged; all of the group counts as in use`,
		});
		return false;
	}

	function loadGroup(group: number): void {
		current = group;
		full = true;
		try {
			full = !readBitmap(group);
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		}
	}

	return (position, span) => {
		const block = Math.floor(position / blockSize);
		if (!trusted || block >= blocksCount) return stored(span, size - position, 0, position);
		if (block < firstDataBlock) return stored(span, firstDataBlock * blockSize - position, 0, position);
		const group = Math.floor((block - firstDataBlock) / blocksPerGroup);
		if (group !== current) loadGroup(group);
		const start = firstBlockOfGroup(superblock, group);
		const end = Math.min(start + blocksPerGroup, blocksCount);
		const first = Math.floor((block - start) / clusterBlocks);
		const used = full || ((bitmap[first >>> 3] >>> (first & 7)) & 1) === 1;
		let next = first + 1;
		if (full) {
			next = bits;
		} else {
			const uniform = used ? 0xff : 0;
			while (next < bits) {
				if ((next & 7) === 0 && bitmap[next >>> 3] === uniform) next += 8;
				else if (((bitmap[next >>> 3] >>> (next & 7)) & 1) === (used ? 1 : 0)) next++;
				else break;
			}
		}
		const length = Math.min(Math.min(start + next * clusterBlocks, end) * blockSize, size) - position;
		if (used) stored(span, length, 0, position);
		else unstored(span, SpanKind.free, length);
	};
}
