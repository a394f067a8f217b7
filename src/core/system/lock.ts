import {endianness} from 'node:os';
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

const fcntl =
	declare<(descriptor: number, command: number, argument: Uint8Array) => number>('int fcntl(int, int, void *)');

/** Linux, asm-generic/fcntl.h. */
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
/** struct flock on 64 bits: type, whence, start, length (0: to the end, wherever it is), process. */
const FLOCK_SIZE = 32;

/** What file systems and systems without such locks say: there nobody else can have one either. */
const WITHOUT_RECORD_LOCKS = new Set(['EINVAL', 'ENOLCK', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP']);

/**
 * Takes a record lock on all of an open file, of the kind that belongs to the descriptor, without waiting: virtual
 * machines keep such locks on their images. Returns false when another program holds one. Only Linux has them.
 */
export function tryRecordLock(descriptor: number): boolean {
	const argument = new Uint8Array(FLOCK_SIZE);
	new DataView(argument.buffer).setInt16(0, F_WRLCK, endianness() === 'LE');
	if (fcntl()(descriptor, F_OFD_SETLK, argument) === 0) return true;
	const name = lastErrorName();
	if (name === 'EAGAIN' || name === 'EACCES') return false;
	if (WITHOUT_RECORD_LOCKS.has(name)) return true;
	throw systemError('fcntl');
}
