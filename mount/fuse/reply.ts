import {viewOf} from '../../src/core/bytes/layout.ts';
import {LARGEST_READ, OutHeader} from './abi.ts';
import type {Request} from './request.ts';

const {len, error} = OutHeader.fields;
const UNIQUE = OutHeader.fields.unique.offset;

/** Where a reply's own structure starts, after the header. */
export const PAYLOAD = OutHeader.size;

/** Takes a whole reply: the first `length` bytes of `bytes`. */
export type ReplyWriter = (bytes: Uint8Array, length: number) => void;

/** The one reply buffer of a worker. File content is read straight into it, behind the place of the header. */
export interface Reply {
	readonly bytes: Uint8Array;
	readonly view: DataView;
	/** Makes `size` bytes after the header zero, for a structure of which only some fields are set. */
	clear(size: number): void;
	/** Sends success with `size` bytes of payload. */
	send(request: Request, size: number): void;
	/** Sends an errno, positive as in errno.ts. */
	fail(request: Request, errno: number): void;
}

export function newReply(write: ReplyWriter): Reply {
	const bytes = new Uint8Array(PAYLOAD + LARGEST_READ);
	const view = viewOf(bytes);

	function finish(request: Request, size: number, errno: number): void {
		writeOutHeader(view, PAYLOAD + size, errno, request.uniqueLow, request.uniqueHigh);
		write(bytes, PAYLOAD + size);
	}

	return {
		bytes,
		view,
		clear: size => void bytes.fill(0, PAYLOAD, PAYLOAD + size),
		send: (request, size) => finish(request, size, 0),
		fail: (request, errno) => finish(request, 0, errno),
	};
}

export function writeOutHeader(view: DataView, length: number, errno: number, low: number, high: number): void {
	len.write(view, 0, length);
	error.write(view, 0, -errno);
	view.setUint32(UNIQUE, low, true);
	view.setUint32(UNIQUE + 4, high, true);
}
