import {ascii, type Field, guid, struct, u32} from '../../core/bytes/layout.ts';
import {WORD} from '../../core/bytes/u64.ts';

/** A sector number. All 64 bits may be hostile: above 2^53 the value is inexact, which is beyond the end of every disk. */
function lba(offset: number): Field<number> {
	return {
		offset,
		size: 8,
		read: (view, base) => view.getUint32(base + offset + 4, true) * WORD + view.getUint32(base + offset, true),
		write(view, base, value) {
			view.setUint32(base + offset, value % WORD, true);
			view.setUint32(base + offset + 4, Math.floor(value / WORD), true);
		},
	};
}

/** UEFI 5.3.2, table 5.5. */
export const HeaderLayout = struct('GPT header', 92, {
	signature: ascii(0, 8),
	revision: u32(8),
	headerSize: u32(12),
	headerCrc32: u32(16),
	myLba: lba(24),
	alternateLba: lba(32),
	firstUsableLba: lba(40),
	lastUsableLba: lba(48),
	diskGuid: guid(56),
	partitionEntryLba: lba(72),
	numberOfPartitionEntries: u32(80),
	sizeOfPartitionEntry: u32(84),
	partitionEntryArrayCrc32: u32(88),
});

export const SIGNATURE = 'EFI PART';
export const PRIMARY_LBA = 1;

/** UEFI 5.3.3, table 5.6. The name follows at 56. */
export const EntryLayout = struct('GPT partition entry', 128, {
	partitionTypeGuid: guid(0),
	uniquePartitionGuid: guid(16),
	startingLba: lba(32),
	endingLba: lba(40),
	/** The lower half; the upper one belongs to the type's owner. */
	attributes: u32(48),
});

export const NAME_OFFSET = 56;
/** UTF-16 code units, padded with zeros. */
export const NAME_UNITS = 36;

/** UEFI 5.3.3, table 5.8: bit 2, legacy BIOS bootable. */
export const ATTRIBUTE_LEGACY_BOOTABLE = 1 << 2;

/** Sector sizes at which a table is looked for: those of all disks made. */
export const SECTOR_SIZES = [512, 4096] as const;

/** UEFI asks for 128 times a power of two; a larger entry than a sector would serve nobody. */
export const MAX_ENTRY_SIZE = 4096;

/** Bytes of an entry array: Linux refuses more than it can allocate in one piece, which is 4 MiB. 16 KiB is usual. */
export const MAX_ENTRIES_BYTES = 4 * 1024 * 1024;
