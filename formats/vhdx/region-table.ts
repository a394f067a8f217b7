import {viewOf} from '../../src/core/bytes/layout.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {seal, takeChecksum} from './checksum.ts';
import {
	BAT_REGION,
	HEADER_SECTION_SIZE,
	MAX_REGION_ENTRIES,
	METADATA_REGION,
	REGION_ALIGNMENT,
	REGION_REQUIRED,
	REGION_TABLE_OFFSETS,
	REGION_TABLE_SIGNATURE,
	REGION_TABLE_SIZE,
	RegionTableEntry,
	RegionTableHeader,
} from './layout.ts';

/** A range of the file that belongs to one structure. */
export interface Region {
	readonly name: string;
	readonly offset: number;
	readonly length: number;
}

export interface Regions {
	readonly bat: Region;
	readonly metadata: Region;
	/** Everything that no block may touch, by offset: the header section, the log, and all regions. */
	readonly reserved: readonly Region[];
}

function readTable(source: ByteSource, offset: number): Uint8Array | undefined {
	if (offset + REGION_TABLE_SIZE > source.size) return undefined;
	const block = new Uint8Array(REGION_TABLE_SIZE);
	source.readAt(offset, block);
	const signed = RegionTableHeader.fields.signature.read(viewOf(block), 0) === REGION_TABLE_SIGNATURE;
	return signed && takeChecksum(block) ? block : undefined;
}

/** Section 2.2.3: two copies, of which the first that is whole is used. `source` is the file with its log replayed. */
export function readRegions(source: ByteSource, log: Region, context: OpenContext): Regions {
	const tables = REGION_TABLE_OFFSETS.map(offset => readTable(source, offset));
	const index = tables.findIndex(table => table !== undefined);
	const table = tables[index];
	const position = REGION_TABLE_OFFSETS[index] ?? REGION_TABLE_OFFSETS[0];
	const where = {file: source.name, position, structure: 'region table'};
	if (table === undefined) throw corrupt('vhdx/region-table-checksum', 'both region tables are damaged', where);
	if (tables.includes(undefined)) {
		context.warn({
			code: 'vhdx/region-table-damaged',
			severity: 'warning',
			message: `region table ${2 - index} of ${source.name} is damaged; region table ${index + 1} was used`,
		});
	}
	const found = parseTable(table, where);
	const bat = found.get(BAT_REGION);
	const metadata = found.get(METADATA_REGION);
	if (bat === undefined) throw corrupt('vhdx/region-missing', 'the region table names no BAT', where);
	if (metadata === undefined) throw corrupt('vhdx/region-missing', 'the region table names no metadata region', where);
	const header: Region = {name: 'header section', offset: 0, length: HEADER_SECTION_SIZE};
	const reserved = [header, ...(log.length > 0 ? [log] : []), ...found.values()];
	refuseOverlap(reserved, where);
	for (const {name, offset, length} of [bat, metadata]) {
		if (offset + length <= source.size) continue;
		throw corrupt('vhdx/region-beyond-file', `the ${name} lies beyond the end of the file`, {
			...where,
			position: offset,
		});
	}
	return {bat, metadata, reserved};
}

function parseTable(table: Uint8Array, where: {file: string; position: number}): Map<string, Region> {
	const view = viewOf(table);
	const {entryCount} = RegionTableHeader.read(view);
	if (entryCount > MAX_REGION_ENTRIES) {
		throw corrupt('vhdx/region-count', `${entryCount} regions; at most ${MAX_REGION_ENTRIES} fit`, where);
	}
	const found = new Map<string, Region>();
	for (let i = 0; i < entryCount; i++) {
		const entry = RegionTableEntry.read(view, RegionTableHeader.size + i * RegionTableEntry.size);
		const {guid, fileOffset: offset, length} = entry;
		const name = regionName(guid);
		if (name === undefined && (entry.flags & REGION_REQUIRED) !== 0) {
			throw unsupported('vhdx/unknown-region', `the unknown region ${guid} is required to read this file`, where);
		}
		if (found.has(guid)) throw corrupt('vhdx/region-duplicate', `two regions are called ${guid}`, where);
		const aligned = offset % REGION_ALIGNMENT === 0 && length % REGION_ALIGNMENT === 0;
		if (!aligned || length === 0 || offset < HEADER_SECTION_SIZE) {
			throw corrupt(
				'vhdx/region-place',
				`region ${guid} has ${length} bytes at ${offset}, not aligned to 1 MiB`,
				where,
			);
		}
		found.set(guid, {name: name ?? `region ${guid}`, offset, length});
	}
	return found;
}

function regionName(guid: string): string | undefined {
	if (guid === BAT_REGION) return 'BAT';
	return guid === METADATA_REGION ? 'metadata region' : undefined;
}

/** Sorts by offset, and throws where two share a byte. */
function refuseOverlap(regions: Region[], where: {file: string; position: number}): void {
	regions.sort((a, b) => a.offset - b.offset);
	let previous: Region | undefined;
	for (const region of regions) {
		if (previous !== undefined && region.offset < previous.offset + previous.length) {
			throw corrupt('vhdx/region-overlap', `the ${region.name} overlaps the ${previous.name}`, where);
		}
		previous = region;
	}
}

export function encodeRegionTable(regions: readonly {guid: string; offset: number; length: number}[]): Uint8Array {
	const block = new Uint8Array(REGION_TABLE_SIZE);
	const view = viewOf(block);
	RegionTableHeader.write(view, 0, {signature: REGION_TABLE_SIGNATURE, entryCount: regions.length});
	for (const [index, {guid, offset, length}] of regions.entries()) {
		const at = RegionTableHeader.size + index * RegionTableEntry.size;
		RegionTableEntry.write(view, at, {guid, fileOffset: offset, length, flags: REGION_REQUIRED});
	}
	seal(block);
	return block;
}
