import {declare, lastErrorName, systemError} from './libc.ts';

const pollCall = declare<(entries: Int16Array, count: number, timeout: number) => number>(
	'int poll(void *, unsigned long, int)',
);

const POLLIN = 0x0001;

/** struct pollfd: the descriptor, the events asked for, those that came. */
const entry = new Int32Array(2);

/**
 * Waits until a descriptor can be read without waiting, its end included, at most so many milliseconds. False when the
 * time is over, or a signal came. Throws `io` with the errno name.
 */
export function waitReadable(descriptor: number, milliseconds: number): boolean {
	entry[0] = descriptor;
	entry[1] = POLLIN;
	const ready = pollCall()(new Int16Array(entry.buffer), 1, milliseconds);
	if (ready >= 0) return ready > 0;
	if (lastErrorName() === 'EINTR') return false;
	throw systemError('poll');
}
