import process from 'node:process';
import {declare, lastErrorName, systemError} from './libc.ts';

const fallocateCall = declare<(descriptor: number, mode: number, position: number, length: number) => number>(
	'int fallocate(int, int, int64_t, int64_t)',
);

/** Errors by which a kernel or a file system says that it does not have the operation. */
const ABSENT = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL', 'ENODEV']);

/**
 * Gives a range of a file blocks of its own (fallocate(2)), without changing what it reads as. A range beyond the end
 * makes the file longer. False where it cannot be done like this. Throws `io` with the errno name, ENOSPC among others.
 */
export function allocateRange(descriptor: number, position: number, length: number): boolean {
	if (process.platform !== 'linux') return false;
	for (;;) {
		if (fallocateCall()(descriptor, 0, position, length) === 0) return true;
		const name = lastErrorName();
		if (ABSENT.has(name)) return false;
		if (name !== 'EINTR') throw systemError('fallocate');
	}
}
