import {crc32} from '../../src/core/bytes/checksums.ts';
import {type Values, viewOf} from '../../src/core/bytes/layout.ts';
import {EntryLayout, HeaderLayout, NAME_OFFSET, SIGNATURE} from '../../src/partitions/gpt/layout.ts';
import type {SparseSource} from '../helpers/sparse-source.ts';
import {writeBootSector} from './disks.ts';

export const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';

export interface GptEntry {
	readonly slot?: number;
	readonly type?: string;
	readonly unique?: string;
	readonly first: number;
	readonly last: number;
	readonly attributes?: number;
	readonly name?: string;
}

export interface GptOptions {
	readonly sectorSize?: number;
	readonly entryCount?: number;
	readonly entrySize?: number;
	/** Changes fields of both headers before their checksums are made. */
	readonly header?: Partial<Values<typeof HeaderLayout.fields>>;
	readonly backupLba?: number;
	readonly protectiveMbr?: boolean;
}

/** Writes both copies of a table and the protective MBR, however senseless the entries. */
export function writeGpt(source: SparseSource, entries: readonly GptEntry[], options: GptOptions = {}): void {
	const {sectorSize = 512, entryCount = 128, entrySize = 128, protectiveMbr = true} = options;
	const {backupLba = Math.floor(source.size / sectorSize) - 1} = options;
	const array = new Uint8Array(entryCount * entrySize);
	const view = viewOf(array);
	for (const [
		index,
		{slot = index, type = LINUX, unique, first, last, attributes = 0, name = ''},
	] of entries.entries()) {
		const base = slot * entrySize;
		EntryLayout.write(view, base, {
			partitionTypeGuid: type,
			uniquePartitionGuid: unique ?? `00000000-0000-0000-0000-${String(slot + 1).padStart(12, '0')}`,
			startingLba: first,
			endingLba: last,
			attributes,
		});
		for (let unit = 0; unit < name.length; unit++) {
			view.setUint16(base + NAME_OFFSET + unit * 2, name.charCodeAt(unit), true);
		}
	}
	const arraySectors = Math.ceil(array.length / sectorSize);
	const places = [
		{myLba: 1, alternateLba: backupLba, partitionEntryLba: 2},
		{myLba: backupLba, alternateLba: 1, partitionEntryLba: backupLba - arraySectors},
	];
	for (const place of places) {
		const block = new Uint8Array(sectorSize);
		HeaderLayout.write(viewOf(block), 0, {
			signature: SIGNATURE,
			revision: 0x1_0000,
			headerSize: HeaderLayout.size,
			firstUsableLba: 2 + arraySectors,
			lastUsableLba: backupLba - arraySectors - 1,
			diskGuid: '11111111-2222-3333-4444-555555555555',
			numberOfPartitionEntries: entryCount,
			sizeOfPartitionEntry: entrySize,
			partitionEntryArrayCrc32: crc32(array),
			...place,
			...options.header,
		});
		sealHeader(block);
		source.write(place.myLba * sectorSize, block);
		source.write(place.partitionEntryLba * sectorSize, array);
	}
	if (!protectiveMbr) return;
	const sectors = Math.min(0xffff_ffff, Math.floor(source.size / sectorSize) - 1);
	writeBootSector(source, 0, [{type: 0xee, start: 1, sectors}]);
}

/** Puts the right checksum into a header. */
export function sealHeader(block: Uint8Array): void {
	const view = viewOf(block);
	const {headerSize, headerCrc32} = HeaderLayout.fields;
	headerCrc32.write(view, 0, 0);
	headerCrc32.write(view, 0, crc32(block.subarray(0, headerSize.read(view, 0))));
}
