import {closeSync, openSync, readSync, statSync} from 'node:fs';
import process from 'node:process';
import {parentPort, workerData} from 'node:worker_threads';

/** Whom to kill, and when: see killing.ts. */
export interface KillOrder {
	readonly pid: number;
	/** Waits until something is written here, if anything; `earlier` is its signature when nothing was yet. */
	readonly watch: string | undefined;
	readonly earlier: string;
	/** Then until it has so many bytes, or its process ends. */
	readonly size: number;
	/** Then so many milliseconds. */
	readonly wait: number;
}

/** Says whether a file or device was written to since: by its time, and by its first bytes, since devices have no time. */
export function signatureOf(path: string): string {
	const stat = statSync(path, {throwIfNoEntry: false});
	if (stat === undefined || (stat.isFile() && stat.size === 0)) return 'nothing';
	const head = Buffer.alloc(stat.isFile() ? 0 : 4096);
	if (head.length > 0) {
		const descriptor = openSync(path, 'r');
		readSync(descriptor, head, 0, head.length, 0);
		closeSync(descriptor);
	}
	return `${stat.mtimeMs} ${head.toString('base64')}`;
}

function isAlive(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function carryOut({pid, watch, earlier, size, wait}: KillOrder): void {
	const isDue = (): boolean => {
		if (watch === undefined || !isAlive(pid)) return true;
		try {
			return signatureOf(watch) !== earlier && (size === 0 || statSync(watch).size >= size);
		} catch {
			// It was renamed just now.
			return false;
		}
	};
	while (!isDue()) Atomics.wait(sleeper, 0, 0, 1);
	Atomics.wait(sleeper, 0, 0, wait);
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It had ended.
	}
}

if (parentPort !== null) carryOut(workerData as KillOrder);
