import {writeSync} from 'node:fs';

/** The reader of standard output went away: there is nobody left to work for. */
export class ClosedPipe extends Error {}

const STDOUT = 1;
const STDERR = 2;
/** Characters gathered before they are written. */
const BUFFERED = 1 << 16;
/** Milliseconds until a full pipe is tried again. */
const RETRY = 2;

let pending: string[] = [];
let pendingLength = 0;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Results for standard output. They are written in order and without the event loop, so nothing is lost at the end. */
export function out(text: string): void {
	pending.push(text);
	pendingLength += text.length;
	if (pendingLength >= BUFFERED) flush();
}

export function outLine(text = ''): void {
	out(`${text}\n`);
}

export function outBytes(bytes: Uint8Array): void {
	flush();
	writeAll(STDOUT, bytes);
}

export function flush(): void {
	if (pendingLength === 0) return;
	const text = pending.join('');
	pending = [];
	pendingLength = 0;
	writeAll(STDOUT, Buffer.from(text));
}

/** Everything that is no result goes to standard error. Nobody listening there is no reason to stop. */
export function note(text: string): void {
	try {
		writeAll(STDERR, Buffer.from(text));
	} catch (error) {
		if (!(error instanceof ClosedPipe)) throw error;
	}
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
	for (let done = 0; done < bytes.length; ) {
		try {
			done += writeSync(descriptor, bytes, done);
		} catch (error) {
			const {code} = error as NodeJS.ErrnoException;
			// The other end may have made the pipe non-blocking.
			if (code === 'EAGAIN') Atomics.wait(sleeper, 0, 0, RETRY);
			else if (code === 'EPIPE' || code === 'EOF' || code === 'EBADF') throw new ClosedPipe();
			else if (code !== 'EINTR') throw error;
		}
	}
}
