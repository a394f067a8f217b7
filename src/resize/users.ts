import {readdirSync, readFileSync, statSync} from 'node:fs';
import process from 'node:process';

/** A process that has a file open. */
export interface FileUser {
	readonly process: number;
	readonly name: string;
}

/**
 * Another process that has a file open, as far as this user may see (Linux; elsewhere undefined). Virtual machines and
 * servers that lock nothing are found this way.
 */
export function userOf({dev, ino}: {readonly dev: number; readonly ino: number}): FileUser | undefined {
	if (process.platform !== 'linux') return undefined;
	for (const entry of list('/proc')) {
		const id = Number(entry);
		if (!Number.isInteger(id) || id === process.pid) continue;
		for (const descriptor of list(`/proc/${id}/fd`)) {
			try {
				const stat = statSync(`/proc/${id}/fd/${descriptor}`);
				if (stat.ino === ino && stat.dev === dev && stat.isFile()) return {process: id, name: nameOf(id)};
			} catch {
				// It was closed meanwhile.
			}
		}
	}
	return undefined;
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}

function nameOf(id: number): string {
	try {
		return readFileSync(`/proc/${id}/comm`, 'utf8').trim();
	} catch {
		return 'unknown';
	}
}
