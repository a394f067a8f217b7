import {isPowerOfTwo, product} from '../../../src/core/bytes/u64.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {
	BACKUP_BOOT_OFFSETS,
	BOOT_END_MARKER,
	BOOT_SIGNATURE,
	BootSector,
	CLUSTER_SIZE_MAX,
	FILE_SIGNATURE,
	FOREIGN_SIGNATURES,
	RECORD_SIZE_MAX,
	RECORD_SIZE_MIN,
	SECTOR_SIZE_MAX,
	SECTOR_SIZE_MIN,
	SECTORS_PER_CLUSTER_COUNT_MAX,
} from './layout.ts';

/** What the boot sector says, validated. */
export interface Geometry {
	/** Bytes. */
	readonly sectorSize: number;
	/** Bytes. */
	readonly clusterSize: number;
	readonly clusterCount: number;
	/** Byte position of the first record of $MFT. */
	readonly mftPosition: number;
	/** Byte position of $MFTMirr. */
	readonly mirrorPosition: number;
	/** Bytes of a FILE record. */
	readonly recordSize: number;
	/** 16 upper-case hexadecimal digits. */
	readonly serial: string;
}

function invalid(field: string, message: string, position: number): DiskError {
	return corrupt('ntfs/boot-sector', message, {position, structure: BootSector.name, field});
}

/** Clusters in a positive count, a power of two of bytes in a negative one. */
function encodedSize(value: number, clusterSize: number): number {
	return value > 0 ? value * clusterSize : 2 ** -value;
}

function hexadecimal(value: number): string {
	return value.toString(16).toUpperCase().padStart(8, '0');
}

function parseBootSector(sector: Uint8Array, position: number): Geometry {
	const boot = BootSector.read(viewOf(sector));
	if (boot.signature !== BOOT_SIGNATURE) throw invalid('signature', 'the boot sector has no NTFS signature', position);
	if (boot.endMarker !== BOOT_END_MARKER) throw invalid('end marker', 'the boot sector lacks its end marker', position);
	const sectorSize = boot.bytesPerSector;
	if (!isPowerOfTwo(sectorSize) || sectorSize < SECTOR_SIZE_MIN || sectorSize > SECTOR_SIZE_MAX) {
		throw invalid('bytes per sector', `${sectorSize} bytes per sector make no sense`, position);
	}
	const count = boot.sectorsPerCluster;
	const sectorsPerCluster = count > SECTORS_PER_CLUSTER_COUNT_MAX ? 2 ** (256 - count) : count;
	const clusterSize = sectorSize * sectorsPerCluster;
	if (!isPowerOfTwo(sectorsPerCluster) || clusterSize > CLUSTER_SIZE_MAX) {
		throw invalid('sectors per cluster', `clusters of ${clusterSize} bytes make no sense`, position);
	}
	const clusterCount = Math.floor(boot.totalSectors / sectorsPerCluster);
	product(clusterCount, clusterSize);
	const recordSize = encodedSize(boot.clustersPerRecord, clusterSize);
	if (!isPowerOfTwo(recordSize) || recordSize < RECORD_SIZE_MIN || recordSize > RECORD_SIZE_MAX) {
		throw invalid('clusters per record', `records of ${recordSize} bytes make no sense`, position);
	}
	if (boot.mftCluster >= clusterCount) {
		throw invalid('$MFT cluster', `$MFT at cluster ${boot.mftCluster} lies outside the volume`, position);
	}
	return {
		sectorSize,
		clusterSize,
		clusterCount,
		mftPosition: boot.mftCluster * clusterSize,
		mirrorPosition: Math.min(boot.mirrorCluster, clusterCount) * clusterSize,
		recordSize,
		serial: hexadecimal(boot.serialHigh) + hexadecimal(boot.serialLow),
	};
}

/** The geometry that the copy at the end of the volume states, or undefined where there is no valid copy. */
function readBackup(volume: ByteSource): Geometry | undefined {
	const sector = new Uint8Array(BootSector.size);
	for (const offset of BACKUP_BOOT_OFFSETS) {
		if (volume.size < offset) continue;
		try {
			volume.readAt(volume.size - offset, sector);
			const geometry = parseBootSector(sector, volume.size - offset);
			if (geometry.mftPosition + geometry.recordSize <= volume.size) return geometry;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
	}
	return undefined;
}

function hasBytes(volume: ByteSource, at: number, bytes: readonly number[]): boolean {
	if (at + bytes.length > volume.size) return false;
	const found = new Uint8Array(bytes.length);
	volume.readAt(at, found);
	return bytes.every((byte, index) => found[index] === byte);
}

function hasMft({mftPosition}: Geometry, volume: ByteSource): boolean {
	const found = new Uint8Array(4);
	volume.readAt(mftPosition, found);
	return viewOf(found).getUint32(0, true) === FILE_SIGNATURE;
}

/** Whether the volume is NTFS by its boot sector, or by the copy behind it when nothing else claims the volume. */
export function probeBootSector(volume: ByteSource): boolean {
	if (volume.size < BootSector.size) return false;
	try {
		const signature = Array.from(BOOT_SIGNATURE, character => character.charCodeAt(0));
		if (hasBytes(volume, 3, signature)) return true;
		// A volume that was formatted anew may keep the old copy, and a disk that ends with NTFS has it as its last sector.
		if (FOREIGN_SIGNATURES.some(({at, bytes}) => hasBytes(volume, at, bytes))) return false;
		const backup = readBackup(volume);
		return backup !== undefined && hasMft(backup, volume);
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

export function readGeometry(volume: ByteSource, context: FileSystemContext): Geometry {
	const geometry = readPrimaryOrBackup(volume, context);
	const size = geometry.clusterCount * geometry.clusterSize;
	if (geometry.mftPosition + geometry.recordSize > volume.size) {
		throw unsupported('ntfs/truncated', '$MFT lies beyond the end of the volume; the image is cut short', {
			position: geometry.mftPosition,
			structure: '$MFT',
		});
	}
	if (size > volume.size) {
		context.warn({
			code: 'ntfs/truncated',
			severity: 'damage',
			message: `the volume should have ${size} bytes but ends at ${volume.size}; files beyond that cannot be read`,
		});
	}
	return geometry;
}

function readPrimaryOrBackup(volume: ByteSource, context: FileSystemContext): Geometry {
	if (volume.size < BootSector.size) throw invalid('size', 'the volume is smaller than a boot sector', 0);
	try {
		const sector = new Uint8Array(BootSector.size);
		volume.readAt(0, sector);
		return parseBootSector(sector, 0);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		const backup = readBackup(volume);
		if (backup === undefined) throw error;
		context.warn({
			code: 'ntfs/backup-boot-sector',
			severity: 'warning',
			message: `${error.message}; the copy at the end of the volume was used`,
		});
		return backup;
	}
}
