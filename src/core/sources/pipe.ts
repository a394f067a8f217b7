import {fstatSync, readSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../error.ts';
import type {OpenedFile} from '../recipe.ts';
import type {ByteSource} from '../source.ts';
import {waitReadable} from '../system/poll.ts';

/** Position reached, as a double; a count that changes with it; whether it was given up. */
const REACHED = 0;
const COUNT = 2;
const GIVEN_UP = 3;
const WORDS = 4;

/** Milliseconds until a thread that waits looks whether it still should. */
const NAP = 200;
/** Milliseconds that whoever writes has to close the pipe, or to write more than was said. */
const PATIENCE = 500;

/** How far the threads that read one pipe have come; plain data that crosses to workers. */
export type SharedPipe = SharedArrayBuffer;

export function newSharedPipe(): SharedPipe {
	return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** Ends the waiting in all threads: they throw `file/given-up`. */
export function giveUpPipe(shared: SharedPipe): void {
	const words = new Int32Array(shared);
	Atomics.store(words, GIVEN_UP, 1);
	Atomics.add(words, COUNT, 1);
	Atomics.notify(words, COUNT);
}

/** A pipe as a file of which the size is told. The descriptor stays the caller's. */
export function pipeFile(name: string, descriptor: number, size: number): OpenedFile {
	const {dev, ino, mtimeMs} = fstatSync(descriptor);
	return {path: name, descriptor, size, device: dev, inode: ino, modified: mtimeMs, sparse: false};
}

/**
 * What comes through a pipe. Every byte is read once: the threads that share it together ask for all of it, in ranges
 * that do not overlap, and each waits until what lies before its range was read.
 */
export function pipeSource({path, descriptor, size}: OpenedFile, shared: SharedPipe): ByteSource {
	const words = new Int32Array(shared);
	const reached = new Float64Array(shared, REACHED, 1);

	function checkGivenUp(): void {
		if (Atomics.load(words, GIVEN_UP) === 0) return;
		throw new DiskError('io', 'file/given-up', `reading ${path} was given up`, {where: {file: path}});
	}

	function waitFor(position: number): void {
		for (;;) {
			const count = Atomics.load(words, COUNT);
			checkGivenUp();
			if (reached[0] === position) return;
			if (reached[0] > position) throw new Error(`byte ${position} of a pipe was read before`);
			Atomics.wait(words, COUNT, count, NAP);
		}
	}

	function readAll(position: number, target: Uint8Array): void {
		for (let done = 0; done < target.length; ) {
			while (process.platform !== 'win32' && !waitReadable(descriptor, NAP)) checkGivenUp();
			const count = readSome(target.subarray(done), position + done);
			if (count === 0) {
				const message = `${path} ended after ${position + done} bytes; ${size} were to come`;
				throw new DiskError('io', 'file/ended', message, {
					where: {file: path, position: position + done},
					hint: 'whatever writes into it failed, or --size is not the size of what it writes',
				});
			}
			done += count;
		}
	}

	function readSome(target: Uint8Array, position: number): number {
		try {
			// oxlint-disable-next-line unicorn/no-null -- null is what Node calls the descriptor's own position
			return readSync(descriptor, target, 0, target.length, null);
		} catch (error) {
			const {code, message} = error as NodeJS.ErrnoException;
			if (code === 'EOF') return 0;
			const where = {file: path, position};
			throw new DiskError('io', 'file/read', `reading ${path} failed: ${code ?? message}`, {where, cause: error});
		}
	}

	return {
		name: path,
		size,
		readAt(position, target) {
			waitFor(position);
			try {
				readAll(position, target);
			} catch (error) {
				giveUpPipe(shared);
				throw error;
			}
			reached[0] = position + target.length;
			Atomics.add(words, COUNT, 1);
			Atomics.notify(words, COUNT);
		},
		[Symbol.dispose]() {},
	};
}

/** Whether more comes through a pipe of which all was read that was to come. */
export function hasMore({descriptor}: OpenedFile): boolean {
	if (process.platform === 'win32' || !waitReadable(descriptor, PATIENCE)) return false;
	return readSync(descriptor, new Uint8Array(1)) > 0;
}
