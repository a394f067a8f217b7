import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import {newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ContentChange} from '../../../src/core/upkeep.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {
	BLOCK,
	batEntry,
	HEADERS,
	makeVhdx,
	MIB,
	pattern,
	putLogEntry,
	GUID,
	resealAll,
} from '../../helpers/vhdx-image.ts';
import {type Change, contentOf, expected, judgeStates, openState, record} from '../../resize/states.ts';

const full = (block: number, seed: number) => ({block, state: BLOCK.full, bytes: pattern(48 * 1024, seed)});

/** As a GPT changes: the start of the disk, and its last sectors. */
function patches(size: number): ContentChange[][] {
	return [
		[{position: size - 5120, bytes: pattern(5120, 91)}],
		[{position: 512, bytes: pattern(512, 92)}],
		[{position: 458, bytes: pattern(4, 93)}],
	];
}

interface Case {
	readonly name: string;
	readonly recipe: Parameters<typeof makeVhdx>[0];
	readonly size: number;
	readonly content?: ContentChange[][];
	/** Changes the file before it is resized. */
	readonly spoil?: (image: ReturnType<typeof makeVhdx>) => void;
}

const CASES: readonly Case[] = [
	{
		name: 'grown, a block of odd size at the end',
		recipe: {size: 3 * MIB + 5 * 512, blocks: [full(0, 1), full(3, 2)]},
		size: 7 * MIB + 512,
		content: patches(7 * MIB + 512),
	},
	{
		name: 'grown within the last block, which is not there',
		recipe: {size: 2 * MIB + 512, blocks: [full(1, 1)]},
		size: 3 * MIB - 512,
		content: patches(3 * MIB - 512),
	},
	{
		name: 'grown by one sector',
		recipe: {size: 2 * MIB, blocks: [full(0, 3), full(1, 4)]},
		size: 2 * MIB + 512,
		content: patches(2 * MIB + 512),
	},
	{
		name: 'fixed, grown',
		recipe: {size: 2 * MIB, flags: 1, blocks: [full(0, 1), full(1, 2)]},
		size: 4 * MIB + 1536,
		content: patches(4 * MIB + 1536),
	},
	{
		name: 'grown without a partition table',
		recipe: {size: 2 * MIB, blocks: [full(0, 1), {block: 1, state: BLOCK.zero}]},
		size: 5 * MIB,
	},
	{
		name: 'shrunk',
		recipe: {size: 6 * MIB, blocks: [full(0, 1), full(2, 2), full(5, 3)]},
		size: 3 * MIB + 1024,
		content: patches(3 * MIB + 1024),
	},
	{
		name: 'fixed, shrunk',
		recipe: {size: 4 * MIB, flags: 1, blocks: [full(0, 1), full(1, 2), full(2, 3), full(3, 4)]},
		size: 2 * MIB + 512,
		content: patches(2 * MIB + 512),
	},
	{
		name: 'of one size, another table',
		recipe: {size: 3 * MIB, blocks: [full(0, 1)]},
		size: 3 * MIB,
		content: patches(3 * MIB),
	},
	{
		name: 'grown with sectors of 4096 bytes',
		recipe: {size: 2 * MIB + 4096, sectorSize: 4096, blocks: [full(2, 1)]},
		size: 5 * MIB + 8192,
		content: patches(5 * MIB + 8192),
	},
	{
		name: 'grown, no log in the file',
		recipe: {size: 2 * MIB, blocks: [full(0, 1)]},
		size: 4 * MIB,
		content: patches(4 * MIB),
		spoil(image) {
			for (const at of HEADERS) image.bytes.fill(0, at + 68, at + 80);
			resealAll(image.bytes);
		},
	},
	{
		name: 'grown, with rubbish where the BAT has more entries',
		recipe: {size: 2 * MIB, blocks: [full(0, 1)]},
		size: 4 * MIB + 512,
		content: patches(4 * MIB + 512),
		spoil(image) {
			for (let block = 2; block < 9; block++) image.bytes.set(batEntry(BLOCK.full, 4 * MIB), image.entryAt(block));
		},
	},
];

