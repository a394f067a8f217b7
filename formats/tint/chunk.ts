import {crc32c} from '../../src/core/bytes/checksums.ts';
import {TAG_SIZE} from '../../src/core/codecs/aes-gcm.ts';
import {corrupt, DiskError, located} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {ChainFile} from './chain.ts';
import {checkReference, codecOf, readFrameHeader} from './frame.ts';
import {type FrameOpener, SEALED_OVERHEAD, SEALED_PREFIX} from './frame-cipher.ts';
import {FRAME_SIZE, FrameType, MAP_UNIT} from './layout.ts';
import type {Reference} from './reference.ts';

/** Reads chunks of one image; all memory is taken at the start. */
export interface ChunkReader {
	/** Fills `target` with what the frame of a chunk holds; the target has its exact plain length. */
	read(chunk: number, reference: Reference, target: Uint8Array): void;
}

/** Bytes of the map behind the content of a mixed chunk. */
export function mapLength(contentLength: number): number {
	return Math.ceil(contentLength / MAP_UNIT);
}

export function chunkReader(files: readonly ChainFile[], chunkSize: number): ChunkReader {
	const scratch = new Uint8Array(chunkSize + mapLength(chunkSize) + SEALED_OVERHEAD);

	return {
		read(chunk, reference, target) {
			const {position, length} = reference;
			const codec = codecOf(reference.codec, position);
			const file = fileOf(files, chunk, reference);
			const {source, opener} = file;
			const encoded = opener === undefined ? length : length - SEALED_OVERHEAD;
			const wrong = codec === undefined ? encoded !== target.length : encoded < 0 || encoded >= target.length;
			if (wrong) {
				throw corrupt(
					'tint/chunk-length',
					`chunk ${chunk} is stored in ${length} bytes, which cannot be for ${target.length}`,
					{position, structure: `chunk ${chunk}`},
				);
			}
			checkReference(reference, source, `chunk ${chunk}`);
			if (codec === undefined && opener === undefined) {
				source.readAt(position + FRAME_SIZE, target);
				checkPayload(chunk, reference, target, source);
				return;
			}
			let payload: Uint8Array = scratch.subarray(0, length);
			source.readAt(position + FRAME_SIZE, payload);
			if (opener === undefined) checkPayload(chunk, reference, payload, source);
			else payload = openPayload(chunk, reference, payload, target.length, source, opener);
			if (codec === undefined) {
				target.set(payload);
				return;
			}
			try {
				codec.decode(payload, target);
			} catch (error) {
				if (error instanceof DiskError)
					throw located(error, {file: source.name, position, structure: `chunk ${chunk}`});
				throw error;
			}
		},
	};
}

/** The file that holds a chunk. A file that is missing is an error of its chunks alone. */
function fileOf(
	files: readonly ChainFile[],
	chunk: number,
	{file, position}: Reference,
): ChainFile & {readonly source: ByteSource} {
	const found = files[file] as ChainFile | undefined;
	if (found === undefined) {
		throw corrupt('tint/file-number', `chunk ${chunk} is said to lie in file ${file} of a chain of ${files.length}`, {
			position,
			structure: `chunk ${chunk}`,
		});
	}
	const {source, error} = found;
	if (source !== undefined) return found as ChainFile & {readonly source: ByteSource};
	if (error === undefined) throw new Error('a file of a chain is open, or there is a reason');
	throw new DiskError(error.family, error.code, `chunk ${chunk} cannot be read: ${error.message}`, {
		where: {...error.where, structure: `chunk ${chunk}`},
		...(error.hint !== undefined && {hint: error.hint}),
		cause: error,
	});
}

function checkPayload(chunk: number, reference: Reference, payload: Uint8Array, source: ByteSource): void {
	if (crc32c(payload) === reference.check) return;
	throw new DiskError('corrupt', 'tint/chunk-checksum', `the checksum of chunk ${chunk} does not match`, {
		where: {file: source.name, position: reference.position, structure: `chunk ${chunk}`},
		hint: 'other chunks can still be read; fetch the image again or use another copy',
	});
}

/** Decrypts a payload in its place; the frame must be of a chunk as the reference has it. */
function openPayload(
	chunk: number,
	reference: Reference,
	sealed: Uint8Array,
	plainLength: number,
	source: ByteSource,
	opener: FrameOpener,
): Uint8Array {
	const where = {file: source.name, position: reference.position, structure: `chunk ${chunk}`};
	const plain = sealed.subarray(0, sealed.length - TAG_SIZE);
	try {
		const facts = opener.open(sealed, FrameType.chunk, reference.check, plain);
		if (facts.codec === reference.codec && facts.plainLength === plainLength) return plain.subarray(SEALED_PREFIX);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		throw new DiskError(error.family, error.code, `chunk ${chunk} cannot be read: ${error.message}`, {
			where,
			hint: isDecayed(sealed, reference, source)
				? 'its checksum does not match either: fetch the image again or use another copy; other chunks can still be read'
				: 'its checksum matches: it was exchanged by somebody who does not have the key',
			cause: error,
		});
	}
	throw corrupt('tint/frame-mismatch', `another frame lies where chunk ${chunk} should be`, where);
}

/** Whether chance would explain what is wrong with a frame. */
function isDecayed(sealed: Uint8Array, {position}: Reference, source: ByteSource): boolean {
	const header = new Uint8Array(FRAME_SIZE);
	source.readAt(position, header);
	try {
		return readFrameHeader(header, position, undefined).payloadChecksum !== crc32c(sealed);
	} catch (error) {
		if (error instanceof DiskError) return true;
		throw error;
	}
}
