import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {type Codec, CodecId} from '../../src/core/codecs/codec.ts';
import {contentHash, treeRoot, zeroContentHash} from '../../src/core/codecs/content-id.ts';
import {type Mark, SpanKind} from '../../src/core/disk.ts';
import {frameLength, writeFrameHeader} from './frame.ts';
import {type FrameSealer, SEALED_OVERHEAD, SEALED_PREFIX} from './frame-cipher.ts';
import {mapLength} from './chunk.ts';
import {ChunkState, FRAME_SIZE, FrameType, MAP_UNIT} from './layout.ts';
import {newReference, type Reference} from './reference.ts';

/** Compression that saves less than this share is not worth the time that reading it costs. */
const LEAST_GAIN = 1 / 32;

/** One chunk on its way into the file. */
export interface EncodedChunk {
	number: number;
	/** Without its position, until the piece is placed. */
	readonly reference: Reference;
	/** Bytes of the disk. */
	contentLength: number;
	/** Bytes of its payload when decoded. */
	plainLength: number;
	/** Where its frame starts within the staging area. */
	offset: number;
	/** Bytes of its frame; 0 where it has none. */
	frame: number;
	/** Where its frame goes within those of its piece that are written; -1 for nowhere. */
	place: number;
	/** Undefined for zeros. */
	hash: Uint8Array | undefined;
	/** Content that looked known already, and was not compressed for that reason. */
	deferred: Uint8Array | undefined;
	/** The frame of such a chunk that had to be compressed after all. */
	late: Uint8Array | undefined;
}

export interface EncodedPiece {
	/** How many of `chunks` are in use. */
	readonly count: number;
	readonly chunks: readonly EncodedChunk[];
	/** Whether all of it is zero, and no mark lies in it. */
	readonly blank: boolean;
	/** Root of the content tree over the piece; undefined when all of it reads as zeros. */
	readonly root: Uint8Array | undefined;
	readonly marks: readonly Mark[];
}

export interface PieceEncoder {
	/** Compresses, checks and hashes. Replaces what was encoded before. */
	encode(position: number, bytes: Uint8Array, marks: readonly Mark[]): EncodedPiece;
	/** Compresses a deferred chunk after all: what looked known has been forgotten meanwhile. */
	encodeLate(chunk: EncodedChunk): void;
	/**
	 * The frames that have a place, with the first one's number given unless they are encrypted and have theirs; valid
	 * until the next `encode`.
	 */
	frames(firstNumber: number): Uint8Array;
}

/**
 * Whether the parent holds the same chunk already: fills the reference and returns true. `plain` is what the payload
 * of a mixed chunk would be; absent for plain content.
 */
export type Inherit = (
	chunk: number,
	hash: Uint8Array | undefined,
	plain: Uint8Array | undefined,
	into: Reference,
) => boolean;

/**
 * Whether some content seems to be in the image already. The answer may be wrong, since other threads are at work: it
 * only saves the time of compressing what will turn out to be a duplicate.
 */
export type SeemsKnown = (hash: Uint8Array) => boolean;

/** Of an encrypted image: what its frames are sealed with, and the number that references to them have. */
export interface Sealing {
	readonly sealer: FrameSealer;
	readonly file: number;
}

const STATES = {
	[SpanKind.free]: ChunkState.free,
	[SpanKind.excluded]: ChunkState.excluded,
	[SpanKind.unreadable]: ChunkState.unreadable,
} as const;

/** The chunk state of a mark. */
export function stateOf(kind: Mark['kind']): ChunkState {
	return STATES[kind];
}

