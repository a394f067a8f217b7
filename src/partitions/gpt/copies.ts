import {roundUp} from '../../core/bytes/u64.ts';
import type {Disk} from '../../core/disk.ts';
import {DiskError} from '../../core/error.ts';
import {protectiveEntry, readBootSector} from '../boot-sector.ts';
import {type Header, readEntries, readHeader} from './header.ts';
import {PRIMARY_LBA, SECTOR_SIZES} from './layout.ts';

/** One of the two copies of a table, with all checksums right. */
export interface Copy {
	readonly header: Header;
	readonly entries: Uint8Array;
}

export interface Damage {
	readonly lba: number;
	readonly sectorSize: number;
	/** Completes a sentence that begins with "the header at sector 1". */
	readonly problem: string;
	readonly alternateLba?: number;
}

export type CopyResult = {readonly copy: Copy} | {readonly damage: Damage};

/** Loads the copy whose header lies at a sector number. A sector that cannot be read is damage like any other. */
export function loadCopy(disk: Disk, lba: number, sectorSize: number): CopyResult {
	try {
		const result = readHeader(disk, lba, sectorSize);
		if (!('header' in result)) return {damage: {lba, sectorSize, ...result}};
		const {header} = result;
		const array = readEntries(disk, header);
		if ('entries' in array) return {copy: {header, entries: array.entries}};
		return {damage: {lba, sectorSize, problem: array.problem, alternateLba: header.alternateLba}};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return {damage: {lba, sectorSize, problem: `cannot be read: ${error.message}`}};
	}
}

/** The disk's own sector size first, then the other: raw images do not record it. */
function sectorSizes(disk: Disk): number[] {
	return [disk.sectorSize, ...SECTOR_SIZES.filter(size => size !== disk.sectorSize)];
}

/** The primary copy, whatever the sector size; else the damage found where the disk's own sector size puts it. */
export function loadPrimary(disk: Disk): CopyResult {
	const results = sectorSizes(disk).map(size => loadCopy(disk, PRIMARY_LBA, size));
	return results.find(result => 'copy' in result) ?? results[0];
}

/**
 * The backup, for a disk whose primary copy is damaged. It lies in the last sector, or where the damaged header or
 * the protective MBR say that the disk ended when it was partitioned.
 */
export function loadBackup(disk: Disk, primary: Damage | undefined): CopyResult {
	const places: {lba: number; sectorSize: number}[] = [];
	for (const sectorSize of sectorSizes(disk)) {
		places.push({lba: Math.floor(disk.size / sectorSize) - 1, sectorSize});
	}
	if (primary?.alternateLba !== undefined) places.push({lba: primary.alternateLba, sectorSize: primary.sectorSize});
	const sector = readBootSector(disk);
	const protective = sector && protectiveEntry(sector);
	if (protective) {
		const lba = protective.start + protective.sectors - 1;
		for (const sectorSize of sectorSizes(disk)) places.push({lba, sectorSize});
	}
	let first: CopyResult | undefined;
	for (const {lba, sectorSize} of places) {
		const result = loadCopy(disk, lba, sectorSize);
		if ('copy' in result) return result;
		first ??= result;
	}
	return first ?? {damage: {lba: 0, sectorSize: disk.sectorSize, problem: 'does not exist'}};
}

/** Where the headers and entries of both copies lie on a disk, as far as they are whole; bytes, in no order. */
export function gptRanges(disk: Disk): {readonly start: number; readonly end: number}[] {
	const primary = loadPrimary(disk);
	const copies =
		'copy' in primary
			? [primary, loadCopy(disk, primary.copy.header.alternateLba, primary.copy.header.sectorSize)]
			: [loadBackup(disk, primary.damage)];
	return copies.flatMap(result => {
		if (!('copy' in result)) return [];
		const {header, entries} = result.copy;
		const {sectorSize, myLba, partitionEntryLba} = header;
		const start = partitionEntryLba * sectorSize;
		return [
			{start, end: start + roundUp(entries.length, sectorSize)},
			{start: myLba * sectorSize, end: (myLba + 1) * sectorSize},
		];
	});
}
