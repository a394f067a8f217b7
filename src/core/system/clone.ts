import process from 'node:process';
import {ioctl} from './ioctl.ts';

/** FICLONERANGE: _IOW(0x94, 13, struct file_clone_range), on all processors that Node runs on but MIPS and POWER. */
const FICLONERANGE = 0x40_20_94_0d;

const request = new DataView(new ArrayBuffer(32));
const bytes = new Uint8Array(request.buffer);

/** Whether the system has a call by which two files share blocks. */
export const CAN_CLONE = process.platform === 'linux';

/**
 * Makes a range of one file share the blocks of a range of another (ioctl_ficlonerange(2)), on file systems that can.
 * Positions and length are multiples of the file system's block size. Throws `io` with the errno name: EXDEV on two file
 * systems, EOPNOTSUPP on one that cannot, EINVAL for these files or ranges.
 */
export function cloneRange(from: number, position: number, length: number, to: number, target: number): void {
	request.setBigInt64(0, BigInt(from), true);
	request.setBigUint64(8, BigInt(position), true);
	request.setBigUint64(16, BigInt(length), true);
	request.setBigUint64(24, BigInt(target), true);
	ioctl(to, FICLONERANGE, bytes);
}
