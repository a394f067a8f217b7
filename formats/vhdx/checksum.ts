import {viewOf} from '../../src/core/bytes/layout.ts';
import {crc32c} from '../../src/core/bytes/checksums.ts';

/** Every checksummed structure keeps its CRC-32C in bytes 4 to 8, which count as zero. */
const CHECKSUM_OFFSET = 4;

/** The checksum that `block` should carry; its checksum field is zeroed on the way. */
export function checksumOf(block: Uint8Array): number {
	block.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 4);
	return crc32c(block);
}

/** Whether `block` carries its right checksum; the field is zeroed on the way. */
export function takeChecksum(block: Uint8Array): boolean {
	const found = viewOf(block).getUint32(CHECKSUM_OFFSET, true);
	return found === checksumOf(block);
}

/** Writes the checksum into `block`. */
export function seal(block: Uint8Array): void {
	const value = checksumOf(block);
	viewOf(block).setUint32(CHECKSUM_OFFSET, value, true);
}
