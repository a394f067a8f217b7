import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {decodeCodePage} from './code-page.ts';
import {
	ACTIVE_FAT,
	BACKUP_BOOT_SECTOR,
	BOOT_SECTOR_SIZE,
	BootSector,
	BootSector16,
	BootSector32,
	DOS1_FLOPPIES,
	ENTRY_SIZE,
	FIRST_CLUSTER,
	FLAG_DIRTY,
	FOREIGN_OEM_NAMES,
	LABEL_FOLLOWS,
	MAX_CLUSTERS_12,
	MAX_CLUSTERS_16,
	MAX_CLUSTERS_32,
	MAX_FATS,
	MEDIA_LEAST_FIXED,
	MEDIA_REMOVABLE,
	MIRRORING_OFF,
	NAME_SIZE,
	NO_LABEL,
	SECTOR_SIZES,
	SERIAL_FOLLOWS,
} from './layout.ts';

export type FatType = 'fat12' | 'fat16' | 'fat32';

/** What the boot sector says, checked; positions and sizes in bytes. */
export interface Geometry {
	readonly type: FatType;
	/** Width of a table entry. */
	readonly bits: 12 | 16 | 32;
	readonly sectorSize: number;
	readonly media: number;
	/** The whole file system. */
	readonly size: number;
	/** The first copy of the table. */
	readonly tableStart: number;
	/** One copy of the table. */
	readonly tableSize: number;
	readonly tableCount: number;
	/** The copy that is kept up to date; undefined: all are. */
	readonly activeTable: number | undefined;
	/** FAT12 and FAT16: where the root directory lies. */
	readonly rootStart: number;
	readonly rootSize: number;
	/** FAT32: where the root directory's chain starts; 0 on the others. */
	readonly rootCluster: number;
	readonly dataStart: number;
	readonly clusterSize: number;
	/** Clusters that have both data and a table entry. */
	readonly clusterCount: number;
	/** Clusters that have data but no table entry. */
	readonly untabledClusters: number;
	readonly fsInfoPosition: number | undefined;
	readonly backupPosition: number | undefined;
	readonly version: number;
	readonly dirty: boolean;
	/** As `XXXX-XXXX`, or empty. */
	readonly serial: string;
	readonly label: string;
	/** What the type name field claims; nothing depends on it. */
	readonly typeName: string;
}

const ENTRY_BITS = {fat12: 12, fat16: 16, fat32: 32} as const;
const MAX_CLUSTERS = {fat12: MAX_CLUSTERS_12, fat16: MAX_CLUSTERS_16, fat32: MAX_CLUSTERS_32} as const;

function isPowerOfTwoByte(value: number): boolean {
	return value !== 0 && (value & (value - 1)) === 0;
}

