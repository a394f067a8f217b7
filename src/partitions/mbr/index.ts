import type {Disk} from '../../core/disk.ts';
import type {PartitionContext, PartitionScheme, PartitionTable} from '../../core/partition-table.ts';
import {
	type BootSectorEntry,
	hasPlausibleStatus,
	isExtended,
	isUsed,
	protectiveEntry,
	readBootSector,
} from '../boot-sector.ts';
import {type Candidate, placePartitions} from '../placement.ts';
import {extendedReader} from './extended.ts';
import {FIRST_LOGICAL_NUMBER, STATUS_ACTIVE} from './layout.ts';
import {MBR_TYPE_NAMES} from './types.ts';

/** Eight hexadecimal digits as in Linux' PARTUUID; empty for a disk without signature. */
function formatSignature(signature: number): string {
	return signature === 0 ? '' : signature.toString(16).padStart(8, '0');
}

function probe(disk: Disk): boolean {
	const sector = readBootSector(disk);
	if (sector === undefined || !hasPlausibleStatus(sector) || protectiveEntry(sector) !== undefined) return false;
	return sector.diskSignature !== 0 || sector.entries.some(isUsed);
}

function open(disk: Disk, context: PartitionContext): PartitionTable {
	const sector = readBootSector(disk);
	const identifier = formatSignature(sector?.diskSignature ?? 0);

	function candidate(number: number, entry: BootSectorEntry): Candidate {
		return {
			number,
			start: entry.start * disk.sectorSize,
			length: entry.sectors * disk.sectorSize,
			type: `0x${entry.type.toString(16).padStart(2, '0')}`,
			typeName: MBR_TYPE_NAMES.get(entry.type) ?? '',
			name: '',
			identifier: identifier === '' ? '' : `${identifier}-${number.toString(16).padStart(2, '0')}`,
			bootable: entry.status === STATUS_ACTIVE,
		};
	}

	const candidates: Candidate[] = [];
	const extended = extendedReader(disk, context);
	let logical = FIRST_LOGICAL_NUMBER;
	for (const [slot, entry] of (sector?.entries ?? []).entries()) {
		if (isExtended(entry)) {
			for (const inner of extended.read(entry)) candidates.push(candidate(logical++, inner));
		} else if (isUsed(entry)) {
			candidates.push(candidate(slot + 1, entry));
		}
	}
	return {scheme: 'mbr', identifier, partitions: placePartitions('mbr', candidates, disk, context)};
}

export const mbr: PartitionScheme = {
	name: 'mbr',
	title: 'Master boot record (MS-DOS partition table)',
	specification: 'libvsmbr: Master Boot Record (MBR) partition table format; UEFI Specification 2.10, section 5.2',
	probe,
	open,
};
