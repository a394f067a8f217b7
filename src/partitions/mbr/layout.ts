import {struct, u16, u32, u8} from '../../core/bytes/layout.ts';

/** Bytes of a boot sector, whatever the disk's sector size. */
export const BOOT_SECTOR_SIZE = 512;

/** Master boot record; an extended boot record has the same layout, without the disk signature. */
export const BootSectorLayout = struct('boot sector', BOOT_SECTOR_SIZE, {
	diskSignature: u32(440),
	bootSignature: u16(510),
});

/** 55 AA on disk. */
export const BOOT_SIGNATURE = 0xaa55;

export const PARTITION_ENTRIES_OFFSET = 446;
export const PARTITION_ENTRY_COUNT = 4;

/** The cylinder-head-sector fields are left out: nothing has trusted them since disks passed 8 GB. */
export const PartitionEntryLayout = struct('partition entry', 16, {
	status: u8(0),
	type: u8(4),
	/** In sectors: of the disk, of the EBR (logical partition) or of the extended partition (link). */
	start: u32(8),
	sectors: u32(12),
});

export const STATUS_INACTIVE = 0x00;
export const STATUS_ACTIVE = 0x80;

/** DOS (CHS), Windows 95 (LBA) and Linux extended partitions. They differ in name only. */
export const EXTENDED_TYPES: ReadonlySet<number> = new Set([0x05, 0x0f, 0x85]);

/** The entry of a protective MBR (UEFI 5.2.3). */
export const TYPE_GPT_PROTECTIVE = 0xee;

/** Logical partitions have numbers from here, even when primary slots are empty. */
export const FIRST_LOGICAL_NUMBER = 5;

/** Extended boot records followed per disk: Linux has room for 256 partitions on one disk, other systems for fewer. */
export const MAX_EXTENDED_BOOT_RECORDS = 256;