/** Checks a boot sector and works out where everything lies. `position` is where the sector lies, for messages. */
export function parseBootSector(sector: Uint8Array, position = 0): Geometry {
	const view = viewOf(sector);
	const boot = BootSector.read(view);
	const damaged = (code: string, message: string, field: string): DiskError =>
		corrupt(code, message, {
			position: position + BootSector.fields[field as 'media'].offset,
			structure: 'boot sector',
			field,
		});

	if (FOREIGN_OEM_NAMES.includes(boot.oemName)) {
		throw damaged('fat/foreign', `the boot sector belongs to ${boot.oemName.trim()}, not to FAT`, 'oemName');
	}
	const {bytesPerSector: sectorSize, sectorsPerCluster, reservedSectors, numberOfFats, media} = boot;
	if (!SECTOR_SIZES.includes(sectorSize)) {
		throw damaged('fat/sector-size', `sectors of ${sectorSize} bytes are impossible`, 'bytesPerSector');
	}
	if (!isPowerOfTwoByte(sectorsPerCluster)) {
		throw damaged('fat/cluster-size', `clusters of ${sectorsPerCluster} sectors are impossible`, 'sectorsPerCluster');
	}
	if (reservedSectors === 0) throw damaged('fat/reserved-sectors', 'there are no reserved sectors', 'reservedSectors');
	if (numberOfFats === 0 || numberOfFats > MAX_FATS) {
		throw damaged('fat/table-count', `${numberOfFats} copies of the FAT are impossible`, 'numberOfFats');
	}
	if (media !== MEDIA_REMOVABLE && media < MEDIA_LEAST_FIXED) {
		throw damaged('fat/media', `the media byte 0x${media.toString(16)} is impossible`, 'media');
	}
	// As Linux and Windows do: a size in the 16-bit field rules FAT32 out, and its absence means FAT32 however few
	// the clusters are.
	const wide = boot.fatSize16 === 0;
	const tail32 = BootSector32.read(view);
	const tail = wide ? tail32 : BootSector16.read(view);
	const fatSize = wide ? tail32.fatSize32 : boot.fatSize16;
	if (fatSize === 0) throw damaged('fat/table-size', 'the FAT has no size', 'fatSize16');
	const totalSectors = boot.totalSectors16 === 0 ? boot.totalSectors32 : boot.totalSectors16;
	if (totalSectors === 0) throw damaged('fat/total-sectors', 'the volume has no size', 'totalSectors32');
	if (!wide && boot.rootEntries === 0) {
		throw damaged('fat/root-entries', 'the root directory has no room for entries', 'rootEntries');
	}
	const rootSectors = Math.ceil((boot.rootEntries * ENTRY_SIZE) / sectorSize);
	const rootSector = reservedSectors + numberOfFats * fatSize;
	const dataSector = rootSector + rootSectors;
	const dataClusters = Math.floor((totalSectors - dataSector) / sectorsPerCluster);
	if (dataClusters < 1) {
		const message = `reserved area, FATs and root directory take ${dataSector} of ${totalSectors} sectors`;
		throw damaged('fat/total-sectors', `${message}, which leaves no cluster`, 'totalSectors32');
	}
	const narrow = dataClusters <= MAX_CLUSTERS_12 ? 'fat12' : 'fat16';
	const type = wide ? 'fat32' : narrow;
	const bits = ENTRY_BITS[type];
	const tableSize = fatSize * sectorSize;
	const clusterCount = Math.min(dataClusters, Math.floor((tableSize * 8) / bits) - FIRST_CLUSTER);
	const most = MAX_CLUSTERS[type];
	if (clusterCount < 1 || clusterCount > most) {
		throw damaged('fat/cluster-count', `${clusterCount} clusters are impossible on ${type}`, 'totalSectors32');
	}
	const {rootCluster, extFlags, fsInfoSector, backupBootSector} = tail32;
	if (wide && (rootCluster < FIRST_CLUSTER || rootCluster >= clusterCount + FIRST_CLUSTER)) {
		throw corrupt('fat/root-cluster', `the root directory's cluster ${rootCluster} lies outside the volume`, {
			position: position + BootSector32.fields.rootCluster.offset,
			structure: 'boot sector',
			field: 'rootCluster',
		});
	}
	const inReserved = (number: number): number | undefined =>
		wide && number > 0 && number < reservedSectors ? number * sectorSize : undefined;
	const {bootSignature} = tail;
	const hasSerial = bootSignature === LABEL_FOLLOWS || bootSignature === SERIAL_FOLLOWS;
	return {
		type,
		bits,
		sectorSize,
		media,
		size: totalSectors * sectorSize,
		tableStart: reservedSectors * sectorSize,
		tableSize,
		tableCount: numberOfFats,
		activeTable: wide && (extFlags & MIRRORING_OFF) !== 0 ? extFlags & ACTIVE_FAT : undefined,
		rootStart: rootSector * sectorSize,
		rootSize: boot.rootEntries * ENTRY_SIZE,
		rootCluster: wide ? rootCluster : 0,
		dataStart: dataSector * sectorSize,
		clusterSize: sectorsPerCluster * sectorSize,
		clusterCount,
		untabledClusters: dataClusters - clusterCount,
		fsInfoPosition: inReserved(fsInfoSector),
		backupPosition: inReserved(backupBootSector),
		version: wide ? tail32.version : 0,
		dirty: hasSerial && (tail.flags & FLAG_DIRTY) !== 0,
		serial: hasSerial ? formatSerial(tail.serial) : '',
		label: bootSignature === LABEL_FOLLOWS ? labelText(tail.label) : '',
		typeName: bootSignature === LABEL_FOLLOWS ? tail.typeName.trimEnd() : '',
	};
}

