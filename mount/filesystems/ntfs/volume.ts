import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import type {Inodes} from './inode.ts';
import {AttributeType, HIBERNATED, SystemRecord, VOLUME_DIRTY, VOLUME_NAME_MAX, VolumeInformation} from './layout.ts';

/** Reads the label from $Volume, and tells whether the volume was left dirty; damage is told and not fatal. */
export function readVolume(inodes: Inodes, data: Data, context: FileSystemContext): string {
	try {
		const inode = inodes.get(SystemRecord.volume);
		const information = inodes.find(inode, AttributeType.volumeInformation, '');
		if (information !== undefined) {
			const {flags} = VolumeInformation.read(viewOf(data.value(inode, information, VOLUME_NAME_MAX)));
			if ((flags & VOLUME_DIRTY) !== 0) {
				context.warn({
					code: 'ntfs/dirty',
					severity: 'warning',
					message: 'the volume is marked dirty: it was not unmounted cleanly, and chkdsk has not run since',
				});
			}
		}
		const name = inodes.find(inode, AttributeType.volumeName, '');
		if (name === undefined) return '';
		const value = data.value(inode, name, VOLUME_NAME_MAX);
		return decodeUtf16(viewOf(value), 0, Math.floor(value.length / 2));
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		context.warn({code: 'ntfs/volume', severity: 'warning', message: `$Volume is damaged: ${error.message}`});
		return '';
	}
}

/** Tells when Windows is hibernated (or shut down with fast startup): then changes may be in memory only. */
export function warnIfHibernated(
	inodes: Inodes,
	data: Data,
	hibernationFile: () => number | undefined,
	context: FileSystemContext,
): void {
	try {
		const record = hibernationFile();
		if (record === undefined) return;
		const inode = inodes.get(record);
		const content = inodes.find(inode, AttributeType.data, '');
		const head = new Uint8Array(4);
		if (content === undefined || data.read(inode, content, 0, head) < head.length) return;
		const magic = String.fromCharCode(...head);
		if (!HIBERNATED.some(known => known === magic)) return;
		context.warn({
			code: 'ntfs/hibernated',
			severity: 'warning',
			message: 'Windows is hibernated on this volume: files that were open may lack their last changes',
		});
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		// The root directory or the file is damaged: whoever looks there is told.
	}
}
