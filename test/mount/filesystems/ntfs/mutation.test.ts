import {mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {ntfs} from '../../../../mount/filesystems/ntfs/index.ts';
import {newSpan} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {joinChunks, wofReparse} from '../../../helpers/wof.ts';
import {vectors} from '../../../core/codecs/chunks.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {makeVolume, noise, openBytes, type Recipe, recordPosition, seed, TOOLS, writePieces} from './recipes.ts';

const RICH: Recipe = {
	name: 'rich',
	size: 4,
	format: ['-c', '1024'],
	mount: 'rw,compression,streams_interface=xattr',
	build: folder => {
		const at = (path: string) => join(folder, path);
		for (const name of ['many', 'packed']) mkdirSync(at(name));
		for (let i = 0; i < 150; i++) writeFileSync(at(`many/name-${i}`), `${i}`);
		run('setfattr', ['-n', 'system.ntfs_attrib_be', '-v', '0x00000800', at('packed')]);
		writeFileSync(at('packed/text'), 'text again and again '.repeat(5000));
		writeFileSync(at('large'), noise(100_000));
		run('setfattr', ['-n', 'user.stream', '-v', 'value', at('large')]);
		// Data and holes by turns: so many runs that the file needs an attribute list.
		const pieces = Array.from({length: 500}, (_, i) => [i * 4096, noise(1024, i)] as const);
		writePieces(at('scattered'), pieces);
		// A chunk of zeros and one of text, compressed by the system; extended attributes; an object id.
		const chunks = ['zeros', 'verse'].flatMap(name => vectors('xpress').filter(vector => vector.name === name));
		const set = (path: string, name: string, bytes: Uint8Array) =>
			run('setfattr', ['-h', '-n', name, '-v', `0x${Buffer.from(bytes).toString('hex')}`, at(path)]);
		for (let i = 0; i < 6; i++) {
			writeFileSync(at(`wof-${i}`), '');
			truncateSync(at(`wof-${i}`), 4096 + (chunks[1]?.plain.length ?? 0));
			set(
				`wof-${i}`,
				'user.WofCompressedData',
				joinChunks(
					chunks.map(({packed}) => packed),
					4,
				),
			);
			set(`wof-${i}`, 'system.ntfs_object_id', noise(64, i + 3));
			set(`wof-${i}`, 'system.ntfs_ea', Buffer.from('14000000000604002458554d4f4400f843000000', 'hex'));
			set(`wof-${i}`, 'system.ntfs_reparse_data', wofReparse(0));
		}
		symlinkSync('large', at('link'));
		mkdirSync(at('junction'));
		const target = Buffer.from('\\??\\C:\\Many', 'utf16le');
		const data = Buffer.alloc(16);
		data.writeUInt32LE(0xa000_0003, 0);
		data.writeUInt16LE(8 + target.length, 4);
		data.writeUInt16LE(target.length, 10);
		const value = `0x${Buffer.concat([data, target]).toString('hex')}`;
		run('setfattr', ['-h', '-n', 'system.ntfs_reparse_data', '-v', value, at('junction')]);
	},
};

/** Small numbers from a seed (mulberry32). */
function random(start: number): (below: number) => number {
	let state = start >>> 0;
	return below => {
		state = (state + 0x6d2b_79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) % below;
	};
}

/** Bytes read of one file at most, and entries of one walk: a mutation may make a file or a tree look endless. */
const READ_MAX = 1 << 20;
const ENTRIES_MAX = 2000;

const codes = new Set<string>();

/** Runs one operation; only DiskError may come out. */
function attempt(operation: () => void): void {
	try {
		operation();
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		codes.add(error.code);
	}
}

/** Uses everything that a file system offers. */
function exercise(fileSystem: FileSystem, size: number): number {
	const buffer = new Uint8Array(65_536);
	const span = newSpan();
	const pending: NodeId[] = [fileSystem.root, 0, 1, 3, 6, 8, 9, 11];
	const visited = new Set<NodeId>(pending);
	let steps = 0;
	const readSome = (read: (position: number) => number) => {
		for (let position = 0; position < READ_MAX; ) {
			const count = read(position);
			steps++;
			if (count === 0) return;
			position += count;
		}
	};
	for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
		const current = node;
		attempt(() => {
			const stat = fileSystem.stat(current);
			if (!Number.isSafeInteger(stat.size)) throw new Error(`size ${stat.size}`);
			if (stat.type === 'symlink') fileSystem.readLink(current);
			if (stat.type !== 'file') return;
			attempt(() => readSome(position => fileSystem.read(current, position, buffer)));
			for (let position = 0, spans = 0; position < stat.size && spans < 1000; position += span.length, spans++) {
				fileSystem.locate(current, position, span);
				if (span.length <= 0) throw new Error('empty span');
			}
		});
		attempt(() => {
			for (const stream of fileSystem.streams(current)) readSome(position => stream.read(position, buffer));
		});
		attempt(() => {
			for (const attribute of fileSystem.attributes(current)) attempt(() => void attribute.value);
		});
		attempt(() => fileSystem.parent(current) === 0);
		attempt(() =>
			fileSystem.readDirectory(current, 0, entry => {
				steps++;
				if (!visited.has(entry.node) && visited.size < ENTRIES_MAX) {
					visited.add(entry.node);
					pending.push(entry.node);
				}
				return steps < 100_000;
			}),
		);
		attempt(() => void fileSystem.lookup(current, Buffer.from('name-77')));
		attempt(() => void fileSystem.lookupAnyCase?.(current, Buffer.from('NAME-149')));
	}
	attempt(() => void fileSystem.usage());
	attempt(() => {
		for (let position = 0, spans = 0; position < size && spans < 10_000; position += span.length, spans++) {
			fileSystem.allocated?.(position, span);
			if (span.length <= 0) throw new Error('empty span');
		}
	});
	return steps;
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x40];
const WORDS = [0, 1, 0xff, 0x7fff, 0xffff, 0x8000, 0x400, 0x3f8];

