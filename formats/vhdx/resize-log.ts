import {viewOf} from '../../src/core/bytes/layout.ts';
import {roundUp, WORD} from '../../src/core/bytes/u64.ts';
import {seal} from './checksum.ts';
import {
	DATA_DESCRIPTOR_SIGNATURE,
	DATA_SECTOR_SIGNATURE,
	DataDescriptor,
	DataSector,
	LEADING_BYTES,
	LOG_ENTRY_SIGNATURE,
	LOG_SECTOR_SIZE,
	LogEntryHeader,
	TRAILING_BYTES,
} from './layout.ts';

/** Bytes of the entry that holds so many sectors. */
export function logEntrySize(sectors: number): number {
	return descriptorsSize(sectors) + sectors * LOG_SECTOR_SIZE;
}

function descriptorsSize(sectors: number): number {
	return roundUp(LogEntryHeader.size + sectors * DataDescriptor.size, LOG_SECTOR_SIZE);
}

export interface NewLogEntry {
	readonly guid: string;
	/** The file has it on the medium, and keeps it. */
	readonly fileSize: number;
	/** 4096 bytes each, by where they go in the file. */
	readonly sectors: ReadonlyMap<number, Uint8Array>;
}

/** Below 2^32. */
const SEQUENCE_NUMBER = 1;

/** Section 2.3.1: the only entry of a log of its own, at the log's start. */
export function encodeLogEntry({guid, fileSize, sectors}: NewLogEntry): Uint8Array {
	const entry = new Uint8Array(logEntrySize(sectors.size));
	const view = viewOf(entry);
	const sequenceNumber = BigInt(SEQUENCE_NUMBER);
	LogEntryHeader.write(view, 0, {
		signature: LOG_ENTRY_SIGNATURE,
		entryLength: entry.length,
		tail: 0,
		sequenceNumber,
		descriptorCount: sectors.size,
		logGuid: guid,
		flushedFileOffset: BigInt(fileSize),
		lastFileOffset: BigInt(fileSize),
	});
	let descriptorAt = LogEntryHeader.size;
	let dataAt = descriptorsSize(sectors.size);
	for (const [fileOffset, bytes] of sectors) {
		DataDescriptor.write(view, descriptorAt, {
			signature: DATA_DESCRIPTOR_SIGNATURE,
			fileOffset: BigInt(fileOffset),
			sequenceNumber,
		});
		entry.set(bytes.subarray(LOG_SECTOR_SIZE - TRAILING_BYTES.size), descriptorAt + TRAILING_BYTES.offset);
		entry.set(bytes.subarray(0, LEADING_BYTES.size), descriptorAt + LEADING_BYTES.offset);
		entry.set(bytes, dataAt);
		DataSector.write(view, dataAt, {
			signature: DATA_SECTOR_SIGNATURE,
			sequenceHigh: Math.floor(SEQUENCE_NUMBER / WORD),
			sequenceLow: SEQUENCE_NUMBER,
		});
		descriptorAt += DataDescriptor.size;
		dataAt += LOG_SECTOR_SIZE;
	}
	seal(entry);
	return entry;
}
