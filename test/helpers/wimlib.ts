import process from 'node:process';
import type {Implementation, TestFn} from 'ava';
import {loadLibrary} from '../../src/core/codecs/codec-library.ts';

const library = loadLibrary(['libwim.so.15'], {
	create: 'int wimlib_create_compressor(int type, size_t size, uint level, _Out_ void **made)',
	compress: 'size_t wimlib_compress(const void *plain, size_t length, void *packed, size_t room, void *compressor)',
	createDecoder: 'int wimlib_create_decompressor(int type, size_t size, _Out_ void **made)',
	decompress: 'int wimlib_decompress(const void *packed, size_t length, void *plain, size_t size, void *decoder)',
});

const TYPES = {xpress: 1, lzx: 2} as const;

/** A compressor of libwim for chunks of up to `chunkSize` bytes; gives undefined where a chunk does not get smaller. */
export function wimCompressor(
	type: keyof typeof TYPES,
	chunkSize: number,
	level = 0,
): (plain: Uint8Array) => Uint8Array | undefined {
	if (library === undefined) throw new Error('libwim is missing');
	const made: [unknown] = [null];
	if (library.create(TYPES[type], chunkSize, level, made) !== 0) throw new Error('libwim has no such compressor');
	const room = new Uint8Array(chunkSize);
	return plain => {
		const length = Number(library.compress(plain, plain.length, room, plain.length - 1, made[0]));
		return length === 0 ? undefined : room.slice(0, length);
	};
}

/** What libwim decodes, or undefined where it finds damage. */
export function wimDecompressor(
	type: keyof typeof TYPES,
	chunkSize: number,
): (packed: Uint8Array, size: number) => Uint8Array | undefined {
	if (library === undefined) throw new Error('libwim is missing');
	const made: [unknown] = [null];
	if (library.createDecoder(TYPES[type], chunkSize, made) !== 0) throw new Error('libwim has no such decompressor');
	return (packed, size) => {
		const plain = new Uint8Array(size);
		return library.decompress(packed, packed.length, plain, size, made[0]) === 0 ? plain : undefined;
	};
}

/** Declares a test that needs libwim, as `testWith` does for tools. */
export function testWithWim<Context>(
	test: TestFn<Context>,
	title: string,
	implementation: Implementation<[], Context>,
): void {
	if (library !== undefined) test(title, implementation);
	else if (process.env['CI'] === 'true') test(title, t => t.fail('libwim is missing on this machine'));
	else test.skip(`${title} (libwim is missing on this machine)`, implementation);
}
