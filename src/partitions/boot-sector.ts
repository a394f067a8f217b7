import {viewOf} from '../core/bytes/layout.ts';
import type {Disk} from '../core/disk.ts';
import {
	BOOT_SECTOR_SIZE,
	BOOT_SIGNATURE,
	BootSectorLayout,
	EXTENDED_TYPES,
	PARTITION_ENTRIES_OFFSET,
	PARTITION_ENTRY_COUNT,
	PartitionEntryLayout,
	STATUS_ACTIVE,
	STATUS_INACTIVE,
	TYPE_GPT_PROTECTIVE,
} from './mbr/layout.ts';

export interface BootSectorEntry {
	readonly status: number;
	readonly type: number;
	/** In sectors, relative to what the kind of boot record says. */
	readonly start: number;
	readonly sectors: number;
}

/** A sector that ends in 55 AA: a master boot record, an extended one, or the first sector of a FAT or NTFS volume. */
export interface BootSector {
	readonly diskSignature: number;
	/** Always four. */
	readonly entries: readonly BootSectorEntry[];
}

/** The boot sector at a sector number, or undefined when the disk ends before it or it does not end in 55 AA. */
export function readBootSector(disk: Disk, lba = 0): BootSector | undefined {
	const position = lba * disk.sectorSize;
	if (position + BOOT_SECTOR_SIZE > disk.size) return undefined;
	const block = new Uint8Array(BOOT_SECTOR_SIZE);
	disk.readAt(position, block);
	const view = viewOf(block);
	const {diskSignature, bootSignature} = BootSectorLayout.read(view);
	if (bootSignature !== BOOT_SIGNATURE) return undefined;
	const entries: BootSectorEntry[] = [];
	for (let slot = 0; slot < PARTITION_ENTRY_COUNT; slot++) {
		entries.push(PartitionEntryLayout.read(view, PARTITION_ENTRIES_OFFSET + slot * PartitionEntryLayout.size));
	}
	return {diskSignature, entries};
}

/** The size decides, not the type: so do Linux and every partitioning tool on it. */
export function isUsed(entry: BootSectorEntry): boolean {
	return entry.sectors !== 0;
}

export function isExtended(entry: BootSectorEntry): boolean {
	return isUsed(entry) && EXTENDED_TYPES.has(entry.type);
}

/** Whether the four entries can be a partition table at all, and not boot code that happens to lie there. */
export function hasPlausibleStatus({entries}: BootSector): boolean {
	return entries.every(({status}) => status === STATUS_INACTIVE || status === STATUS_ACTIVE);
}

/** The entry that says "this disk has a GPT". */
export function protectiveEntry(sector: BootSector): BootSectorEntry | undefined {
	return hasPlausibleStatus(sector) ? sector.entries.find(({type}) => type === TYPE_GPT_PROTECTIVE) : undefined;
}
