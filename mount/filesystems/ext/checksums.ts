import {crc16, crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';

/** checksums.rst. Every register starts from the file system's seed; nothing is inverted. */
export const CHECKSUM_START = 0xffff_ffff;
const CRC16_START = 0xffff;

const word = new Uint8Array(8);
const wordView = viewOf(word);

/** The register from which an inode, its extent blocks and its directory blocks go on. */
export function inodeChecksumSeed(seed: number, inode: number, generation: number): number {
	wordView.setUint32(0, inode, true);
	wordView.setUint32(4, generation, true);
	return crc32cRaw(word, seed);
}

/** The register after a 64-bit block number (attribute blocks). */
export function blockChecksumSeed(seed: number, block: number): number {
	wordView.setUint32(0, block % WORD, true);
	wordView.setUint32(4, Math.floor(block / WORD), true);
	return crc32cRaw(word, seed);
}

const groupWord = word.subarray(0, 4);

/** metadata_csum: the low 16 bits of a CRC-32C. `descriptor` has zeros in its checksum field. */
export function groupChecksum(seed: number, group: number, descriptor: Uint8Array): number {
	wordView.setUint32(0, group, true);
	return crc32cRaw(descriptor, crc32cRaw(groupWord, seed)) & 0xffff;
}

/** uninit_bg: a CRC-16 that leaves the checksum field out. */
export function groupChecksum16(uuid: Uint8Array, group: number, descriptor: Uint8Array, field: number): number {
	wordView.setUint32(0, group, true);
	const start = crc16(descriptor.subarray(0, field), crc16(groupWord, crc16(uuid, CRC16_START)));
	return crc16(descriptor.subarray(field + 2), start);
}

/** The register after one 32-bit word and four zero bytes: how the tail of a hash tree block is counted in. */
export function tailChecksum(register: number, reserved: number): number {
	wordView.setUint32(0, reserved, true);
	wordView.setUint32(4, 0, true);
	return crc32cRaw(word, register);
}
