import {wimCompressor} from './wimlib.ts';

/** Number, chunk size and compressor of each way in which Windows compresses files itself. */
export const WOF = [
	{title: 'XPRESS4K', algorithm: 0, type: 'xpress', chunkSize: 4096},
	{title: 'LZX', algorithm: 1, type: 'lzx', chunkSize: 32_768},
	{title: 'XPRESS8K', algorithm: 2, type: 'xpress', chunkSize: 8192},
	{title: 'XPRESS16K', algorithm: 3, type: 'xpress', chunkSize: 16_384},
] as const;
export type WofKind = (typeof WOF)[number];

/** Offsets of the chunks but for the first, then the chunks. */
export function joinChunks(chunks: readonly Uint8Array[], entrySize: 4 | 8): Uint8Array {
	const table = Buffer.alloc(Math.max(0, chunks.length - 1) * entrySize);
	let offset = 0;
	for (const [index, chunk] of chunks.entries()) {
		if (index > 0 && entrySize === 4) table.writeUInt32LE(offset, (index - 1) * 4);
		else if (index > 0) table.writeBigUInt64LE(BigInt(offset), (index - 1) * 8);
		offset += chunk.length;
	}
	return Buffer.concat([table, ...chunks]);
}

/** The stream `WofCompressedData` of a file below 4 GiB. */
export function wofStream({type, chunkSize}: WofKind, plain: Uint8Array): Uint8Array {
	const compress = wimCompressor(type, chunkSize);
	const chunks: Uint8Array[] = [];
	for (let at = 0; at < plain.length; at += chunkSize) {
		const chunk = plain.subarray(at, at + chunkSize);
		chunks.push(compress(chunk) ?? chunk);
	}
	return joinChunks(chunks, 4);
}

/** A reparse point: tag, length and data. */
export function reparsePoint(tag: number, data: Uint8Array): Uint8Array {
	const bytes = Buffer.alloc(8 + data.length);
	bytes.writeUInt32LE(tag, 0);
	bytes.writeUInt16LE(data.length, 4);
	bytes.set(data, 8);
	return bytes;
}

export function wofReparse(algorithm: number): Uint8Array {
	const data = Buffer.alloc(16);
	for (const [index, value] of [1, 2, 1, algorithm].entries()) data.writeUInt32LE(value, index * 4);
	return reparsePoint(0x8000_0017, data);
}
