import {crc32c} from '../../src/core/bytes/checksums.ts';
import {corrupt, DiskError, located} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
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

export function chunkReader(source: ByteSource, chunkSize: number): ChunkReader {
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
			checkReference(reference, source, `chunk ${chunk}`);
			if (codec === undefined) {
				source.readAt(position + FRAME_SIZE, target);
				checkPayload(chunk, reference, target);
				return;
			}
			const payload = scratch.subarray(0, length);
			source.readAt(position + FRAME_SIZE, payload);
			checkPayload(chunk, reference, payload);
			try {
				codec.decode(payload, target);
			} catch (error) {
				if (error instanceof DiskError) throw located(error, {position, structure: `chunk ${chunk}`});
				throw error;
			}
		},
	};
}

function checkPayload(chunk: number, reference: Reference, payload: Uint8Array): void {
	if (crc32c(payload) === reference.check) return;
	throw new DiskError('corrupt', 'tint/chunk-checksum', `the checksum of chunk ${chunk} does not match`, {
		where: {position: reference.position, structure: `chunk ${chunk}`},
		hint: 'other chunks can still be read; fetch the image again or use another copy',
	});
}
