import {DiskError} from '../core/error.ts';
import {type Image, openDisk, openImage, type OpenImageOptions} from '../image/image.ts';
import {NO_SCHEME} from '../partitions/index.ts';

/** A source with all that is known of it. Where its partition table cannot be read, that is a finding: it is converted all the same. */
export function openWithVolumes(path: string, options: OpenImageOptions): Image {
	try {
		return openImage(path, options);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		const opened = openDisk(path, options);
		const message = `the partition table cannot be read (${error.message}); the disk is copied as it is`;
		const findings = [...opened.findings, {code: 'profile/no-table', severity: 'damage', message} as const];
		return {...opened, findings, table: {scheme: NO_SCHEME, identifier: '', partitions: []}, volumes: []};
	}
}
