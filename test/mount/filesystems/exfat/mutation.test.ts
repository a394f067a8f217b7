import {readFileSync} from 'node:fs';
import process from 'node:process';
import test from 'ava';
import {newSpan} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {exfat} from '../../../../mount/filesystems/exfat/index.ts';
import {type Random, seededRandom} from '../../../fuzz/random.ts';
import {haveSharedTestdata, sharedImage} from '../../../helpers/shared-testdata.ts';
import {type ExfatImage, exfatImage, fileSet, openBytes, secondary, withChecksum} from './image.ts';

const ROUNDS = 700;
/** A directory may lead back to itself, so a walk has to stop somewhere. */
const MAX_STEPS = 400;
const buffer = new Uint8Array(65_536);
const INTERESTING = [0, 1, 2, 3, 5, 0x10, 0x20, 0x7f, 0x80, 0x81, 0x85, 0xc0, 0xc1, 0xe0, 0xf7, 0xff];
/** Bytes of file entry and stream extension that steer their reading. */
const ENTRY_FIELDS = [0, 1, 4, 32, 33, 35, 40, 46, 52, 53, 56, 60, 62, 64, 96];

/** Does all that can be done with a volume; only DiskError may come out of any of it. */
function exercise(bytes: Uint8Array): number {
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
	exfat.probe(memorySource(bytes));
	attempt(() => {
		const {fileSystem} = openBytes(bytes);
		const pending = [fileSystem.root];
		let steps = 0;
		const visit = (node: number, type: string, name: Uint8Array, directory: number): void => {
			attempt(() => fileSystem.lookup(directory, name));
			attempt(() => {
				const {size} = fileSystem.stat(node);
				if (type === 'directory') {
					attempt(() => fileSystem.parent(node));
					pending.push(node);
					return;
				}
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
				if (span.length <= 0 || at + span.length > bytes.length) throw new Error(`span of ${span.length} at ${at}`);
			}
		});
	});
	return errors;
}

interface Target {
	readonly bytes: Uint8Array;
	readonly tableStart: number;
	readonly tableUsed: number;
	/** Where entry sets start. */
	readonly sets: readonly number[];
	/** Makes the checksum of a boot region anew. */
	readonly seal: (bytes: Uint8Array) => void;
}

function mutate({bytes: original, tableStart, tableUsed, sets, seal}: Target, random: Random): Uint8Array {
	const bytes = original.slice();
	const poke = (at: number): void => {
		bytes[at] = random.below(2) === 0 ? (INTERESTING[random.below(INTERESTING.length)] ?? 0) : random.below(256);
	};
	switch (random.below(7)) {
		case 0:
			for (let i = random.below(20); i >= 0; i--) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
			break;
		case 1:
			return bytes.subarray(0, random.below(bytes.length));
		case 2:
			// Checksums hide most of what a boot sector can say, so they are made anew.
			for (let i = random.below(3); i >= 0; i--) poke(64 + random.below(50));
			seal(bytes);
			break;
		case 3:
			for (let i = random.below(8); i >= 0; i--) poke(tableStart + random.below(tableUsed));
			break;
		default:
			for (let i = random.below(4); i >= 0; i--) {
				const at = sets[random.below(sets.length)] ?? 0;
				for (let j = random.below(3); j >= 0; j--) poke(at + (ENTRY_FIELDS[random.below(ENTRY_FIELDS.length)] ?? 0));
				const end = Math.min(bytes.length, at + 32 * (1 + (bytes[at + 1] ?? 0)));
				if (random.below(4) > 0) withChecksum(bytes.subarray(at, end));
			}
	}
	return bytes;
}

function sealed(image: ExfatImage): (bytes: Uint8Array) => void {
	return bytes => {
		const size = 24 * image.sectorSize;
		const kept = image.bytes.slice(0, size);
		image.bytes.set(bytes.subarray(0, size));
		image.seal();
		bytes.set(image.bytes.subarray(0, size));
		image.bytes.set(kept);
	};
}

function madeTarget(): Target {
	const image = exfatImage();
	const {free, root} = image;
	const at = (cluster: number): number => image.at(cluster);
	const sub = fileSet('sub', {cluster: free + 1, size: 1024, directory: true, contiguous: true});
	image.put(
		root,
		fileSet('dir', {cluster: free, size: 512, directory: true}),
		fileSet('a chain of clusters', {cluster: free + 10, size: 3000}),
		fileSet('row', {cluster: free + 20, size: 2000, validSize: 900, contiguous: true}),
	);
	image.put(at(free), sub, fileSet('empty', {more: [secondary(0xe0)]}));
	const last = fileSet('last', {cluster: free + 30, size: 10});
	image.put(at(free + 1), ...Array.from({length: 5}, (_, i) => fileSet(`${i} file`)), last.subarray(0, 32));
	image.put(at(free + 2), last.subarray(32));
	image.chain(free);
	image.chain(free + 10, free + 11, free + 15, free + 16, free + 13, free + 14);
	image.chain(free + 30);
	image.use(free + 1, free + 2, ...Array.from({length: 4}, (_, i) => free + 20 + i));
	const sets = [root, root + 96, root + 96 + 128, at(free), at(free) + 96, at(free + 1), at(free + 1) + 480];
	return {
		bytes: image.bytes,
		tableStart: image.tableStart,
		tableUsed: (free + 32) * 4,
		sets: [...sets, at(image.rootCluster), at(image.rootCluster) + 32, at(image.rootCluster) + 64],
		seal: sealed(image),
	};
}

function runMutations(t: {log: (text: string) => void}, target: Target, rounds: number): number {
	const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
	t.log(`seed ${seed} (FUZZ_SEED repeats it)`);
	const random = seededRandom(seed);
	let errors = 0;
	for (let round = 0; round < rounds; round++) {
		const bytes = mutate(target, random);
		try {
			errors += exercise(bytes);
		} catch (error) {
			throw new Error(`round ${round} of seed ${seed}`, {cause: error});
		}
	}
	return errors;
}

test('mutations give results or DiskErrors, nothing else', t => {
	const target = madeTarget();
	t.is(exercise(target.bytes), 0);
	t.true(runMutations(t, target, ROUNDS * 2) > 0);
});

(haveSharedTestdata ? test : test.skip)('mutations of a real volume give results or DiskErrors, nothing else', t => {
	const bytes = new Uint8Array(readFileSync(sharedImage('exfatprogs/bad_bitmap.img.tar.xz')));
	t.is(exercise(bytes), 0);
	const root = 0x20_3000;
	const sets = Array.from({length: 8}, (_, i) => root + 0x40 + i * 96);
	const target = {bytes, tableStart: 0x10_0000, tableUsed: 200, sets: [root, root + 32, ...sets], seal: () => {}};
	t.true(runMutations(t, target, ROUNDS) > 0);
});