function formatSerial(serial: number): string {
	const digits = serial.toString(16).toUpperCase().padStart(8, '0');
	return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

function labelText(label: Uint8Array): string {
	const end = label.indexOf(0);
	const text = decodeCodePage(label, 0, end < 0 ? NAME_SIZE : end);
	return text === NO_LABEL ? '' : text;
}

/** The geometry of a DOS 1 floppy, which has no parameter block; undefined where the volume is none. */
export function parseDos1Floppy(volume: ByteSource): Geometry | undefined {
	const floppy = DOS1_FLOPPIES.find(({size}) => size === volume.size);
	if (floppy === undefined) return undefined;
	const head = new Uint8Array(3);
	volume.readAt(BOOT_SECTOR_SIZE, head);
	if (head[0] !== floppy.media || head[1] !== 0xff || head[2] !== 0xff) return undefined;
	const sector = new Uint8Array(BOOT_SECTOR_SIZE);
	BootSector.write(viewOf(sector), 0, {
		bytesPerSector: BOOT_SECTOR_SIZE,
		sectorsPerCluster: floppy.sectorsPerCluster,
		reservedSectors: 1,
		numberOfFats: 2,
		rootEntries: floppy.rootEntries,
		totalSectors16: floppy.size / BOOT_SECTOR_SIZE,
		media: floppy.media,
		fatSize16: floppy.fatSize,
	});
	return parseBootSector(sector);
}

/** One sector of 512 bytes, or undefined where the volume has none or it cannot be read. */
export function readSector(volume: ByteSource, position: number): Uint8Array | undefined {
	if (position + BOOT_SECTOR_SIZE > volume.size) return undefined;
	const sector = new Uint8Array(BOOT_SECTOR_SIZE);
	try {
		volume.readAt(position, sector);
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	return sector;
}

/** The geometry, or the error that says what is wrong with the sector. */
export function tryBootSector(sector: Uint8Array, position = 0): Geometry | DiskError {
	try {
		return parseBootSector(sector, position);
	} catch (error) {
		if (error instanceof DiskError) return error;
		throw error;
	}
}

/** The backup of FAT32 at its usual place, for a volume whose first sector is of no use. */
export function findBackup(volume: ByteSource): Geometry | undefined {
	for (const sectorSize of SECTOR_SIZES) {
		const position = BACKUP_BOOT_SECTOR * sectorSize;
		const sector = readSector(volume, position);
		const backup = sector && tryBootSector(sector, position);
		if (backup === undefined || backup instanceof DiskError) continue;
		if (backup.sectorSize === sectorSize && backup.backupPosition === position) return backup;
	}
	return undefined;
}

/** Reads the boot sector, or what can stand in for it; says through `context` what had to be put up with. */
export function openBootSector(volume: ByteSource, context: FileSystemContext): Geometry {
	const sector = readSector(volume, 0);
	const primary =
		sector === undefined
			? corrupt('fat/boot-sector', 'the boot sector cannot be read', {file: volume.name, position: 0})
			: tryBootSector(sector);
	if (!(primary instanceof DiskError)) {
		compareWithBackup(volume, primary, context);
		return primary;
	}
	const floppy = primary.code === 'fat/foreign' ? undefined : parseDos1Floppy(volume);
	if (floppy !== undefined) return floppy;
	const backup = primary.code === 'fat/foreign' ? undefined : findBackup(volume);
	if (backup === undefined) throw primary;
	context.warn({
		code: 'fat/boot-sector-damaged',
		severity: 'damage',
		message: `the boot sector is damaged (${primary.message}); its backup at ${backup.backupPosition} was used`,
	});
	return backup;
}

/** What decides where everything lies. */
const LAYOUT_FIELDS = ['size', 'tableStart', 'tableSize', 'tableCount', 'clusterSize', 'rootCluster'] as const;

function compareWithBackup(volume: ByteSource, primary: Geometry, context: FileSystemContext): void {
	if (primary.backupPosition === undefined) return;
	const sector = readSector(volume, primary.backupPosition);
	const backup = sector && tryBootSector(sector, primary.backupPosition);
	if (backup === undefined || backup instanceof DiskError) return;
	const different = LAYOUT_FIELDS.filter(field => primary[field] !== backup[field]);
	if (different.length === 0) return;
	context.warn({
		code: 'fat/boot-sectors-differ',
		severity: 'warning',
		message: `the boot sector and its backup differ in ${different.join(', ')}; the boot sector was used`,
	});
}
