import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {formatUuid} from '../../src/core/bytes/guid.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import {corrupt, DiskError, unsupported} from '../../src/core/error.ts';
import {
	CHAINED,
	ENCRYPTED,
	Header,
	INCOMPATIBLE,
	MAGIC,
	MAX_CHUNK_SIZE,
	MAX_PAGE_ENTRIES,
	MIN_CHUNK_SIZE,
	MIN_PAGE_ENTRIES,
	STREAMED,
	VERSION,
} from './layout.ts';

/** What stays the same for the life of a file. */
export interface Geometry {
	readonly incompatible: bigint;
	readonly imageId: Uint8Array;
	/** Bytes of the disk; of an encrypted image 0, until its root is decrypted. */
	readonly size: number;
	readonly chunkSize: number;
	readonly logicalSectorSize: number;
	readonly physicalSectorSize: number;
	readonly pageEntries: number;
	/** Seconds since 1970. */
	readonly created: number;
}

/** The incompatible features that this reader understands. */
const SUPPORTED = ENCRYPTED | STREAMED | CHAINED;

const COVERED = Header.fields.checksum.offset;

export function hasMagic(bytes: Uint8Array): boolean {
	return sameBytes(bytes.subarray(0, MAGIC.length), MAGIC);
}

/** Decodes the 256 bytes of a header; `position` is where they lie in the file. */
export function readHeader(bytes: Uint8Array, position: number): Geometry {
	const where = {structure: Header.name, position};
	const view = viewOf(bytes);
	if (!hasMagic(bytes)) throw corrupt('tint/magic', 'the file header does not start with the magic bytes', where);
	if (Header.fields.checksum.read(view, 0) !== crc32c(bytes.subarray(0, COVERED))) {
		throw corrupt('tint/header-checksum', 'the checksum of the file header does not match', where);
	}
	const version = Header.fields.version.read(view, 0);
	if (version !== VERSION) {
		throw unsupported('tint/version', `this is version ${version} of the format; version ${VERSION} is known`, where);
	}
	const values = Header.read(view);
	requireSupported(values.incompatible, position);
	const {imageId, size, chunkSize, logicalSectorSize, physicalSectorSize, pageEntries, created} = values;
	within('chunkSize', chunkSize, MIN_CHUNK_SIZE, MAX_CHUNK_SIZE);
	within('pageEntries', pageEntries, MIN_PAGE_ENTRIES, MAX_PAGE_ENTRIES);
	within('logicalSectorSize', logicalSectorSize, 512, 4096);
	within('physicalSectorSize', physicalSectorSize, logicalSectorSize, 65_536);
	return {
		incompatible: values.incompatible,
		imageId,
		size,
		chunkSize,
		logicalSectorSize,
		physicalSectorSize,
		pageEntries,
		created,
	};
}

function within(field: string, value: number, least: number, most: number): void {
	if (isPowerOfTwo(value) && value >= least && value <= most) return;
	throw corrupt('tint/header-field', `${field} is ${value}, not a power of two from ${least} to ${most}`, {
		structure: Header.name,
		field,
	});
}

export function writeHeader(geometry: Geometry): Uint8Array {
	const bytes = new Uint8Array(Header.size);
	const view = viewOf(bytes);
	Header.write(view, 0, {magic: MAGIC, version: VERSION, headerLength: Header.size, ...geometry});
	Header.fields.checksum.write(view, 0, crc32c(bytes.subarray(0, COVERED)));
	return bytes;
}

export function isEncrypted({incompatible}: Pick<Geometry, 'incompatible'>): boolean {
	return (incompatible & ENCRYPTED) !== 0n;
}

/** What a root may add to its header: encryption is of the whole file. */
export const SUPPORTED_IN_ROOT = SUPPORTED & ~ENCRYPTED;

/** Refuses, by name or number, what this reader does not understand. */
export function requireSupported(incompatible: bigint, position: number, supported = SUPPORTED): void {
	const unknown = incompatible & ~supported;
	if (unknown === 0n) return;
	const names: string[] = [];
	for (let bit = 0; bit < 64; bit++) {
		if ((unknown >> BigInt(bit)) & 1n) names.push(INCOMPATIBLE[bit] ?? `bit ${bit}`);
	}
	const unfinished = names.includes('unfinished');
	throw new DiskError(
		'unsupported',
		'tint/feature',
		`the image uses what this version of tintype cannot read: ${names.join(', ')}`,
		{
			where: {position, field: 'incompatible'},
			hint: unfinished
				? 'the image was not finished; resume it, repair it, or write it again'
				: 'use a newer version of tintype',
		},
	);
}

export function imageIdText(imageId: Uint8Array): string {
	return formatUuid(imageId);
}
