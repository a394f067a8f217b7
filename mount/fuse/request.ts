import {viewOf} from '../../src/core/bytes/layout.ts';
import {WORD} from '../../src/core/bytes/u64.ts';
import {InHeader, REQUEST_BUFFER} from './abi.ts';

const {len, opcode, nodeid, uid, pid} = InHeader.fields;
const UNIQUE = InHeader.fields.unique.offset;

/** Where a request's own structure starts, after the header. */
export const BODY = InHeader.size;

/** The request being handled. One object per worker, filled again and again. */
export interface Request {
	/** What the device is read into. */
	readonly buffer: Uint8Array;
	readonly view: DataView;
	/** Bytes of this request, header and all. */
	length: number;
	opcode: number;
	/** The wire's id of the node that it is about. */
	node: number;
	/** The request's number, in two halves; replies repeat it. */
	uniqueLow: number;
	uniqueHigh: number;
	uid: number;
	pid: number;
}

export function newRequest(): Request {
	const buffer = new Uint8Array(REQUEST_BUFFER);
	return {
		buffer,
		view: viewOf(buffer),
		length: 0,
		opcode: 0,
		node: 0,
		uniqueLow: 0,
		uniqueHigh: 0,
		uid: 0,
		pid: 0,
	};
}

/** Reads the header of the `length` bytes in the buffer. Returns false when they are not one whole request. */
export function parseRequest(request: Request, length: number): boolean {
	const {view} = request;
	if (length < InHeader.size || len.read(view, 0) !== length) return false;
	request.length = length;
	request.opcode = opcode.read(view, 0);
	request.uniqueLow = view.getUint32(UNIQUE, true);
	request.uniqueHigh = view.getUint32(UNIQUE + 4, true);
	// Only ids that were given out come back, and those are safe; others come with LOOKUPs of `.` alone (see server.ts).
	request.node = view.getUint32(nodeid.offset, true) + view.getUint32(nodeid.offset + 4, true) * WORD;
	request.uid = uid.read(view, 0);
	request.pid = pid.read(view, 0);
	return true;
}

/** The 64-bit position at `at`. Programs may seek anywhere; all that lies above 2^53-1 lies behind every end alike. */
export function positionAt(view: DataView, at: number): number {
	const high = view.getUint32(at + 4, true);
	const position = high * WORD + view.getUint32(at, true);
	return Number.isSafeInteger(position) ? position : Number.MAX_SAFE_INTEGER;
}

/** Whether the request is long enough for a structure of `size` bytes after its header. */
export function holds(request: Request, size: number): boolean {
	return request.length >= BODY + size;
}

/** The name that starts at `at` and ends before its NUL; a view into the buffer. */
export function nameAt(request: Request, at: number): Uint8Array {
	const end = request.buffer.indexOf(0, at);
	return request.buffer.subarray(at, end < 0 || end > request.length ? request.length : end);
}
