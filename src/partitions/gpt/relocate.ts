import {crc32} from '../../core/bytes/checksums.ts';
import {viewOf} from '../../core/bytes/layout.ts';
import {ZERO_GUID} from '../../core/bytes/guid.ts';
import type {Disk} from '../../core/disk.ts';
import {protectiveEntry, readBootSector} from '../boot-sector.ts';
import {loadPrimary} from './copies.ts';
import {EntryLayout, HeaderLayout, PRIMARY_LBA} from './layout.ts';

/** Bytes that a larger disk is to hold in place of those of the smaller one. */
export interface Patch {
	readonly position: number;
	readonly bytes: Uint8Array;
}

export interface BackupMove {
	readonly sectorSize: number;
	/** The sector of the backup header, as the table says it now, and after the move. */
	readonly from: number;
	readonly to: number;
	/** In rising order, without overlap. */
	readonly patches: readonly Patch[];
}

/** A move, or why there is none; `problem` completes the sentence "the backup stays where it is, since". */
export type BackupMoveResult = {readonly move: BackupMove} | {readonly problem: string};

/** UEFI 5.2.3, table 5.4: where an entry of the protective MBR has its length, and what is said of more than it holds. */
const PROTECTIVE_ENTRIES = 446;
const PROTECTIVE_ENTRY_SIZE = 16;
const PROTECTIVE_SECTORS_AT = 12;
const MOST_SECTORS = 0xffff_ffff;

/**
 * What changes in a GPT when its disk gets `size` bytes: the backup goes to the new end, both headers say so, and the
 * sectors between are given to partitions to come. The partitions themselves stay as they are. The disk is the one of
 * old size; undefined where it has no GPT. Sector 0 of a hybrid MBR changes only where its protective entry reached
 * the end.
 */
export function moveBackup(disk: Disk, size: number): BackupMoveResult | undefined {
	const primary = loadPrimary(disk);
	const sector = readBootSector(disk);
	const protective = sector && protectiveEntry(sector);
	if ('damage' in primary) {
		return protective ? {problem: 'the primary copy of the table is damaged'} : undefined;
	}
	const {header, entries} = primary.copy;
	const {sectorSize} = header;
	const arraySectors = Math.ceil(entries.length / sectorSize);
	const to = Math.floor(size / sectorSize) - 1;
	const arrayLba = to - arraySectors;
	const lastUsableLba = arrayLba - 1;
	const free = freeFrom(entries, header.sizeOfPartitionEntry);
	const tableEnd = header.partitionEntryLba + arraySectors;
	if (arrayLba < Math.max(free, tableEnd, header.firstUsableLba)) {
		return {problem: 'there is no room for it behind the last partition'};
	}

	const block = new Uint8Array(sectorSize);
	disk.readAt(PRIMARY_LBA * sectorSize, block);
	const seal = (values: Parameters<typeof HeaderLayout.write>[2]): Uint8Array =>
		sealed(block, header.headerSize, values);
	const array = new Uint8Array(arraySectors * sectorSize);
	array.set(entries);
	const patches: Patch[] = [
		{
			position: PRIMARY_LBA * sectorSize,
			bytes: seal({myLba: PRIMARY_LBA, alternateLba: to, lastUsableLba}),
		},
		{position: arrayLba * sectorSize, bytes: array},
		{
			position: to * sectorSize,
			bytes: seal({myLba: to, alternateLba: PRIMARY_LBA, lastUsableLba, partitionEntryLba: arrayLba}),
		},
	];
	const oldLast = Math.floor(disk.size / sectorSize) - 1;
	if (sector && protective) {
		const reaches = protective.start + protective.sectors - 1;
		const covers = protective.sectors === MOST_SECTORS || reaches === oldLast || reaches === header.alternateLba;
		if (covers) {
			const bytes = new Uint8Array(4);
			viewOf(bytes).setUint32(0, Math.min(to - protective.start + 1, MOST_SECTORS), true);
			const slot = sector.entries.indexOf(protective);
			const position = PROTECTIVE_ENTRIES + slot * PROTECTIVE_ENTRY_SIZE + PROTECTIVE_SECTORS_AT;
			patches.unshift({position, bytes});
		}
	}
	return {move: {sectorSize, from: header.alternateLba, to, patches}};
}

/** The sector behind the last one that a partition takes. */
function freeFrom(entries: Uint8Array, entrySize: number): number {
	const view = viewOf(entries);
	let free = 0;
	for (let at = 0; at < entries.length; at += entrySize) {
		if (EntryLayout.fields.partitionTypeGuid.read(view, at) === ZERO_GUID) continue;
		free = Math.max(free, EntryLayout.fields.endingLba.read(view, at) + 1);
	}
	return free;
}

/** A header like `block`, with other values and the checksum that belongs to them. */
function sealed(block: Uint8Array, headerSize: number, values: Parameters<typeof HeaderLayout.write>[2]): Uint8Array {
	const copy = block.slice();
	const view = viewOf(copy);
	HeaderLayout.write(view, 0, {...values, headerCrc32: 0});
	HeaderLayout.fields.headerCrc32.write(view, 0, crc32(copy.subarray(0, headerSize)));
	return copy;
}