for (const {name, recipe, size, content, spoil} of CASES) {
	test(`every state of a crash is the old disk or the new: ${name}`, t => {
		const image = makeVhdx(recipe);
		spoil?.(image);
		const before = image.bytes;
		const old = contentOf(openState(vhdx, before));
		const next = expected(old, size, content);
		const {recording, after} = record({format: vhdx, before, size, ...(content && {content})});
		t.is(Buffer.compare(contentOf(openState(vhdx, after)), next), 0);
		judgeStates(t, recording, 15, ({bytes}) => {
			const found = contentOf(openState(vhdx, bytes));
			if (found.length === old.length && Buffer.compare(found, old) === 0) return 'old';
			if (found.length === next.length && Buffer.compare(found, next) === 0) return 'new';
			throw new Error(`a disk of ${found.length} bytes that is neither`);
		});
	});
}

test('a BAT without room for more entries goes to the end of the file', t => {
	const {change, old, next} = largeBat();
	const {after} = record(change);
	const disk = openState(vhdx, after);
	t.is(disk.size, change.size);
	const found = new Uint8Array(old.length);
	disk.readAt(0, found);
	t.is(Buffer.compare(found, next.subarray(0, old.length)), 0);
	disk.readAt(change.size - 5120, found.subarray(0, 5120));
	t.is(Buffer.compare(found.subarray(0, 5120), pattern(5120, 91)), 0);
});

/** 1 MiB of BAT holds 131,072 entries: with blocks of 1 MiB, 128 GiB less the sector bitmaps' entries. */
function largeBat(): {change: Change; old: Uint8Array; next: Uint8Array} {
	const {bytes: before} = makeVhdx({size: 3 * MIB, blocks: [full(0, 1), full(2, 2)]});
	const size = 160 * 1024 * MIB + 512;
	const content = patches(size);
	const old = contentOf(openState(vhdx, before));
	const next = Uint8Array.from(old);
	for (const {position, bytes} of content.flat()) if (position < old.length) next.set(bytes, position);
	return {change: {format: vhdx, before, size, content}, old, next};
}

test('every state of a crash is the old disk or the new: a BAT that moves', t => {
	const {change, old, next} = largeBat();
	const {recording} = record(change);
	judgeStates(t, recording, 15, ({bytes}) => {
		const disk = openState(vhdx, bytes);
		const found = new Uint8Array(old.length);
		disk.readAt(0, found);
		if (disk.size === old.length && Buffer.compare(found, old) === 0) return 'old';
		if (disk.size === change.size && Buffer.compare(found, next) === 0) {
			// Nothing but zeros, up to the last sectors.
			const span = newSpan();
			for (let at = old.length; at < change.size - 2 * MIB; at += span.length) {
				disk.locate(at, span);
				if (span.kind === SpanKind.stored) throw new Error(`content at ${at}`);
			}
			return 'new';
		}
		throw new Error(`a disk of ${disk.size} bytes that is neither`);
	});
});

testWith(test, ['qemu-img'], 'qemu replays the entry that the log holds in the middle of it', t => {
	const folder = temporaryFolder(t);
	const {bytes: before} = makeVhdx({size: 3 * MIB, blocks: [full(0, 1), full(2, 2)]});
	const size = 6 * MIB;
	const content = patches(size);
	const {recording} = record({format: vhdx, before, size, content});
	const next = expected(contentOf(openState(vhdx, before)), size, content);
	writeFileSync(join(folder, 'next.raw'), next);
	// The header that names the log is the last write before the sectors themselves.
	const syncs = recording.steps.flatMap(({kind}, index) => (kind === 'sync' ? [index] : []));
	const steps = recording.steps.slice(0, syncs[3] + 1);
	const {sink, bytes} = replay(before);
	for (const step of steps) {
		if (step.kind === 'write') sink.writeAt(step.position, step.bytes);
		else if (step.kind === 'truncate') sink.truncate(step.size);
	}
	const path = join(folder, 'middle.vhdx');
	writeFileSync(path, bytes());
	t.is(
		openState(vhdx, bytes())
			.describe()
			.facts.find(({key}) => key === 'log')?.value,
		'replayed in memory',
	);
	run('qemu-img', ['check', '-r', 'all', path]);
	run('qemu-img', ['compare', '-f', 'vhdx', '-F', 'raw', path, join(folder, 'next.raw')]);
});

