import {closeSync, copyFileSync, mkdirSync, openSync, readFileSync, readSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {haveSharedTestdata, sharedImage} from '../../helpers/shared-testdata.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {BLOCK, GUID, makeVhdx, MIB, pattern, putLogEntry} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

const LOCATOR = {
	parent_linkage: `{${GUID.parent.toUpperCase()}}`,
	relative_path: '.\\parent.vhdx',
	volume_path: '\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\images\\parent.vhdx',
	absolute_win32_path: 'C:\\images\\parent.vhdx',
};

function parentBytes(size = 6 * MIB): Uint8Array {
	const blocks = [0, 1, 2, 3].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, 100 + block)}));
	return makeVhdx({size, blocks}).bytes;
}

/** Sectors 8-15 and from 1000 of block 2 are the child's. */
function childBitmap(): Uint8Array {
	const bits = new Uint8Array(MIB);
	const first = (2 * MIB) / 512 / 8;
	bits.fill(0xff, first + 1, first + 2);
	bits.fill(0xff, first + 125, first + 256);
	return bits;
}

function child(dataWriteGuid: string = GUID.child): ReturnType<typeof makeVhdx> {
	return makeVhdx({
		size: 6 * MIB,
		dataWriteGuid,
		locator: LOCATOR,
		blocks: [
			{block: 1, state: BLOCK.full, bytes: pattern(MIB, 201)},
			{block: 2, state: BLOCK.partial, bytes: pattern(MIB, 202)},
			{block: 3, state: BLOCK.zero},
		],
		bitmaps: [{chunk: 0, bits: childBitmap()}],
	});
}

function expectedContent(): Uint8Array {
	const expected = new Uint8Array(6 * MIB);
	expected.set(pattern(MIB, 100), 0);
	expected.set(pattern(MIB, 201), MIB);
	expected.set(pattern(MIB, 102), 2 * MIB);
	const own = pattern(MIB, 202);
	expected.set(own.subarray(8 * 512, 16 * 512), 2 * MIB + 8 * 512);
	expected.set(own.subarray(1000 * 512), 2 * MIB + 1000 * 512);
	return expected;
}

test('a child reads its own sectors and its parent’s', t => {
	const context = session({'parent.vhdx': () => memorySource(parentBytes(), 'parent.vhdx')});
	const disk = openBytes(child().bytes, context);
	t.is(Buffer.compare(readRange(disk, 0, disk.size), expectedContent()), 0);
	t.is(disk.describe().variant, 'differencing');
	const expected = expectedContent();
	for (let i = 0; i < 300; i++) {
		const position = (i * 1_234_577) % (6 * MIB);
		const length = Math.min((i * 37_511) % 70_000, 6 * MIB - position);
		t.is(Buffer.compare(readRange(disk, position, length), expected.subarray(position, position + length)), 0);
	}
	t.deepEqual(
		context.asked.map(({role, paths, identity}) => ({role, paths, identity})),
		[
			{
				role: 'parent',
				paths: [LOCATOR.relative_path, LOCATOR.volume_path, LOCATOR.absolute_win32_path],
				identity: GUID.parent,
			},
		],
	);
});

test('the map names the file that each sector lies in', t => {
	const disk = openBytes(child().bytes, session({'parent.vhdx': () => memorySource(parentBytes(), 'parent.vhdx')}));
	const span = newSpan();
	const seen: (readonly [number, number, number])[] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		seen.push([span.kind, span.kind === SpanKind.stored ? span.source : -1, span.length]);
	}
	t.deepEqual(seen, [
		[SpanKind.stored, 1, MIB],
		[SpanKind.stored, 0, MIB],
		[SpanKind.stored, 1, 8 * 512],
		[SpanKind.stored, 0, 8 * 512],
		[SpanKind.stored, 1, 984 * 512],
		[SpanKind.stored, 0, 1048 * 512],
		[SpanKind.zero, -1, MIB],
		[SpanKind.absent, -1, 2 * MIB],
	]);
	t.deepEqual(
		disk.sources.map(({name}) => name),
		['memory', 'parent.vhdx'],
	);
});

