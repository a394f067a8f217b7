import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {zstdCompressSync} from 'node:zlib';
import {appendChunk, editPage, editRoot, toStreamed} from './craft.ts';
import {type Disk, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {newKey, open, passphrase, randomNumbers, textBytes, writeDisk, writeImage} from './tools.ts';

export const FOLDER = join(import.meta.dirname, '../../../testdata/tint');

/** A file under testdata/tint and the disk in it. */
export interface Vector {
	readonly name: string;
	/** What the disk reads as; unreadable bytes are zeros here. */
	readonly disk: Uint8Array;
	/** `[start, end)` of what must fail. */
	readonly unreadable: readonly (readonly [number, number])[];
	/** Names of the other files of its chain. */
	readonly chain?: readonly string[];
	/** What opens it, each by itself. */
	readonly secrets?: readonly Secret[];
	readonly make: () => Uint8Array;
}

const CHUNK = 65_536;

function noise(length: number): Uint8Array {
	const random = randomNumbers(7);
	return Uint8Array.from({length}, () => Math.floor(random() * 256));
}

/** Every state that the writer knows: data, zero, fill, and a last chunk that is stored as it is. */
function plainDisk(): Uint8Array {
	const disk = new Uint8Array(4 * CHUNK + 1000);
	disk.set(textLines(3000), 0);
	disk.fill(0xe5, 2 * CHUNK, 3 * CHUNK);
	disk.set(textLines(500), 3 * CHUNK + 40_000);
	disk.set(noise(1000), 4 * CHUNK);
	return disk;
}

function textLines(length: number): Uint8Array {
	const line = new TextEncoder().encode('a line of text, and again ');
	return Uint8Array.from({length}, (_, index) => line[index % line.length]);
}

const MIXED_TEXT = textBytes(512, 3);

/** Chunks: data, free, excluded, unreadable, mixed (one sector each of data, unreadable, excluded), zero. */
function statesDisk(): Uint8Array {
	const disk = new Uint8Array(5 * CHUNK + 512);
	disk.set(textLines(700), 100);
	disk.set(MIXED_TEXT, 4 * CHUNK);
	return disk;
}

function makeStates(): Uint8Array {
	const base = writeImage(statesDisk(), {'chunk-size': CHUNK}).bytes();
	const content = statesDisk().subarray(4 * CHUNK, 5 * CHUNK);
	const map = new Uint8Array(CHUNK / 512);
	map.set([1, 5, 4]);
	const plain = new Uint8Array(content.length + map.length);
	plain.set(content);
	plain.set(map, content.length);
	const payload = zstdCompressSync(plain, {pledgedSrcSize: plain.length});
	const {bytes, entry} = appendChunk(base, 4, 2, payload, plain.length);
	editPage(bytes, page => {
		for (const state of [3, 4, 5]) page.setUint8((state - 2) * 16, state);
		entry(page, 4 * 16, 7);
	});
	const counts = [1, 1, 0, 1, 1, 1, 0, 1];
	editRoot(bytes, root => {
		for (const [state, count] of counts.entries()) root.setUint32(640 + state * 8, count, true);
	});
	return bytes;
}

/** The plain disk a while later: chunk 1 is a copy of chunk 0, chunk 2 free, chunk 3 changed and excluded in part. */
function laterDisk(): Uint8Array {
	const disk = plainDisk();
	disk.copyWithin(CHUNK, 0, CHUNK);
	disk.fill(0, 2 * CHUNK, 3 * CHUNK);
	disk.set(MIXED_TEXT, 3 * CHUNK);
	return disk;
}

function makeLater(): Uint8Array {
	const base = writeImage(plainDisk(), {'chunk-size': CHUNK});
	const {file} = writeDisk(laterDisk(), {
		id: Uint8Array.from({length: 16}, (_, index) => 0xf0 - index),
		parent: () => open(base.source()).disk,
		marks: [
			{position: 2 * CHUNK, length: CHUNK, kind: SpanKind.free},
			{position: 3 * CHUNK + 512, length: 1024, kind: SpanKind.excluded},
			{position: 3 * CHUNK + 2048, length: 512, kind: SpanKind.unreadable},
		],
	});
	return file.bytes();
}

const PASSPHRASE = passphrase('correct horse battery staple');
const KEY_FILE: Secret = {kind: 'key-file', bytes: Uint8Array.from({length: 64}, (_, index) => index)};

function makeEncrypted(): Uint8Array {
	const keys = [newKey(PASSPHRASE, 'for people'), newKey(KEY_FILE, 'for machines')];
	return writeDisk(plainDisk(), {options: {'chunk-size': CHUNK}, keys}).file.bytes();
}

/** Larger than a piece of the writer, so that it can be taken up again in the middle. */
function secondDisk(): Uint8Array {
	const disk = new Uint8Array(17 * CHUNK);
	disk.set(plainDisk());
	disk.set(textLines(900), 5 * CHUNK);
	disk.copyWithin(15 * CHUNK, 0, CHUNK);
	disk.copyWithin(16 * CHUNK, 5 * CHUNK, 6 * CHUNK);
	disk.set(textLines(77), 2 * CHUNK);
	disk.set(MIXED_TEXT, 16 * CHUNK + 40_000);
	return disk;
}

/** Its parent is the file, since nobody can make that again. */
function makeSecond(): Uint8Array {
	const source = (): ByteSource => memorySource(readFileSync(join(FOLDER, 'encrypted.tint')), 'encrypted.tint');
	const parent = (): Disk => open(source(), KEY_FILE).disk;
	const id = Uint8Array.from({length: 16}, (_, index) => 210 + index);
	const {file} = writeDisk(secondDisk(), {id, parent, every: 1, until: 16 * CHUNK});
	return writeDisk(secondDisk(), {id, parent, resume: true, sink: file}).file.bytes();
}

export const VECTORS: readonly Vector[] = [
	{
		name: 'lz4.tint',
		disk: plainDisk(),
		unreadable: [],
		make: () => writeImage(plainDisk(), {'chunk-size': CHUNK}).bytes(),
	},
	{
		name: 'zstd-streamed.tint',
		disk: plainDisk(),
		unreadable: [],
		make: () => toStreamed(writeImage(plainDisk(), {codec: 'zstd', comment: 'streamed'}, 4096).bytes()),
	},
	{
		name: 'states.tint',
		disk: statesDisk(),
		unreadable: [
			[3 * CHUNK, 4 * CHUNK],
			[4 * CHUNK + 512, 4 * CHUNK + 1024],
		],
		make: makeStates,
	},
	{
		name: 'incremental.tint',
		disk: laterDisk(),
		unreadable: [[3 * CHUNK + 2048, 3 * CHUNK + 2560]],
		chain: ['lz4.tint'],
		make: makeLater,
	},
	{
		name: 'encrypted.tint',
		disk: plainDisk(),
		unreadable: [],
		secrets: [PASSPHRASE, KEY_FILE],
		make: makeEncrypted,
	},
	{
		name: 'encrypted-incremental.tint',
		disk: secondDisk(),
		unreadable: [],
		chain: ['encrypted.tint'],
		secrets: [PASSPHRASE, KEY_FILE],
		make: makeSecond,
	},
];
