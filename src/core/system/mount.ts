import {declare, lastErrorName, systemError} from './libc.ts';

const mountCall = declare<(source: string, target: string, type: string, flags: number, data: string) => number>(
	'int mount(const char *, const char *, const char *, unsigned long, const char *)',
);
const umount2 = declare<(target: string, flags: number) => number>('int umount2(const char *, int)');

/** mount(2) flags (sys/mount.h). */
export const MountFlag = {readOnly: 1, noSetuid: 2, noDevices: 4} as const;

/** mount(2). Throws `io` with the errno name. */
export function mountFileSystem(source: string, target: string, type: string, flags: number, data: string): void {
	if (mountCall()(source, target, type, flags, data) !== 0) throw systemError('mount');
}

const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * - `now`: fails when it is busy
 * - `lazily`: the name goes at once, the rest when nothing uses it any more
 * - `by force`: the same, and requests under way are ended with an error (FUSE, NFS)
 */
export type UnmountManner = 'now' | 'lazily' | 'by force';

const UNMOUNT_FLAGS: Readonly<Record<UnmountManner, number>> = {
	now: UMOUNT_NOFOLLOW,
	lazily: UMOUNT_NOFOLLOW | MNT_DETACH,
	'by force': UMOUNT_NOFOLLOW | MNT_DETACH | MNT_FORCE,
};

/** umount2(2). Returns false when it is busy; throws `io` for every other failure. */
export function unmountFileSystem(target: string, manner: UnmountManner): boolean {
	if (umount2()(target, UNMOUNT_FLAGS[manner]) === 0) return true;
	if (lastErrorName() === 'EBUSY') return false;
	throw systemError('umount2');
}
