import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {type Geometry, readSector} from './boot-sector.ts';
import {CLEAN_16, CLEAN_32, TO_GO_GUID, TO_GO_POSITION} from './layout.ts';
import {startsWithMedia} from './probe.ts';
import type {Table} from './table.ts';

/** Where the copy of the table to be used starts. */
export function selectTable(source: ByteSource, geometry: Geometry, context: FileSystemContext): number {
	const {tableStart, tableSize, tableCount, activeTable} = geometry;
	const startOf = (copy: number): number => tableStart + copy * tableSize;
	if (activeTable !== undefined) {
		if (activeTable < tableCount) return startOf(activeTable);
		context.warn({
			code: 'fat/active-table',
			severity: 'damage',
			message: `the boot sector says that FAT ${activeTable + 1} of ${tableCount} is in use; the first was used`,
		});
		return startOf(0);
	}
	if (startsWithMedia(source, geometry, 0)) return startOf(0);
	for (let copy = 1; copy < tableCount; copy++) {
		if (!startsWithMedia(source, geometry, copy)) continue;
		context.warn({
			code: 'fat/table-damaged',
			severity: 'damage',
			message: `the start of the first FAT is damaged; FAT ${copy + 1} was used`,
		});
		return startOf(copy);
	}
	context.warn({
		code: 'fat/table-start',
		severity: 'damage',
		message: 'no copy of the FAT starts with the media byte as it should; the first was used',
	});
	return startOf(0);
}

/** What the flags in the boot sector and in entry 1 of the table say. */
export function wasClosedCleanly(table: Table, geometry: Geometry): boolean {
	if (geometry.dirty) return false;
	if (geometry.bits === 12) return true;
	try {
		return (table.entry(1) & (geometry.bits === 16 ? CLEAN_16 : CLEAN_32)) !== 0;
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

/** Says what is odd about the volume as a whole. */
export function reportFindings(
	source: ByteSource,
	geometry: Geometry,
	clean: boolean,
	context: FileSystemContext,
): void {
	const {type, size, version, untabledClusters, typeName} = geometry;
	if (size > source.size) {
		const message = `the volume is truncated: the file system has ${size} bytes, of which ${source.size} are there`;
		context.warn({code: 'fat/truncated', severity: 'damage', message});
	}
	if (!clean) {
		const message = 'the file system was not closed cleanly; its newest changes may be missing';
		context.warn({code: 'fat/not-clean', severity: 'warning', message});
	}
	if (untabledClusters > 0) {
		const message = `the FAT is too small for the last ${untabledClusters} clusters, which cannot be used`;
		context.warn({code: 'fat/table-too-small', severity: 'warning', message});
	}
	if (version !== 0) {
		const message = `the file system claims version ${version >> 8}.${version & 0xff}, but only 0.0 is known`;
		context.warn({code: 'fat/version', severity: 'warning', message});
	}
	if (/^FAT(?:12|16|32)$/.test(typeName) && typeName !== type.toUpperCase()) {
		const message = `the boot sector says ${typeName}, but by its size and layout the file system is ${type.toUpperCase()}`;
		context.warn({code: 'fat/type-name', severity: 'note', message});
	}
	const sector = readSector(source, 0);
	if (sector !== undefined && TO_GO_GUID.every((byte, i) => sector[TO_GO_POSITION + i] === byte)) {
		const message =
			'this is the discovery volume of a BitLocker To Go drive; the files of the drive are encrypted in it';
		context.warn({code: 'fat/bitlocker-to-go', severity: 'warning', message});
	}
}
