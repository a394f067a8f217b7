import {corrupt, type DiskError} from '../error.ts';
import {
	buildHuffman,
	HUFFMAN_LENGTH_BITS,
	HUFFMAN_LENGTH_MASK,
	HUFFMAN_SHIFT,
	longCode,
	newHuffman,
} from './huffman.ts';
import {copyMatch} from './match.ts';

/** [MS-XCA] 2.1.4: 256 literals, and 16 by 16 pairs of a distance's magnitude and a length. */
const SYMBOLS = 512;
const LITERALS = 256;
/** Two lengths of 4 bits to a byte, the even symbol's in the lower half. */
const TABLE_SIZE = SYMBOLS / 2;
const LENGTH_MASK = 15;
/** A length of 15 goes on in a byte, and one of 255 there in a 16-bit number. */
const BYTE_ESCAPE = 255;
const MATCH_MIN = 3;
/** Bytes that one block holds at most; this decoder takes one block. */
export const XPRESS_BLOCK_MAX = 65_536;

const lengths = new Uint8Array(SYMBOLS);
const code = newHuffman(SYMBOLS);

function damaged(message: string, position: number): DiskError {
	return corrupt('xpress/data', message, {position, structure: 'XPRESS block'});
}

/**
 * Decodes one block of LZ77+Huffman ([MS-XCA] 2.2), as WIM and system compression have them: it fills `target` exactly
 * and looks at nothing outside of it. Damage throws `corrupt` with the position in `source`.
 */
export function decode(source: Uint8Array, target: Uint8Array): void {
	const end = source.length;
	const limit = target.length;
	if (limit > XPRESS_BLOCK_MAX) throw damaged(`a block holds ${limit} bytes, more than any`, 0);
	if (end < TABLE_SIZE) throw damaged('a block ends within its code lengths', end);
	for (let i = 0; i < TABLE_SIZE; i++) {
		const pair = source[i];
		lengths[i * 2] = pair & 15;
		lengths[i * 2 + 1] = pair >> 4;
	}
	if (buildHuffman(code, lengths, SYMBOLS) !== 'complete') throw damaged('the code lengths make no code', 0);
	const {table} = code;
	let at = TABLE_SIZE;
	let out = 0;
	/** The next bits, from the top; `count` of them are known. Bytes of lengths lie behind the words read so far. */
	let bits = 0;
	let count = 0;
	/** Bits of `count` that are behind the end of `source`. */
	let missing = 0;
	while (out < limit) {
		if (count < 16) {
			if (at + 2 <= end) {
				bits |= (source[at] | (source[at + 1] << 8)) << (16 - count);
				at += 2;
			} else {
				missing += 16;
			}
			count += 16;
		}
		let entry: number = table[bits >>> HUFFMAN_SHIFT];
		if (entry === 0) entry = longCode(code, bits);
		const size = entry & HUFFMAN_LENGTH_MASK;
		bits <<= size;
		count -= size;
		const symbol = entry >> HUFFMAN_LENGTH_BITS;
		if (symbol < LITERALS) {
			target[out++] = symbol;
			continue;
		}
		if (count < 16) {
			if (at + 2 <= end) {
				bits |= (source[at] | (source[at + 1] << 8)) << (16 - count);
				at += 2;
			} else {
				missing += 16;
			}
			count += 16;
		}
		const magnitude = (symbol - LITERALS) >> 4;
		let distance = 1;
		if (magnitude > 0) {
			distance = (1 << magnitude) | (bits >>> (32 - magnitude));
			bits <<= magnitude;
			count -= magnitude;
		}
		let length = symbol & LENGTH_MASK;
		if (length === LENGTH_MASK) {
			if (at >= end) throw damaged('a block ends within a length', at);
			const more = source[at++];
			length += more;
			if (more === BYTE_ESCAPE) {
				if (at + 2 > end) throw damaged('a block ends within a length', at);
				length = source[at] | (source[at + 1] << 8);
				at += 2;
				if (length < LENGTH_MASK) throw damaged(`a long length is only ${length}`, at - 2);
			}
		}
		length += MATCH_MIN;
		if (distance > out) throw damaged('a match starts before its block', at);
		if (length > limit - out) throw damaged('a match ends behind its block', at);
		if (count < missing) throw damaged('a block ends too early', end);
		copyMatch(target, out, distance, length);
		out += length;
	}
	if (count < missing) throw damaged('a block ends too early', end);
}
