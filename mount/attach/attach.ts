import process from 'node:process';
import {attachByHelper} from './fusermount.ts';
import type {AttachOptions} from './options.ts';
import {attachPrivileged} from './privileged.ts';

/** Mounts on a directory that `checkTarget` has passed. Returns the connected device, on which INIT waits. */
export async function attach(directory: string, options: AttachOptions): Promise<number> {
	return process.geteuid?.() === 0 ? attachPrivileged(directory, options) : attachByHelper(directory, options);
}
