import {closeSync, fstatSync, openSync, readSync} from 'node:fs';
import {crc32c} from '@node-rs/crc32';
import {type FoundHeader, getGuid, GUID, headersOf, REGION_TABLE_SIZE, REGION_TABLES} from './vhdx-image.ts';

/** What a VHDX file says, field by field, read by the specification alone: it shares nothing with formats/vhdx. */
export interface FoundVhdx {
	readonly fileSize: number;
	readonly signature: string;
	readonly creator: string;
	readonly headers: readonly [FoundHeader, FoundHeader];
	/** Bytes of the first MiB outside every field that are not zero. */
	readonly strayBytes: number;
	readonly regionTables: readonly FoundRegionTable[];
	readonly metadata: readonly FoundItem[];
	readonly parameters: {
		readonly blockSize: number;
		readonly leaveAllocated: boolean;
		readonly hasParent: boolean;
		readonly reserved: number;
	};
	readonly size: number;
	/** The Page 83 GUID. */
	readonly diskId: string;
	readonly logicalSectorSize: number;
	readonly physicalSectorSize: number;
	readonly chunkRatio: number;
	/** All entries that the region has room for and that are not zero, in the order of the table. */
	readonly entries: readonly FoundEntry[];
	readonly batLength: number;
}

export interface FoundRegionTable {
	readonly valid: boolean;
	readonly reserved: number;
	readonly regions: readonly {
		readonly guid: string;
		readonly offset: number;
		readonly length: number;
		readonly required: number;
	}[];
}

export interface FoundItem {
	readonly id: string;
	/** In the metadata region. */
	readonly offset: number;
	readonly length: number;
	readonly isUser: boolean;
	readonly isVirtualDisk: boolean;
	readonly isRequired: boolean;
	/** All other bits of the flags, and the reserved word. */
	readonly reserved: number;
}

export interface FoundEntry {
	/** In the table. */
	readonly index: number;
	/** The payload block, or undefined for the entry of a sector bitmap. */
	readonly block: number | undefined;
	readonly state: number;
	/** In the file. */
	readonly offset: number;
	/** Bits 3 to 19. */
	readonly reserved: number;
}

const MIB = 1024 * 1024;
const SECTORS_IN_CHUNK = 2 ** 23;

export function parseVhdx(path: string): FoundVhdx {
	const descriptor = openSync(path, 'r');
	try {
		return parse(descriptor);
	} finally {
		closeSync(descriptor);
	}
}

function parse(descriptor: number): FoundVhdx {
	function bytesAt(position: number, length: number): Uint8Array {
		const bytes = new Uint8Array(length);
		const count = readSync(descriptor, bytes, 0, length, position);
		if (count !== length) throw new Error(`${count} of ${length} bytes at ${position}`);
		return bytes;
	}

	const head = bytesAt(0, MIB);
	const regionTables = REGION_TABLES.map(at => regionTableOf(head.slice(at, at + REGION_TABLE_SIZE)));
	const region = (guid: string) => {
		const found = regionTables[0]?.regions.find(each => each.guid === guid);
		if (found === undefined) throw new Error(`no region ${guid}`);
		return found;
	};

	const {offset: base, length: metadataLength} = region(GUID.metadataRegion);
	const table = bytesAt(base, metadataLength);
	const metadata = itemsOf(table);
	const item = (id: string, length: number): DataView => {
		const found = metadata.find(each => each.id === id);
		if (found?.length !== length) throw new Error(`no item ${id} of ${length} bytes`);
		return new DataView(table.buffer, found.offset, found.length);
	};
	const parameters = item(GUID.fileParameters, 8);
	const blockSize = parameters.getUint32(0, true);
	const flags = parameters.getUint32(4, true);
	const logicalSectorSize = item(GUID.logicalSectorSize, 4).getUint32(0, true);
	const chunkRatio = (SECTORS_IN_CHUNK * logicalSectorSize) / blockSize;
	const bat = region(GUID.batRegion);

	return {
		fileSize: fstatSync(descriptor).size,
		signature: Buffer.from(head.subarray(0, 8)).toString('latin1'),
		creator: Buffer.from(head.subarray(8, 520)).toString('utf16le').replace(/\0+$/, ''),
		headers: headersOf(head),
		strayBytes: countStray(head),
		regionTables,
		metadata,
		parameters: {
			blockSize,
			leaveAllocated: (flags & 1) !== 0,
			hasParent: (flags & 2) !== 0,
			reserved: flags & ~3,
		},
		size: Number(item(GUID.virtualDiskSize, 8).getBigUint64(0, true)),
		diskId: getGuid(item(GUID.virtualDiskId, 16), 0),
		logicalSectorSize,
		physicalSectorSize: item(GUID.physicalSectorSize, 4).getUint32(0, true),
		chunkRatio,
		entries: [...entriesOf(bytesAt(bat.offset, bat.length), chunkRatio)],
		batLength: bat.length,
	};
}

/** Of a file with neither data in its reserved fields nor anything between its structures: none. */
function countStray(head: Uint8Array): number {
	const rest = head.slice();
	rest.fill(0, 0, 520);
	for (const at of [0x10000, 0x20000]) rest.fill(0, at, at + 80);
	for (const at of REGION_TABLES) rest.fill(0, at, at + 16 + 2 * 32);
	return rest.reduce((count, byte) => count + (byte === 0 ? 0 : 1), 0);
}

function regionTableOf(bytes: Uint8Array): FoundRegionTable {
	const view = new DataView(bytes.buffer);
	const checksum = view.getUint32(4, true);
	const count = view.getUint32(8, true);
	const signed = Buffer.from(bytes.subarray(0, 4)).toString('latin1') === 'regi';
	const regions = Array.from({length: count}, (_, index) => {
		const at = 16 + index * 32;
		return {
			guid: getGuid(view, at),
			offset: Number(view.getBigUint64(at + 16, true)),
			length: view.getUint32(at + 24, true),
			required: view.getUint32(at + 28, true),
		};
	});
	const reserved = view.getUint32(12, true);
	view.setUint32(4, 0, true);
	return {valid: signed && checksum === crc32c(bytes), reserved, regions};
}

function itemsOf(table: Uint8Array): FoundItem[] {
	const view = new DataView(table.buffer);
	const signature = Buffer.from(table.subarray(0, 8)).toString('latin1');
	if (signature !== 'metadata') throw new Error(`metadata table begins with ${signature}`);
	return Array.from({length: view.getUint16(10, true)}, (_, index) => {
		const at = 32 + index * 32;
		const flags = view.getUint32(at + 24, true);
		return {
			id: getGuid(view, at),
			offset: view.getUint32(at + 16, true),
			length: view.getUint32(at + 20, true),
			isUser: (flags & 1) !== 0,
			isVirtualDisk: (flags & 2) !== 0,
			isRequired: (flags & 4) !== 0,
			reserved: (flags & ~7) + view.getUint32(at + 28, true),
		};
	});
}

function* entriesOf(bat: Uint8Array, chunkRatio: number): Generator<FoundEntry, void, void> {
	const words = new BigUint64Array(bat.buffer);
	for (const [index, word] of words.entries()) {
		if (word === 0n) continue;
		const chunk = Math.floor(index / (chunkRatio + 1));
		const isBitmap = index % (chunkRatio + 1) === chunkRatio;
		yield {
			index,
			block: isBitmap ? undefined : index - chunk,
			state: Number(word & 7n),
			offset: Number(word >> 20n) * MIB,
			reserved: Number((word >> 3n) & 0x1_ffffn),
		};
	}
}
