import {corrupt} from '../error.ts';

/** [MS-XCA] 2.5: the plain size of every chunk but the last. */
const CHUNK_SIZE = 4096;
const HEADER_SIZE = 2;
/** Chunk header: the low 12 bits are the size of header and data minus 3, three bits are 3, the top bit says compressed. */
const SIZE_MASK = 0x0fff;
const SIZE_BIAS = 3;
const SIGNATURE_MASK = 0x7000;
const SIGNATURE = 0x3000;
const COMPRESSED = 0x8000;
/** A match is at least this long. */
const MATCH_MIN = 3;

/** Bits of a match's length for each position in a chunk: the farther in, the more bits go to the distance. */
const LENGTH_BITS = Uint8Array.from({length: CHUNK_SIZE + 1}, (_, position) => {
	let bits = 12;
	for (let reach = 16; reach < position; reach *= 2) bits--;
	return bits;
});

function damaged(message: string, position: number): Error {
	return corrupt('lznt1/data', message, {position, structure: 'LZNT1 chunk'});
}

/** Decodes one compressed chunk; returns the end of its plain bytes in `target`. */
function decodeChunk(source: Uint8Array, from: number, end: number, target: Uint8Array, start: number): number {
	const limit = Math.min(target.length, start + CHUNK_SIZE);
	let at = from;
	let out = start;
	while (at < end) {
		let flags = source[at++];
		if (flags === 0 && at + 8 <= end && out + 8 <= limit) {
			for (let i = 0; i < 8; i++) target[out++] = source[at++];
			continue;
		}
		for (let i = 0; i < 8 && at < end; i++, flags >>= 1) {
			if (out >= limit) {
				// The caller wants less than the chunk holds.
				if (limit === target.length && limit < start + CHUNK_SIZE) return out;
				throw damaged('a chunk holds more than 4096 bytes', at);
			}
			if ((flags & 1) === 0) {
				target[out++] = source[at++];
				continue;
			}
			if (at + 2 > end) throw damaged('a chunk ends within a match', at);
			const token = source[at] | (source[at + 1] << 8);
			at += 2;
			const bits = LENGTH_BITS[out - start];
			const distance = (token >> bits) + 1;
			const length = (token & ((1 << bits) - 1)) + MATCH_MIN;
			if (distance > out - start) throw damaged('a match starts before its chunk', at - 2);
			let stop = out + length;
			if (stop > limit) {
				if (limit !== target.length || limit === start + CHUNK_SIZE)
					throw damaged('a match ends behind its chunk', at - 2);
				stop = limit;
			}
			if (distance >= length && length > 16) {
				target.copyWithin(out, out - distance, stop - distance);
				out = stop;
			} else {
				for (let back = out - distance; out < stop; ) target[out++] = target[back++];
			}
		}
	}
	return out;
}

/**
 * Decodes LZNT1 (NTFS compression) until `source` or its chunks end or `target` is full; returns the bytes written.
 * A chunk that gives less than 4096 bytes is filled up with zeros when another one follows. Damage throws `corrupt`.
 */
export function decode(source: Uint8Array, target: Uint8Array): number {
	let at = 0;
	let out = 0;
	/** Where the next chunk's bytes belong. */
	let start = 0;
	while (start < target.length && at + HEADER_SIZE <= source.length) {
		const header = source[at] | (source[at + 1] << 8);
		if (header === 0) break;
		if ((header & SIGNATURE_MASK) !== SIGNATURE) throw damaged('a chunk header lacks its signature', at);
		const end = at + (header & SIZE_MASK) + SIZE_BIAS;
		if (end > source.length) throw damaged('a chunk reaches beyond the end', at);
		target.fill(0, out, start);
		if ((header & COMPRESSED) === 0) {
			const length = Math.min(end - at - HEADER_SIZE, target.length - start);
			target.set(source.subarray(at + HEADER_SIZE, at + HEADER_SIZE + length), start);
			out = start + length;
		} else {
			out = decodeChunk(source, at + HEADER_SIZE, end, target, start);
		}
		at = end;
		start += CHUNK_SIZE;
	}
	return out;
}
