import {crc32c} from '@node-rs/crc32';

/**
 * VHDX files made by hand from the specification, in memory, sharing nothing with formats/vhdx: states, logs and
 * parents that no tool here writes. Every structure can be wrong on purpose.
 */
export const MIB = 1024 * 1024;
const SECTOR = 4096;

export const BLOCK = {notPresent: 0, undefined: 1, zero: 2, unmapped: 3, full: 6, partial: 7} as const;

export const GUID = {
	batRegion: '2dc27766-f623-4200-9d64-115e9bfd4a08',
	metadataRegion: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
	fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
	virtualDiskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
	virtualDiskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
	logicalSectorSize: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
	physicalSectorSize: 'cda348c7-445d-4471-9cc9-e9885251c556',
	parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
	vhdxLocator: 'b04aefb7-d19e-4a81-b789-25b8e9445913',
	log: '11223344-5566-4788-99aa-bbccddeeff00',
	parent: 'aaaaaaaa-0001-4002-8003-000000000001',
	child: 'cccccccc-0001-4002-8003-000000000002',
	unknown: 'deadbeef-0001-4002-8003-000000000003',
} as const;

export interface BlockRecipe {
	readonly block: number;
	readonly state: number;
	/** Content from the block's start; given for a state that stores something. */
	readonly bytes?: Uint8Array;
}

export interface ImageRecipe {
	readonly size: number;
	readonly blockSize?: number;
	readonly sectorSize?: number;
	/** Of the file parameters: 1 leave blocks allocated, 2 has a parent. */
	readonly flags?: number;
	readonly blocks?: readonly BlockRecipe[];
	/** Per chunk, from its first sector; set bits are the child's. */
	readonly bitmaps?: readonly {readonly chunk: number; readonly bits: Uint8Array}[];
	readonly locator?: Readonly<Record<string, string>>;
	readonly dataWriteGuid?: string;
	readonly logGuid?: string;
	readonly logLength?: number;
	readonly items?: readonly {readonly id: string; readonly flags: number; readonly bytes: Uint8Array}[];
	readonly regions?: readonly {
		readonly guid: string;
		readonly offset: number;
		readonly length: number;
		readonly required: boolean;
	}[];
}

export interface MadeImage {
	bytes: Uint8Array;
	readonly log: {readonly offset: number; readonly length: number};
	readonly metadata: number;
	readonly bat: number;
	/** Where each block's content went, by block. */
	readonly places: ReadonlyMap<number, number>;
	/** Position in the file of a block's BAT entry. */
	entryAt(block: number): number;
}

export function putGuid(view: DataView, at: number, text: string): void {
	const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
	view.setUint32(at, Number.parseInt(a, 16), true);
	view.setUint16(at + 4, Number.parseInt(b, 16), true);
	view.setUint16(at + 6, Number.parseInt(c, 16), true);
	const rest = d + e;
	for (let i = 0; i < 8; i++) view.setUint8(at + 8 + i, Number.parseInt(rest.slice(i * 2, i * 2 + 2), 16));
}

