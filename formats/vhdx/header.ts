import {ZERO_GUID} from '../../src/core/bytes/guid.ts';
import {type Values, viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {seal, takeChecksum} from './checksum.ts';
import {
	FORMAT_VERSION,
	Header,
	HEADER_OFFSETS,
	HEADER_SECTION_SIZE,
	HEADER_SIGNATURE,
	LOG_VERSION,
	REGION_ALIGNMENT,
} from './layout.ts';

export interface CurrentHeader {
	readonly fileWriteGuid: string;
	/** Changes whenever the disk's content does: the identity by which a child knows its parent. */
	readonly dataWriteGuid: string;
	/** Of the log to replay; undefined for a file that was closed cleanly. */
	readonly logGuid: string | undefined;
	readonly logOffset: number;
	readonly logLength: number;
	/** Which of the two it is. */
	readonly index: 0 | 1;
	readonly sequenceNumber: bigint;
	/** All of it, but for the checksum. */
	readonly block: Uint8Array;
}

interface Candidate {
	readonly index: 0 | 1;
	readonly block: Uint8Array;
	readonly sequenceNumber: bigint;
}

function readCandidate(source: ByteSource, index: 0 | 1): Candidate | undefined {
	const offset = HEADER_OFFSETS[index];
	if (offset === undefined || offset + Header.size > source.size) return undefined;
	const block = new Uint8Array(Header.size);
	source.readAt(offset, block);
	if (Header.fields.signature.read(viewOf(block), 0) !== HEADER_SIGNATURE || !takeChecksum(block)) return undefined;
	return {index, block, sequenceNumber: Header.fields.sequenceNumber.read(viewOf(block), 0)};
}

/** Section 2.2.2: of two valid headers the one with the greater sequence number is current. */
export function readHeader(source: ByteSource, context: Pick<OpenContext, 'warn'>): CurrentHeader {
	const [first, second] = [readCandidate(source, 0), readCandidate(source, 1)];
	const current = choose(source, first, second);
	if (first === undefined || second === undefined) {
		context.warn({
			code: 'vhdx/header-damaged',
			severity: 'warning',
			message: `header ${2 - current.index} of ${source.name} is damaged; header ${current.index + 1} was used`,
		});
	}
	const where = {file: source.name, position: HEADER_OFFSETS[current.index] ?? 0, structure: Header.name};
	const header = Header.read(viewOf(current.block));
	if (header.version !== FORMAT_VERSION) {
		throw unsupported('vhdx/version', `VHDX version ${header.version}; only ${FORMAT_VERSION} is known`, where);
	}
	const {logLength, logOffset, fileWriteGuid, dataWriteGuid} = header;
	const logGuid = header.logGuid === ZERO_GUID ? undefined : header.logGuid;
	if (logGuid !== undefined && header.logVersion !== LOG_VERSION) {
		throw unsupported('vhdx/log-version', `log version ${header.logVersion}; only ${LOG_VERSION} is known`, where);
	}
	const aligned = logLength % REGION_ALIGNMENT === 0 && logOffset % REGION_ALIGNMENT === 0;
	// A clean file needs no log at all; some writers leave it out.
	const absent = logLength === 0 && logGuid === undefined;
	if (!absent && (!aligned || logLength === 0 || logOffset < HEADER_SECTION_SIZE)) {
		throw corrupt('vhdx/log-place', `a log of ${logLength} bytes at ${logOffset} is not aligned to 1 MiB`, where);
	}
	const {index, sequenceNumber, block} = current;
	return {fileWriteGuid, dataWriteGuid, logGuid, logOffset, logLength, index, sequenceNumber, block};
}

function choose(source: ByteSource, first: Candidate | undefined, second: Candidate | undefined): Candidate {
	if (first === undefined || second === undefined) {
		const only = first ?? second;
		if (only !== undefined) return only;
		throw corrupt('vhdx/header-checksum', 'both headers are damaged', {
			file: source.name,
			position: HEADER_OFFSETS[0],
			structure: Header.name,
		});
	}
	if (first.sequenceNumber === second.sequenceNumber && !sameBytes(first.block, second.block)) {
		throw corrupt('vhdx/header-ambiguous', 'two different headers have the same sequence number', {
			file: source.name,
			position: HEADER_OFFSETS[0],
			structure: Header.name,
			field: 'sequenceNumber',
		});
	}
	return second.sequenceNumber > first.sequenceNumber ? second : first;
}

export function encodeHeader(values: Partial<Values<typeof Header.fields>>): Uint8Array {
	const block = new Uint8Array(Header.size);
	Header.write(viewOf(block), 0, {
		signature: HEADER_SIGNATURE,
		version: FORMAT_VERSION,
		logVersion: LOG_VERSION,
		...values,
	});
	seal(block);
	return block;
}

/** A later state of a header: what is not named in `changes` stays as it was, reserved bytes too. */
export function changedHeader(
	{block}: CurrentHeader,
	changes: Partial<Values<typeof Header.fields>> & {readonly sequenceNumber: bigint},
): Uint8Array {
	const changed = Uint8Array.from(block);
	Header.write(viewOf(changed), 0, changes);
	seal(changed);
	return changed;
}
