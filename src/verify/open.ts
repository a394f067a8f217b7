import {DiskError} from '../core/error.ts';
import {type Image, openDisk, openImage, type OpenImageOptions} from '../image/image.ts';

/** An image to be verified: where its partition table is lost with damage, it is a disk without volumes, and says so. */
export function openToVerify(path: string, options: OpenImageOptions = {}): Image {
	try {
		return openImage(path, options);
	} catch (error) {
		if (!(error instanceof DiskError) || (error.family !== 'corrupt' && error.family !== 'io')) throw error;
		// What keeps the image itself from being opened is thrown again.
		const opened = openDisk(path, options);
		const message = `its partitions cannot be read: ${error.message}`;
		const findings = [...opened.findings, {code: error.code, severity: 'damage', message} as const];
		return {...opened, findings, table: {scheme: 'none', identifier: '', partitions: []}, volumes: []};
	}
}
