import type {ClusterTable} from '../../../src/core/cluster-chain.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import type {Boot} from './boot-region.ts';
import {MEDIA_ONES, VolumeFlag} from './layout.ts';

/** Whether the second FAT and bitmap are in use (section 3.1.13.1). */
export function usesSecondTable({geometry, flags}: Boot, context: FileSystemContext): boolean {
	if ((flags & VolumeFlag.activeFat) === 0) return false;
	if (geometry.tableCount === 2) return true;
	context.warn({
		code: 'exfat/active-table',
		severity: 'damage',
		message: 'the boot sector says that the second of one FAT is in use; the first was used',
	});
	return false;
}

/** Says what is odd about the volume as a whole. */
export function reportFindings(source: ByteSource, {geometry, flags}: Boot, context: FileSystemContext): void {
	const {size, minorRevision} = geometry;
	if (size > source.size) {
		const message = `the volume is truncated: the file system has ${size} bytes, of which ${source.size} are there`;
		context.warn({code: 'exfat/truncated', severity: 'damage', message});
	}
	if ((flags & VolumeFlag.dirty) !== 0) {
		const message = 'the file system was not closed cleanly; its newest changes may be missing';
		context.warn({code: 'exfat/not-clean', severity: 'warning', message});
	}
	if ((flags & VolumeFlag.mediaFailure) !== 0) {
		const message = 'the file system notes that its medium has failed to read or write';
		context.warn({code: 'exfat/media-failure', severity: 'warning', message});
	}
	if (minorRevision !== 0) {
		const message = `the file system has revision 1.${minorRevision}, and may hold entries that 1.0 does not know`;
		context.warn({code: 'exfat/revision', severity: 'note', message});
	}
}

/** The GUID beside the serial number, by which programs may know the volume (section 7.5). */
export function tellGuid(guid: string | undefined, context: FileSystemContext): void {
	if (guid === undefined) return;
	context.warn({code: 'exfat/volume-guid', severity: 'note', message: `the volume has the GUID ${guid}`});
}

/** Tells of the first entry that the end of its directory hides: zeros in a directory are damage that looks sound. */
export function behindEndReport(context: FileSystemContext): (position: number) => void {
	let told = false;
	return position => {
		if (told) return;
		told = true;
		const message = `the directory at ${position} has entries behind its end; files in them are not shown`;
		context.warn({code: 'exfat/behind-end', severity: 'damage', message});
	};
}

/** Section 4.1.1: how every FAT starts; the media type in the lowest byte only should be F8h. */
export function checkTable(table: ClusterTable, context: FileSystemContext): void {
	try {
		if (table.entry(0) >>> 8 === MEDIA_ONES) return;
	} catch (error) {
		// Whoever follows a chain meets the same error.
		if (error instanceof DiskError) return;
		throw error;
	}
	const message = 'the FAT does not start with the media type as it should';
	context.warn({code: 'exfat/table-start', severity: 'damage', message});
}
