import type {Disk} from '../../core/disk.ts';
import {DiskError} from '../../core/error.ts';
import type {PartitionContext} from '../../core/partition-table.ts';
import {type BootSector, type BootSectorEntry, isExtended, isUsed, readBootSector} from '../boot-sector.ts';
import {MAX_EXTENDED_BOOT_RECORDS} from './layout.ts';

/** Reads chains of extended boot records; one reader per disk, since the cap holds for all chains together. */
export interface ExtendedReader {
	/** The logical partitions of an extended one, in the order of the chain, with `start` counted from the disk's start. */
	read(extended: BootSectorEntry): BootSectorEntry[];
}

export function extendedReader(disk: Disk, context: PartitionContext): ExtendedReader {
	const visited = new Set<number>();

	function damage(code: string, message: string): undefined {
		context.warn({code, severity: 'damage', message: `${message}; logical partitions behind it are missing`});
	}

	function readRecord(lba: number): BootSector | undefined {
		if (visited.has(lba)) {
			return damage('mbr/chain-cycle', `the chain of logical partitions comes back to sector ${lba}`);
		}
		if (visited.size === MAX_EXTENDED_BOOT_RECORDS) {
			return damage('mbr/chain-too-long', `there are more than ${MAX_EXTENDED_BOOT_RECORDS} extended boot records`);
		}
		visited.add(lba);
		if ((lba + 1) * disk.sectorSize > disk.size) {
			return damage(
				'mbr/chain-outside-disk',
				`an extended boot record at sector ${lba} lies beyond the end of the disk`,
			);
		}
		try {
			const record = readBootSector(disk, lba);
			if (record !== undefined) return record;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			return damage(
				'mbr/chain-unreadable',
				`the extended boot record at sector ${lba} cannot be read: ${error.message}`,
			);
		}
		return damage('mbr/chain-broken', `the extended boot record at sector ${lba} does not end in 55 AA`);
	}

	function read(extended: BootSectorEntry): BootSectorEntry[] {
		const partitions: BootSectorEntry[] = [];
		const end = extended.start + extended.sectors;
		let lba = extended.start;
		let {sectors} = extended;
		for (;;) {
			const record = readRecord(lba);
			if (record === undefined) return partitions;
			for (const [slot, entry] of record.entries.entries()) {
				if (!isUsed(entry) || isExtended(entry)) continue;
				const start = lba + entry.start;
				// OS/2 uses the last two slots, others leave garbage there: Linux believes them when they fit.
				const fits = entry.start + entry.sectors <= sectors && start + entry.sectors <= end;
				if (slot < 2 || fits) partitions.push({...entry, start});
			}
			const link = record.entries.find(isExtended);
			if (link === undefined) return partitions;
			lba = extended.start + link.start;
			({sectors} = link);
			if (lba >= end) {
				context.warn({
					code: 'mbr/chain-leaves-extended',
					severity: 'warning',
					message: `an extended boot record at sector ${lba} lies outside its extended partition`,
				});
			}
		}
	}

	return {read};
}
