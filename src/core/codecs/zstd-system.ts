import {corrupt} from '../error.ts';
import {type Codec, CodecId} from './codec.ts';
import {type LibraryFunction, loadLibrary} from './codec-library.ts';

const NAMES = ['libzstd.so.1', 'libzstd.1.dylib', 'libzstd.dll'];

/** ZSTD_error_dstSize_tooSmall. */
const TARGET_TOO_SMALL = 70;

/** Blocks have at most 1 MiB and a little; a frame that asks for a larger window is refused, so it cannot take memory. */
export const WINDOW_LOG_MAX = 21;

/** Blocks below this cost more, each by a share of what they lack (ZSTD_COMPRESSBOUND). */
const SMALL = 128 * 1024;

export function zstdMaximumLength(length: number): number {
	const extra = length < SMALL ? Math.floor((SMALL - length) / 2048) : 0;
	return length + Math.floor(length / 256) + extra;
}

interface Zstd {
	readonly version: string;
	readonly compress: LibraryFunction;
	readonly decompress: LibraryFunction;
	readonly isError: LibraryFunction;
	readonly errorCode: LibraryFunction;
	/** Kept for the life of the thread: a context holds the tables that each block would otherwise allocate. */
	readonly compressor: unknown;
	readonly decompressor: unknown;
}

let zstd: Zstd | undefined;
let tried = false;

function load(): Zstd | undefined {
	if (tried) return zstd;
	tried = true;
	const library = loadLibrary(NAMES, {
		version: 'const char *ZSTD_versionString()',
		createCompressor: 'void *ZSTD_createCCtx()',
		createDecompressor: 'void *ZSTD_createDCtx()',
		compress:
			'size_t ZSTD_compressCCtx(void *context, void *target, size_t capacity, const void *source, size_t length, int level)',
		decompress:
			'size_t ZSTD_decompressDCtx(void *context, void *target, size_t capacity, const void *source, size_t length)',
		isError: 'unsigned int ZSTD_isError(size_t code)',
		errorCode: 'int ZSTD_getErrorCode(size_t code)',
	});
	if (library === undefined) return undefined;
	const {version, createCompressor, createDecompressor, compress, decompress, isError, errorCode} = library;
	zstd = {
		version: String(version()),
		compress,
		decompress,
		isError,
		errorCode,
		compressor: createCompressor(),
		decompressor: createDecompressor(),
	};
	return zstd;
}

/** zstd frames through the system's libzstd, or undefined where there is none. */
export function zstdSystem(level: number): Codec | undefined {
	const library = load();
	if (library === undefined) return undefined;
	const {version, compress, decompress, isError, errorCode, compressor, decompressor} = library;

	return {
		name: 'zstd',
		id: CodecId.zstd,
		implementation: `libzstd ${version}`,
		maximumEncodedLength: zstdMaximumLength,
		encode(source, target) {
			const result = compress(compressor, target, target.length, source, source.length, level);
			// Errors are at the very top of size_t, which koffi gives as a bigint.
			if (typeof result === 'number') return result;
			const code = errorCode(result);
			if (isError(result) !== 0 && code === TARGET_TOO_SMALL) return -1;
			throw new Error(`ZSTD_compressCCtx failed with ${String(code)}`);
		},
		decode(source, target) {
			const length = decompress(decompressor, target, target.length, source, source.length);
			if (length !== target.length) {
				throw corrupt('codec/zstd', `a zstd frame does not decode to ${target.length} bytes`);
			}
		},
	};
}
