import {mkdirSync, renameSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {chainOf} from '../../../src/chain/chain.ts';
import {convert} from '../../../src/convert/convert.ts';
import {DiskError} from '../../../src/core/error.ts';
import {openDisk, type OpenImageOptions} from '../../../src/image/image.ts';
import {openTestFile} from '../../helpers/file-source.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {testWith} from '../../helpers/tools.ts';
import {BLOCK, GUID, HEADERS, type ImageRecipe, makeVhdx, MIB, pattern, resealAll} from '../../helpers/vhdx-image.ts';
import {readRange} from '../../helpers/vhdx-session.ts';
import {hashOf, readByLibvhdi} from '../vhd/tools.ts';
import {readBySevenZip} from './tools.ts';

const SIZE = 4 * MIB;

function write(path: string, recipe: Partial<ImageRecipe>): string {
	mkdirSync(dirname(path), {recursive: true});
	const {bytes} = makeVhdx({size: SIZE, ...recipe});
	// 7-Zip takes files of one FileWriteGuid for one file.
	for (const at of HEADERS) bytes.copyWithin(at + 16, at + 32, at + 48);
	resealAll(bytes);
	writeFileSync(path, bytes);
	return path;
}

/** An image whose first block tells it from others. */
function writeParent(path: string, seed = 1, recipe: Partial<ImageRecipe> = {}): string {
	return write(path, {blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, seed)}], ...recipe});
}

/** An empty child of the image `linkage`. */
function writeChild(path: string, entries: Readonly<Record<string, string>>, linkage: string = GUID.parent): string {
	return write(path, {dataWriteGuid: GUID.child, locator: {parent_linkage: `{${linkage}}`, ...entries}});
}

