import {corrupt} from '../error.ts';
import {type Codec, CodecId} from './codec.ts';
import {loadPackage} from './codec-library.ts';
import {lz4MaximumLength} from './lz4-system.ts';

/** lz4-napi puts the decoded length before the block, and believes it when it decodes. */
const PREFIX = 4;

interface Package {
	compressSync(data: Uint8Array): Uint8Array;
	uncompressSync(data: Uint8Array): Uint8Array;
}

/** LZ4 blocks through lz4-napi: runs everywhere, allocates once per block. */
export function lz4Portable(): Codec {
	const lz4 = loadPackage('lz4-napi') as Package;
	let scratch = new Uint8Array(0);

	return {
		name: 'lz4',
		id: CodecId.lz4,
		implementation: 'lz4-napi',
		maximumEncodedLength: lz4MaximumLength,
		encode(source, target) {
			const encoded = lz4.compressSync(source);
			const length = encoded.length - PREFIX;
			if (length > target.length) return -1;
			target.set(encoded.subarray(PREFIX));
			return length;
		},
		decode(source, target) {
			const length = PREFIX + source.length;
			if (scratch.length < length) scratch = new Uint8Array(length);
			// The prefix is ours: the target's length, so that nothing in the image decides what is allocated.
			new DataView(scratch.buffer).setUint32(0, target.length, true);
			scratch.set(source, PREFIX);
			let decoded: Uint8Array;
			try {
				decoded = lz4.uncompressSync(scratch.subarray(0, length));
			} catch (cause) {
				throw corrupt('codec/lz4', `an LZ4 block does not decode to ${target.length} bytes`, {}, cause);
			}
			if (decoded.length !== target.length) {
				throw corrupt('codec/lz4', `an LZ4 block decodes to ${decoded.length} bytes instead of ${target.length}`);
			}
			target.set(decoded);
		},
	};
}