export function pieceEncoder(
	imageId: Uint8Array,
	run: number,
	codec: Codec,
	chunkSize: number,
	pieceSize: number,
	inherit: Inherit | undefined,
	seemsKnown: SeemsKnown,
	sealing?: Sealing,
): PieceEncoder {
	const most = pieceSize / chunkSize;
	const prefix = sealing === undefined ? 0 : SEALED_PREFIX;
	const overhead = sealing === undefined ? 0 : SEALED_OVERHEAD;
	const staging = new Uint8Array(most * frameLength(chunkSize + mapLength(chunkSize) + overhead));
	const sealed = {subject: 0, codec: 0, level: 0, plainLength: 0};
	const view = viewOf(staging);
	const map = new Uint8Array(mapLength(chunkSize));
	/** Content and map of a mixed chunk; taken when the first one comes. */
	let mixed: Uint8Array | undefined;
	const chunks: EncodedChunk[] = [];
	for (let i = 0; i < most; i++) {
		chunks.push({
			number: 0,
			reference: newReference(),
			contentLength: 0,
			plainLength: 0,
			offset: 0,
			frame: 0,
			place: -1,
			hash: undefined,
			deferred: undefined,
			late: undefined,
		});
	}
	const piece = {
		count: 0,
		chunks,
		blank: true,
		root: undefined as Uint8Array | undefined,
		marks: [] as readonly Mark[],
	};
	/** Bytes of the staging area in use. */
	let staged = 0;

	/** Puts the payload into `target` from `start`; returns its length. */
	function encodePayload(plain: Uint8Array, reference: Reference, target: Uint8Array, start: number): number {
		const limit = plain.length - Math.ceil(plain.length * LEAST_GAIN);
		const length = codec.encode(plain, target.subarray(start, start + limit));
		reference.codec = length > 0 ? codec.id : CodecId.stored;
		if (length > 0) return length;
		target.set(plain, start);
		return plain.length;
	}

	/** Puts a frame into `target` at `at`: an encrypted one with its header, another without. */
	function encodeFrame(
		chunk: EncodedChunk,
		plain: Uint8Array,
		state: ChunkState,
		target: Uint8Array,
		at: number,
	): void {
		const {reference} = chunk;
		const start = at + FRAME_SIZE + prefix;
		chunk.plainLength = plain.length;
		reference.state = state;
		const length = encodePayload(plain, reference, target, start);
		const stored = length + overhead;
		chunk.frame = frameLength(stored);
		target.fill(0, at + FRAME_SIZE + stored, at + chunk.frame);
		reference.length = stored;
		if (sealing === undefined) {
			reference.check = crc32c(target.subarray(start, start + length));
			return;
		}
		reference.file = sealing.file;
		sealed.subject = chunk.number;
		sealed.codec = reference.codec;
		sealed.plainLength = plain.length;
		reference.check = sealing.sealer.seal(target, at, length, FrameType.chunk, sealed);
	}

	function stageFrame(chunk: EncodedChunk, plain: Uint8Array, state: ChunkState): void {
		encodeFrame(chunk, plain, state, staging, staged);
		staged += chunk.frame;
	}

	/** `kind` is the state of all of the chunk, or `mixed` when `map` says it sector by sector. */
	function encodeChunk(chunk: EncodedChunk, plain: Uint8Array, kind: ChunkState): void {
		const {reference, number} = chunk;
		Object.assign(reference, EMPTY);
		chunk.contentLength = plain.length;
		chunk.offset = staged;
		chunk.frame = 0;
		chunk.place = -1;
		chunk.hash = undefined;
		chunk.deferred = undefined;
		chunk.late = undefined;
		if (kind !== ChunkState.data && kind !== ChunkState.mixed) {
			reference.state = kind;
			return;
		}
		const zero = isZero(plain);
		if (!zero) chunk.hash = contentHash(plain);
		if (kind === ChunkState.mixed) {
			mixed ??= new Uint8Array(chunkSize + map.length);
			const length = plain.length + mapLength(plain.length);
			const both = mixed.subarray(0, length);
			both.set(plain);
			both.set(map.subarray(0, length - plain.length), plain.length);
			if (inherit?.(number, chunk.hash, both, reference) !== true) stageFrame(chunk, both, ChunkState.mixed);
		} else if (zero) {
			reference.state = ChunkState.zero;
		} else if (isFill(plain)) {
			reference.state = ChunkState.fill;
			reference.check = plain[0];
		} else if (inherit?.(number, chunk.hash, undefined, reference) !== true) {
			if (chunk.hash !== undefined && seemsKnown(chunk.hash)) {
				chunk.deferred = plain;
				reference.state = ChunkState.data;
			} else {
				stageFrame(chunk, plain, ChunkState.data);
			}
		}
	}

	/** What the marks make of the chunk from `start` to `end` of the piece; `map` is filled for a mixed one. */
	function kindOf(bytes: Uint8Array, start: number, end: number, marks: readonly Mark[]): ChunkState {
		let marked = 0;
		let state: ChunkState = ChunkState.data;
		let same = true;
		for (const {offset, length, kind} of marks) {
			const from = Math.max(offset, start);
			const to = Math.min(offset + length, end);
			if (from >= to) continue;
			if (marked === 0) map.fill(ChunkState.data);
			else if (state !== stateOf(kind)) same = false;
			state = stateOf(kind);
			marked += to - from;
			map.fill(state, Math.floor((from - start) / MAP_UNIT), Math.ceil((to - start) / MAP_UNIT));
		}
		if (marked === 0) return ChunkState.data;
		if (same && marked === end - start) return state;
		for (let unit = 0; unit < mapLength(end - start); unit++) {
			if (map[unit] !== ChunkState.data) continue;
			const from = start + unit * MAP_UNIT;
			if (isZero(bytes.subarray(from, Math.min(from + MAP_UNIT, end)))) map[unit] = ChunkState.zero;
		}
		return ChunkState.mixed;
	}

	return {
		encode(position, bytes, marks) {
			piece.count = Math.ceil(bytes.length / chunkSize);
			piece.blank = true;
			piece.marks = marks;
			staged = 0;
			const hashes: Uint8Array[] = [];
			let zero = true;
			for (let i = 0; i < piece.count; i++) {
				const start = i * chunkSize;
				const plain = bytes.subarray(start, start + chunkSize);
				const chunk = chunks[i];
				chunk.number = position / chunkSize + i;
				const kind = marks.length === 0 ? ChunkState.data : kindOf(bytes, start, start + plain.length, marks);
				encodeChunk(chunk, plain, kind);
				if (chunk.hash !== undefined) zero = false;
				if (chunk.reference.state !== ChunkState.zero) piece.blank = false;
				hashes.push(chunk.hash ?? zeroContentHash(plain.length));
			}
			piece.root = zero ? undefined : treeRoot(hashes);
			return piece;
		},
		encodeLate(chunk) {
			const {deferred} = chunk;
			if (deferred === undefined) throw new Error(`chunk ${chunk.number} was not deferred`);
			chunk.late = new Uint8Array(frameLength(deferred.length + overhead));
			encodeFrame(chunk, deferred, ChunkState.data, chunk.late, 0);
		},
		frames(firstNumber) {
			let number = firstNumber;
			let length = 0;
			const someLate = chunks.some(({late}, index) => index < piece.count && late !== undefined);
			// A late frame may go before staged ones, which it must not overwrite.
			const target = someLate ? new Uint8Array(staging.length) : staging;
			const targetView = someLate ? viewOf(target) : view;
			for (let i = 0; i < piece.count; i++) {
				const {reference, plainLength, offset, frame, place, late, number: subject} = chunks[i];
				if (place === -1) continue;
				// Frames that turned out not to be needed leave gaps, which those behind them close.
				if (late !== undefined) target.set(late.subarray(0, frame), place);
				else if (someLate) target.set(staging.subarray(offset, offset + frame), place);
				else if (place !== offset) staging.copyWithin(place, offset, offset + frame);
				length = place + frame;
				if (sealing !== undefined) continue;
				writeFrameHeader(target, targetView, place, imageId, {
					type: FrameType.chunk,
					codec: reference.codec,
					level: 0,
					storedLength: reference.length,
					plainLength,
					run,
					number: number++,
					subject,
					payloadChecksum: reference.check,
				});
			}
			return target.subarray(0, length);
		},
	};
}

const EMPTY = newReference();

/** Whether all bytes are the same. */
function isFill(bytes: Uint8Array): boolean {
	const [value] = bytes;
	if (bytes.at(-1) !== value) return false;
	for (let at = 1; at < bytes.length; at++) if (bytes[at] !== value) return false;
	return true;
}
