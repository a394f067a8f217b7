import {writeFileSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../../src/core/error.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {unmountFileSystem} from '../../src/core/system/mount.ts';
import {detachByHelper, detachByHelperNow} from './fusermount.ts';
import {mountedAt} from './mount-table.ts';
import {MOUNT_TYPE, mountPointPath} from './target.ts';

/** `detached`: the name is gone at once, the rest when the last file in it is closed. */
export type UnmountResult = 'unmounted' | 'detached';

/**
 * Unmounts a mount of tintype, whichever process serves it and whether or not that is still alive. Where files in it
 * are open it is detached: nobody sees it any more. Throws `not-found` where nothing is mounted and `refused` for
 * mounts of others.
 */
export async function unmount(directory: string): Promise<UnmountResult> {
	const path = mountPointPath(directory);
	const present = mountedAt(path);
	const where = {file: directory};
	if (present === undefined) {
		throw new DiskError('not-found', 'attach/not-mounted', `nothing is mounted on ${directory}`, {where});
	}
	if (present.type !== MOUNT_TYPE) {
		throw new DiskError('refused', 'attach/foreign-mount', `${directory} was not mounted by tintype`, {
			where,
			hint: `it is a mount of type ${present.type}; use umount`,
		});
	}
	return process.geteuid?.() === 0 ? detachPrivileged(path) : detachAsUser(path);
}

function detachPrivileged(path: string): UnmountResult {
	try {
		if (unmountFileSystem(path, 'now')) return 'unmounted';
		unmountFileSystem(path, 'lazily');
		return 'detached';
	} catch (cause) {
		throw new DiskError(
			'io',
			'attach/unmount',
			`${path} cannot be unmounted (${errnoName(cause) ?? 'unknown error'})`,
			{
				where: {file: path},
				cause,
			},
		);
	}
}

async function detachAsUser(path: string): Promise<UnmountResult> {
	if ((await detachByHelper(path, false)).code === 0) return 'unmounted';
	const {code, said} = await detachByHelper(path, true);
	if (code === 0) return 'detached';
	throw new DiskError('io', 'attach/unmount', `${path} cannot be unmounted: ${said || 'fusermount3 did not say why'}`, {
		where: {file: path},
		hint: 'a mount is unmounted by the user who made it, or by root',
	});
}

/**
 * Takes a mount away while the process is ending: detached at once, and for root with every request on it ended, so
 * that no worker stays in a system call.
 */
export function detachNow(path: string): void {
	if (process.geteuid?.() === 0) unmountFileSystem(path, 'by force');
	else detachByHelperNow(path);
}

/**
 * Ends a connection with all requests on it, though it may be detached already. Works where the control file system is
 * mounted, which is usual (`mount -t fusectl none /sys/fs/fuse/connections`). Returns whether it did.
 */
export function abortConnection(minor: number): boolean {
	try {
		writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1', {flag: 'r+'});
		return true;
	} catch {
		return false;
	}
}
