import process from 'node:process';
import {constants, zstdCompressSync, zstdDecompressSync} from 'node:zlib';
import {corrupt} from '../error.ts';
import {type Codec, CodecId} from './codec.ts';
import {WINDOW_LOG_MAX, zstdMaximumLength} from './zstd-system.ts';

/** Least output buffer that node:zlib takes. */
const MIN_BUFFER = 64;

/** zstd frames through node:zlib: runs everywhere, allocates a stream per block. */
export function zstdPortable(level: number): Codec {
	return {
		name: 'zstd',
		id: CodecId.zstd,
		implementation: `node:zlib ${process.versions['zstd'] ?? ''}`.trimEnd(),
		maximumEncodedLength: zstdMaximumLength,
		encode(source, target) {
			const encoded = zstdCompressSync(source, {
				params: {[constants.ZSTD_c_compressionLevel]: level},
				// Known in advance, so that the window is no larger than the block.
				pledgedSrcSize: source.length,
				chunkSize: Math.max(MIN_BUFFER, zstdMaximumLength(source.length)),
			});
			if (encoded.length > target.length) return -1;
			target.set(encoded);
			return encoded.length;
		},
		decode(source, target) {
			let decoded: Uint8Array;
			try {
				decoded = zstdDecompressSync(source, {
					maxOutputLength: target.length,
					chunkSize: Math.max(MIN_BUFFER, target.length),
					params: {[constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX},
				});
			} catch (cause) {
				throw corrupt('codec/zstd', `a zstd frame does not decode to ${target.length} bytes`, {}, cause);
			}
			if (decoded.length !== target.length) {
				throw corrupt('codec/zstd', `a zstd frame decodes to ${decoded.length} bytes instead of ${target.length}`);
			}
			target.set(decoded);
		},
	};
}
