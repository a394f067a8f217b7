import {crc32} from '../../core/bytes/checksums.ts';
import {type Values, viewOf} from '../../core/bytes/layout.ts';
import type {Disk} from '../../core/disk.ts';
import {EntryLayout, HeaderLayout, MAX_ENTRIES_BYTES, MAX_ENTRY_SIZE, SIGNATURE} from './layout.ts';

export interface Header extends Values<typeof HeaderLayout.fields> {
	/** The sector size by which its sector numbers count. */
	readonly sectorSize: number;
}

/** A header that passed every check, or what is wrong with it. */
export type HeaderResult =
	| {readonly header: Header}
	| {
			/** Completes a sentence that begins with "the header at sector 1". */
			readonly problem: string;
			/** Where the other copy is said to lie; only a hint, since the header is damaged. */
			readonly alternateLba?: number;
	  };

/** Reads the header at a sector number and checks it as UEFI 5.3.2 asks. */
export function readHeader(disk: Disk, lba: number, sectorSize: number): HeaderResult {
	const position = lba * sectorSize;
	if (lba < 1 || position + sectorSize > disk.size) return {problem: 'lies beyond the end of the disk'};
	const block = new Uint8Array(sectorSize);
	disk.readAt(position, block);
	const view = viewOf(block);
	const header = {...HeaderLayout.read(view), sectorSize};
	const {signature, headerSize, alternateLba} = header;
	if (signature !== SIGNATURE) return {problem: `does not begin with "${SIGNATURE}"`};
	if (headerSize < HeaderLayout.size || headerSize > sectorSize) {
		return {problem: `claims a size of ${headerSize} bytes`, alternateLba};
	}
	HeaderLayout.fields.headerCrc32.write(view, 0, 0);
	if (crc32(block.subarray(0, headerSize)) !== header.headerCrc32) {
		return {problem: 'has a wrong checksum', alternateLba};
	}
	if (header.myLba !== lba) return {problem: `says that it belongs to sector ${header.myLba}`, alternateLba};
	return {header};
}

/** The array of entries that a header describes, or what is wrong with it. */
export type EntriesResult = {readonly entries: Uint8Array} | {readonly problem: string};

export function readEntries(disk: Disk, header: Header): EntriesResult {
	const {numberOfPartitionEntries: count, sizeOfPartitionEntry: size} = header;
	if (size < EntryLayout.size || size > MAX_ENTRY_SIZE || size % 8 !== 0) {
		return {problem: `claims entries of ${size} bytes`};
	}
	const bytes = count * size;
	if (bytes > MAX_ENTRIES_BYTES) {
		return {problem: `claims ${count} entries of ${size} bytes, above the limit of ${MAX_ENTRIES_BYTES} bytes in all`};
	}
	const position = header.partitionEntryLba * header.sectorSize;
	if (position + bytes > disk.size) return {problem: 'places its entries beyond the end of the disk'};
	const entries = new Uint8Array(bytes);
	disk.readAt(position, entries);
	if (crc32(entries) !== header.partitionEntryArrayCrc32) return {problem: 'belongs to entries with another checksum'};
	return {entries};
}
