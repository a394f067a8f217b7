import process from 'node:process';
import {declare} from './libc.ts';

const syncFileRange = declare<(descriptor: number, position: number, length: number, flags: number) => number>(
	'int sync_file_range(int, int64_t, int64_t, unsigned int)',
);

/** Starts writing pages that are not being written yet, and does not wait. */
const SYNC_FILE_RANGE_WRITE = 2;

/**
 * Has the system start to bring a range of a file to its medium (sync_file_range). It promises nothing, and where there
 * is no such call nothing is done: only a sync says that data is safe.
 */
export function startWriteBack(descriptor: number, position: number, length: number): void {
	if (process.platform === 'linux') syncFileRange()(descriptor, position, length, SYNC_FILE_RANGE_WRITE);
}
