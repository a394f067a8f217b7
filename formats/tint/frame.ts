import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {roundUp} from '../../src/core/bytes/u64.ts';
import {TAG_SIZE} from '../../src/core/codecs/aes-gcm.ts';
import {type Codec, CodecId} from '../../src/core/codecs/codec.ts';
import {lz4Codec, zstdCodec} from '../../src/core/codecs/index.ts';
import {corrupt, DiskError, located, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type FrameOpener, type FrameSealer, SEALED_OVERHEAD, SEALED_PREFIX} from './frame-cipher.ts';
import {ChunkState, Frame, FRAME_ALIGNMENT, FRAME_MAGIC, FRAME_SIZE, type FrameType} from './layout.ts';
import type {Reference} from './reference.ts';

const fields = Frame.fields;
const COVERED = fields.checksum.offset;

/** SPEC.md section 4: what a frame says of itself. */
export interface FrameFacts {
	readonly type: number;
	readonly codec: number;
	readonly level: number;
	readonly storedLength: number;
	readonly plainLength: number;
	readonly run: number;
	readonly number: number;
	readonly subject: number;
	readonly payloadChecksum: number;
}

/** Bytes that a frame takes in the file, padding included. */
export function frameLength(storedLength: number): number {
	return roundUp(FRAME_SIZE + storedLength, FRAME_ALIGNMENT);
}

export function writeFrameHeader(
	bytes: Uint8Array,
	view: DataView,
	at: number,
	imageId: Uint8Array,
	facts: FrameFacts,
): void {
	bytes.fill(0, at, at + FRAME_SIZE);
	fields.magic.write(view, at, FRAME_MAGIC);
	fields.type.write(view, at, facts.type);
	fields.codec.write(view, at, facts.codec);
	fields.level.write(view, at, facts.level);
	fields.storedLength.write(view, at, facts.storedLength);
	fields.plainLength.write(view, at, facts.plainLength);
	fields.run.write(view, at, facts.run);
	fields.number.write(view, at, facts.number);
	fields.subject.write(view, at, facts.subject);
	bytes.set(imageId, at + fields.imageId.offset);
	fields.payloadChecksum.write(view, at, facts.payloadChecksum);
	fields.checksum.write(view, at, crc32c(bytes.subarray(at, at + COVERED)));
}

/** A whole frame around a payload that is stored as it is, padding included. */
export function storedFrame(
	imageId: Uint8Array,
	payload: Uint8Array,
	facts: Pick<FrameFacts, 'type' | 'level' | 'run' | 'number' | 'subject'>,
): Uint8Array {
	const bytes = new Uint8Array(frameLength(payload.length));
	bytes.set(payload, FRAME_SIZE);
	writeFrameHeader(bytes, viewOf(bytes), 0, imageId, {
		...facts,
		codec: CodecId.stored,
		storedLength: payload.length,
		plainLength: payload.length,
		payloadChecksum: crc32c(payload),
	});
	return bytes;
}

/** The same for an encrypted frame; its number is the check of references to it. */
export function sealedFrame(
	sealer: FrameSealer,
	payload: Uint8Array,
	{type, level, subject}: {readonly type: FrameType; readonly level: number; readonly subject: number},
): {bytes: Uint8Array; number: number} {
	const bytes = new Uint8Array(frameLength(payload.length + SEALED_OVERHEAD));
	bytes.set(payload, FRAME_SIZE + SEALED_PREFIX);
	const facts = {subject, codec: CodecId.stored, level, plainLength: payload.length};
	return {bytes, number: sealer.seal(bytes, 0, payload.length, type, facts)};
}

/** Checks a frame's header and, when `bytes` go on so far, its payload. Throws `corrupt`. */
export function readFrameHeader(bytes: Uint8Array, position: number, imageId: Uint8Array | undefined): FrameFacts {
	const where = {structure: Frame.name, position};
	const view = viewOf(bytes);
	if (fields.magic.read(view, 0) !== FRAME_MAGIC) {
		throw corrupt('tint/frame-magic', 'there is no frame where the image refers to one', where);
	}
	if (fields.checksum.read(view, 0) !== crc32c(bytes.subarray(0, COVERED))) {
		throw corrupt('tint/frame-checksum', 'the checksum of a frame header does not match', where);
	}
	const facts = Frame.read(view);
	if (imageId !== undefined && !sameBytes(facts.imageId, imageId)) {
		throw corrupt('tint/frame-image', 'a frame belongs to another image', where);
	}
	return facts;
}

