import {corrupt} from '../error.ts';
import {type Codec, CodecId} from './codec.ts';
import {loadLibrary} from './codec-library.ts';

const NAMES = ['liblz4.so.1', 'liblz4.1.dylib', 'liblz4.dll'];

/** LZ4_COMPRESSBOUND: incompressible bytes cost one length byte in 255. */
export function lz4MaximumLength(length: number): number {
	return length + Math.floor(length / 255) + 16;
}

/** LZ4 blocks through the system's liblz4, or undefined where there is none. */
export function lz4System(): Codec | undefined {
	const library = loadLibrary(NAMES, {
		version: 'const char *LZ4_versionString()',
		compress: 'int LZ4_compress_default(const void *source, void *target, int length, int capacity)',
		decompress: 'int LZ4_decompress_safe(const void *source, void *target, int length, int capacity)',
	});
	if (library === undefined) return undefined;
	const {version, compress, decompress} = library;

	return {
		name: 'lz4',
		id: CodecId.lz4,
		implementation: `liblz4 ${String(version())}`,
		maximumEncodedLength: lz4MaximumLength,
		encode(source, target) {
			const length = compress(source, target, source.length, target.length) as number;
			return length > 0 ? length : -1;
		},
		decode(source, target) {
			const length = decompress(source, target, source.length, target.length) as number;
			if (length !== target.length) {
				throw corrupt('codec/lz4', `an LZ4 block does not decode to ${target.length} bytes`);
			}
		},
	};
}
