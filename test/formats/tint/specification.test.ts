import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {zstdDecompressSync} from 'node:zlib';
import test from 'ava';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {tint} from '../../../formats/tint/index.ts';
import {type Finding, type OpenContext, SpanKind} from '../../../src/core/disk.ts';
import {randomNumbers, readAll, shelfContext, type SparseFile, textBytes, writeDisk} from './tools.ts';
import {VECTORS} from './vectors.ts';

// A second reader, from formats/tint/SPEC.md alone: nothing in it comes from the product.

const FOLDER = join(import.meta.dirname, '../../../testdata/tint');

function crc32c(bytes: Uint8Array): number {
	let register = 0xffff_ffff;
	for (const byte of bytes) {
		register ^= byte;
		for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? 0x82f6_3b78 : 0);
	}
	return ~register >>> 0;
}

function lz4(source: Uint8Array, length: number): Uint8Array {
	const target = new Uint8Array(length);
	let from = 0;
	let to = 0;
	const more = (nibble: number): number => {
		let total = nibble;
		for (let byte = nibble === 15 ? 255 : 0; byte === 255; total += byte) byte = source[from++];
		return total;
	};
	while (from < source.length) {
		const token = source[from++];
		for (let count = more(token >> 4); count > 0; count--) target[to++] = source[from++];
		if (from >= source.length) break;
		const distance = source[from++] + source[from++] * 256;
		for (let count = more(token & 15) + 4; count > 0; count--, to++) target[to] = target[to - distance];
	}
	if (to !== length) throw new Error('LZ4 length');
	return target;
}

interface MiniDisk {
	readonly content: Uint8Array;
	/** Byte positions that cannot be read, by sector of 512. */
	readonly unreadable: Set<number>;
	readonly contentId: string;
	readonly states: number[];
}

const sha256 = (...parts: (string | Uint8Array)[]): Uint8Array => {
	const hash = createHash('sha256');
	for (const part of parts) hash.update(part);
	return hash.digest();
};

function merkle(content: Uint8Array): Uint8Array {
	const leaves = Math.ceil(content.length / 65_536);
	if (leaves === 0) return sha256();
	if (leaves === 1) return sha256(Uint8Array.of(0), content);
	let left = 1;
	while (left * 2 < leaves) left *= 2;
	return sha256(Uint8Array.of(1), merkle(content.subarray(0, left * 65_536)), merkle(content.subarray(left * 65_536)));
}

function must(good: boolean, what: string): void {
	if (!good) throw new Error(what);
}

function reference(bytes: Uint8Array, at: number) {
	const words = new DataView(bytes.buffer, bytes.byteOffset + at, 16);
	const first = words.getUint32(0, true);
	return {
		state: first & 15,
		codec: (first >>> 4) & 15,
		length: first >>> 8,
		file: words.getUint16(4, true),
		position: ((words.getUint32(4, true) >>> 16) + words.getUint32(8, true) * 65_536) * 16,
		check: words.getUint32(12, true),
	};
}

