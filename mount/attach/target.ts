import {lstatSync, readlinkSync, realpathSync, statSync} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {DiskError} from '../../src/core/error.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {mountedAt} from './mount-table.ts';

/** The type that our mounts have in the mount table. */
export const MOUNT_TYPE = 'fuse.tintype';

/**
 * The directory's real path, after checking that it can be mounted on. What it holds is hidden while something is
 * mounted there. Throws `not-found`, `not-a-directory`, `refused`.
 */
export function checkTarget(directory: string): string {
	const where = {file: directory};
	let isDirectory: boolean;
	let path: string;
	try {
		path = realpathSync(directory);
		isDirectory = statSync(path).isDirectory();
	} catch (cause) {
		switch (errnoName(cause)) {
			case 'ENOENT':
				throw new DiskError('not-found', 'attach/no-target', `${directory} does not exist`, {
					where,
					hint: `make it first: mkdir ${directory}`,
					cause,
				});
			case 'ENOTCONN':
				throw new DiskError('refused', 'attach/dead-mount', `${directory} is a mount whose program has died`, {
					where,
					hint: `clear it first: tintype umount ${directory}`,
					cause,
				});
			default:
				throw new DiskError('io', 'attach/target', `${directory} cannot be looked at`, {where, cause});
		}
	}
	if (!isDirectory) {
		throw new DiskError('not-a-directory', 'attach/target-type', `${directory} is not a directory`, {where});
	}
	const present = mountedAt(path);
	if (present) {
		throw new DiskError('refused', 'attach/already-mounted', `${present.source} is mounted on ${directory} already`, {
			where,
			hint:
				present.type === MOUNT_TYPE
					? `Unmount it first: tintype umount ${directory}`
					: 'Choose a directory that is not in use.',
		});
	}
	return path;
}

/** Links that lead to a mount point, one to the next; the kernel follows as many. */
const MOST_LINKS = 40;

/** The real path of a mount point, without asking what is mounted there: it may be dead. */
export function mountPointPath(directory: string): string {
	let path = resolve(directory);
	try {
		for (let links = 0; links < MOST_LINKS; links++) {
			path = join(realpathSync(dirname(path)), basename(path));
			if (mountedAt(path) || !lstatSync(path).isSymbolicLink()) break;
			path = resolve(dirname(path), readlinkSync(path));
		}
	} catch {
		// What is not there is no mount point either; whoever looks it up says so.
	}
	return path;
}
