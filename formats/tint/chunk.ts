import {crc32c} from '../../src/core/bytes/checksums.ts';
import {corrupt, DiskError, located} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {ChainFile} from './chain.ts';
import {checkReference, codecOf} from './frame.ts';
import {FRAME_SIZE, MAP_UNIT} from './layout.ts';
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
	const scratch = new Uint8Array(chunkSize + mapLength(chunkSize));

	return {
		read(chunk, reference, target) {
			const {position, length} = reference;
			const codec = codecOf(reference.codec, position);
			const wrong = codec === undefined ? length !== target.length : length >= target.length;
			if (wrong) {
				throw corrupt(
					'tint/chunk-length',
					`chunk ${chunk} is stored in ${length} bytes, which cannot be for ${target.length}`,
					{position, structure: `chunk ${chunk}`},
				);
			}
			const source = sourceOf(files, chunk, reference);
			checkReference(reference, source, `chunk ${chunk}`);
			if (codec === undefined) {
				source.readAt(position + FRAME_SIZE, target);
				checkPayload(chunk, reference, target, source);
				return;
			}
			const payload = scratch.subarray(0, length);
			source.readAt(position + FRAME_SIZE, payload);
			checkPayload(chunk, reference, payload, source);
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
function sourceOf(files: readonly ChainFile[], chunk: number, {file, position}: Reference): ByteSource {
	const found = files[file] as ChainFile | undefined;
	if (found === undefined) {
		throw corrupt('tint/file-number', `chunk ${chunk} is said to lie in file ${file} of a chain of ${files.length}`, {
			position,
			structure: `chunk ${chunk}`,
		});
	}
	if (found.source !== undefined) return found.source;
	const {error} = found;
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
