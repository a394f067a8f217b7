import {viewOf} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {findBackup, type Geometry, parseDos1Floppy, readSector, tryBootSector} from './boot-sector.ts';
import {
	BOOT_SIGNATURE,
	BootSector,
	BootSector16,
	BootSector32,
	FOREIGN_OEM_NAMES,
	FOREIGN_TYPE_NAMES,
} from './layout.ts';

/** Partition table of an MBR: four entries of 16 bytes. */
const PARTITIONS = 446;
const PARTITION_SIZE = 16;
const ACTIVE = 0x80;
const EXT_MAGIC_POSITION = 1080;
const EXT_MAGIC = [0x53, 0xef];
/** LUKS, XFS, squashfs: what may have been written over a FAT volume and have left its backup boot sector in place. */
const FOREIGN_STARTS = [
	[0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe],
	[0x58, 0x46, 0x53, 0x42],
	[0x68, 0x73, 0x71, 0x73],
];

/**
 * Whether the volume is FAT. A parameter block alone is weak evidence, since boot code can look like one, so one more
 * sign is asked for: the media byte repeated in the table, or the jump, signature and type name of a boot sector.
 */
export function probe(volume: ByteSource): boolean {
	const sector = readSector(volume, 0);
	if (sector === undefined) return hasBackup(volume);
	const view = viewOf(sector);
	if (FOREIGN_OEM_NAMES.includes(BootSector.fields.oemName.read(view, 0))) return false;
	if (FOREIGN_TYPE_NAMES.includes(BootSector16.fields.typeName.read(view, 0))) return false;
	const geometry = tryBootSector(sector);
	const partitioned = holdsPartitions(view);
	if (geometry instanceof DiskError) {
		if (parseDos1Floppy(volume) !== undefined) return true;
		if (partitioned || isForeign(volume, sector)) return false;
		return (isBootable(view) && namesFat(view)) || hasBackup(volume);
	}
	if (tableRepeatsMedia(volume, geometry)) return true;
	return !partitioned && isBootable(view);
}

/** A jump and the signature. */
function isBootable(view: DataView): boolean {
	const {jump, jumpEnd, signature} = BootSector.fields;
	const first = jump.read(view, 0);
	const jumps = first === 0xe9 || (first === 0xeb && jumpEnd.read(view, 0) === 0x90);
	return jumps && signature.read(view, 0) === BOOT_SIGNATURE;
}

function namesFat(view: DataView): boolean {
	const narrow = BootSector16.fields.typeName.read(view, 0);
	return /^FAT(?:12|16)? +$/.test(narrow) || BootSector32.fields.typeName.read(view, 0) === 'FAT32   ';
}

/** Whether the sector is an MBR with at least one partition and nothing that could not be one. */
function holdsPartitions(view: DataView): boolean {
	if (BootSector.fields.signature.read(view, 0) !== BOOT_SIGNATURE) return false;
	let used = 0;
	for (let i = 0; i < 4; i++) {
		const at = PARTITIONS + i * PARTITION_SIZE;
		const status = view.getUint8(at);
		if (status !== 0 && status !== ACTIVE) return false;
		const type = view.getUint8(at + 4);
		if (type !== 0 && view.getUint32(at + 8, true) !== 0 && view.getUint32(at + 12, true) !== 0) used++;
	}
	return used > 0;
}

function isForeign(volume: ByteSource, sector: Uint8Array): boolean {
	if (FOREIGN_STARTS.some(start => start.every((byte, i) => sector[i] === byte))) return true;
	const superblock = readSector(volume, 1024);
	const at = EXT_MAGIC_POSITION - 1024;
	return superblock !== undefined && EXT_MAGIC.every((byte, i) => superblock[at + i] === byte);
}

/** Whether some copy of the table starts with the media byte and ones, as every formatter leaves it. */
function tableRepeatsMedia(volume: ByteSource, geometry: Geometry): boolean {
	for (let copy = 0; copy < geometry.tableCount; copy++) {
		if (startsWithMedia(volume, geometry, copy)) return true;
	}
	return false;
}

/** Whether entry 0 of one copy of the table is the media byte, extended with ones. */
export function startsWithMedia(volume: ByteSource, geometry: Geometry, copy: number): boolean {
	const head = readSector(volume, geometry.tableStart + copy * geometry.tableSize);
	return (
		head !== undefined && head[0] === geometry.media && head[1] === 0xff && (geometry.bits === 16 || head[2] === 0xff)
	);
}

function hasBackup(volume: ByteSource): boolean {
	const backup = findBackup(volume);
	return backup !== undefined && tableRepeatsMedia(volume, backup);
}
