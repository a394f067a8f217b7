import process from 'node:process';
import {exitImmediately} from '../src/core/system/exit.ts';

/**
 * Ends the process, for a program that has mounted something: call it last, when all output is written. It does not
 * wait for threads, as `process.exit` would for ever while a worker sits in a read of the FUSE device. What is still
 * mounted stays as a dead mount, so unmount first.
 */
export function exitNow(code: number): never {
	try {
		return exitImmediately(code);
	} catch {
		// Without system calls nothing was mounted, and no worker can be stuck.
		return process.exit(code);
	}
}

const actions = new Set<() => void>();

function runActions(): void {
	for (const action of actions) action();
}

/** Has `action` run when the process ends otherwise. Returns what calls it off. One listener serves all mounts. */
export function atExit(action: () => void): () => void {
	if (actions.size === 0) process.on('exit', runActions);
	actions.add(action);
	return () => {
		actions.delete(action);
		if (actions.size === 0) process.removeListener('exit', runActions);
	};
}
