import {isZero} from '../../core/bytes/zeros.ts';
import type {Disk} from '../../core/disk.ts';
import {DiskError} from '../../core/error.ts';
import type {PartitionContext, PartitionScheme, PartitionTable} from '../../core/partition-table.ts';
import {isUsed, protectiveEntry, readBootSector} from '../boot-sector.ts';
import {placePartitions} from '../placement.ts';
import {type Copy, type Damage, loadBackup, loadCopy, loadPrimary} from './copies.ts';
import {parseEntries} from './entries.ts';
import {otherSectorSize} from './sector-size.ts';

/** Bytes at the start of a disk that are zero when it was erased there: the two sectors that every scheme uses. */
const ERASED_START = 1024;

function probe(disk: Disk): boolean {
	const sector = readBootSector(disk);
	if (sector && protectiveEntry(sector)) return true;
	if (sector?.entries.some(isUsed)) return false;
	return hasIntactPrimary(disk) || (hasErasedStart(disk) && 'copy' in loadBackup(disk, undefined));
}

/** Whether the primary copy is there with all its checksums: then nothing else has been written over it since. */
export function hasIntactPrimary(disk: Disk): boolean {
	return 'copy' in loadPrimary(disk);
}

function hasErasedStart(disk: Disk): boolean {
	if (disk.size < ERASED_START) return false;
	const start = new Uint8Array(ERASED_START);
	disk.readAt(0, start);
	return isZero(start);
}

function open(disk: Disk, context: PartitionContext): PartitionTable {
	const copy = chooseCopy(disk, context);
	const {diskGuid} = copy.header;
	const otherSize = otherSectorSize(disk, copy);
	if (otherSize !== undefined) context.warn(otherSize);
	reportBootSector(disk, context);
	const candidates = parseEntries(copy, context);
	return {scheme: 'gpt', identifier: diskGuid, partitions: placePartitions('gpt', candidates, disk, context)};
}

/** The primary copy, or the backup where the primary is damaged. */
function chooseCopy(disk: Disk, context: PartitionContext): Copy {
	const primary = loadPrimary(disk);
	if ('copy' in primary) {
		reportBackup(disk, primary.copy, context);
		return primary.copy;
	}
	const backup = loadBackup(disk, primary.damage);
	if ('damage' in backup) throw noTable(primary.damage, backup.damage);
	context.warn({
		code: 'gpt/primary-damaged',
		severity: 'warning',
		message: `${describe(primary.damage)}; the backup at sector ${backup.copy.header.myLba} is used`,
	});
	return backup.copy;
}

function describe({lba, problem}: Damage): string {
	return `the GPT header at sector ${lba} ${problem}`;
}

function noTable(primary: Damage, backup: Damage): DiskError {
	const where = {position: primary.lba * primary.sectorSize, structure: 'GPT header'};
	const hint = 'the file systems may be whole: look for them in the raw disk, or fetch the image again';
	return new DiskError('corrupt', 'gpt/no-valid-copy', `${describe(primary)}; ${describe(backup)}`, {where, hint});
}

/** The primary copy is good: whatever is wrong with the backup costs nothing, but the user should know. */
function reportBackup(disk: Disk, primary: Copy, context: PartitionContext): void {
	const {alternateLba, sectorSize, diskGuid, partitionEntryArrayCrc32} = primary.header;
	const lastLba = Math.floor(disk.size / sectorSize) - 1;
	if (alternateLba > lastLba) {
		context.warn({
			code: 'gpt/backup-missing',
			severity: 'warning',
			message: `the backup of the partition table, at sector ${alternateLba}, lies beyond the end of the disk at ${lastLba}`,
		});
		return;
	}
	const backup = loadCopy(disk, alternateLba, sectorSize);
	if ('damage' in backup) {
		context.warn({
			code: 'gpt/backup-damaged',
			severity: 'warning',
			message: `the backup of the partition table is damaged: ${describe(backup.damage)}`,
		});
		return;
	}
	const {header} = backup.copy;
	if (header.diskGuid !== diskGuid || header.partitionEntryArrayCrc32 !== partitionEntryArrayCrc32) {
		context.warn({
			code: 'gpt/backup-differs',
			severity: 'warning',
			message: `the backup of the partition table, at sector ${alternateLba}, differs from the primary, which is used`,
		});
	}
	if (alternateLba < lastLba) {
		context.warn({
			code: 'gpt/backup-not-at-end',
			severity: 'note',
			message: `the backup of the partition table is at sector ${alternateLba} and the disk ends at ${lastLba}: it has grown`,
		});
	}
}

function reportBootSector(disk: Disk, context: PartitionContext): void {
	const sector = readBootSector(disk);
	const protective = sector && protectiveEntry(sector);
	if (!protective) {
		context.warn({
			code: 'gpt/no-protective-mbr',
			severity: 'warning',
			message: `the disk has a GPT but no protective MBR; other systems may take it for empty`,
		});
		return;
	}
	const others = sector.entries.filter(entry => entry !== protective && isUsed(entry));
	if (others.length > 0) {
		context.warn({
			code: 'gpt/hybrid-mbr',
			severity: 'note',
			message: `the MBR lists ${others.length} partitions of its own (hybrid MBR); the GPT is used`,
		});
	}
}

export const gpt: PartitionScheme = {
	name: 'gpt',
	title: 'GUID partition table',
	specification: 'UEFI Specification 2.10, chapter 5; libvsgpt: GUID Partition Table (GPT) format',
	probe,
	open,
};