/** The codec of a number, or undefined for content that is stored as it is. */
export function codecOf(id: number, position: number): Codec | undefined {
	if (id === CodecId.stored) return undefined;
	if (id === CodecId.lz4) return lz4Codec();
	if (id === CodecId.zstd) return zstdCodec();
	throw unsupported('tint/codec', `codec ${id} is not known`, {position});
}

/** Checks that the place that a reference names lies in its file. */
export function checkReference({position, length}: Reference, source: ByteSource, structure: string): void {
	if (position + FRAME_SIZE + length <= source.size) return;
	throw new DiskError('corrupt', 'tint/beyond-file', `${structure} lies beyond the end of ${source.name}`, {
		where: {file: source.name, position, structure},
		hint: 'the file is truncated; fetch it again or use another copy',
	});
}

/** What a table must be. */
export interface TableExpectation {
	readonly type: number;
	readonly level: number;
	readonly subject: number;
	/** Plain bytes at most. */
	readonly maximum: number;
	readonly structure: string;
}

/**
 * Reads the frame of a table: everything in it is checked, and no more is allocated than `maximum` allows. Of an
 * encrypted table `opener` is that of its run.
 */
export function readTable(
	source: ByteSource,
	imageId: Uint8Array,
	reference: Reference,
	expected: TableExpectation,
	opener?: FrameOpener,
): Uint8Array {
	const {structure} = expected;
	const {position, length, codec} = reference;
	const maximum = expected.maximum + (opener === undefined ? 0 : SEALED_OVERHEAD);
	const where = {structure, position};
	if (reference.state !== ChunkState.data) {
		throw corrupt('tint/reference', `the reference to the ${structure} has state ${reference.state}`, where);
	}
	if (reference.file !== 0 && opener === undefined) {
		throw corrupt('tint/file-number', `the ${structure} is said to lie in file ${reference.file}`, where);
	}
	if (length > maximum) {
		throw corrupt('tint/table-length', `the ${structure} has ${length} bytes; at most ${maximum} are allowed`, where);
	}
	checkReference(reference, source, structure);
	const frame = new Uint8Array(FRAME_SIZE + length);
	source.readAt(position, frame);
	const header = readFrameHeader(frame, position, imageId);
	const stored = frame.subarray(FRAME_SIZE);
	const check = opener === undefined ? header.payloadChecksum : header.number;
	if (header.type !== expected.type || header.storedLength !== length || check !== reference.check) {
		throw mismatch(where);
	}
	if (crc32c(stored) !== header.payloadChecksum) {
		throw corrupt('tint/table-checksum', `the checksum of the ${structure} does not match`, where);
	}
	const {facts, payload} =
		opener === undefined ? {facts: header, payload: stored} : openTable(opener, stored, header, where);
	if (facts.level !== expected.level || facts.subject !== expected.subject || facts.codec !== codec) {
		throw mismatch(where);
	}
	if (facts.plainLength > expected.maximum) {
		throw corrupt('tint/table-length', `the ${structure} has ${facts.plainLength} bytes of at most ${maximum}`, where);
	}
	return decodePayload(payload, codec, facts.plainLength, where);
}

interface TablePlace {
	readonly structure: string;
	readonly position: number;
}

function mismatch(where: TablePlace): DiskError {
	return corrupt('tint/frame-mismatch', `another frame lies where the ${where.structure} should be`, where);
}

function openTable(opener: FrameOpener, sealed: Uint8Array, {type, number}: FrameFacts, where: TablePlace) {
	try {
		const plain = sealed.subarray(0, Math.max(0, sealed.length - TAG_SIZE));
		const facts = opener.open(sealed, type, number, plain);
		return {facts, payload: plain.subarray(SEALED_PREFIX)};
	} catch (error) {
		throw error instanceof DiskError ? located(error, where) : error;
	}
}

function decodePayload(payload: Uint8Array, codec: number, plainLength: number, where: TablePlace): Uint8Array {
	const decoder = codecOf(codec, where.position);
	if (decoder === undefined) {
		if (payload.length === plainLength) return payload;
		throw corrupt('tint/table-length', `the ${where.structure} is stored with another length than its own`, where);
	}
	const plain = new Uint8Array(plainLength);
	try {
		decoder.decode(payload, plain);
	} catch (error) {
		if (error instanceof DiskError) throw located(error, where);
		throw error;
	}
	return plain;
}