test('sector bitmaps of any pattern, over the borders of their pages', t => {
	// 65536 sectors to a block: two pages of bitmap for each.
	const size = 32 * MIB;
	const parent = pattern(size, 1);
	const own = pattern(size, 2);
	const bits = new Uint8Array(MIB);
	const seeds = pattern(size / 512 / 8, 3);
	for (let i = 0; i < seeds.length; i++) {
		// Long runs, single bytes, and noise.
		if (i % 97 < 30) bits[i] = 0xff;
		else if (i % 97 > 60) bits[i] = seeds[i];
	}
	const expected = parent.slice();
	for (let sector = 0; sector < size / 512; sector++) {
		if (((bits[sector >> 3] >> (sector & 7)) & 1) === 0) continue;
		expected.set(own.subarray(sector * 512, (sector + 1) * 512), sector * 512);
	}
	const recipe = {size, blockSize: size};
	const below = makeVhdx({...recipe, blocks: [{block: 0, state: BLOCK.full, bytes: parent}]}).bytes;
	const above = makeVhdx({
		...recipe,
		dataWriteGuid: GUID.child,
		locator: LOCATOR,
		blocks: [{block: 0, state: BLOCK.partial, bytes: own}],
		bitmaps: [{chunk: 0, bits}],
	}).bytes;
	const disk = openBytes(above, session({'parent.vhdx': () => memorySource(below)}));
	t.is(Buffer.compare(readRange(disk, 0, size), expected), 0);
	for (let i = 0; i < 200; i++) {
		const position = (i * 7_654_321) % size;
		const length = Math.min((i * 4_099) % 100_000, size - position);
		t.is(Buffer.compare(readRange(disk, position, length), expected.subarray(position, position + length)), 0);
	}
});

test('a child that is larger than its parent reads zeros behind it', t => {
	const context = session({'parent.vhdx': () => memorySource(parentBytes(4 * MIB))});
	const disk = openBytes(makeVhdx({size: 8 * MIB, locator: LOCATOR, dataWriteGuid: GUID.child}).bytes, context);
	t.is(Buffer.compare(readRange(disk, 3 * MIB, MIB), pattern(MIB, 103)), 0);
	t.true(readRange(disk, 4 * MIB, 4 * MIB).every(byte => byte === 0));
});

test('a chain of three, whose middle was not closed cleanly', t => {
	const middle = makeVhdx({
		size: 6 * MIB,
		dataWriteGuid: GUID.child,
		locator: LOCATOR,
		logGuid: GUID.log,
		blocks: [{block: 4, state: BLOCK.full, bytes: pattern(MIB, 300)}],
	});
	const at = (middle.places.get(4) ?? 0) + 4096;
	putLogEntry(middle, 0, {sequence: 1, writes: [{kind: 'data', at, bytes: pattern(4096, 301)}]});
	const top = makeVhdx({
		size: 6 * MIB,
		dataWriteGuid: GUID.unknown,
		locator: {parent_linkage: GUID.unknown, parent_linkage2: GUID.child, relative_path: 'middle.avhdx'},
		blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, 400)}],
	});
	const context = session({
		'middle.avhdx': () => memorySource(middle.bytes, 'middle.avhdx'),
		'parent.vhdx': () => memorySource(parentBytes(), 'parent.vhdx'),
	});
	const disk = openBytes(top.bytes, context);
	t.is(Buffer.compare(readRange(disk, 0, MIB), pattern(MIB, 400)), 0);
	t.is(Buffer.compare(readRange(disk, MIB, MIB), pattern(MIB, 101)), 0);
	t.is(Buffer.compare(readRange(disk, 4 * MIB + 4096, 4096), pattern(4096, 301)), 0);
	t.true(context.findings.some(({code}) => code === 'vhdx/log-replayed'));
	// Its own file, the middle with its overlay, the oldest.
	t.is(disk.sources.length, 4);
});

