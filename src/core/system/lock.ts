import {declare, lastErrorName, systemError} from './libc.ts';

const flock = declare<(descriptor: number, operation: number) => number>('int flock(int, int)');

const LOCK_SHARED = 1;
const LOCK_EXCLUSIVE = 2;
const LOCK_NON_BLOCKING = 4;
const LOCK_RELEASE = 8;

/**
 * Takes an advisory lock on an open file (flock) without waiting. Returns false when another process holds it. It
 * goes with the descriptor: closing it, or the end of the process, releases it.
 */
export function tryLock(descriptor: number, kind: 'shared' | 'exclusive'): boolean {
	const operation = kind === 'shared' ? LOCK_SHARED : LOCK_EXCLUSIVE;
	if (flock()(descriptor, operation | LOCK_NON_BLOCKING) === 0) return true;
	if (lastErrorName() === 'EAGAIN') return false;
	throw systemError('flock');
}

export function unlock(descriptor: number): void {
	if (flock()(descriptor, LOCK_RELEASE) !== 0) throw systemError('flock');
}
