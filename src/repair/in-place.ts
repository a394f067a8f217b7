import {closeSync, constants, fstatSync, openSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../core/error.ts';
import {tryLock, tryRecordLock} from '../core/system/lock.ts';

/** Opens an image for changing it in its own file, with the locks of tintype and of virtual machines. The caller closes it. */
export function openInPlace(path: string, hint: string): number {
	const descriptor = openForWriting(path, hint);
	try {
		const stat = fstatSync(descriptor);
		if (!stat.isFile()) {
			throw new DiskError('refused', 'repair/not-a-file', `${path} is no regular file`, {where: {file: path}, hint});
		}
		if (process.platform !== 'win32' && !tryLock(descriptor, 'exclusive')) {
			throw new DiskError('refused', 'output/busy', `another tintype is writing ${path}`, {where: {file: path}});
		}
		if (process.platform === 'linux' && !tryRecordLock(descriptor)) {
			throw new DiskError('refused', 'output/in-use', `another program has ${path} locked`, {
				where: {file: path},
				hint: 'a virtual machine that runs from it, perhaps: shut it down first',
			});
		}
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
	return descriptor;
}

function openForWriting(path: string, hint: string): number {
	try {
		return openSync(path, constants.O_RDWR | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
	} catch (cause) {
		const {code, message} = cause as NodeJS.ErrnoException;
		throw new DiskError('io', 'output/open', `${path} cannot be written: ${code ?? message}`, {
			where: {file: path},
			hint,
			cause,
		});
	}
}
