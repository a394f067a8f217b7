import {writeSync} from 'node:fs';
import {DiskError} from '../core/error.ts';
import type {ByteSink} from '../core/source.ts';

/** Milliseconds until a full pipe is tried again, at first and at most: a pipe of 64 KiB is empty in no time. */
const SHORTEST_NAP = 0.1;
const LONGEST_NAP = 10;

/** The code of the error when whoever read the output has gone. */
export const PIPE_CLOSED = 'output/pipe-closed';

/** How much all threads wrote; plain data that crosses to workers. */
export type SharedPipe = SharedArrayBuffer;

export function newSharedPipe(): SharedPipe {
	return new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT);
}

export function writtenTo(pipe: SharedPipe): number {
	return new Float64Array(pipe)[0];
}

function never(what: string): never {
	throw new Error(`${what} is not possible on a pipe`);
}

/**
 * Output that can only be continued: a pipe, a socket, a file that somebody else opened. Threads take turns; all
 * writes are in the order of the file and without gaps. The descriptor stays the caller's.
 */
export function pipeSink(descriptor: number, name: string, pipe: SharedPipe): ByteSink {
	const written = new Float64Array(pipe);
	const sleeper = new Int32Array(new SharedArrayBuffer(4));

	function writeAll(bytes: Uint8Array): void {
		let nap = SHORTEST_NAP;
		for (let done = 0; done < bytes.length; ) {
			try {
				done += writeSync(descriptor, bytes, done, bytes.length - done);
				nap = SHORTEST_NAP;
			} catch (error) {
				const {code} = error as NodeJS.ErrnoException;
				if (code === 'EAGAIN') {
					// The other end, or somebody before, made it non-blocking.
					Atomics.wait(sleeper, 0, 0, nap);
					nap = Math.min(nap * 2, LONGEST_NAP);
				} else if (code !== 'EINTR') throw failed(error);
			}
		}
	}

	function failed(cause: unknown): DiskError {
		const {code, message} = cause as NodeJS.ErrnoException;
		const closed = code === 'EPIPE' || code === 'EOF' || code === 'ECONNRESET';
		const text = closed ? `whoever read ${name} has gone` : `write to ${name} failed: ${code ?? message}`;
		return new DiskError('io', closed ? PIPE_CLOSED : 'output/write', text, {where: {file: name}, cause});
	}

	return {
		name,
		writeAt(position, bytes) {
			if (position !== written[0]) never(`writing at ${position} after ${written[0]} bytes`);
			writeAll(bytes);
			written[0] += bytes.length;
		},
		readAt: () => never('reading'),
		truncate: () => never('cutting'),
		sync() {},
		[Symbol.dispose]() {},
	};
}