/** Positions of structures that damage is aimed at. */
interface Targets {
	/** Blocks of indexes. */
	readonly indexes: readonly number[];
	/** Non-resident attributes. */
	readonly attributes: readonly number[];
	/** Values of attribute lists. */
	readonly lists: readonly number[];
}

/** Where the value of an attribute starts: in its record, or in the first cluster of its runs. */
function valuePosition(view: DataView, attribute: number): number {
	if (view.getUint8(attribute + 8) === 0) return attribute + view.getUint16(attribute + 20, true);
	const runs = attribute + view.getUint16(attribute + 32, true);
	const header = view.getUint8(runs);
	let cluster = 0;
	for (let i = header >> 4; i > 0; i--) cluster = cluster * 256 + view.getUint8(runs + (header & 0xf) + i);
	return cluster * 1024;
}

function findTargets(image: Uint8Array): Targets {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const indexes: number[] = [];
	const attributes: number[] = [];
	const lists: number[] = [];
	for (let at = 0; at < image.length; at += 1024) {
		const magic = Buffer.from(image.subarray(at, at + 4)).toString('latin1');
		if (magic === 'INDX') indexes.push(at);
		if (magic !== 'FILE') continue;
		const end = at + view.getUint32(at + 24, true);
		for (let place = at + view.getUint16(at + 20, true); place + 16 < end; place += view.getUint16(place + 4, true)) {
			if (view.getUint8(place + 8) === 1) attributes.push(place);
			if (view.getUint32(place, true) === 0x20) lists.push(valuePosition(view, place));
		}
	}
	return {indexes, attributes, lists};
}