function putText(bytes: Uint8Array, at: number, text: string): void {
	for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** Makes the checksum of a structure right again: 4 bytes at `at + 4` over `length` bytes. */
export function reseal(bytes: Uint8Array, at: number, length: number): void {
	const block = bytes.subarray(at, at + length);
	block.fill(0, 4, 8);
	new DataView(block.buffer, block.byteOffset).setUint32(4, crc32c(block), true);
}

export const HEADERS = [0x10000, 0x20000] as const;
export const REGION_TABLES = [0x30000, 0x40000] as const;
export const HEADER_SIZE = 4096;
export const REGION_TABLE_SIZE = 65536;

/** Makes all four checksummed structures right again. */
export function resealAll(bytes: Uint8Array): void {
	for (const at of HEADERS) reseal(bytes, at, HEADER_SIZE);
	for (const at of REGION_TABLES) reseal(bytes, at, REGION_TABLE_SIZE);
}

export function getGuid(view: DataView, at: number): string {
	const digits = (from: number, length: number) =>
		Array.from({length}, (_, index) =>
			view
				.getUint8(from + index)
				.toString(16)
				.padStart(2, '0'),
		).join('');
	const first = view.getUint32(at, true).toString(16).padStart(8, '0');
	const [second, third] = [4, 6].map(offset =>
		view
			.getUint16(at + offset, true)
			.toString(16)
			.padStart(4, '0'),
	);
	return `${first}-${second}-${third}-${digits(at + 8, 2)}-${digits(at + 10, 6)}`;
}

export interface FoundHeader {
	/** Signature and checksum. */
	readonly valid: boolean;
	readonly sequence: bigint;
	readonly fileWriteGuid: string;
	readonly dataWriteGuid: string;
	readonly logGuid: string;
	readonly logVersion: number;
	readonly version: number;
	readonly logLength: number;
	readonly logOffset: number;
}

/** Both headers, field by field. */
export function headersOf(bytes: Uint8Array): [FoundHeader, FoundHeader] {
	function headerAt(at: number): FoundHeader {
		const block = Uint8Array.from(bytes.subarray(at, at + HEADER_SIZE));
		const view = new DataView(block.buffer);
		const checksum = view.getUint32(4, true);
		const signed = Buffer.from(block.subarray(0, 4)).toString('latin1') === 'head';
		return {
			valid: signed && checksum === checksumOf(block),
			sequence: view.getBigUint64(8, true),
			fileWriteGuid: getGuid(view, 16),
			dataWriteGuid: getGuid(view, 32),
			logGuid: getGuid(view, 48),
			logVersion: view.getUint16(64, true),
			version: view.getUint16(66, true),
			logLength: view.getUint32(68, true),
			logOffset: Number(view.getBigUint64(72, true)),
		};
	}
	return [headerAt(HEADERS[0]), headerAt(HEADERS[1])];
}

/** Over a structure with the field itself as zero. */
function checksumOf(structure: Uint8Array): number {
	const block = structure.slice();
	block.fill(0, 4, 8);
	return crc32c(block);
}

function locatorItem(entries: Readonly<Record<string, string>>): Uint8Array {
	const list = Object.entries(entries);
	const texts = list.flat().reduce((total, text) => total + text.length * 2, 0);
	const bytes = new Uint8Array(20 + list.length * 12 + texts);
	const view = new DataView(bytes.buffer);
	putGuid(view, 0, GUID.vhdxLocator);
	view.setUint16(18, list.length, true);
	let at = 20 + list.length * 12;
	for (const [index, pair] of list.entries()) {
		const base = 20 + index * 12;
		for (const [which, text] of pair.entries()) {
			view.setUint32(base + which * 4, at, true);
			view.setUint16(base + 8 + which * 2, text.length * 2, true);
			for (let i = 0; i < text.length; i++) view.setUint16(at + i * 2, text.charCodeAt(i), true);
			at += text.length * 2;
		}
	}
	return bytes;
}

function u32s(...values: number[]): Uint8Array {
	const bytes = new Uint8Array(values.length * 4);
	for (const [index, value] of values.entries()) new DataView(bytes.buffer).setUint32(index * 4, value, true);
	return bytes;
}

export function u64(value: number): Uint8Array {
	return u32s(value % 2 ** 32, Math.floor(value / 2 ** 32));
}

function guidBytes(text: string): Uint8Array {
	const bytes = new Uint8Array(16);
	putGuid(new DataView(bytes.buffer), 0, text);
	return bytes;
}

export function batEntry(state: number, offset: number): Uint8Array {
	return new Uint8Array(new BigUint64Array([BigInt(offset) | BigInt(state)]).buffer);
}

export function makeVhdx(recipe: ImageRecipe): MadeImage {
	const {size, blockSize = MIB, sectorSize = 512, blocks = [], bitmaps = [], logLength = MIB} = recipe;
	const flags = recipe.flags ?? (recipe.locator === undefined ? 0 : 2);
	const chunkRatio = (2 ** 23 * sectorSize) / blockSize;
	const log = {offset: MIB, length: logLength};
	const metadata = log.offset + log.length;
	const bat = metadata + MIB;
	const entryAt = (block: number) => bat + (block + Math.floor(block / chunkRatio)) * 8;
	const chunks = Math.max(1, Math.ceil(size / blockSize / chunkRatio));
	const batLength = Math.ceil((chunks * (chunkRatio + 1) * 8) / MIB) * MIB;
	let end = bat + batLength;
	const extra = recipe.regions ?? [];
	for (const region of extra) end = Math.max(end, region.offset + region.length);
	const places = new Map<number, number>();
	for (const {block, bytes} of blocks) {
		if (bytes === undefined) continue;
		places.set(block, end);
		end += blockSize;
	}
	const bitmapStart = end;
	end += bitmaps.length * MIB;
	const file = new Uint8Array(end);
	const view = new DataView(file.buffer);

	putText(file, 0, 'vhdxfile');
	for (const [index, at] of HEADERS.entries()) {
		putText(file, at, 'head');
		file.set(u64(7 + index), at + 8);
		putGuid(view, at + 16, 'f11e0000-0001-4002-8003-00000000000f');
		putGuid(view, at + 32, recipe.dataWriteGuid ?? GUID.parent);
		if (recipe.logGuid !== undefined) putGuid(view, at + 48, recipe.logGuid);
		view.setUint16(at + 66, 1, true);
		view.setUint32(at + 68, log.length, true);
		file.set(u64(log.offset), at + 72);
	}
	const regions = [
		{guid: GUID.batRegion, offset: bat, length: batLength, required: true},
		{guid: GUID.metadataRegion, offset: metadata, length: MIB, required: true},
		...extra,
	];
	for (const at of REGION_TABLES) {
		putText(file, at, 'regi');
		view.setUint32(at + 8, regions.length, true);
		for (const [index, region] of regions.entries()) {
			const entry = at + 16 + index * 32;
			putGuid(view, entry, region.guid);
			file.set(u64(region.offset), entry + 16);
			view.setUint32(entry + 24, region.length, true);
			view.setUint32(entry + 28, region.required ? 1 : 0, true);
		}
	}
	const items = [
		{id: GUID.fileParameters, flags: 4, bytes: u32s(blockSize, flags)},
		{id: GUID.virtualDiskSize, flags: 6, bytes: u64(size)},
		{id: GUID.virtualDiskId, flags: 6, bytes: guidBytes('d15c0000-0001-4002-8003-00000000000d')},
		{id: GUID.logicalSectorSize, flags: 6, bytes: u32s(sectorSize)},
		{id: GUID.physicalSectorSize, flags: 6, bytes: u32s(4096)},
		...(recipe.locator === undefined ? [] : [{id: GUID.parentLocator, flags: 4, bytes: locatorItem(recipe.locator)}]),
		...(recipe.items ?? []),
	];
	putText(file, metadata, 'metadata');
	view.setUint16(metadata + 10, items.length, true);
	let itemAt = 65536;
	for (const [index, item] of items.entries()) {
		const entry = metadata + 32 + index * 32;
		putGuid(view, entry, item.id);
		view.setUint32(entry + 16, itemAt, true);
		view.setUint32(entry + 20, item.bytes.length, true);
		view.setUint32(entry + 24, item.flags, true);
		file.set(item.bytes, metadata + itemAt);
		itemAt += item.bytes.length;
	}
	for (const {block, state, bytes} of blocks) {
		const place = places.get(block);
		file.set(batEntry(state, place ?? 0), entryAt(block));
		if (bytes !== undefined && place !== undefined) file.set(bytes, place);
	}
	for (const [index, {chunk, bits}] of bitmaps.entries()) {
		const place = bitmapStart + index * MIB;
		file.set(batEntry(6, place), bat + (chunk * (chunkRatio + 1) + chunkRatio) * 8);
		file.set(bits, place);
	}
	resealAll(file);
	return {bytes: file, log, metadata, bat, places, entryAt};
}

export type LogWrite =
	| {readonly kind: 'data'; readonly at: number; readonly bytes: Uint8Array}
	| {readonly kind: 'zero'; readonly at: number; readonly length: number};

export interface LogEntryRecipe {
	readonly sequence: number;
	readonly writes: readonly LogWrite[];
	/** Position in the log of the oldest entry still needed; its own by default. */
	readonly tail?: number;
	readonly guid?: string;
	readonly flushed?: number;
	readonly last?: number;
}

/** The bytes of a log entry at `position` of the log. */
export function logEntry(image: MadeImage, position: number, recipe: LogEntryRecipe): Uint8Array {
	const {sequence, writes} = recipe;
	const descriptorSectors = Math.ceil((64 + writes.length * 32) / SECTOR);
	const dataSectors = writes.filter(write => write.kind === 'data').length;
	const bytes = new Uint8Array((descriptorSectors + dataSectors) * SECTOR);
	const view = new DataView(bytes.buffer);
	putText(bytes, 0, 'loge');
	view.setUint32(8, bytes.length, true);
	view.setUint32(12, recipe.tail ?? position, true);
	bytes.set(u64(sequence), 16);
	view.setUint32(24, writes.length, true);
	putGuid(view, 32, recipe.guid ?? GUID.log);
	bytes.set(u64(recipe.flushed ?? image.bytes.length), 48);
	bytes.set(u64(recipe.last ?? image.bytes.length), 56);
	let sector = descriptorSectors * SECTOR;
	for (const [index, write] of writes.entries()) {
		const at = 64 + index * 32;
		bytes.set(u64(write.at), at + 16);
		bytes.set(u64(sequence), at + 24);
		if (write.kind === 'zero') {
			putText(bytes, at, 'zero');
			bytes.set(u64(write.length), at + 8);
			continue;
		}
		putText(bytes, at, 'desc');
		bytes.set(write.bytes.subarray(SECTOR - 4), at + 4);
		bytes.set(write.bytes.subarray(0, 8), at + 8);
		putText(bytes, sector, 'data');
		view.setUint32(sector + 4, Math.floor(sequence / 2 ** 32), true);
		bytes.set(write.bytes.subarray(8, SECTOR - 4), sector + 8);
		view.setUint32(sector + SECTOR - 4, sequence % 2 ** 32, true);
		sector += SECTOR;
	}
	reseal(bytes, 0, bytes.length);
	return bytes;
}

/** Puts bytes into the ring of the log, and returns the position behind them. */
export function putInLog(image: MadeImage, position: number, bytes: Uint8Array): number {
	const {offset, length} = image.log;
	for (let i = 0; i < bytes.length; i += SECTOR) {
		image.bytes.set(bytes.subarray(i, i + SECTOR), offset + ((position + i) % length));
	}
	return (position + bytes.length) % length;
}

/** Appends an entry to the log. */
export function putLogEntry(image: MadeImage, position: number, recipe: LogEntryRecipe): number {
	return putInLog(image, position, logEntry(image, position, recipe));
}

/** Bytes that repeat nowhere soon, so that a misplaced sector shows. */
export function pattern(length: number, seed: number): Uint8Array {
	const words = new Uint32Array(Math.ceil(length / 4));
	let state = (seed * 0x9e3779b1 + 1) >>> 0;
	for (let i = 0; i < words.length; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		words[i] = state ^ (state >>> 13);
	}
	return new Uint8Array(words.buffer, 0, length);
}
