import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {formatUuid} from '../../../src/core/bytes/guid.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeText, printable} from '../../../src/core/bytes/text.ts';
import {isPowerOfTwo, product, WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, type DiskError, unsupported} from '../../../src/core/error.ts';
import {CHECKSUM_START} from './checksums.ts';
import {type FeatureSet, readFeatures} from './features.ts';
import * as layout from './layout.ts';

/** The geometry of a file system, checked: later code relies on every number here. */
export interface Superblock extends FeatureSet {
	/** The group from which this copy was read; 0 for the primary. */
	readonly copy: number;
	readonly label: string;
	readonly identifier: string;
	readonly uuid: Uint8Array;
	readonly blockSize: number;
	/** Blocks that one bit of a block bitmap stands for; 1 without bigalloc. */
	readonly clusterBlocks: number;
	readonly blocksCount: number;
	readonly freeBlocks: number;
	readonly firstDataBlock: number;
	readonly blocksPerGroup: number;
	readonly groupCount: number;
	readonly inodesCount: number;
	readonly freeInodes: number;
	readonly inodesPerGroup: number;
	readonly inodeSize: number;
	readonly firstInode: number;
	readonly descriptorSize: number;
	/** The first block of descriptors that lies in its own meta group; Infinity without meta_bg. */
	readonly firstMetaGroup: number;
	readonly reservedDescriptorBlocks: number;
	/** sparse_super2: the groups with copies. */
	readonly backupGroups: readonly [number, number];
	/** Groups of one flex group; 1 without flex_bg. */
	readonly flexGroupSize: number;
	readonly overheadClusters: number;
	/** 0 for an external journal. */
	readonly journalInode: number;
	/** Of an external journal. */
	readonly journalUuid: string;
	/** A copy of what is needed of the journal's inode. */
	readonly journalBackup: Uint8Array;
	readonly journalBackupType: number;
	/** The head of the list of deleted inodes that were open; 0 without. */
	readonly lastOrphan: number;
	/** 0 without. */
	readonly orphanFileInode: number;
	readonly state: number;
	/** Whether inodes, blocks and descriptors carry a CRC-32C. */
	readonly hasChecksums: boolean;
	readonly checksumSeed: number;
	/** Inodes of other systems than Linux have no checksum. */
	readonly createdByLinux: boolean;
	readonly hashSeed: Uint32Array;
	/** Undefined where the superblock does not say. */
	readonly unsignedHash: boolean | undefined;
}

const WHERE = {structure: 'superblock'} as const;

function damaged(check: string, message: string, field: string): DiskError {
	return corrupt(`ext/superblock-${check}`, message, {...WHERE, field});
}

