import {type Field, viewOf} from '../../../src/core/bytes/layout.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import {groupChecksum, groupChecksum16} from './checksums.ts';
import * as layout from './layout.ts';
import {firstBlockOfGroup, hasSuperblock, type Superblock} from './superblock.ts';
import type {Volume} from './volume.ts';

const {fields, size: FULL_SIZE} = layout.GroupDescriptorLayout;

export interface GroupDescriptor {
	readonly blockBitmap: number;
	readonly inodeBitmap: number;
	readonly inodeTable: number;
	readonly freeClusters: number;
	readonly freeInodes: number;
	readonly flags: number;
	readonly blockBitmapChecksum: number;
	/** False for a copy, whose flags may be old, and for a descriptor that does not match its checksum. */
	readonly current: boolean;
}

export interface Groups {
	/** Throws `corrupt` when neither the descriptor nor any copy of it can be true. */
	descriptor(group: number): GroupDescriptor;
}

/** The group descriptors, checked as they are used; the first ones at once. */
export function openGroups(volume: Volume): Groups {
	const {superblock} = volume;
	const {blockSize, descriptorSize, groupCount, hasChecksums, uuid, checksumSeed} = superblock;
	const wide = descriptorSize >= FULL_SIZE && superblock.names.has('64bit');
	const perBlock = blockSize / descriptorSize;
	const tableBlocks = Math.ceil((superblock.inodesPerGroup * superblock.inodeSize) / blockSize);
	const hasChecksums16 = !hasChecksums && superblock.names.has('uninit_bg');
	const bytes = new Uint8Array(Math.max(descriptorSize, FULL_SIZE));
	const view = viewOf(bytes);
	const record = bytes.subarray(0, descriptorSize);
	const cache = new Map<number, GroupDescriptor>();
	const told = new Set<string>();

	/** Each place where the block with this group's descriptor lies, the primary first. */
	function* places(group: number): Iterable<number> {
		const index = Math.floor(group / perBlock);
		if (index >= superblock.firstMetaGroup) {
			// meta_bg: the first, second and last group of each meta group have a copy behind their superblock.
			const first = index * perBlock;
			for (const member of [first, first + 1, first + perBlock - 1]) {
				if (member >= groupCount) continue;
				yield firstBlockOfGroup(superblock, member) + skippedBlocks(member);
			}
			return;
		}
		for (const member of [0, superblock.copy, ...layout.BACKUP_GROUPS, ...superblock.backupGroups]) {
			if (member >= groupCount || !hasSuperblock(superblock, member)) continue;
			yield firstBlockOfGroup(superblock, member) + skippedBlocks(member) + index;
		}
	}

	/** Blocks of a group before its descriptors: the superblock, and the boot block where it has one of its own. */
	function skippedBlocks(group: number): number {
		if (!hasSuperblock(superblock, group)) return 0;
		const bootBlock = group === 0 && blockSize === 1024 && superblock.firstDataBlock === 0;
		return bootBlock ? 2 : 1;
	}

	function tell(code: string, message: string): void {
		if (told.has(code)) return;
		told.add(code);
		volume.warn({code, severity: 'damage', message});
	}

	function blockNumber(low: Field<number>, high: Field<number>): number {
		return low.read(view, 0) + (wide ? high.read(view, 0) * WORD : 0);
	}

	function halves(low: Field<number>, high: Field<number>): number {
		return low.read(view, 0) + (wide ? high.read(view, 0) * 0x1_0000 : 0);
	}

	function parse(group: number): {parsed: GroupDescriptor; plausible: boolean; matches: boolean} {
		bytes.fill(0, descriptorSize);
		const blockBitmap = blockNumber(fields.blockBitmapLow, fields.blockBitmapHigh);
		const inodeBitmap = blockNumber(fields.inodeBitmapLow, fields.inodeBitmapHigh);
		const inodeTable = blockNumber(fields.inodeTableLow, fields.inodeTableHigh);
		const matches = checksumMatches(group);
		return {
			parsed: {
				blockBitmap,
				inodeBitmap,
				inodeTable,
				freeClusters: halves(fields.freeClustersLow, fields.freeClustersHigh),
				freeInodes: halves(fields.freeInodesLow, fields.freeInodesHigh),
				flags: fields.flags.read(view, 0),
				blockBitmapChecksum: halves(fields.blockBitmapChecksumLow, fields.blockBitmapChecksumHigh),
				current: true,
			},
			plausible: volume.holds(blockBitmap, 1) && volume.holds(inodeBitmap, 1) && volume.holds(inodeTable, tableBlocks),
			matches,
		};
	}

	function checksumMatches(group: number): boolean {
		const expected = fields.checksum.read(view, 0);
		if (hasChecksums) {
			fields.checksum.write(view, 0, 0);
			return groupChecksum(checksumSeed, group, record) === expected;
		}
		return !hasChecksums16 || groupChecksum16(uuid, group, record, fields.checksum.offset) === expected;
	}

	function load(group: number): GroupDescriptor {
		let doubtful: GroupDescriptor | undefined;
		let primary = true;
		for (const block of places(group)) {
			const position = block * blockSize + (group % perBlock) * descriptorSize;
			if (position + descriptorSize <= volume.size) {
				volume.readMetadata(position, record);
				const {parsed, plausible, matches} = parse(group);
				if (plausible && matches) {
					if (primary) return parsed;
					tell('ext/group-descriptor-copy', `the descriptor of group ${group} is damaged; a copy is used`);
					return {...parsed, current: false};
				}
				if (plausible) doubtful ??= {...parsed, current: false};
			}
			primary = false;
		}
		if (doubtful === undefined) {
			throw corrupt('ext/group-descriptor', `the descriptor of group ${group} is damaged, and so is every copy`, {
				structure: 'group descriptor',
			});
		}
		tell('ext/group-descriptor-checksum', `the descriptor of group ${group} does not match its checksum`);
		return doubtful;
	}

	function descriptor(group: number): GroupDescriptor {
		const known = cache.get(group);
		if (known !== undefined) return known;
		const loaded = load(group);
		if (cache.size >= layout.MAX_CACHED_DESCRIPTORS) cache.clear();
		cache.set(group, loaded);
		return loaded;
	}

	for (let group = 0; group < Math.min(groupCount, layout.DESCRIPTORS_CHECKED_AT_OPEN); group++) {
		try {
			descriptor(group);
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			tell(error.code, error.message);
			break;
		}
	}
	return {descriptor};
}

/** Where an inode lies in the volume, in bytes. */
export function inodePosition(superblock: Superblock, groups: Groups, number: number): number {
	const {inodesCount, inodesPerGroup, inodeSize, blockSize} = superblock;
	if (!Number.isInteger(number) || number < 1 || number > inodesCount) {
		throw corrupt('ext/inode-number', `inode ${number} lies outside the ${inodesCount} that there are`, {node: number});
	}
	const group = Math.floor((number - 1) / inodesPerGroup);
	return groups.descriptor(group).inodeTable * blockSize + ((number - 1) % inodesPerGroup) * inodeSize;
}
