import {declare} from './libc.ts';

const exitCall = declare<(code: number) => never>('void _exit(int)');

/**
 * Ends the process at once, with no exit handlers, whatever its threads are doing. `process.exit` waits for every
 * worker, and one that sits in a system call never comes.
 */
export function exitImmediately(code: number): never {
	return exitCall()(code);
}
