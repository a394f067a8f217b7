import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {type Codec, CodecId} from '../../src/core/codecs/codec.ts';
import {contentHash, treeRoot, zeroContentHash} from '../../src/core/codecs/content-id.ts';
import {frameLength, writeFrameHeader} from './frame.ts';
import {ChunkState, FRAME_SIZE, FrameType} from './layout.ts';
import {newReference, type Reference} from './reference.ts';

/** Compression that saves less than this share is not worth the time that reading it costs. */
const LEAST_GAIN = 1 / 32;

/** One chunk on its way into the file. */
export interface EncodedChunk {
	number: number;
	/** Without its position, until the piece is placed. */
	readonly reference: Reference;
	plainLength: number;
	/** Where its frame starts within the frames of its piece. */
	offset: number;
	/** Undefined for zeros. */
	hash: Uint8Array | undefined;
}

export interface EncodedPiece {
	/** How many of `chunks` are in use. */
	readonly count: number;
	readonly chunks: readonly EncodedChunk[];
	/** How many frames its chunks have. */
	readonly frames: number;
	/** Bytes of its frames. */
	readonly length: number;
	/** Root of the content tree over the piece; undefined when all of it is zero. */
	readonly root: Uint8Array | undefined;
}

export interface PieceEncoder {
	/** Compresses, checks and hashes. Replaces what was encoded before. */
	encode(position: number, bytes: Uint8Array): EncodedPiece;
	/** The frames of the piece, with the first one's number given; valid until the next `encode`. */
	frames(firstNumber: number): Uint8Array;
}

export function pieceEncoder(imageId: Uint8Array, codec: Codec, chunkSize: number, pieceSize: number): PieceEncoder {
	const most = pieceSize / chunkSize;
	const staging = new Uint8Array(most * frameLength(chunkSize));
	const view = viewOf(staging);
	const chunks: EncodedChunk[] = [];
	for (let i = 0; i < most; i++) {
		chunks.push({number: 0, reference: newReference(), plainLength: 0, offset: 0, hash: undefined});
	}
	const piece = {count: 0, chunks, frames: 0, length: 0, root: undefined as Uint8Array | undefined};

	/** Puts the payload into the staging area behind room for its header; returns its length. */
	function encodePayload(plain: Uint8Array, reference: Reference): number {
		const start = piece.length + FRAME_SIZE;
		const limit = plain.length - Math.ceil(plain.length * LEAST_GAIN);
		const length = codec.encode(plain, staging.subarray(start, start + limit));
		reference.codec = length > 0 ? codec.id : CodecId.stored;
		if (length > 0) return length;
		staging.set(plain, start);
		return plain.length;
	}

	function encodeChunk(chunk: EncodedChunk, plain: Uint8Array): void {
		const {reference} = chunk;
		chunk.plainLength = plain.length;
		chunk.offset = piece.length;
		reference.codec = 0;
		reference.length = 0;
		reference.check = 0;
		reference.position = 0;
		chunk.hash = undefined;
		if (isZero(plain)) {
			reference.state = ChunkState.zero;
			return;
		}
		chunk.hash = contentHash(plain);
		if (isFill(plain)) {
			reference.state = ChunkState.fill;
			reference.check = plain[0];
			return;
		}
		reference.state = ChunkState.data;
		const length = encodePayload(plain, reference);
		const start = piece.length + FRAME_SIZE;
		const end = piece.length + frameLength(length);
		staging.fill(0, start + length, end);
		reference.length = length;
		reference.check = crc32c(staging.subarray(start, start + length));
		piece.length = end;
		piece.frames++;
	}

	return {
		encode(position, bytes) {
			piece.count = Math.ceil(bytes.length / chunkSize);
			piece.frames = 0;
			piece.length = 0;
			const hashes: Uint8Array[] = [];
			let zero = true;
			for (let i = 0; i < piece.count; i++) {
				const plain = bytes.subarray(i * chunkSize, (i + 1) * chunkSize);
				const chunk = chunks[i];
				chunk.number = position / chunkSize + i;
				encodeChunk(chunk, plain);
				if (chunk.hash !== undefined) zero = false;
				hashes.push(chunk.hash ?? zeroContentHash(plain.length));
			}
			piece.root = zero ? undefined : treeRoot(hashes);
			return piece;
		},
		frames(firstNumber) {
			let number = firstNumber;
			for (let i = 0; i < piece.count; i++) {
				const {reference, plainLength, offset, number: subject} = chunks[i];
				if (reference.state !== ChunkState.data) continue;
				writeFrameHeader(staging, view, offset, imageId, {
					type: FrameType.chunk,
					codec: reference.codec,
					level: 0,
					storedLength: reference.length,
					plainLength,
					run: 0,
					number: number++,
					subject,
					payloadChecksum: reference.check,
				});
			}
			return staging.subarray(0, piece.length);
		},
	};
}

/** Whether all bytes are the same. */
function isFill(bytes: Uint8Array): boolean {
	const [value] = bytes;
	if (bytes.at(-1) !== value) return false;
	for (let at = 1; at < bytes.length; at++) if (bytes[at] !== value) return false;
	return true;
}
