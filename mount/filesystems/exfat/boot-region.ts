import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {bootChecksum} from './checksums.ts';
import {
	BOOT_SECTOR_SIZE,
	BOOT_SIGNATURE,
	BootSector,
	CHECKSUM_SECTOR,
	FAT_ENTRY_SIZE,
	FILE_SYSTEM_NAME,
	FIRST_CLUSTER,
	LEAST_FAT_OFFSET,
	LEAST_SECTOR_SHIFT,
	MAJOR_REVISION,
	MAX_CLUSTERS,
	MAX_FATS,
	MOST_CLUSTER_SHIFT,
	MOST_SECTOR_SHIFT,
	REGION_SECTORS,
	SECTOR_SIZES,
} from './layout.ts';

/** What the boot sector says, checked; positions and sizes in bytes. */
export interface Geometry {
	readonly sectorSize: number;
	readonly clusterSize: number;
	/** The whole file system. */
	readonly size: number;
	/** The first FAT. */
	readonly tableStart: number;
	/** One FAT. */
	readonly tableSize: number;
	readonly tableCount: number;
	/** Where cluster 2 lies. */
	readonly heapStart: number;
	readonly clusterCount: number;
	readonly rootCluster: number;
	readonly minorRevision: number;
	/** As `XXXX-XXXX`. */
	readonly serial: string;
}

/** A boot sector that was understood. */
interface Region {
	readonly geometry: Geometry;
	readonly flags: number;
	/** What is wrong with the region all the same. */
	readonly fault: DiskError | undefined;
}

export interface Boot {
	readonly geometry: Geometry;
	/** `VolumeFlag`s, which only the main boot sector keeps up to date. */
	readonly flags: number;
}

/** Checks a boot sector and works out where everything lies. `position` is where the sector lies, for messages. */
function parseBootSector(sector: Uint8Array, position: number): {geometry: Geometry; flags: number} {
	const view = viewOf(sector);
	const damaged = (code: string, message: string, field: keyof typeof BootSector.fields): DiskError =>
		corrupt(`exfat/${code}`, message, {
			position: position + BootSector.fields[field].offset,
			structure: BootSector.name,
			field,
		});
	if (BootSector.fields.fileSystemName.read(view, 0) !== FILE_SYSTEM_NAME) {
		throw damaged('boot-sector', 'the boot sector does not name exFAT', 'fileSystemName');
	}
	if (BootSector.fields.signature.read(view, 0) !== BOOT_SIGNATURE) {
		throw damaged('boot-sector', 'the boot sector lacks its end marker', 'signature');
	}
	const boot = BootSector.read(view);
	const {bytesPerSectorShift, sectorsPerClusterShift, numberOfFats, clusterCount, rootCluster} = boot;
	if (boot.mustBeZero.some(byte => byte !== 0)) {
		throw damaged('boot-sector', 'the boot sector holds data where exFAT has zeros', 'mustBeZero');
	}
	if (boot.majorRevision !== MAJOR_REVISION) {
		const message = `revision ${boot.majorRevision}.${boot.minorRevision} of exFAT is not known`;
		throw unsupported('exfat/revision', message, {position, structure: BootSector.name, field: 'majorRevision'});
	}
	if (bytesPerSectorShift < LEAST_SECTOR_SHIFT || bytesPerSectorShift > MOST_SECTOR_SHIFT) {
		throw damaged('sector-size', `sectors of 2^${bytesPerSectorShift} bytes are impossible`, 'bytesPerSectorShift');
	}
	if (bytesPerSectorShift + sectorsPerClusterShift > MOST_CLUSTER_SHIFT) {
		const message = `clusters of 2^${sectorsPerClusterShift} sectors are impossible`;
		throw damaged('cluster-size', message, 'sectorsPerClusterShift');
	}
	if (numberOfFats === 0 || numberOfFats > MAX_FATS) {
		throw damaged('table-count', `${numberOfFats} FATs are impossible`, 'numberOfFats');
	}
	if (clusterCount === 0 || clusterCount > MAX_CLUSTERS) {
		throw damaged('cluster-count', `${clusterCount} clusters are impossible`, 'clusterCount');
	}
	const sectorSize = 2 ** bytesPerSectorShift;
	const clusterSize = sectorSize * 2 ** sectorsPerClusterShift;
	const {fatOffset, fatLength, clusterHeapOffset, volumeLength} = boot;
	if (fatOffset < LEAST_FAT_OFFSET || fatLength * sectorSize < (clusterCount + FIRST_CLUSTER) * FAT_ENTRY_SIZE) {
		const message = `a FAT of ${fatLength} sectors from sector ${fatOffset} on cannot serve ${clusterCount} clusters`;
		throw damaged('table-size', message, 'fatLength');
	}
	if (fatOffset + fatLength * numberOfFats > clusterHeapOffset) {
		throw damaged('cluster-heap', 'the cluster heap starts within the FAT', 'clusterHeapOffset');
	}
	const heapSectors = clusterCount * 2 ** sectorsPerClusterShift;
	if (clusterHeapOffset + heapSectors > volumeLength || !Number.isSafeInteger(volumeLength * sectorSize)) {
		const message = `the cluster heap ends at sector ${clusterHeapOffset + heapSectors} of ${volumeLength}`;
		throw damaged('volume-length', message, 'volumeLength');
	}
	if (rootCluster < FIRST_CLUSTER || rootCluster >= clusterCount + FIRST_CLUSTER) {
		throw damaged('root-cluster', `the root directory's cluster ${rootCluster} lies outside the volume`, 'rootCluster');
	}
	const digits = boot.serial.toString(16).toUpperCase().padStart(8, '0');
	const geometry = {
		sectorSize,
		clusterSize,
		size: volumeLength * sectorSize,
		tableStart: fatOffset * sectorSize,
		tableSize: fatLength * sectorSize,
		tableCount: numberOfFats,
		heapStart: clusterHeapOffset * sectorSize,
		clusterCount,
		rootCluster,
		minorRevision: boot.minorRevision,
		serial: `${digits.slice(0, 4)}-${digits.slice(4)}`,
	};
	return {geometry, flags: boot.volumeFlags};
}

