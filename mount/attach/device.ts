import {closeSync, openSync} from 'node:fs';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {DiskError} from '../../src/core/error.ts';
import {ioctl} from '../../src/core/system/ioctl.ts';
import {errnoName} from '../../src/core/system/libc.ts';

const DEVICE = '/dev/fuse';
/** FUSE_DEV_IOC_CLONE: _IOR(229, 0, uint32_t). */
const CLONE = 0x8004_e500;

/** Opens the FUSE device. Throws `io` with a hint when there is none, or no right to it. */
export function openDevice(): number {
	try {
		return openSync(DEVICE, 'r+');
	} catch (cause) {
		const name = errnoName(cause);
		const hint =
			name === 'EACCES' || name === 'EPERM'
				? `Allow this user to read and write ${DEVICE}, or run as root.`
				: 'Load the kernel module (modprobe fuse); in a container, pass the device: --device /dev/fuse.';
		throw new DiskError('io', 'attach/no-device', `${DEVICE} cannot be opened (${name ?? 'unknown error'})`, {
			where: {file: DEVICE},
			cause,
			hint,
		});
	}
}

/**
 * A second descriptor on the same connection, which answers only the requests read from it. When it is closed, the
 * kernel ends those that are still unanswered. Undefined where that cannot be had: a user without rights to the
 * device itself, whose mount came from fusermount3.
 */
export function cloneDevice(device: number): number | undefined {
	let clone: number;
	try {
		clone = openSync(DEVICE, 'r+');
	} catch {
		return undefined;
	}
	const argument = new Uint8Array(4);
	viewOf(argument).setUint32(0, device, true);
	try {
		ioctl(clone, CLONE, argument);
		return clone;
	} catch {
		closeSync(clone);
		return undefined;
	}
}
