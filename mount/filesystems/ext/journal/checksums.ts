import {crc32cRaw} from '../../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../../src/core/bytes/layout.ts';
import {BLOCK_TAIL_SIZE, CommitLayout} from './layout.ts';
import type {LogBlock} from './log.ts';
import type {JournalSuperblock} from './superblock.ts';

const word = new Uint8Array(4);
const wordView = viewOf(word);

/** journal.rst: descriptors and revocations end with their checksum in versions 2 and 3. */
export function tailMatches({bytes, view}: LogBlock, journal: JournalSuperblock): boolean {
	if (journal.checksums < 2) return true;
	return matchesAt(bytes, view, bytes.length - BLOCK_TAIL_SIZE, journal.checksumSeed);
}

/** journal.rst: versions 2 and 3 have the commit block's own checksum in it. */
export function commitMatches({bytes, view}: LogBlock, journal: JournalSuperblock): boolean {
	if (journal.checksums < 2) return true;
	return matchesAt(bytes, view, CommitLayout.fields.checksum.offset, journal.checksumSeed);
}

/** The checksum counts with zeros in its own place. */
function matchesAt(block: Uint8Array, view: DataView, at: number, seed: number): boolean {
	const expected = view.getUint32(at, false);
	view.setUint32(at, 0, false);
	const actual = crc32cRaw(block, seed);
	view.setUint32(at, expected, false);
	return actual === expected;
}

/** journal.rst, t_checksum: of the transaction's number and the block as it lies in the log. */
export function dataChecksum(
	block: Uint8Array,
	sequence: number,
	{checksums, checksumSeed}: JournalSuperblock,
): number {
	wordView.setUint32(0, sequence, false);
	const checksum = crc32cRaw(block, crc32cRaw(word, checksumSeed));
	return checksums === 3 ? checksum : checksum & 0xffff;
}

const TABLE = Uint32Array.from({length: 256}, (_, index) => {
	let value = index << 24;
	for (let bit = 0; bit < 8; bit++) value = value & 0x8000_0000 ? (value << 1) ^ 0x04c1_1db7 : value << 1;
	return value;
});

/** Version 1: a CRC-32 with the highest bit first, not inverted, over descriptors and what follows them. */
export function crc32BigEndian(bytes: Uint8Array, register: number): number {
	let value = register;
	for (const byte of bytes) value = (value << 8) ^ TABLE[(value >>> 24) ^ byte];
	return value >>> 0;
}