/** Reads one copy of the superblock, 1024 bytes. Throws `corrupt` when it cannot be true. */
export function parseSuperblock(bytes: Uint8Array): Superblock {
	const view = viewOf(bytes);
	const raw = layout.SuperblockLayout.read(view);
	if (raw.magic !== layout.SUPERBLOCK_MAGIC) {
		throw damaged('magic', `the superblock has magic 0x${raw.magic.toString(16)}`, 's_magic');
	}
	const features = readFeatures(raw.featureCompat, raw.featureIncompat, raw.featureRoCompat);
	const {names} = features;
	const hasChecksums = names.has('metadata_csum');
	if (hasChecksums) {
		const checksum = crc32cRaw(bytes.subarray(0, layout.SuperblockLayout.fields.checksum.offset), CHECKSUM_START);
		if (checksum !== raw.checksum) {
			throw damaged('checksum', 'the superblock does not match its checksum', 's_checksum');
		}
		if (raw.checksumType !== layout.CHECKSUM_CRC32C) {
			throw unsupported('ext/checksum-type', `checksums of type ${raw.checksumType} are not known`, WHERE);
		}
	}
	if (features.refused.length > 0) {
		throw unsupported('ext/feature', `the file system uses ${features.refused.join(', ')}`, {
			...WHERE,
			field: 's_feature_incompat',
		});
	}

	if (raw.logBlockSize > layout.MAX_LOG_BLOCK_SIZE) {
		throw damaged('block-size', `the block size is 2^${raw.logBlockSize} KiB`, 's_log_block_size');
	}
	const blockSize = 1024 * 2 ** raw.logBlockSize;
	const bitsPerBlock = blockSize * 8;
	const clusterBlocks = readClusterBlocks(names.has('bigalloc'), raw.logBlockSize, raw.logClusterSize);
	const clustersPerGroup = names.has('bigalloc') ? raw.clustersPerGroup : raw.blocksPerGroup;
	const {blocksPerGroup, inodesPerGroup, firstDataBlock, inodesCount} = raw;
	if (clustersPerGroup === 0 || clustersPerGroup > bitsPerBlock || clustersPerGroup % 8 !== 0) {
		throw damaged('group-size', `a group has ${clustersPerGroup} clusters`, 's_clusters_per_group');
	}
	if (blocksPerGroup !== clustersPerGroup * clusterBlocks) {
		throw damaged('group-size', `a group has ${blocksPerGroup} blocks`, 's_blocks_per_group');
	}
	if (inodesPerGroup === 0 || inodesPerGroup > bitsPerBlock) {
		throw damaged('inodes-per-group', `a group has ${inodesPerGroup} inodes`, 's_inodes_per_group');
	}
	if (firstDataBlock > 1 || (blockSize > 1024 && firstDataBlock !== 0)) {
		throw damaged('first-block', `the first data block is ${firstDataBlock}`, 's_first_data_block');
	}

	const is64bit = names.has('64bit');
	const blocksCount = raw.blocksCountLow + (is64bit ? raw.blocksCountHigh * WORD : 0);
	product(blocksCount, blockSize);
	const groupCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
	if (groupCount < 1) throw damaged('blocks', `the file system has ${blocksCount} blocks`, 's_blocks_count_lo');
	if (inodesCount < layout.ROOT_INODE || inodesCount > product(groupCount, inodesPerGroup)) {
		throw damaged('inodes', `${inodesCount} inodes do not fit into ${groupCount} groups`, 's_inodes_count');
	}

	const original = raw.revLevel === layout.REVISION_ORIGINAL;
	const inodeSize = original ? layout.ORIGINAL_INODE_SIZE : raw.inodeSize;
	if (!isPowerOfTwo(inodeSize) || inodeSize < layout.INODE_CORE_SIZE || inodeSize > blockSize) {
		throw damaged('inode-size', `an inode has ${inodeSize} bytes`, 's_inode_size');
	}
	const descriptorSize = is64bit ? raw.descriptorSize : layout.DESCRIPTOR_SIZE;
	const smallest = is64bit ? layout.MIN_DESCRIPTOR_SIZE_64BIT : layout.DESCRIPTOR_SIZE;
	if (!isPowerOfTwo(descriptorSize) || descriptorSize < smallest || descriptorSize > blockSize) {
		throw damaged('descriptor-size', `a group descriptor has ${descriptorSize} bytes`, 's_desc_size');
	}
	const hashView = viewOf(raw.hashSeed);
	return {
		...features,
		copy: raw.blockGroupNumber,
		label: readLabel(raw.volumeName),
		identifier: raw.uuid.some(byte => byte !== 0) ? formatUuid(raw.uuid) : '',
		uuid: raw.uuid,
		blockSize,
		clusterBlocks,
		blocksCount,
		freeBlocks: raw.freeBlocksCountLow + (is64bit ? raw.freeBlocksCountHigh * WORD : 0),
		firstDataBlock,
		blocksPerGroup,
		groupCount,
		inodesCount,
		freeInodes: raw.freeInodesCount,
		inodesPerGroup,
		inodeSize,
		firstInode: original ? layout.ORIGINAL_FIRST_INODE : Math.max(raw.firstInode, layout.ROOT_INODE + 1),
		descriptorSize,
		firstMetaGroup: names.has('meta_bg') ? raw.firstMetaGroup : Number.POSITIVE_INFINITY,
		reservedDescriptorBlocks: raw.reservedGdtBlocks,
		backupGroups: [raw.backupGroup0, raw.backupGroup1],
		flexGroupSize: names.has('flex_bg') ? 2 ** Math.min(raw.logGroupsPerFlex, 31) : 1,
		overheadClusters: raw.overheadClusters,
		journalInode: raw.journalInode,
		journalUuid: formatUuid(raw.journalUuid),
		journalBackup: raw.journalBackup,
		journalBackupType: raw.journalBackupType,
		lastOrphan: raw.lastOrphan,
		orphanFileInode: names.has('orphan_file') ? raw.orphanFileInode : 0,
		state: raw.state,
		hasChecksums,
		checksumSeed: names.has('metadata_csum_seed') ? raw.checksumSeed : crc32cRaw(raw.uuid, CHECKSUM_START),
		createdByLinux: raw.creatorOs === layout.CREATOR_LINUX,
		hashSeed: Uint32Array.from({length: 4}, (_, index) => hashView.getUint32(index * 4, true)),
		unsignedHash: readHashSign(raw.flags),
	};
}

function readClusterBlocks(bigalloc: boolean, logBlockSize: number, logClusterSize: number): number {
	if (!bigalloc) return 1;
	if (logClusterSize < logBlockSize || logClusterSize > layout.MAX_LOG_CLUSTER_SIZE) {
		throw damaged('cluster-size', `the cluster size is 2^${logClusterSize} KiB`, 's_log_cluster_size');
	}
	return 2 ** (logClusterSize - logBlockSize);
}

function readHashSign(flags: number): boolean | undefined {
	if (flags & layout.SuperblockFlag.unsignedHash) return true;
	return flags & layout.SuperblockFlag.signedHash ? false : undefined;
}

function readLabel(field: Uint8Array): string {
	const end = field.indexOf(0);
	const name = end < 0 ? field : field.subarray(0, end);
	return decodeText(name) ?? printable(name);
}

/** Whether a group holds copies of the superblock and the descriptors (blockgroup.rst, sparse_super). */
export function hasSuperblock(superblock: Superblock, group: number): boolean {
	if (group === 0) return true;
	if (superblock.names.has('sparse_super2')) return superblock.backupGroups.includes(group);
	if (group === 1 || !superblock.names.has('sparse_super')) return true;
	return isPowerOf(group, 3) || isPowerOf(group, 5) || isPowerOf(group, 7);
}

function isPowerOf(value: number, base: number): boolean {
	let power = base;
	while (power < value) power *= base;
	return power === value;
}

export function firstBlockOfGroup(superblock: Superblock, group: number): number {
	return superblock.firstDataBlock + group * superblock.blocksPerGroup;
}