function failing(t: ExecutionContext, bytes: Uint8Array, context = session()): DiskError | undefined {
	return t.throws(() => readRange(openBytes(bytes, context), 0, 6 * MIB), {instanceOf: DiskError});
}

test('a parent that changed is refused, and everything opened is closed', t => {
	let closed = 0;
	const other = makeVhdx({size: 6 * MIB, dataWriteGuid: GUID.unknown}).bytes;
	const open = () => ({...memorySource(other, 'parent.vhdx'), [Symbol.dispose]: () => void closed++});
	const error = failing(t, child().bytes, session({'parent.vhdx': open}));
	t.is(error?.code, 'vhdx/parent-changed');
	t.is(error?.family, 'refused');
	t.is(error?.where.file, 'parent.vhdx');
	t.is(closed, 1);
});

test('a parent that is not there is the answer of whoever looked', t => {
	t.is(failing(t, child().bytes)?.code, 'test/no-parent');
});

test('an image that is its own parent ends', t => {
	const own = child(GUID.parent).bytes;
	const error = failing(t, own, session({'parent.vhdx': () => memorySource(own)}));
	t.is(error?.code, 'vhdx/chain-too-long');
});

test('damage: no bitmap, no linkage, another locator, no parent for a partial block', t => {
	const parents = session({'parent.vhdx': () => memorySource(parentBytes())});
	const partial = [{block: 0, state: BLOCK.partial, bytes: pattern(MIB, 1)}];
	const shared = {size: 6 * MIB, dataWriteGuid: GUID.child};
	t.is(
		failing(t, makeVhdx({...shared, locator: LOCATOR, blocks: partial}).bytes, parents)?.code,
		'vhdx/bitmap-missing',
	);
	const nameless = makeVhdx({...shared, locator: {relative_path: 'parent.vhdx'}}).bytes;
	t.is(failing(t, nameless, parents)?.code, 'vhdx/parent-linkage');
	t.is(failing(t, makeVhdx({...shared, blocks: partial}).bytes, parents)?.code, 'vhdx/block-state');
	const foreign = makeVhdx({...shared, locator: LOCATOR});
	const place = foreign.bytes.findIndex(
		(_, index) => index > foreign.metadata + 65_536 && foreign.bytes[index] === 0xb7,
	);
	foreign.bytes[place] = 0;
	t.is(failing(t, foreign.bytes, parents)?.code, 'vhdx/parent-locator-type');
});

if (haveSharedTestdata) {
	testWith(test, ['vhdimount', 'fusermount'], 'a differencing disk of Windows is what libvhdi reads', t => {
		const folder = temporaryFolder(t);
		const childPath = join(folder, 'fat-differential.vhdx');
		const parentPath = join(folder, 'fat-parent.vhdx');
		copyFileSync(sharedImage('dfvfs/fat-differential.vhdx.xz'), childPath);
		copyFileSync(sharedImage('dfvfs/fat-parent.vhdx.xz'), parentPath);
		const parent = readFileSync(parentPath);
		const disk = openBytes(readFileSync(childPath), session({'fat-parent.vhdx': () => memorySource(parent)}));
		const ours = readRange(disk, 0, disk.size);
		t.is(disk.describe().variant, 'differencing');
		const mount = join(folder, 'mount');
		mkdirSync(mount);
		run('vhdimount', [childPath, mount], {cwd: folder});
		t.teardown(() => run('fusermount', ['-u', mount]));
		const theirs = new Uint8Array(ours.length);
		// The disk itself is the last file: the parents come before it.
		const descriptor = openSync(join(mount, 'vhdi2'), 'r');
		readSync(descriptor, theirs, 0, theirs.length, 0);
		closeSync(descriptor);
		t.is(Buffer.compare(ours, theirs), 0);
		t.not(Buffer.compare(ours, readRange(openBytes(parent), 0, ours.length)), 0);
	});
}
