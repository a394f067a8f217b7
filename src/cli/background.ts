import process from 'node:process';
import type {Secret} from '../core/disk.ts';
import {serializeError, type SerializedError} from '../core/error.ts';

/** Tells the child process that it serves, and that its parent waits to hear of it. */
export const MARK = 'TINTYPE_BACKGROUND';

/** What the background says to whoever started it, once. */
export type Message =
	| {readonly kind: 'ready'; readonly text: readonly string[]}
	| {readonly kind: 'failed'; readonly error: SerializedError};

/** What whoever starts the background says to it, once: only so do secrets stay out of arguments and environment. */
export interface Instruction {
	readonly opening: ReadonlyMap<string, Secret>;
}

export function isBackground(): boolean {
	return process.env[MARK] === '1' && process.send !== undefined;
}

/** Waits for what opens the images; the foreground has asked for it. */
export async function secretsFromForeground(): Promise<{opening: Instruction['opening']; newKeys: undefined}> {
	const {promise, resolve, reject} = Promise.withResolvers<Instruction>();
	const onEnd = () => reject(new Error('the foreground ended before it said what to do'));
	process.once('message', message => resolve(message as Instruction));
	process.once('disconnect', onEnd);
	const {opening} = await promise;
	process.removeListener('disconnect', onEnd);
	return {opening, newKeys: undefined};
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