/** The seed of the first block that an image shows, or the code of the error. */
function outcome(t: ExecutionContext, path: string, options: OpenImageOptions = {}): number | string {
	try {
		const opened = openDisk(path, options);
		t.teardown(() => opened[Symbol.dispose]());
		const bytes = Buffer.from(readRange(opened.disk, 0, 4096));
		return [1, 2, 3].find(seed => bytes.equals(pattern(4096, seed))) ?? 'something else';
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
}

test('every kind of path leads to a parent beside the child', t => {
	const folder = temporaryFolder(t);
	writeParent(join(folder, 'parent.vhdx'));
	writeParent(join(folder, 'below', 'other.vhdx'), 2);
	for (const [entries, seed] of [
		[{relative_path: '.\\parent.vhdx'}, 1],
		[{relative_path: 'parent.vhdx'}, 1],
		[{relative_path: './parent.vhdx'}, 1],
		[{relative_path: 'below\\other.vhdx'}, 2],
		[{relative_path: '.\\below\\..\\parent.vhdx'}, 1],
		[{volume_path: '\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\images\\parent.vhdx'}, 1],
		[{absolute_win32_path: 'C:\\images\\parent.vhdx'}, 1],
		[{absolute_win32_path: '\\\\?\\d:\\images\\parent.vhdx'}, 1],
		[{absolute_win32_path: '\\\\server\\share\\parent.vhdx'}, 1],
		[{relative_path: '..\\gone\\gone.vhdx', absolute_win32_path: join(folder, 'below/other.vhdx')}, 2],
	] as const) {
		const child = writeChild(join(folder, 'child.avhdx'), entries);
		t.is(outcome(t, child), seed, JSON.stringify(entries));
	}
});

test('recorded paths that lead elsewhere are hints, until the user allows them', t => {
	const folder = temporaryFolder(t);
	const elsewhere = join(folder, 'elsewhere');
	const parent = writeParent(join(elsewhere, 'parent.vhdx'));
	for (const entries of [
		{relative_path: '..\\elsewhere\\parent.vhdx'},
		{absolute_win32_path: parent},
		{absolute_win32_path: parent.replaceAll('/', '\\')},
		{volume_path: '\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\x\\parent.vhdx'},
	]) {
		const child = writeChild(join(folder, 'images', 'child.avhdx'), entries);
		t.is(outcome(t, child), 'gate/parent-not-found');
		t.is(outcome(t, child, {allowedFolders: [elsewhere]}), 1);
		t.is(outcome(t, child, {parent}), 1);
		const error = t.throws(() => openDisk(child), {instanceOf: DiskError});
		// What was looked for and where, under which names, and what to do about it.
		for (const part of [GUID.parent, join(folder, 'images'), ...Object.values(entries)]) {
			t.true(error?.message.includes(part), `${part} in ${error?.message}`);
		}
		t.regex(error?.hint ?? '', /--parent.*--allow-path/);
	}
});

test('a parent that was renamed is found beside the child by its data write GUID', t => {
	const folder = temporaryFolder(t);
	writeParent(join(folder, 'a.vhdx'), 2, {dataWriteGuid: GUID.unknown});
	const parent = writeParent(join(folder, 'renamed.vhdx'));
	writeFileSync(join(folder, 'b.vhdx'), 'no image at all');
	const child = writeChild(join(folder, 'child.avhdx'), {relative_path: '.\\parent.vhdx'});
	t.is(outcome(t, child), 1);
	renameSync(parent, join(folder, 'renamed.avhdx'));
	t.is(outcome(t, child), 1);
	const moved = join(folder, 'store', 'renamed.vhdx');
	mkdirSync(dirname(moved));
	renameSync(join(folder, 'renamed.avhdx'), moved);
	t.is(outcome(t, child), 'gate/parent-not-found', 'other folders are not searched');
	t.is(outcome(t, child, {allowedFolders: [dirname(moved)]}), 1, 'unless they are named');
});

test('a parent that changed is refused, but not while the right one is there', t => {
	const folder = temporaryFolder(t);
	const named = writeParent(join(folder, 'parent.vhdx'), 2, {dataWriteGuid: GUID.unknown});
	const child = writeChild(join(folder, 'child.avhdx'), {relative_path: '.\\parent.vhdx'});
	t.is(outcome(t, child), 'vhdx/parent-changed');
	t.is(outcome(t, child, {parent: named}), 'vhdx/parent-changed');
	const error = t.throws(() => openDisk(child), {instanceOf: DiskError});
	t.is(error?.family, 'refused');
	t.is(error?.where.file, named);
	for (const guid of [GUID.parent, GUID.unknown]) t.true(error?.message.includes(guid));
	writeParent(join(folder, 'before the change.vhdx'));
	t.is(outcome(t, child), 1);
});

test('a file of the recorded name that is damaged, or no VHDX, says so', t => {
	const folder = temporaryFolder(t);
	const parent = join(folder, 'parent.vhdx');
	const child = writeChild(join(folder, 'child.avhdx'), {relative_path: '.\\parent.vhdx'});
	writeFileSync(parent, 'something else');
	t.is(outcome(t, child), 'vhdx/file-identifier');
	const {bytes} = makeVhdx({size: SIZE});
	bytes.fill(0, 0x10000, 0x30000);
	writeFileSync(parent, bytes);
	t.is(outcome(t, child), 'vhdx/header-checksum');
});

test('the second linkage counts, but for the zeros that Windows writes', t => {
	const folder = temporaryFolder(t);
	writeParent(join(folder, 'parent.vhdx'));
	const entries = {relative_path: 'parent.vhdx', parent_linkage2: `{${GUID.parent}}`};
	t.is(outcome(t, writeChild(join(folder, 'child.vhdx'), entries, GUID.unknown)), 1);
	const zero = '00000000-0000-0000-0000-000000000000';
	writeParent(join(folder, 'parent.vhdx'), 2, {dataWriteGuid: zero});
	const nobody = {relative_path: 'parent.vhdx', parent_linkage2: `{${zero}}`};
	t.is(outcome(t, writeChild(join(folder, 'child.vhdx'), nobody)), 'vhdx/parent-changed');
});

test('relative paths start from the image that has them, in the folders of the newest', t => {
	const folder = temporaryFolder(t);
	const below = join(folder, 'below');
	const top = write(join(folder, 'top.avhdx'), {
		dataWriteGuid: GUID.unknown,
		locator: {parent_linkage: GUID.child, relative_path: '.\\below\\middle.avhdx'},
	});
	const base = writeParent(join(below, 'base.vhdx'));
	const middle = writeChild(join(below, 'middle.avhdx'), {relative_path: '.\\base.vhdx'});
	t.is(outcome(t, top), 1);
	renameSync(base, join(below, 'renamed.vhdx'));
	t.is(outcome(t, top), 1, 'by its GUID, beside its child');
	renameSync(join(below, 'renamed.vhdx'), join(folder, 'base.vhdx'));
	writeChild(middle, {relative_path: '..\\base.vhdx'});
	t.is(outcome(t, top), 1);
	t.is(outcome(t, middle), 'gate/parent-not-found', 'which is out of its own folder');
	t.is(outcome(t, middle, {allowedFolders: [folder]}), 1);
});

test('a parent that the user names elsewhere does not open its folder to the rest of the chain', t => {
	const folder = temporaryFolder(t);
	const elsewhere = join(folder, 'elsewhere');
	writeParent(join(elsewhere, 'base.vhdx'));
	const middle = writeChild(join(elsewhere, 'middle.avhdx'), {relative_path: '.\\base.vhdx'});
	const top = write(join(folder, 'images', 'top.avhdx'), {
		dataWriteGuid: GUID.unknown,
		locator: {parent_linkage: GUID.child, relative_path: '..\\elsewhere\\middle.avhdx'},
	});
	t.is(outcome(t, top, {parent: middle}), 'gate/parent-not-found');
	t.is(outcome(t, top, {parent: middle, allowedFolders: [elsewhere]}), 1);
	t.is(outcome(t, top, {allowedFolders: [elsewhere]}), 1);
});

/** Each of the layers has some sectors of blocks 0 to 2, in eights: libvhdi knows no others. */
function layers(folder: string): {paths: string[]; content: Uint8Array} {
	const names = ['base.vhdx', 'first.avhdx', 'second.avhdx', 'third.avhdx', 'fourth.avhdx'];
	const content = new Uint8Array(SIZE);
	const guid = (index: number): string => `aaaaaaaa-0001-4002-8003-00000000000${index}`;
	const paths = names.map((name, index) => {
		const path = join(folder, name);
		if (index === 0) {
			const blocks = [0, 1, 3].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, block)}));
			for (const {block, bytes} of blocks) content.set(bytes, block * MIB);
			return write(path, {blocks, dataWriteGuid: guid(0)});
		}
		const bits = new Uint8Array(MIB);
		const blocks = [index % 3, 2].map(block => {
			const bytes = pattern(MIB, index * 10 + block);
			const noise = pattern(256, index * 7 + block);
			for (let eight = 0; eight < 256; eight++) {
				if (((noise[eight] ?? 0) & 3) !== 0) continue;
				bits[block * 256 + eight] = 0xff;
				content.set(bytes.subarray(eight * 4096, (eight + 1) * 4096), block * MIB + eight * 4096);
			}
			return {block, state: BLOCK.partial, bytes};
		});
		return write(path, {
			dataWriteGuid: guid(index),
			locator: {
				parent_linkage: `{${guid(index - 1)}}`,
				relative_path: `.\\${names[index - 1]}`,
				absolute_win32_path: `C:\\images\\${names[index - 1]}`,
			},
			blocks: blocks.filter(({block}, place) => place === 0 || block !== index % 3),
			bitmaps: [{chunk: 0, bits}],
		});
	});
	return {paths, content};
}

