import {viewOf} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {findBackup} from './boot-region.ts';
import {
	BOOT_SIGNATURE,
	BootSector,
	ENTRY_SIZE,
	EntryType,
	FILE_SYSTEM_NAME,
	FIRST_CLUSTER,
	FOREIGN_SIGNATURES,
} from './layout.ts';

/** Partition table of an MBR: four entries of 16 bytes. */
const PARTITIONS = 446;
const PARTITION_SIZE = 16;
const ACTIVE = 0x80;
/** Entries with which a root directory may start. */
const ROOT_ENTRIES: ReadonlySet<number> = new Set(
	Object.values(EntryType).filter(type => type < EntryType.streamExtension),
);

/** Whether the volume is exFAT by its boot sector, or by the backup where nothing else claims the volume. */
export function probe(volume: ByteSource): boolean {
	try {
		const sector = readSector(volume);
		if (sector === undefined) return hasBackup(volume);
		const view = viewOf(sector);
		if (BootSector.fields.fileSystemName.read(view, 0) === FILE_SYSTEM_NAME) return true;
		if (FOREIGN_SIGNATURES.some(({at, bytes}) => hasBytes(volume, at, bytes))) return false;
		return !holdsPartitions(view) && hasBackup(volume);
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

/** The boot sector; undefined where it cannot be read. */
function readSector(volume: ByteSource): Uint8Array | undefined {
	const sector = new Uint8Array(BootSector.size);
	if (volume.size < sector.length) return sector;
	try {
		volume.readAt(0, sector);
		return sector;
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
}

function hasBytes(volume: ByteSource, at: number, bytes: readonly number[]): boolean {
	if (at + bytes.length > volume.size) return false;
	const found = new Uint8Array(bytes.length);
	volume.readAt(at, found);
	return bytes.every((byte, index) => found[index] === byte);
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

/** A sound backup, and a root directory where it says: a new format leaves the backup alone sometimes. */
function hasBackup(volume: ByteSource): boolean {
	const backup = findBackup(volume);
	if (backup === undefined || backup.fault !== undefined) return false;
	const {heapStart, rootCluster, clusterSize} = backup.geometry;
	const position = heapStart + (rootCluster - FIRST_CLUSTER) * clusterSize;
	if (position + ENTRY_SIZE > volume.size) return false;
	const entry = new Uint8Array(1);
	volume.readAt(position, entry);
	// A label that was taken away leaves its entry, which is then not in use.
	return ROOT_ENTRIES.has(entry[0] | 0x80);
}
