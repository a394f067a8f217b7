import {crc32c} from '../../src/core/bytes/checksums.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {Finding} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {frameLength, readFrameHeader} from './frame.ts';
import type {TintImage} from './image.ts';
import {BLOCK, FIRST_FRAME, FRAME_SIZE, Header, ROOT_SLOTS, STREAMED} from './layout.ts';
import {MAX_REFERENCE_LENGTH} from './reference.ts';
import {readRoot} from './root.ts';

/**
 * Goes through the file from its first byte to its last, without its index: blocks at the start, then frame after
 * frame, padding included. Every byte is under a checksum or must be zero. Returns the frames that are whole.
 */
export function scanFrames({source, geometry, root}: TintImage, report: (finding: Finding) => void): number {
	const {imageId} = geometry;
	const streamed = (geometry.incompatible & STREAMED) !== 0n;
	let scratch = new Uint8Array(BLOCK);
	let frames = 0;

	function damage(error: DiskError): void {
		report({code: error.code, severity: 'damage', message: `${error.message} at ${error.where.position ?? 0}`});
	}

	function read(position: number, length: number): Uint8Array {
		if (position + length > source.size) {
			throw corrupt('tint/beyond-file', 'a frame goes on beyond the end of the file', {position});
		}
		if (scratch.length < length) scratch = new Uint8Array(length);
		const bytes = scratch.subarray(0, length);
		source.readAt(position, bytes);
		return bytes;
	}

	/** Returns where the next frame starts. */
	function scanFrame(position: number): number {
		const {storedLength} = readFrameHeader(read(position, FRAME_SIZE), position, imageId);
		if (storedLength > MAX_REFERENCE_LENGTH) {
			throw corrupt('tint/frame-length', `a frame claims ${storedLength} bytes`, {position});
		}
		const next = position + frameLength(storedLength);
		const bytes = read(position, next - position);
		try {
			const {payloadChecksum} = readFrameHeader(bytes, position, imageId);
			if (crc32c(bytes.subarray(FRAME_SIZE, FRAME_SIZE + storedLength)) !== payloadChecksum) {
				throw corrupt('tint/frame-payload', 'the checksum of a frame does not match', {position});
			}
			requireZero(bytes.subarray(FRAME_SIZE + storedLength), position);
			frames++;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			damage(error);
		}
		return next;
	}

	function attempt(step: () => void): void {
		try {
			step();
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			damage(error);
		}
	}

	// Damage to the header itself was reported when the image was opened.
	attempt(() => requireZero(read(0, BLOCK).subarray(Header.size), Header.size));
	for (const position of ROOT_SLOTS) {
		if (streamed) attempt(() => requireZero(read(position, BLOCK), position));
		else attempt(() => void readRoot(read(position, BLOCK), position));
	}
	attempt(() => {
		for (let position = FIRST_FRAME; position < root.fileSize; ) position = scanFrame(position);
	});
	return frames;
}

function requireZero(bytes: Uint8Array, position: number): void {
	if (!isZero(bytes)) throw corrupt('tint/padding', 'bytes that must be zero are not', {position});
}