function miniReader(file: Uint8Array, others: readonly Uint8Array[] = []): MiniDisk {
	const view = new DataView(file.buffer, file.byteOffset, file.length);
	const u32 = (at: number): number => view.getUint32(at, true);
	const u64 = (at: number): number => Number(view.getBigUint64(at, true));
	must(Buffer.from(file.subarray(0, 8)).toString('hex') === '8954494e540d0a1a', 'magic');
	must(crc32c(file.subarray(0, 252)) === u32(252), 'header checksum');
	must(u32(8) === 1, 'version');
	const streamed = (u64(16) & 2) !== 0;
	const imageId = file.subarray(24, 40);
	const size = u64(40);
	const chunkSize = u32(48);
	const pageEntries = u32(60);

	function frame(at: number, type: number): Uint8Array {
		must(u32(at) === 0x4d52_4674 && file[at + 4] === type, 'frame');
		must(crc32c(file.subarray(at, at + 60)) === u32(at + 60), 'frame checksum');
		must(Buffer.compare(file.subarray(at + 32, at + 48), imageId) === 0, 'image id');
		const payload = file.subarray(at + 64, at + 64 + u32(at + 8));
		must(crc32c(payload) === u32(at + 48), 'payload checksum');
		return decode(payload, file[at + 5], u32(at + 12));
	}
	function decode(payload: Uint8Array, codec: number, plainLength: number): Uint8Array {
		if (codec === 1) return lz4(payload, plainLength);
		if (codec === 2) return zstdDecompressSync(payload);
		must(codec === 0 && payload.length === plainLength, 'codec');
		return payload;
	}
	/** What an entry above level 0 says of every chunk under it. */
	function uniform(state: number, check: number): Uint8Array {
		const bytes = new Uint8Array(16);
		bytes[0] = state;
		bytes[12] = check;
		return bytes;
	}
	/** The entry of a chunk in a page tree; undefined for zero. */
	function entry(top: ReturnType<typeof reference>, type: number, entrySize: number, chunk: number) {
		let level = 0;
		while (pageEntries ** (level + 1) < chunks) level++;
		for (let at = top; ; level--) {
			if (at.state !== 1) return entrySize === 16 ? uniform(at.state, at.check) : undefined;
			const page = frame(at.position, type);
			const unit = level === 0 ? entrySize : 16;
			const start = (Math.floor(chunk / pageEntries ** level) % pageEntries) * unit;
			if (start >= page.length) return undefined;
			if (level === 0) return page.subarray(start, start + unit);
			at = reference(page, start);
		}
	}

	const chunks = Math.ceil(size / chunkSize);
	const candidates = streamed ? [file.length - 4096] : [4096, 8192];
	let root = new Uint8Array(0) as Uint8Array;
	let sequence = 0;
	for (const at of candidates) {
		const payload = frame(at, 7);
		const number = Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true));
		if (number > sequence) [root, sequence] = [payload, number];
	}
	const table = reference(root, 432);
	const chained = (root[8] & 4) !== 0;
	const files = chained ? frame(table.position, 5) : new Uint8Array(128);
	const fileOf = (number: number): Uint8Array => {
		const id = files.subarray(number * 128, number * 128 + 16);
		const found = [file, ...others].find(other => Buffer.compare(other.subarray(24, 40), id) === 0);
		if (number === 0 || found === undefined) return file;
		must(found.length >= files[number * 128 + 24] + files[number * 128 + 25] * 256, 'length of an ancestor');
		return found;
	};
	const content = new Uint8Array(size);
	const unreadable = new Set<number>();
	const states: number[] = Array.from({length: 16}, () => 0);
	for (let chunk = 0; chunk < chunks; chunk++) {
		const start = chunk * chunkSize;
		const length = Math.min(chunkSize, size - start);
		const bytes = entry(reference(root, 384), 2, 16, chunk);
		const {state, codec, length: stored, file: number, position, check} = reference(bytes ?? new Uint8Array(16), 0);
		states[number === 0 ? state : 6]++;
		if (state === 2) content.fill(check, start, start + length);
		if (state === 5) for (let at = 0; at < length; at += 512) unreadable.add(start + at);
		if (state !== 1 && state !== 7) continue;
		const payload = fileOf(number).subarray(position + 64, position + 64 + stored);
		must(crc32c(payload) === check, `chunk ${chunk}`);
		const map = state === 7 ? Math.ceil(length / 512) : 0;
		const plain = decode(payload, codec, length + map);
		content.set(plain.subarray(0, length), start);
		for (let i = 0; i < map; i++) if (plain[length + i] === 5) unreadable.add(start + i * 512);
		const hash = entry(reference(root, 400), 3, 32, chunk);
		const zero = hash === undefined || hash.every(byte => byte === 0);
		const expected = zero ? merkle(new Uint8Array(length)) : hash;
		must(Buffer.compare(merkle(plain.subarray(0, length)), expected) === 0, `hash of ${chunk}`);
	}
	const length = Buffer.alloc(8);
	length.writeUInt32LE(size);
	const contentId = Buffer.from(sha256('tintype-id-1', length, merkle(content))).toString('hex');
	must(contentId === Buffer.from(root.subarray(512, 544)).toString('hex'), 'content id');
	const counted = states.map((_, state) => root[640 + state * 8] + root[641 + state * 8] * 256);
	must(counted.join(',') === states.join(','), `counts ${counted.join(',')} of ${states.join(',')}`);
	return {content, unreadable, contentId, states};
}

