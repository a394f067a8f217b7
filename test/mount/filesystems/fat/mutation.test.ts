import {readFileSync} from 'node:fs';
import process from 'node:process';
import test from 'ava';
import {newSpan} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {fat} from '../../../../mount/filesystems/fat/index.ts';
import {haveSharedTestdata, sharedImage} from '../../../helpers/shared-testdata.ts';
import {directoryEntry, fatImage, longEntries, openBytes, shortEntry} from './image.ts';

const ROUNDS = 500;
/** A directory may lead back to itself, so a walk has to stop somewhere. */
const MAX_STEPS = 3000;
/** A mutated size may be 4 GiB, so only the ends of a file are read. */
const MAX_READ = 65_536;

type Random = (limit: number) => number;

function random(seed: number): Random {
	let state = seed >>> 0;
	return limit => {
		state = (state + 0x6d2b_79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) % limit;
	};
}

const INTERESTING = [0, 1, 2, 5, 0x0f, 0x10, 0x7f, 0x80, 0xe5, 0xf0, 0xf7, 0xf8, 0xff];

/** Bytes of a directory entry that steer its reading. */
const ENTRY_FIELDS = [0, 11, 12, 13, 20, 26, 27, 28, 31];

function mutate(original: Uint8Array, layout: Layout, next: Random): Uint8Array {
	const bytes = original.slice();
	const poke = (at: number): void => {
		bytes[at] = next(2) === 0 ? (INTERESTING[next(INTERESTING.length)] ?? 0) : next(256);
	};
	switch (next(6)) {
		case 0:
			for (let i = next(20); i >= 0; i--) bytes[next(bytes.length)] ^= 1 << next(8);
			break;
		case 1:
			return bytes.subarray(0, next(bytes.length));
		case 2:
			for (let i = next(3); i >= 0; i--) poke(11 + next(80));
			break;
		case 3:
			for (let i = next(8); i >= 0; i--) poke(layout.tableStart + next(layout.tableUsed));
			break;
		default:
			for (let i = next(6); i >= 0; i--) {
				const start = layout.directories[next(layout.directories.length)] ?? 0;
				poke(start + next(16) * 32 + (ENTRY_FIELDS[next(ENTRY_FIELDS.length)] ?? 0));
			}
	}
	return bytes;
}

interface Layout {
	readonly tableStart: number;
	readonly tableUsed: number;
	readonly directories: readonly number[];
}

/** Does all that can be done with a volume; only DiskError may come out of any of it. */
function exercise(bytes: Uint8Array): number {
	const buffer = new Uint8Array(MAX_READ);
	const span = newSpan();
	let errors = 0;
	const attempt = (action: () => void): void => {
		try {
			action();
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			errors++;
		}
	};
	fat.probe(memorySource(bytes));
	attempt(() => {
		const {fileSystem} = openBytes(bytes);
		const pending = [fileSystem.root];
		let steps = 0;
		const visit = (node: number, type: string, name: Uint8Array, directory: number): void => {
			attempt(() => fileSystem.stat(node));
			attempt(() => fileSystem.lookup(directory, name));
			if (type === 'directory') {
				attempt(() => fileSystem.parent(node));
				pending.push(node);
				return;
			}
			attempt(() => {
				const {size} = fileSystem.stat(node);
				attempt(() => fileSystem.read(node, 0, buffer));
				attempt(() => fileSystem.read(node, Math.max(0, size - 100), buffer));
				if (size > 0) attempt(() => fileSystem.locate(node, Math.floor(size / 2), span));
			});
		};
		for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
			if (steps >= MAX_STEPS) break;
			const at = directory;
			attempt(() =>
				fileSystem.readDirectory(at, 0, entry => {
					visit(entry.node, entry.type, entry.name.slice(), at);
					return ++steps < MAX_STEPS;
				}),
			);
		}
		attempt(() => fileSystem.usage());
		let spans = 0;
		attempt(() => {
			for (let at = 0; at < bytes.length && spans < MAX_STEPS; at += span.length, spans++) {
				fileSystem.allocated?.(at, span);
				if (span.length <= 0) throw new Error(`empty span at ${at}`);
			}
		});
	});
	return errors;
}

function madeImage(bits: 12 | 16 | 32): [Uint8Array, Layout] {
	const image = fatImage({bits, clusters: bits === 16 ? 4200 : 200});
	const short = shortEntry('LONGNA~1TXT', {cluster: 10, size: 3000});
	image.put(
		image.root,
		directoryEntry('DIR', 5),
		...longEntries('a long name for a file.txt', short),
		short,
		shortEntry('SMALL', {cluster: 30, size: 100}),
	);
	image.put(
		image.at(5),
		directoryEntry('.', 5),
		directoryEntry('..', 0),
		directoryEntry('SUB', 40),
		shortEntry('EMPTY'),
	);
	image.put(image.at(40), directoryEntry('.', 40), directoryEntry('..', 5), shortEntry('X', {cluster: 41, size: 600}));
	image.chain(5, 6);
	image.chain(10, 11, 15, 16, 20, 21);
	image.chain(30);
	image.chain(40);
	image.chain(41, 42);
	const directories = [image.root, image.at(5), image.at(40)];
	return [image.bytes, {tableStart: image.tableStart, tableUsed: 45 * 4, directories}];
}

function run(t: {log(text: string): void}, original: Uint8Array, layout: Layout): {errors: number; seed: number} {
	const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
	t.log(`seed ${seed} (FUZZ_SEED repeats it)`);
	const next = random(seed);
	let errors = 0;
	for (let round = 0; round < ROUNDS; round++) {
		const bytes = mutate(original, layout, next);
		try {
			errors += exercise(bytes);
		} catch (error) {
			throw new Error(`round ${round} of seed ${seed}`, {cause: error});
		}
	}
	return {errors, seed};
}

for (const bits of [12, 16, 32] as const) {
	test(`FAT${bits}: mutations give results or DiskErrors, nothing else`, t => {
		const [original, layout] = madeImage(bits);
		t.is(exercise(original), 0);
		t.true(run(t, original, layout).errors > 0);
	});
}

(haveSharedTestdata ? test : test.skip)('mutations of a real volume give results or DiskErrors, nothing else', t => {
	const original = new Uint8Array(readFileSync(sharedImage('lde/test.vfat')));
	t.is(exercise(original), 0);
	const {errors} = run(t, original, {tableStart: 512, tableUsed: 64, directories: [1536, 2048, 17_920 + 2048]});
	t.true(errors > 0);
});
