import process from 'node:process';
import {declare, lastErrorName, systemError} from './libc.ts';

const lseek = declare<(descriptor: number, position: number, whence: number) => number | bigint>(
	'int64_t lseek(int, int64_t, int)',
);

const [SEEK_DATA, SEEK_HOLE] = process.platform === 'darwin' ? [4, 3] : [3, 4];

function seek(descriptor: number, position: number, whence: number): number | undefined {
	const found = Number(lseek()(descriptor, position, whence));
	if (found >= 0) return found;
	// ENXIO: nothing of that kind up to the end of the file.
	if (lastErrorName() === 'ENXIO') return undefined;
	throw systemError('lseek');
}

/**
 * The first position at or after `position` that may hold data; undefined when only holes follow, or when `position`
 * is at or beyond the end. Moves the descriptor's own offset, which nothing here uses. Throws `io` (EINVAL) for what
 * cannot seek.
 */
export function seekData(descriptor: number, position: number): number | undefined {
	return seek(descriptor, position, SEEK_DATA);
}

/** The first position at or after `position` that is in a hole (the end counts as one); undefined at or beyond the end. */
export function seekHole(descriptor: number, position: number): number | undefined {
	return seek(descriptor, position, SEEK_HOLE);
}

const SEEK_END = 2;

/** The size of what a descriptor stands for, in bytes: fstat gives none for a block device. */
export function seekEnd(descriptor: number): number {
	return seek(descriptor, 0, SEEK_END) ?? 0;
}