for (const {name, disk: expected, unreadable, chain = []} of VECTORS) {
	const file = readFileSync(join(FOLDER, name));
	const others = chain.map(other => readFileSync(join(FOLDER, other)));

	test(`a reader from the specification alone reads ${name}`, t => {
		const mini = miniReader(file, others);
		t.is(Buffer.compare(mini.content, expected), 0);
		const sectors = unreadable.flatMap(([start, end]) =>
			Array.from({length: (end - start) / 512}, (_, index) => start + index * 512),
		);
		t.deepEqual(
			[...mini.unreadable].sort((a, b) => a - b),
			sectors,
		);
	});

	test(`tintype reads ${name}`, t => {
		const findings: Finding[] = [];
		const disk = checked(tint.open(checked(memorySource(file, name)), context(others, findings)));
		t.deepEqual(findings, []);
		t.is(disk.describe().facts.find(({key}) => key === 'contentId')?.value, miniReader(file, others).contentId);
		if (unreadable.length === 0) t.is(Buffer.compare(readAll(disk), expected), 0);
		for (let position = 0; position < disk.size; position += 512) {
			const sector = new Uint8Array(Math.min(512, disk.size - position));
			if (unreadable.some(([start, end]) => position >= start && position < end)) {
				t.throws(() => disk.readAt(position, sector), {code: 'disk/unreadable'});
			} else {
				disk.readAt(position, sector);
				if (Buffer.compare(sector, expected.subarray(position, position + 512)) !== 0) t.fail(`sector ${position}`);
			}
		}
	});
}

test('the vectors are what the writer makes today', t => {
	for (const {name, make} of VECTORS) {
		// Compressed bytes depend on the library that made them; their content does not.
		const made = make();
		const mini = (file: Uint8Array): Uint8Array => miniReader(file, [readFileSync(join(FOLDER, 'lz4.tint'))]).content;
		t.is(Buffer.compare(mini(made), mini(readFileSync(join(FOLDER, name)))), 0, name);
	}
});

test('the reader from the specification alone reads a life of images: marks, holes of many chunks, chains, codecs', t => {
	const random = randomNumbers(5);
	const files: SparseFile[] = [];
	const size = 70 * 1_048_576 + 700;
	const content = new Uint8Array(size);
	content.set(textBytes(200_000, 3), 66 * 1_048_576);
	for (let step = 0; step < 3; step++) {
		const start = Math.floor(random() * 100) * 4096;
		content.set(textBytes(100_000, step + 2), start);
		content.copyWithin(68 * 1_048_576 + step * 131_072, 66 * 1_048_576, 66 * 1_048_576 + 131_072);
		const marks = [
			{position: 1_048_576, length: 65 * 1_048_576, kind: SpanKind.free},
			{position: 67 * 1_048_576 - 512, length: 1024, kind: SpanKind.unreadable},
			{position: 69 * 1_048_576 + 65_536, length: 65_536 + 512, kind: SpanKind.excluded},
		];
		for (const {position, length} of marks) content.fill(0, position, position + length);
		const last = files.at(-1);
		const shelf = shelfContext(files, []);
		const {file} = writeDisk(content, {
			options: {codec: step === 1 ? 'zstd' : 'lz4', 'chunk-size': 65_536},
			marks,
			id: Uint8Array.from({length: 16}, (_, index) => step * 16 + index + 1),
			long: true,
			...(last !== undefined && {parent: () => checked(tint.open(last.source(), shelf))}),
		});
		files.push(file);
		const mini = miniReader(
			file.bytes(),
			files.map(each => each.bytes()),
		);
		t.is(Buffer.compare(mini.content, content), 0);
		t.deepEqual([...mini.unreadable], [67 * 1_048_576 - 512, 67 * 1_048_576]);
		t.is(mini.states[3], 65 * 16);
		t.is(mini.states[6] > 0, step > 0);
	}
});

/** Gives the other files of a chain to those who know them by their content. */
function context(others: readonly Uint8Array[], findings: Finding[]): OpenContext {
	return {
		openRelated({matches}) {
			const found = others.map(other => checked(memorySource(other))).find(source => matches?.(source) === true);
			if (found === undefined) throw new Error('no such file');
			return found;
		},
		warn: finding => findings.push(finding),
	};
}
