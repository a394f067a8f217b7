import process from 'node:process';
import {serializeError, type SerializedError} from '../core/error.ts';

/** Tells the child process that it serves, and that its parent waits to hear of it. */
export const MARK = 'TINTYPE_BACKGROUND';

/** What the background says to whoever started it, once. */
export type Message =
	| {readonly kind: 'ready'; readonly text: readonly string[]}
	| {readonly kind: 'failed'; readonly error: SerializedError};

export function isBackground(): boolean {
	return process.env[MARK] === '1' && process.send !== undefined;
}

export function tellForeground(message: Message): void {
	process.send?.(message, () => {
		if (process.connected) process.disconnect();
		// The directory it was started in may be unmounted or removed.
		process.chdir('/');
	});
}

/** A failure before it was ready; there is no terminal to write to. */
export function tellFailure(error: unknown): void {
	if (isBackground() && process.connected) tellForeground({kind: 'failed', error: serializeError(error)});
}
