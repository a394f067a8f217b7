/** Reads 4 KiB at each of the positions it is given. */
import {closeSync, openSync, readSync} from 'node:fs';
import {workerData} from 'node:worker_threads';

export interface ReadTask {
	readonly path: string;
	readonly positions: readonly number[];
}

export const PAGE = 4096;

export function readAll({path, positions}: ReadTask): void {
	const descriptor = openSync(path, 'r');
	const page = new Uint8Array(PAGE);
	for (const position of positions) readSync(descriptor, page, 0, PAGE, position);
	closeSync(descriptor);
}

const task = workerData as ReadTask | null;
if (task !== null) readAll(task);
