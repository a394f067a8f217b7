import test from 'ava';
import {encodeText} from '../../src/core/bytes/text.ts';
import {type Span, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import type {FileSystem, Stat} from '../../src/core/file-system.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {findingList} from '../../src/check/findings.ts';
import {checkVolume, type VolumeCheck} from '../../src/check/volume.ts';
import type {Volume} from '../../src/image/image.ts';
import {newPace} from '../../src/work/pace.ts';

const BLOCK = 4096;
const VOLUME = 64 * BLOCK;
const ROOT = 0;
const FILE = 1;

/** A root with one file, `file`, and what a test changes of it. */
function fileSystem(changes: Partial<FileSystem>, size = 2 * BLOCK): FileSystem {
	const stat = (node: number): Stat => ({
		node,
		type: node === ROOT ? 'directory' : 'file',
		mode: 0o644,
		links: 1,
		uid: 0,
		gid: 0,
		size,
		allocated: size,
		modified: {seconds: 0, nanoseconds: 0},
	});
	return {
		type: 'made up',
		root: ROOT,
		label: '',
		identifier: '',
		lookup: () => FILE,
		stat,
		readDirectory: (_directory, _cursor, visit) =>
			void visit({name: encodeText('file'), node: FILE, type: 'file', cursor: 1}),
		parent: () => ROOT,
		readLink: () => new Uint8Array(0),
		locate: (_node, position, span) => stored(span, size - position, 0, 8 * BLOCK + position),
		attributes: () => [],
		streams: () => [],
		read: (_node, position, target) => Math.min(target.length, size - position),
		usage: () => ({blockSize: BLOCK, totalBlocks: 64, freeBlocks: 0}),
		...changes,
	};
}

async function checkOne(
	made: FileSystem,
	content = false,
): Promise<{readonly volume: VolumeCheck; readonly found: readonly string[]}> {
	const volume: Volume = {
		number: 1,
		name: '1',
		partition: {number: 1, start: 0, length: VOLUME, type: '', typeName: '', name: '', identifier: '', bootable: false},
		source: memorySource(new Uint8Array(VOLUME), 'volume'),
		driver: 'made up',
		fileSystem: made,
		error: undefined,
		findings: [],
	};
	const list = findingList(100);
	const options = {content, pace: newPace({}), onPosition() {}};
	const checked = await checkVolume(volume, list, options);
	return {volume: checked, found: list.list().map(({code, severity, path}) => `${severity} ${code} ${path}`)};
}

test('a whole file system has no findings', async t => {
	const {volume, found} = await checkOne(fileSystem({}), true);
	t.deepEqual(found, []);
	t.like(volume, {directories: 1, files: 1, damage: 0, read: 2 * BLOCK, map: undefined});
});

test('maps that never end are left', async t => {
	const endless = {
		twice: (_node: number, position: number, span: Span) => stored(span, BLOCK, 0, position % BLOCK),
		holes: (_node: number, _position: number, span: Span) => unstored(span, SpanKind.zero, 1),
	};
	for (const locate of [endless.twice, endless.holes]) {
		const {found} = await checkOne(fileSystem({locate}, 2 ** 50), true);
		t.true(found.includes('damage check/map-limit null'), found.join(', '));
	}
});

test('content without end is left', async t => {
	const locate = (_node: number, position: number, span: Span) => unstored(span, SpanKind.encoded, 2 ** 50 - position);
	const {volume, found} = await checkOne(fileSystem({locate}, 2 ** 50), true);
	t.deepEqual(found, ['damage check/content-limit null']);
	t.true(volume.read < 300 * VOLUME);
});

test('a map of the volume that fails is told once, and one that disagrees by path', async t => {
	const failing = {
		allocated() {
			throw corrupt('made-up/map', 'the map is gone');
		},
	};
	t.deepEqual((await checkOne(fileSystem(failing))).found, ['damage made-up/map null']);
	const free = {
		allocated: (position: number, span: Span) =>
			position < 9 * BLOCK
				? stored(span, 9 * BLOCK - position, 0, position)
				: unstored(span, SpanKind.free, VOLUME - position),
		usage: () => ({blockSize: BLOCK, totalBlocks: 64, freeBlocks: 55}),
	};
	const {volume, found} = await checkOne(fileSystem(free));
	t.deepEqual(found, ['damage check/free-cluster /file']);
	t.deepEqual(volume.map, {used: 9 * BLOCK, free: 55 * BLOCK, other: 7 * BLOCK});
});

test('content behind the end of the volume, and content that has no cluster of its own', async t => {
	const beyond = {
		locate: (_node: number, position: number, span: Span) => stored(span, BLOCK, 0, VOLUME - BLOCK + position),
	};
	t.deepEqual((await checkOne(fileSystem(beyond))).found, ['damage check/beyond-volume /file']);
	const within = {
		locate: (_node: number, position: number, span: Span) => stored(span, 100 - position, 0, 40 + position),
	};
	t.deepEqual((await checkOne(fileSystem(within, 100))).found, []);
});

test('names that lead nowhere or elsewhere, and what is not supported', async t => {
	t.deepEqual((await checkOne(fileSystem({lookup: () => undefined}))).found, ['damage check/lookup /file']);
	t.deepEqual((await checkOne(fileSystem({lookup: () => ROOT}))).found, ['damage check/lookup /file']);
	const locked = {
		read() {
			throw unsupported('made-up/encrypted', 'it is encrypted');
		},
	};
	const {volume, found} = await checkOne(fileSystem(locked), true);
	t.deepEqual(found, ['note made-up/encrypted /file']);
	t.is(volume.damage, 0);
});

test('content that cannot be read is one finding', async t => {
	const size = 3 << 20;
	const broken = {
		read(_node: number, position: number, target: Uint8Array) {
			if (position < 70_000 && position + target.length > 66_000) throw corrupt('made-up/block', 'a block is gone');
			return Math.min(target.length, size - position);
		},
		locate: (_node: number, position: number, span: Span) => unstored(span, SpanKind.encoded, size - position),
	};
	const {volume, found} = await checkOne(fileSystem(broken, size), true);
	t.deepEqual(found, ['damage made-up/block /file']);
	t.is(volume.read, size - (64 << 10));
});

test('nodes that no name leads to', async t => {
	const table = {
		needsName: (node: number) => node === FILE || node === 7,
		usage: () => ({blockSize: BLOCK, totalBlocks: 64, freeBlocks: 0, totalNodes: 10, freeNodes: 0}),
	};
	t.deepEqual((await checkOne(fileSystem(table))).found, ['damage check/orphan null']);
});
