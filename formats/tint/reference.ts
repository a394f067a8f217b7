import {WORD} from '../../src/core/bytes/u64.ts';
import {FRAME_ALIGNMENT, REFERENCE_SIZE} from './layout.ts';

/** SPEC.md section 5: where a frame lies and how to know it, in 16 bytes. */
export interface Reference {
	state: number;
	codec: number;
	/** Bytes of the frame's payload. */
	length: number;
	/** 0 is the file itself. */
	file: number;
	/** Of the frame's header. */
	position: number;
	/** CRC-32C of the payload as stored; for `fill` the byte. */
	check: number;
}

export function newReference(): Reference {
	return {state: 0, codec: 0, length: 0, file: 0, position: 0, check: 0};
}

/** The largest payload that a reference can name. */
export const MAX_REFERENCE_LENGTH = 2 ** 24 - 1;

/** The state alone, for scans. */
export function stateAt(view: DataView, at: number): number {
	return view.getUint8(at) & 0xf;
}

export function readReference(view: DataView, at: number, into: Reference): void {
	const first = view.getUint32(at, true);
	const second = view.getUint32(at + 4, true);
	into.state = first & 0xf;
	into.codec = (first >>> 4) & 0xf;
	into.length = first >>> 8;
	into.file = second & 0xffff;
	into.position = ((second >>> 16) + view.getUint32(at + 8, true) * 0x1_0000) * FRAME_ALIGNMENT;
	into.check = view.getUint32(at + 12, true);
}

export function writeReference(view: DataView, at: number, reference: Reference): void {
	const {state, codec, length, file, position, check} = reference;
	if (length > MAX_REFERENCE_LENGTH) throw new RangeError(`a payload of ${length} bytes cannot be referred to`);
	const place = position / FRAME_ALIGNMENT;
	view.setUint32(at, (state | (codec << 4) | (length << 8)) >>> 0, true);
	view.setUint32(at + 4, (file | ((place % 0x1_0000) << 16)) >>> 0, true);
	view.setUint32(at + 8, Math.floor(place / 0x1_0000) % WORD, true);
	view.setUint32(at + 12, check, true);
}

export function referenceFrom(bytes: Uint8Array): Reference {
	const reference = newReference();
	readReference(new DataView(bytes.buffer, bytes.byteOffset, REFERENCE_SIZE), 0, reference);
	return reference;
}

export function referenceBytes(reference: Reference): Uint8Array {
	const bytes = new Uint8Array(REFERENCE_SIZE);
	writeReference(new DataView(bytes.buffer), 0, reference);
	return bytes;
}
