import process from 'node:process';
import {viewOf} from '../core/bytes/layout.ts';
import {errnoName, declare, systemError} from '../core/system/libc.ts';
import {ioctl} from '../core/system/ioctl.ts';

const fallocateCall = declare<(descriptor: number, mode: number, position: number, length: number) => number>(
	'int fallocate(int, int, int64_t, int64_t)',
);
const adviseCall = declare<(descriptor: number, position: number, length: number, advice: number) => number>(
	'int posix_fadvise(int, int64_t, int64_t, int)',
);
const syncRangeCall = declare<(descriptor: number, position: number, length: number, flags: number) => number>(
	'int sync_file_range(int, int64_t, int64_t, unsigned int)',
);

const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const POSIX_FADV_DONTNEED = 4;
const SYNC_WAIT_BEFORE = 1;
const SYNC_WRITE = 2;
const SYNC_WAIT_AFTER = 4;
/** linux/fs.h: _IO(0x12, 95), _IO(0x12, 97), _IO(0x12, 127). */
const BLKRRPART = 0x125f;
const BLKFLSBUF = 0x1261;
const BLKZEROOUT = 0x127f;

const NO_ARGUMENT = new Uint8Array(8);
const isLinux = process.platform === 'linux';

/** Errors of the medium itself; all others say that a device, file system or user does not have the operation. */
const FAILURES = new Set(['EIO', 'ENOSPC', 'EDQUOT', 'ENXIO', 'ENODEV']);

/** Runs what only makes things quicker or surer; false where the system does not offer it. */
function offered(action: () => void): boolean {
	if (!isLinux) return false;
	try {
		action();
		return true;
	} catch (error) {
		if (!FAILURES.has(errnoName(error) ?? '')) return false;
		throw error;
	}
}

/** Makes a hole in a file. False where the file system has none. */
export function punchHole(descriptor: number, position: number, length: number): boolean {
	return offered(() => {
		const mode = FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE;
		if (fallocateCall()(descriptor, mode, position, length) !== 0) throw systemError('fallocate');
	});
}

/** Lets a block device zero a range, in its own way: it reads as zeros afterwards, on every device. */
export function zeroOut(descriptor: number, position: number, length: number): boolean {
	const range = new Uint8Array(16);
	const view = viewOf(range);
	view.setBigUint64(0, BigInt(position), true);
	view.setBigUint64(8, BigInt(length), true);
	return offered(() => ioctl(descriptor, BLKZEROOUT, range));
}

/** Waits until a range is written. Only a sync makes it last. */
export function waitWritten(descriptor: number, position: number, length: number): void {
	offered(() => {
		const flags = SYNC_WAIT_BEFORE | SYNC_WRITE | SYNC_WAIT_AFTER;
		if (syncRangeCall()(descriptor, position, length, flags) !== 0) throw systemError('sync_file_range');
	});
}

/** Drops what is cached of a synced file or device, so that the next read comes from the medium. */
export function dropCache(descriptor: number, isDevice: boolean): boolean {
	if (isDevice) return offered(() => ioctl(descriptor, BLKFLSBUF, NO_ARGUMENT));
	return offered(() => {
		const error = adviseCall()(descriptor, 0, 0, POSIX_FADV_DONTNEED);
		if (error !== 0) throw systemError('posix_fadvise');
	});
}

/** Makes the kernel read the partition table anew. Throws `io` where partitions are in use. */
export function rereadPartitions(descriptor: number): void {
	ioctl(descriptor, BLKRRPART, NO_ARGUMENT);
}