/** Damages a copy of the image, in one of several ways. */
function mutate(image: Uint8Array, next: (below: number) => number, {indexes, attributes, lists}: Targets): Uint8Array {
	const bytes = image.slice();
	const view = new DataView(bytes.buffer);
	const record = () => recordPosition(image, next(4) === 0 ? next(12) : next(190) + 27);
	for (let round = next(4) + 1; round > 0; round--) {
		switch (next(10)) {
			case 0: {
				bytes[next(bytes.length)] ^= 1 << next(8);
				break;
			}
			case 1: {
				// A byte of a boot sector.
				bytes[(next(2) === 0 ? 0 : bytes.length - 512) + next(90)] = INTERESTING[next(INTERESTING.length)] ?? 0;
				break;
			}
			case 2: {
				// A byte of a record: header, attributes, names.
				bytes[record() + next(510)] = next(2) === 0 ? next(256) : (INTERESTING[next(INTERESTING.length)] ?? 0);
				break;
			}
			case 3: {
				// An attribute's header, or the runs behind it.
				const base = record();
				let at = base + view.getUint16(base + 20, true);
				for (let skip = next(6); skip > 0 && at < base + 900; skip--) at += view.getUint16(at + 4, true) & 0x3f8;
				if (at < base + 900) bytes[at + next(96)] = next(2) === 0 ? next(256) : (INTERESTING[next(8)] ?? 0);
				break;
			}
			case 4: {
				// A block of an index: header and entries.
				const block = indexes[next(indexes.length)] ?? 0;
				const within = next(2) === 0 ? next(64) : next(500);
				view.setUint16(block + within, WORDS[next(WORDS.length)] ?? 0, true);
				break;
			}
			case 5: {
				// Part of a 64-bit number in a record.
				const base = record() + 0x30 + next(100) * 8;
				view.setUint32(base, next(2) === 0 ? 0xffff_ffff : next(2 ** 31), true);
				break;
			}
			case 6: {
				// A byte of a run list.
				const attribute = attributes[next(attributes.length)] ?? 0;
				const runs = attribute + view.getUint16(attribute + 32, true);
				bytes[runs + next(8)] = next(2) === 0 ? next(256) : (INTERESTING[next(INTERESTING.length)] ?? 0);
				break;
			}
			case 7: {
				// An attribute list.
				bytes[(lists[next(lists.length)] ?? 0) + next(160)] = INTERESTING[next(INTERESTING.length)] ?? 0;
				break;
			}
			case 8: {
				// A cluster number or size of a non-resident attribute.
				const attribute = attributes[next(attributes.length)] ?? 0;
				view.setUint16(attribute + 8 + next(32) * 2, WORDS[next(WORDS.length)] ?? 0, true);
				break;
			}
			default: {
				if (next(4) === 0) return bytes.subarray(0, next(bytes.length));
				const from = next(bytes.length);
				bytes.fill(INTERESTING[next(INTERESTING.length)] ?? 0, from, from + next(3000));
			}
		}
	}
	return bytes;
}

testWith(test, TOOLS, '500 damaged images give results or DiskError', t => {
	t.log(`seed ${seed}; set SEED to repeat another run`);
	const image = new Uint8Array(readFileSync(makeVolume(RICH)));
	const targets = findTargets(image);
	t.true(targets.indexes.length > 4);
	t.true(targets.attributes.length > 15);
	t.true(targets.lists.length > 0);
	const intact = exercise(openBytes(image).fileSystem, image.length);
	let opened = 0;
	let slowest = 0;
	for (let i = 0; i < 500; i++) {
		const bytes = mutate(image, random(seed + i), targets);
		const start = performance.now();
		try {
			ntfs.probe(memorySource(bytes));
			const {fileSystem} = openBytes(bytes);
			opened++;
			t.true(exercise(fileSystem, bytes.length) < intact * 50 + 100_000);
		} catch (error) {
			if (!(error instanceof DiskError)) {
				t.log(`mutation ${i} of seed ${seed}`);
				throw error;
			}
		}
		slowest = Math.max(slowest, performance.now() - start);
	}
	t.log(`${opened} opened; the slowest took ${Math.round(slowest)} ms`);
	t.true(opened > 250);
	// Otherwise the damage would have missed what is read.
	for (const code of ['record', 'attribute', 'attribute-list', 'runs', 'index', 'stale-reference']) {
		t.true(codes.has(`ntfs/${code}`), code);
	}
});
