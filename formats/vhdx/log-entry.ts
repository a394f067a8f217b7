import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checksumOf} from './checksum.ts';
import {
	DATA_DESCRIPTOR_SIGNATURE,
	DATA_SECTOR_SIGNATURE,
	DataDescriptor,
	DataSector,
	FIRST_LOGGED_OFFSET,
	LEADING_BYTES,
	LOG_ENTRY_SIGNATURE,
	LOG_SECTOR_SIZE,
	LogEntryHeader,
	TRAILING_BYTES,
	ZERO_DESCRIPTOR_SIGNATURE,
	ZeroDescriptor,
} from './layout.ts';

/** A log as the header describes it: a ring of sectors in the file. */
export interface Log {
	readonly source: ByteSource;
	readonly guid: string;
	readonly offset: number;
	readonly length: number;
}

/** A write to the file that a log entry holds. */
export interface LoggedWrite {
	/** In the file. */
	readonly start: number;
	readonly end: number;
	/** `end - start` bytes, or undefined for zeros. */
	readonly bytes: Uint8Array | undefined;
}

export interface LogEntry {
	/** In the log. */
	readonly position: number;
	readonly length: number;
	/** Where in the log the oldest entry lay that was still needed when this one was written. */
	readonly tail: number;
	readonly sequenceNumber: bigint;
	/** The file had at least this size on the medium when the entry was written. */
	readonly flushedFileOffset: bigint;
	/** The size into which everything fits once the entry is replayed. */
	readonly lastFileOffset: bigint;
}

interface Descriptor {
	readonly start: number;
	readonly end: number;
	/** The twelve bytes that the data sector has no room for; undefined for zeros. */
	readonly edges: Uint8Array | undefined;
}

/**
 * Section 2.3.1: the entry at `position` of the log, or undefined where no valid one starts: another log's, torn,
 * overwritten. Signatures and sequence numbers are checked before the checksum, so that scanning a log reads each of
 * its sectors a bounded number of times. With `writes`, adds what the entry writes.
 */
export function readLogEntry(log: Log, position: number, writes?: LoggedWrite[]): LogEntry | undefined {
	const sector = new Uint8Array(LOG_SECTOR_SIZE);
	const view = viewOf(sector);

	function readSector(index: number): void {
		log.source.readAt(log.offset + ((position + index * LOG_SECTOR_SIZE) % log.length), sector);
	}

	readSector(0);
	const header = LogEntryHeader.read(view);
	const {entryLength: length, tail, sequenceNumber, descriptorCount, checksum} = header;
	if (header.signature !== LOG_ENTRY_SIGNATURE || header.logGuid !== log.guid) return undefined;
	if (length % LOG_SECTOR_SIZE !== 0 || length === 0 || length > log.length) return undefined;
	if (tail % LOG_SECTOR_SIZE !== 0 || tail >= log.length || sequenceNumber === 0n) return undefined;
	const sectors = length / LOG_SECTOR_SIZE;
	const descriptorSectors = Math.ceil((LogEntryHeader.size + descriptorCount * DataDescriptor.size) / LOG_SECTOR_SIZE);
	if (descriptorSectors > sectors) return undefined;

	let found = checksumOf(sector);
	const descriptors: Descriptor[] = [];
	let dataSectors = 0;
	for (let i = 0; i < descriptorCount; i++) {
		const at = (LogEntryHeader.size + i * DataDescriptor.size) % LOG_SECTOR_SIZE;
		if (at === 0) {
			readSector((LogEntryHeader.size + i * DataDescriptor.size) / LOG_SECTOR_SIZE);
			found = crc32c(sector, found);
		}
		const descriptor = readDescriptor(view, at, sequenceNumber, log);
		if (descriptor === undefined) return undefined;
		if (descriptor.edges !== undefined) dataSectors++;
		descriptors.push(descriptor);
	}
	if (descriptorSectors + dataSectors !== sectors) return undefined;

	let next = descriptorSectors;
	for (const {start, end, edges} of descriptors) {
		if (edges === undefined) {
			writes?.push({start, end, bytes: undefined});
			continue;
		}
		readSector(next++);
		found = crc32c(sector, found);
		const data = DataSector.read(view);
		if (data.signature !== DATA_SECTOR_SIGNATURE) return undefined;
		if ((BigInt(data.sequenceHigh) << 32n) + BigInt(data.sequenceLow) !== sequenceNumber) return undefined;
		if (writes === undefined) continue;
		const bytes = sector.slice();
		bytes.set(edges.subarray(0, LEADING_BYTES.size), 0);
		bytes.set(edges.subarray(LEADING_BYTES.size), LOG_SECTOR_SIZE - TRAILING_BYTES.size);
		writes.push({start, end, bytes});
	}
	if (found !== checksum) return undefined;
	const {flushedFileOffset, lastFileOffset} = header;
	return {position, length, tail, sequenceNumber, flushedFileOffset, lastFileOffset};
}

function readDescriptor(view: DataView, at: number, sequenceNumber: bigint, log: Log): Descriptor | undefined {
	const zero = ZeroDescriptor.read(view, at);
	const {signature} = zero;
	if (signature !== ZERO_DESCRIPTOR_SIGNATURE && signature !== DATA_DESCRIPTOR_SIGNATURE) return undefined;
	if (zero.sequenceNumber !== sequenceNumber) return undefined;
	const isZero = signature === ZERO_DESCRIPTOR_SIGNATURE;
	const start = Number(zero.fileOffset);
	const end = start + (isZero ? Number(zero.zeroLength) : LOG_SECTOR_SIZE);
	const placed = start % LOG_SECTOR_SIZE === 0 && end % LOG_SECTOR_SIZE === 0 && Number.isSafeInteger(end);
	const overLog = start < log.offset + log.length && end > log.offset;
	if (!placed || start < FIRST_LOGGED_OFFSET || overLog) return undefined;
	if (isZero) return {start, end, edges: undefined};
	const edges = new Uint8Array(LEADING_BYTES.size + TRAILING_BYTES.size);
	const block = new Uint8Array(view.buffer, view.byteOffset + at, DataDescriptor.size);
	edges.set(block.subarray(LEADING_BYTES.offset, LEADING_BYTES.offset + LEADING_BYTES.size));
	edges.set(block.subarray(TRAILING_BYTES.offset, TRAILING_BYTES.offset + TRAILING_BYTES.size), LEADING_BYTES.size);
	return {start, end, edges};
}
