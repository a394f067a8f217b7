import {corrupt, type DiskError} from '../error.ts';
import {
	buildHuffman,
	type Huffman,
	HUFFMAN_LENGTH_BITS,
	HUFFMAN_LENGTH_MASK,
	HUFFMAN_SHIFT,
	longCode,
	newHuffman,
} from './huffman.ts';
import {copyMatch} from './match.ts';

/** [MS-PATCH] 2.3 and "Microsoft LZX Data Compression Format", with what WIM files do otherwise. */
const BlockType = {verbatim: 1, aligned: 2, uncompressed: 3} as const;
const DEFAULT_BLOCK_SIZE = 32_768;
const LITERALS = 256;
const LENGTH_SYMBOLS = 249;
const LENGTH_HEADER_MASK = 7;
const MATCH_MIN = 2;
const ALIGNED_SYMBOLS = 8;
const ALIGNED_BITS = 3;
const PRETREE_SYMBOLS = 20;
/** The three offsets used last are slots of their own; the others come that much higher. */
const RECENT_OFFSETS = 3;
const OFFSET_BIAS = 2;
/** Position slots by window size: 2 to the power of 15 up to 21. */
const SMALLEST_WINDOW = 15;
const SLOTS = [30, 32, 34, 36, 38, 42, 50] as const;
/** Up to here a slot has one more bit for every second one; all further ones have 17. */
const EXTRA_BITS_MAX = 17;

/** WIM takes every chunk for the start of a file of this size. */
const CALL_FILE_SIZE = 12_000_000;
const CALL = 0xe8;
/** At the end of a chunk no call is translated. */
const CALL_TAIL = 10;

/** Slots that no window has stand for nothing. */
const SLOTS_MAX = SLOTS[SLOTS.length - 1];
const extraBits = Uint8Array.from({length: SLOTS_MAX}, (_, slot) =>
	slot < 4 ? 0 : Math.min(EXTRA_BITS_MAX, (slot >> 1) - 1),
);
const bases = new Int32Array(SLOTS_MAX);
for (let slot = 1; slot < SLOTS_MAX; slot++) bases[slot] = bases[slot - 1] + 2 ** extraBits[slot - 1];

function damaged(message: string, position: number): DiskError {
	return corrupt('lzx/data', message, {position, structure: 'LZX chunk'});
}

/** Fills `target` exactly with what `source` holds; damage throws `corrupt` with the position in `source`. */
export type LzxDecode = (source: Uint8Array, target: Uint8Array) => void;

/**
 * A decoder of LZX as WIM files and system compression use it: every chunk stands alone, and calls (E8) are always
 * translated. The window is 2 to the power of `windowOrder` bytes; no chunk is larger. It keeps its tables.
 */
