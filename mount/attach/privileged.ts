import {closeSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../../src/core/error.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {MountFlag, mountFileSystem} from '../../src/core/system/mount.ts';
import type {AttachOptions} from './options.ts';
import {openDevice} from './device.ts';
import {MOUNT_TYPE} from './target.ts';

/** S_IFDIR in octal: the root is a directory. */
const ROOT_MODE = '40000';

/** Mounts by mount(2), which takes root. Returns the connected device. */
export function attachPrivileged(directory: string, options: AttachOptions): number {
	const device = openDevice();
	const data = [
		`fd=${device}`,
		`rootmode=${ROOT_MODE}`,
		`user_id=${process.getuid?.() ?? 0}`,
		`group_id=${process.getgid?.() ?? 0}`,
		'default_permissions',
		...(options.allowOther ? ['allow_other'] : []),
	];
	const flags = MountFlag.readOnly | MountFlag.noSetuid | MountFlag.noDevices;
	try {
		mountFileSystem(options.source, directory, MOUNT_TYPE, flags, data.join(','));
		return device;
	} catch (cause) {
		closeSync(device);
		const name = errnoName(cause);
		if (name === 'EPERM' || name === 'EACCES') {
			throw new DiskError('io', 'attach/not-permitted', 'this system does not let even root mount here', {
				where: {file: directory},
				cause,
				hint: 'in a container, add the capability SYS_ADMIN and the device /dev/fuse',
			});
		}
		if (name === 'ENODEV') {
			throw new DiskError('io', 'attach/no-fuse', 'this kernel has no FUSE', {
				cause,
				hint: 'load the kernel module: modprobe fuse',
			});
		}
		throw cause;
	}
}