testWith(test, ['vhdimount', 'fusermount', '7z'], 'a chain of five is what libvhdi and 7-Zip read', async t => {
	const folder = temporaryFolder(t);
	const {paths, content} = layers(folder);
	const newest = paths.at(-1) ?? '';
	const opened = openDisk(newest);
	t.is(hashOf(readRange(opened.disk, 0, SIZE)), hashOf(content));
	opened[Symbol.dispose]();
	t.is(hashOf(readByLibvhdi(t, newest, [[0, SIZE]], paths.length)[0] ?? Buffer.alloc(0)), hashOf(content));
	t.is(hashOf(readBySevenZip(t, newest)), hashOf(content));
	const flat = join(folder, 'flat.raw');
	await convert(newest, flat, {workers: 2});
	const raw = openTestFile(flat);
	const bytes = new Uint8Array(SIZE);
	raw.readAt(0, bytes);
	raw[Symbol.dispose]();
	t.is(hashOf(bytes), hashOf(content));
	const chain = await chainOf(newest);
	t.true(chain.whole);
	t.deepEqual(
		chain.files.map(({role}) => role),
		['image', 'parent', 'ancestor', 'ancestor', 'ancestor'],
	);
});

test('sector bitmaps of a further chunk, and of sectors of 4096 bytes', t => {
	for (const sectorSize of [512, 4096]) {
		const folder = temporaryFolder(t);
		const blockSize = 64 * MIB;
		const chunk = 2 ** 23 * sectorSize;
		const size = chunk + 2 * blockSize;
		const place = chunk / blockSize + 1;
		const [below, own] = [pattern(MIB, 1), pattern(MIB, 2)];
		const recipe = {size, blockSize, sectorSize};
		write(join(folder, 'parent.vhdx'), {...recipe, blocks: [{block: place, state: BLOCK.full, bytes: below}]});
		const bits = new Uint8Array(MIB);
		// The second block of the second chunk: sectors 1 and 3 to 9 are the child's.
		const first = blockSize / sectorSize / 8;
		bits.set([0b1111_1010, 0b11], first);
		const child = write(join(folder, 'child.vhdx'), {
			...recipe,
			dataWriteGuid: GUID.child,
			locator: {parent_linkage: GUID.parent, relative_path: 'parent.vhdx'},
			blocks: [{block: place, state: BLOCK.partial, bytes: own}],
			bitmaps: [{chunk: 1, bits}],
		});
		const expected = below.slice();
		for (const sector of [1, 3, 4, 5, 6, 7, 8, 9]) {
			expected.set(own.subarray(sector * sectorSize, (sector + 1) * sectorSize), sector * sectorSize);
		}
		const opened = openDisk(child);
		t.is(hashOf(readRange(opened.disk, place * blockSize, MIB)), hashOf(expected));
		opened[Symbol.dispose]();
	}
});