export function openLzx(windowOrder: number = SMALLEST_WINDOW): LzxDecode {
	const slots = SLOTS[windowOrder - SMALLEST_WINDOW];
	if (slots === undefined) throw damaged(`there are no windows of 2^${windowOrder} bytes`, 0);
	const chunkMax = 2 ** windowOrder;
	const mainSymbols = LITERALS + slots * 8;
	const mainLengths = new Uint8Array(mainSymbols);
	const lengthLengths = new Uint8Array(LENGTH_SYMBOLS);
	const smallLengths = new Uint8Array(PRETREE_SYMBOLS);
	const main = newHuffman(mainSymbols);
	const lengthCode = newHuffman(LENGTH_SYMBOLS);
	const aligned = newHuffman(ALIGNED_SYMBOLS);
	const pretree = newHuffman(PRETREE_SYMBOLS);

	let source: Uint8Array = new Uint8Array();
	/** Behind the last byte that is in `bits`; it goes on behind the end, where zeros are read. */
	let at = 0;
	/** The end of the last whole 16-bit word. */
	let end = 0;
	/** The next bits, from the top; `count` of them are known. */
	let bits = 0;
	let count = 0;
	let recent0 = 1;
	let recent1 = 1;
	let recent2 = 1;

	/** Makes sure of 17 bits. */
	function refill(): void {
		if (count > 16) return;
		if (at + 2 <= end) bits |= (source[at] | (source[at + 1] << 8)) << (16 - count);
		at += 2;
		count += 16;
	}

	/** The next 1 to 17 bits. */
	function take(size: number): number {
		refill();
		const value = bits >>> (32 - size);
		bits <<= size;
		count -= size;
		return value;
	}

	function takeSymbol(code: Huffman): number {
		refill();
		let entry: number = code.table[bits >>> HUFFMAN_SHIFT];
		if (entry === 0) entry = longCode(code, bits);
		if (entry < 0) throw damaged('a code that is empty is used', at);
		const size = entry & HUFFMAN_LENGTH_MASK;
		bits <<= size;
		count -= size;
		return entry >> HUFFMAN_LENGTH_BITS;
	}

	/** What was read lies before the end. */
	function checkEnd(): void {
		if (at * 8 - count > end * 8) throw damaged('a chunk ends too early', end);
	}

	/** Reads a code of few symbols, whose lengths have `size` bits each. */
	function readSmallCode(code: Huffman, symbols: number, size: number): void {
		for (let i = 0; i < symbols; i++) smallLengths[i] = take(size);
		if (buildHuffman(code, smallLengths, symbols) !== 'complete') throw damaged('code lengths make no code', at);
	}

	/** Lengths are told as differences to those of the block before, with runs, in a code of their own. */
	function readLengths(lengths: Uint8Array, from: number, to: number): void {
		readSmallCode(pretree, PRETREE_SYMBOLS, 4);
		for (let i = from; i < to; ) {
			let symbol = takeSymbol(pretree);
			if (symbol < 17) {
				lengths[i] = (lengths[i] + 17 - symbol) % 17;
				i++;
				continue;
			}
			let run: number;
			let value = 0;
			if (symbol === 17) {
				run = 4 + take(4);
			} else if (symbol === 18) {
				run = 20 + take(5);
			} else {
				run = 4 + take(1);
				symbol = takeSymbol(pretree);
				if (symbol > 16) throw damaged('a run of code lengths repeats a run', at);
				value = (lengths[i] + 17 - symbol) % 17;
			}
			if (run > to - i) throw damaged('a run of code lengths goes beyond their number', at);
			for (const stop = i + run; i < stop; ) lengths[i++] = value;
		}
		checkEnd();
	}

	function readCodes(isAligned: boolean): void {
		if (isAligned) readSmallCode(aligned, ALIGNED_SYMBOLS, 3);
		readLengths(mainLengths, 0, LITERALS);
		readLengths(mainLengths, LITERALS, mainSymbols);
		if (buildHuffman(main, mainLengths, mainSymbols) !== 'complete') throw damaged('code lengths make no code', at);
		readLengths(lengthLengths, 0, LENGTH_SYMBOLS);
		// A block without long matches needs no code for their lengths.
		if (buildHuffman(lengthCode, lengthLengths, LENGTH_SYMBOLS) === 'wrong') {
			throw damaged('code lengths make no code', at);
		}
	}

	/** Decodes symbols until `blockEnd`, where they must end. */
	function decodeBlock(target: Uint8Array, start: number, blockEnd: number, isAligned: boolean): void {
		const input = source;
		const inputEnd = end;
		const mainTable = main.table;
		const lengthTable = lengthCode.table;
		let out = start;
		let next = at;
		let buffer = bits;
		let known = count;
		let r0 = recent0;
		let r1 = recent1;
		let r2 = recent2;
		while (out < blockEnd) {
			if (known <= 16) {
				if (next + 2 <= inputEnd) buffer |= (input[next] | (input[next + 1] << 8)) << (16 - known);
				next += 2;
				known += 16;
			}
			let entry: number = mainTable[buffer >>> HUFFMAN_SHIFT];
			if (entry === 0) entry = longCode(main, buffer);
			let size = entry & HUFFMAN_LENGTH_MASK;
			buffer <<= size;
			known -= size;
			const symbol = entry >> HUFFMAN_LENGTH_BITS;
			if (symbol < LITERALS) {
				target[out++] = symbol;
				continue;
			}
			let length = symbol & LENGTH_HEADER_MASK;
			if (length === LENGTH_HEADER_MASK) {
				if (known <= 16) {
					if (next + 2 <= inputEnd) buffer |= (input[next] | (input[next + 1] << 8)) << (16 - known);
					next += 2;
					known += 16;
				}
				entry = lengthTable[buffer >>> HUFFMAN_SHIFT];
				if (entry === 0) entry = longCode(lengthCode, buffer);
				if (entry < 0) throw damaged('a code that is empty is used', next);
				size = entry & HUFFMAN_LENGTH_MASK;
				buffer <<= size;
				known -= size;
				length += entry >> HUFFMAN_LENGTH_BITS;
			}
			length += MATCH_MIN;
			const slot = (symbol - LITERALS) >> 3;
			let distance: number;
			if (slot >= RECENT_OFFSETS) {
				distance = bases[slot] - OFFSET_BIAS;
				size = extraBits[slot];
				if (size > 0) {
					if (known <= 16) {
						if (next + 2 <= inputEnd) buffer |= (input[next] | (input[next + 1] << 8)) << (16 - known);
						next += 2;
						known += 16;
					}
					if (isAligned && size >= ALIGNED_BITS) {
						size -= ALIGNED_BITS;
						if (size > 0) {
							distance += (buffer >>> (32 - size)) << ALIGNED_BITS;
							buffer <<= size;
							known -= size;
							if (known <= 16) {
								if (next + 2 <= inputEnd) buffer |= (input[next] | (input[next + 1] << 8)) << (16 - known);
								next += 2;
								known += 16;
							}
						}
						entry = aligned.table[buffer >>> HUFFMAN_SHIFT];
						distance += entry >> HUFFMAN_LENGTH_BITS;
						size = entry & HUFFMAN_LENGTH_MASK;
					} else {
						distance += buffer >>> (32 - size);
					}
					buffer <<= size;
					known -= size;
				}
				r2 = r1;
				r1 = r0;
				r0 = distance;
			} else if (slot === 0) {
				distance = r0;
			} else if (slot === 1) {
				distance = r1;
				r1 = r0;
				r0 = distance;
			} else {
				distance = r2;
				r2 = r0;
				r0 = distance;
			}
			if (distance > out) throw damaged('a match starts before its chunk', next);
			if (length > blockEnd - out) throw damaged('a match ends behind its block', next);
			copyMatch(target, out, distance, length);
			out += length;
		}
		at = next;
		bits = buffer;
		count = known;
		recent0 = r0;
		recent1 = r1;
		recent2 = r2;
		checkEnd();
	}

	/** A block of plain bytes starts at the next 16-bit word with the recent offsets, and ends at one. */
	function copyBlock(target: Uint8Array, out: number, size: number): void {
		if (count === 0) refill();
		// Where the bits end at a word already, that word is left out.
		if (count > 16) at -= 2;
		bits = 0;
		count = 0;
		if (at + 12 + size > source.length) throw damaged('a chunk ends within a block of plain bytes', source.length);
		const view = new DataView(source.buffer, source.byteOffset + at, 12);
		recent0 = view.getUint32(0, true);
		recent1 = view.getUint32(4, true);
		recent2 = view.getUint32(8, true);
		if (recent0 === 0 || recent1 === 0 || recent2 === 0) throw damaged('an offset of 0 is to be repeated', at);
		at += 12;
		target.set(source.subarray(at, at + size), out);
		at += size + (size % 2);
	}

	return (from, target) => {
		const limit = target.length;
		if (limit > chunkMax) throw damaged(`a chunk holds ${limit} bytes, more than its window`, 0);
		source = from;
		end = from.length - (from.length % 2);
		at = 0;
		bits = 0;
		count = 0;
		recent0 = 1;
		recent1 = 1;
		recent2 = 1;
		mainLengths.fill(0);
		lengthLengths.fill(0);
		for (let out = 0; out < limit; ) {
			const type = take(3);
			let size = DEFAULT_BLOCK_SIZE;
			if (take(1) === 0) {
				size = take(16);
				if (windowOrder > SMALLEST_WINDOW) size = size * 256 + take(8);
			}
			checkEnd();
			if (size === 0 || size > limit - out) {
				throw damaged(`a block of ${size} bytes where ${limit - out} are left`, at);
			}
			if (type === BlockType.uncompressed) {
				copyBlock(target, out, size);
			} else if (type === BlockType.verbatim || type === BlockType.aligned) {
				readCodes(type === BlockType.aligned);
				decodeBlock(target, out, out + size, type === BlockType.aligned);
			} else {
				throw damaged(`a block of the unknown type ${type}`, at);
			}
			out += size;
		}
		restoreCalls(target);
	};
}

/** Calls of x86 code were given absolute targets, as if the chunk were the start of a file; they become relative again. */
function restoreCalls(target: Uint8Array): void {
	const limit = target.length - CALL_TAIL;
	let view: DataView | undefined;
	for (let at = target.indexOf(CALL); at !== -1 && at < limit; at = target.indexOf(CALL, at + 5)) {
		view ??= new DataView(target.buffer, target.byteOffset, target.length);
		const absolute = view.getInt32(at + 1, true);
		if (absolute < -at || absolute >= CALL_FILE_SIZE) continue;
		view.setInt32(at + 1, absolute >= 0 ? absolute - at : absolute + CALL_FILE_SIZE, true);
	}
}
