import {crc32c} from '../../src/core/bytes/checksums.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import type {Finding} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type FrameFacts, frameLength, readFrameHeader} from './frame.ts';
import {readHeader} from './header.ts';
import type {TintImage} from './image.ts';
import {BLOCK, FIRST_FRAME, FRAME_ALIGNMENT, FRAME_MAGIC, FRAME_SIZE, Header, ROOT_SLOTS, STREAMED} from './layout.ts';
import {MAX_REFERENCE_LENGTH} from './reference.ts';
import {readRootFront} from './root.ts';

/** Hears what lies in a file, frame by frame. */
export interface FrameVisitor {
	/** A frame whose header is whole. `payload` is valid until this returns; `error` says what is wrong with the rest of it. */
	frame(position: number, facts: FrameFacts, payload: Uint8Array, error: DiskError | undefined): void;
	/** Bytes that belong to no frame. */
	gap(position: number, length: number, error: DiskError): void;
}

/** Bytes read at once: frames have 128 KiB at most, as a rule. */
const WINDOW = 4 * 1024 * 1024;

/** Reads a file from front to back through one buffer. */
function windowOn(source: ByteSource) {
	let buffer = new Uint8Array(Math.min(WINDOW, source.size));
	let start = 0;
	let filled = 0;

	return (position: number, length: number): Uint8Array => {
		if (position + length > source.size) {
			throw corrupt('tint/beyond-file', 'a frame goes on beyond the end of the file', {position});
		}
		if (position < start || position + length > start + filled) {
			if (buffer.length < length) buffer = new Uint8Array(length);
			start = position;
			filled = 0;
			const next = Math.min(buffer.length, source.size - position);
			source.readAt(position, buffer.subarray(0, next));
			filled = next;
		}
		return buffer.subarray(position - start, position - start + length);
	};
}

/**
 * Goes from frame to frame through the bytes `from` to `to` of a file, without its index. Where there is no frame, the
 * next one is looked for at every place where one may start. Yields the position reached, after some MiB at most.
 */
export function* walkFrames(
	source: ByteSource,
	from: number,
	to: number,
	imageId: Uint8Array,
	visitor: FrameVisitor,
): Generator<number, void, void> {
	const read = windowOn(source);
	const end = Math.min(to, source.size);
	let told = from;
	let position = from;

	/** The header at a place, or why there is none. */
	function headerAt(at: number): FrameFacts | DiskError {
		try {
			if (at + FRAME_SIZE > end) throw corrupt('tint/beyond-file', 'a frame goes on beyond the end', {position: at});
			const facts = readFrameHeader(read(at, FRAME_SIZE), at, imageId);
			if (facts.storedLength > MAX_REFERENCE_LENGTH) {
				throw corrupt('tint/frame-length', `a frame claims ${facts.storedLength} bytes`, {position: at});
			}
			if (at + frameLength(facts.storedLength) > end) {
				throw corrupt('tint/beyond-file', 'a frame goes on beyond the end of the file', {position: at});
			}
			return facts;
		} catch (error) {
			if (error instanceof DiskError && error.family !== 'io') return error;
			throw error;
		}
	}

	while (position < end) {
		const header = headerAt(position);
		if (header instanceof DiskError) {
			const start = position;
			for (position += FRAME_ALIGNMENT; position < end; position += FRAME_ALIGNMENT) {
				if (position - told >= WINDOW) yield (told = position);
				if (position + FRAME_SIZE > end) continue;
				if (viewOf(read(position, 4)).getUint32(0, true) !== FRAME_MAGIC) continue;
				if (!(headerAt(position) instanceof DiskError)) break;
			}
			position = Math.min(position, end);
			visitor.gap(start, position - start, header);
			continue;
		}
		const {storedLength, payloadChecksum} = header;
		const next = position + frameLength(storedLength);
		const bytes = read(position, next - position);
		const payload = bytes.subarray(FRAME_SIZE, FRAME_SIZE + storedLength);
		let error: DiskError | undefined;
		if (crc32c(payload) !== payloadChecksum) {
			error = corrupt('tint/frame-payload', 'the checksum of a frame does not match', {position});
		} else if (!isZero(bytes.subarray(FRAME_SIZE + storedLength))) {
			error = corrupt(PADDING, 'bytes that must be zero are not', {position});
		}
		visitor.frame(position, header, payload, error);
		position = next;
		if (position - told >= WINDOW) yield (told = position);
	}
	yield position;
}

/** The code of damage that loses nothing. */
export const PADDING = 'tint/padding';

export interface ScannedFile extends Pick<TintImage, 'source' | 'geometry'> {
	/** Where the frames that count end. */
	readonly end: number;
}

/** Frames that were found whole, to which references are compared. */
export interface FrameListener {
	whole(position: number, facts: FrameFacts): void;
}

/**
 * Goes through the file from its first byte to its last, without its index: blocks at the start, then frame after
 * frame, padding included. Every byte is under a checksum or must be zero. Returns the frames that are whole.
 */
export function* scanFrames(
	{source, geometry, end}: ScannedFile,
	report: (finding: Finding) => void,
	listener?: FrameListener,
): Generator<number, number, void> {
	const {imageId} = geometry;
	const streamed = (geometry.incompatible & STREAMED) !== 0n;
	const block = new Uint8Array(BLOCK);
	let frames = 0;

	function damage(error: DiskError): void {
		report({code: error.code, severity: 'damage', message: `${error.message} at ${error.where.position ?? 0}`});
	}

	function attempt(step: () => void): void {
		try {
			step();
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			damage(error);
		}
	}

	function read(position: number): Uint8Array {
		source.readAt(position, block);
		return block;
	}

	let other: {readonly sequence: number; readonly block: Uint8Array} | undefined;

	/** Two states have different numbers. */
	function checkRoot(bytes: Uint8Array, position: number): void {
		const {sequence} = readRootFront(bytes, position);
		if (other?.sequence === sequence && !sameBytes(other.block, bytes)) {
			throw corrupt('tint/root-mismatch', `two root records of state ${sequence} differ`, {position});
		}
		other = {sequence, block: Uint8Array.from(bytes)};
	}

	attempt(() => void readHeader(read(0).subarray(0, Header.size), 0));
	attempt(() => requireZero(read(0).subarray(Header.size), Header.size));
	for (const position of ROOT_SLOTS) {
		if (streamed) attempt(() => requireZero(read(position), position));
		else attempt(() => checkRoot(read(position), position));
	}
	yield* walkFrames(source, FIRST_FRAME, end, imageId, {
		frame(position, facts, _, error) {
			if (error === undefined) frames++;
			else damage(error);
			if (error === undefined || error.code === PADDING) listener?.whole(position, facts);
		},
		gap: (_position, _length, error) => damage(error),
	});
	return frames;
}

function requireZero(bytes: Uint8Array, position: number): void {
	if (!isZero(bytes)) throw corrupt(PADDING, 'bytes that must be zero are not', {position});
}
