import {viewOf} from '../../../src/core/bytes/layout.ts';
import {type Span, SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {Geometry} from './boot-sector.ts';
import {
	ALLOCATED_LOOKAHEAD,
	BOOT_SECTOR_SIZE,
	ENTRY_FREE,
	FIRST_CLUSTER,
	FSINFO_LEAD,
	FSINFO_STRUCT,
	FSINFO_TRAIL,
	FsInfo,
} from './layout.ts';
import type {Table} from './table.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** The count that FSInfo keeps, where it is one. */
export function recordedFreeClusters(volume: Volume, geometry: Geometry): number | undefined {
	if (geometry.fsInfoPosition === undefined) return undefined;
	const sector = new Uint8Array(BOOT_SECTOR_SIZE);
	try {
		volume.read(geometry.fsInfoPosition, sector);
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	const {leadSignature, structSignature, trailSignature, freeCount} = FsInfo.read(viewOf(sector));
	const signed = leadSignature === FSINFO_LEAD && structSignature === FSINFO_STRUCT && trailSignature === FSINFO_TRAIL;
	return signed && freeCount <= geometry.clusterCount ? freeCount : undefined;
}

export function countFreeClusters(table: Table): number {
	let free = 0;
	for (let cluster = FIRST_CLUSTER; cluster <= table.last; ) {
		const length = table.sameUse(cluster, Number.MAX_SAFE_INTEGER);
		if (table.entry(cluster) === ENTRY_FREE) free += length;
		cluster += length;
	}
	return free;
}

/** See `FileSystem.allocated`: all but free clusters is in use, bad ones and what lies behind the last included. */
export function locateAllocated(
	volumeSize: number,
	geometry: Geometry,
	table: Table,
	position: number,
	span: Span,
): void {
	const {dataStart, clusterSize, clusterCount} = geometry;
	const dataEnd = dataStart + clusterCount * clusterSize;
	if (position < dataStart || position >= dataEnd) {
		const end = position < dataStart ? Math.min(dataStart, volumeSize) : volumeSize;
		stored(span, end - position, 0, position);
		return;
	}
	const index = Math.floor((position - dataStart) / clusterSize);
	const cluster = index + FIRST_CLUSTER;
	const count = table.sameUse(cluster, ALLOCATED_LOOKAHEAD);
	const length = Math.min(dataStart + (index + count) * clusterSize, volumeSize) - position;
	if (table.entry(cluster) === ENTRY_FREE) unstored(span, SpanKind.free, length);
	else stored(span, length, 0, position);
}