function attempt<T>(action: () => T): T | DiskError {
	try {
		return action();
	} catch (error) {
		if (error instanceof DiskError) return error;
		throw error;
	}
}

/** Section 3.4: the last sector of a region repeats the checksum of the others. */
function checkRegion(volume: ByteSource, position: number, sectorSize: number): DiskError | undefined {
	const where = {position: position + CHECKSUM_SECTOR * sectorSize, structure: 'boot checksum'};
	const region = new Uint8Array(REGION_SECTORS * sectorSize);
	if (position + region.length > volume.size)
		return corrupt('exfat/boot-region', 'the boot region is cut short', where);
	const unread = attempt(() => volume.readAt(position, region));
	if (unread instanceof DiskError) return unread;
	const sum = bootChecksum(region.subarray(0, CHECKSUM_SECTOR * sectorSize));
	const view = viewOf(region);
	for (let at = CHECKSUM_SECTOR * sectorSize; at < region.length; at += 4) {
		const recorded = view.getUint32(at, true);
		if (recorded === sum) continue;
		const message = `the checksum of the boot region is ${hexadecimal(sum)}, but ${hexadecimal(recorded)} is recorded`;
		return corrupt('exfat/boot-checksum', message, where);
	}
	return undefined;
}

function hexadecimal(value: number): string {
	return `0x${value.toString(16).padStart(8, '0')}`;
}

function readRegion(volume: ByteSource, position: number): Region | DiskError {
	if (position + BOOT_SECTOR_SIZE > volume.size) {
		return corrupt('exfat/boot-sector', 'the volume is smaller than a boot sector', {position});
	}
	const sector = new Uint8Array(BOOT_SECTOR_SIZE);
	return attempt(() => {
		volume.readAt(position, sector);
		const {geometry, flags} = parseBootSector(sector, position);
		return {geometry, flags, fault: checkRegion(volume, position, geometry.sectorSize)};
	});
}

function isSound(region: Region | DiskError | undefined): region is Region & {readonly fault: undefined} {
	return region !== undefined && !(region instanceof DiskError) && region.fault === undefined;
}

/** The backup boot region, for a volume whose main one is of no use. */
export function findBackup(volume: ByteSource): Region | undefined {
	let damaged: Region | undefined;
	for (const sectorSize of SECTOR_SIZES) {
		const region = readRegion(volume, REGION_SECTORS * sectorSize);
		if (region instanceof DiskError || region.geometry.sectorSize !== sectorSize) continue;
		if (region.fault === undefined) return region;
		damaged ??= region;
	}
	return damaged;
}

/** Reads the boot region, or its backup; says through `context` what had to be put up with. */
export function openBootRegion(volume: ByteSource, context: FileSystemContext): Boot {
	const main = readRegion(volume, 0);
	if (isSound(main)) {
		compareWithBackup(volume, main.geometry, context);
		return main;
	}
	const backup = findBackup(volume);
	const reason = (main instanceof DiskError ? main : main.fault)?.message ?? '';
	const warn = (message: string): void => {
		context.warn({code: 'exfat/boot-region-damaged', severity: 'damage', message});
	};
	if (backup !== undefined && (isSound(backup) || main instanceof DiskError)) {
		const also = backup.fault === undefined ? '' : `, though it is damaged, too (${backup.fault.message})`;
		warn(`the main boot region is damaged (${reason}); the backup was used${also}`);
		// Flags of the backup are stale (section 3.1.13); those of a main boot sector that says the same are not.
		const same = !(main instanceof DiskError) && differences(main.geometry, backup.geometry).length === 0;
		return {geometry: backup.geometry, flags: same ? main.flags : 0};
	}
	if (main instanceof DiskError) throw main;
	warn(`both boot regions are damaged (${reason}); the main one was used, since its boot sector makes sense`);
	return main;
}

/** What decides where everything lies. */
const LAYOUT_FIELDS = [
	'sectorSize',
	'clusterSize',
	'size',
	'tableStart',
	'tableSize',
	'tableCount',
	'heapStart',
	'clusterCount',
	'rootCluster',
] as const;

function differences(one: Geometry, other: Geometry): string[] {
	return LAYOUT_FIELDS.filter(field => one[field] !== other[field]);
}

function compareWithBackup(volume: ByteSource, main: Geometry, context: FileSystemContext): void {
	const backup = readRegion(volume, REGION_SECTORS * main.sectorSize);
	if (!isSound(backup)) {
		const reason = (backup instanceof DiskError ? backup : backup.fault)?.message ?? '';
		const message = `the backup of the boot region is damaged (${reason}); the main one was used`;
		context.warn({code: 'exfat/backup-boot-region', severity: 'warning', message});
		return;
	}
	const different = differences(main, backup.geometry);
	if (different.length === 0) return;
	const message = `the boot regions differ in ${different.join(', ')}; the main one was used`;
	context.warn({code: 'exfat/boot-regions-differ', severity: 'warning', message});
}