function replay(before: Uint8Array) {
	let buffer = Uint8Array.from(before);
	const grow = (size: number): void => {
		if (size <= buffer.length) return;
		const larger = new Uint8Array(size);
		larger.set(buffer);
		buffer = larger;
	};
	return {
		bytes: () => buffer,
		sink: {
			writeAt(position: number, bytes: Uint8Array) {
				grow(position + bytes.length);
				buffer.set(bytes, position);
			},
			truncate(size: number) {
				grow(size);
				buffer = buffer.subarray(0, size);
			},
		},
	};
}

function resizeTo(before: Uint8Array, size = 8 * MIB) {
	return record({format: vhdx, before, size, content: patches(size)});
}

test('what stands on a parent or has a log to replay is refused', t => {
	const child = makeVhdx({size: 2 * MIB, locator: {parent_linkage: `{${GUID.parent}}`, relative_path: 'p.vhdx'}});
	t.throws(() => resizeTo(child.bytes), {instanceOf: DiskError, code: 'vhdx/resize-differencing'});
	const dirty = makeVhdx({size: 2 * MIB, logGuid: GUID.log});
	putLogEntry(dirty, 0, {sequence: 1, writes: []});
	t.throws(() => resizeTo(dirty.bytes), {instanceOf: DiskError, code: 'vhdx/resize-dirty-log'});
});

test('a file that is cut short is not resized', t => {
	const {bytes} = makeVhdx({size: 2 * MIB, blocks: [full(0, 1), full(1, 2)]});
	t.throws(() => resizeTo(bytes.subarray(0, bytes.length - 4096)), {code: 'vhdx/block-beyond-file'});
});

test('GUIDs change as the specification asks, and both headers are as good afterwards', t => {
	const {bytes: before} = makeVhdx({size: 2 * MIB, blocks: [full(0, 1)]});
	const {after} = resizeTo(before);
	const fact = (bytes: Uint8Array, key: string) =>
		openState(vhdx, bytes)
			.describe()
			.facts.find(each => each.key === key)?.value;
	for (const key of ['dataWriteGuid', 'fileWriteGuid']) t.not(fact(after, key), fact(before, key));
	t.is(fact(after, 'log'), 'clean');
	for (const at of HEADERS) {
		const damaged = Uint8Array.from(after);
		damaged[at + 100] ^= 1;
		t.is(fact(damaged, 'log'), 'clean');
		t.is(fact(damaged, 'dataWriteGuid'), fact(after, 'dataWriteGuid'));
	}
});

test('mutated images are refused or resized, and nothing else happens', t => {
	const image = makeVhdx({size: 3 * MIB + 512, blocks: [full(0, 1), full(2, 2), full(3, 3)]});
	const random = seededRandom(11);
	const places = [...HEADERS, 0x30000, 0x40000, image.metadata, image.metadata + 65_536, image.bat];
	let done = 0;
	for (let turn = 0; turn < 90; turn++) {
		const bytes = Uint8Array.from(image.bytes);
		for (let count = 0; count <= random.below(3); count++) {
			const at = random.pick(places) + random.below(128);
			bytes[at] = random.pick([0, 1, 6, 7, 0x7f, 0x80, 0xff, bytes[at] ^ 8]);
		}
		if (random.below(3) > 0) resealAll(bytes);
		try {
			resizeTo(bytes, random.pick([MIB, 5 * MIB, 9 * MIB + 512]));
			done++;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
	}
	t.true(done > 10 && done < 87, String(done));
});
