import {mkdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {vhd} from '../../../formats/vhd/index.ts';
import {isZero} from '../../../src/core/bytes/zeros.ts';
import {newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {newHolding} from '../../../src/core/upkeep.ts';
import {openDisk} from '../../../src/image/image.ts';
import {haveSharedTestdata, sharedImage} from '../../helpers/shared-testdata.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {testWith} from '../../helpers/tools.ts';
import {ID, type ImageRecipe, makeFixed, makeVhd, MIB, pattern, utf16} from '../../helpers/vhd-image.ts';
import {readRange, session} from '../../helpers/vhdx-session.ts';
import {factsOf, hashOf, openBytes, readByLibvhdi, readBySevenZip} from './tools.ts';

const SIZE = 8 * MIB;
const BLOCK = 2 * MIB;

/** Runs of its own, single sectors, and noise. */
function ownSectors(seed: number): (sector: number) => boolean {
	const noise = pattern(4096, seed);
	return sector => {
		if (sector < 1000) return sector % 100 < 7;
		return sector < 3000 ? sector > 2000 : ((noise[sector] ?? 0) & 1) === 1;
	};
}

interface Layer {
	readonly recipe: ImageRecipe;
	readonly name: string;
}

function layer(name: string, id: string, parent: {id: string; name: string} | undefined, seed: number): Layer {
	const blocks = [
		{block: seed % 3, bytes: pattern(BLOCK, seed), own: ownSectors(seed)},
		{block: (seed % 3) + 1, bytes: pattern(BLOCK, seed + 1), own: ownSectors(seed + 1)},
	];
	if (parent === undefined)
		return {name, recipe: {size: SIZE, id, blocks: blocks.map(({block, bytes}) => ({block, bytes}))}};
	const relative = `.\\${parent.name}`;
	const absolute = `C:\\images\\${parent.name}`;
	const locators = [['W2ku', utf16(absolute, true)] as const, ['W2ru', utf16(relative, true)] as const];
	return {name, recipe: {size: SIZE, id, blocks, parent: {id: parent.id, name: absolute, locators}}};
}

const LAYERS: readonly Layer[] = [
	layer('parent.vhd', ID.parent, undefined, 3),
	layer('child.vhd', ID.child, {id: ID.parent, name: 'parent.vhd'}, 4),
	layer('grandchild.avhd', ID.grandchild, {id: ID.child, name: 'child.vhd'}, 5),
];

/** What the uppermost of the layers shows. */
function contentOf(layers: readonly Layer[]): Uint8Array {
	const content = new Uint8Array(SIZE);
	for (const {recipe} of layers) {
		for (const {block, bytes, own = () => true} of recipe.blocks ?? []) {
			for (let sector = 0; sector < BLOCK / 512; sector++) {
				if (!own(sector)) continue;
				content.set(bytes.subarray(sector * 512, (sector + 1) * 512), block * BLOCK + sector * 512);
			}
		}
	}
	return content;
}

function writeLayers(folder: string, layers: readonly Layer[] = LAYERS): string[] {
	return layers.map(({name, recipe}) => {
		const path = join(folder, name);
		writeFileSync(path, makeVhd(recipe).bytes);
		return path;
	});
}

test('a chain reads each sector from the newest image that has it', t => {
	const folder = temporaryFolder(t);
	const paths = writeLayers(folder);
	for (const [index, path] of paths.entries()) {
		const {disk, recipe, findings, ...opened} = openDisk(path);
		const expected = contentOf(LAYERS.slice(0, index + 1));
		t.is(hashOf(readRange(disk, 0, SIZE)), hashOf(expected), path);
		t.is(recipe.related.length, index);
		t.deepEqual(findings, []);
		t.is(disk.describe().variant, index === 0 ? 'dynamic' : 'differencing');
		for (let i = 0; i < 300; i++) {
			const position = (i * 1_234_577) % SIZE;
			const length = Math.min((i * 37_511) % 70_000, SIZE - position);
			t.is(Buffer.compare(readRange(disk, position, length), expected.subarray(position, position + length)), 0);
		}
		opened[Symbol.dispose]();
	}
});

/** libvhdi (20210425) takes eight sectors as one: if one of them is the child's, so are all. */
function inEights({name, recipe}: Layer): Layer {
	const blocks = recipe.blocks?.map(({own, ...rest}) =>
		own === undefined ? rest : {...rest, own: (sector: number) => own(sector - (sector % 8))},
	);
	return {name, recipe: {...recipe, blocks: blocks ?? []}};
}

testWith(test, ['vhdimount', 'fusermount'], 'libvhdi reads the same chain in the same way', t => {
	const folder = temporaryFolder(t);
	const layers = LAYERS.map(inEights);
	const [, child = '', grandchild = ''] = writeLayers(folder, layers);
	for (const [path, count] of [
		[child, 2],
		[grandchild, 3],
	] as const) {
		const [theirs] = readByLibvhdi(t, path, [[0, SIZE]], count);
		const expected = contentOf(layers.slice(0, count));
		t.is(hashOf(theirs), hashOf(expected), path);
		const {disk, ...opened} = openDisk(path);
		t.is(hashOf(readRange(disk, 0, SIZE)), hashOf(expected), path);
		opened[Symbol.dispose]();
	}
});

testWith(test, ['7z'], '7-Zip reads the same chain in the same way', t => {
	const folder = temporaryFolder(t);
	const [, child = '', grandchild = ''] = writeLayers(folder);
	for (const [path, count] of [
		[child, 2],
		[grandchild, 3],
	] as const) {
		t.is(hashOf(readBySevenZip(t, path)), hashOf(contentOf(LAYERS.slice(0, count))), path);
	}
});

test('the map names the file that each sector lies in', t => {
	const parent = makeVhd({size: SIZE, blocks: [{block: 0, bytes: pattern(BLOCK, 1)}]}).bytes;
	const own = (sector: number): boolean => sector >= 8 && sector < 16;
	const bytes = pattern(BLOCK, 2);
	const child = makeVhd({
		size: SIZE,
		id: ID.child,
		blocks: [0, 1].map(block => ({block, bytes, own})),
		parent: {id: ID.parent, name: 'parent.vhd'},
	}).bytes;
	const disk = openBytes(child, session({'parent.vhd': () => memorySource(parent, 'parent.vhd')}));
	const span = newSpan();
	const seen: (readonly [number, number, number])[] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		seen.push([span.kind, span.kind === SpanKind.stored ? span.source : -1, span.length]);
	}
	t.deepEqual(seen, [
		[SpanKind.stored, 1, 4096],
		[SpanKind.stored, 0, 4096],
		[SpanKind.stored, 1, BLOCK - 8192],
		[SpanKind.absent, -1, 4096],
		[SpanKind.stored, 0, 4096],
		[SpanKind.absent, -1, BLOCK - 8192],
		[SpanKind.absent, -1, 2 * BLOCK],
	]);
});

test('parents may be fixed, smaller, and of other block sizes', t => {
	const content = pattern(3 * MIB + 512, 6);
	const parent = makeFixed(content, {id: ID.parent});
	const bytes = pattern(512 * 1024, 2);
	const child = makeVhd({
		size: SIZE,
		id: ID.child,
		blockSize: 512 * 1024,
		blocks: [{block: 6, bytes, own: sector => sector === 0 || sector === 2}],
		parent: {id: ID.parent, name: 'parent.vhd'},
	}).bytes;
	const disk = openBytes(child, session({'parent.vhd': () => memorySource(parent)}));
	const expected = new Uint8Array(SIZE);
	expected.set(content);
	expected.set(bytes.subarray(0, 512), 3 * MIB);
	expected.set(bytes.subarray(1024, 1536), 3 * MIB + 1024);
	t.is(hashOf(readRange(disk, 0, SIZE)), hashOf(expected));
});

test('a chain counts as large as its newest image says', t => {
	const geometry = [240, 4, 17] as const;
	const parent = makeFixed(pattern(SIZE, 1), {creator: 'vpc ', geometry, id: ID.parent});
	const parents = {'parent.vhd': () => memorySource(parent)};
	const child = {size: SIZE, id: ID.child, parent: {id: ID.parent, name: 'parent.vhd'}};
	const whole = openBytes(makeVhd(child).bytes, session(parents));
	t.is(hashOf(readRange(whole, 0, SIZE)), hashOf(pattern(SIZE, 1)));
	// The parent has content behind the geometry.
	t.is(openBytes(makeVhd({...child, creator: 'vpc ', geometry}).bytes, session(parents)).size, SIZE);
	const empty = {'parent.vhd': () => memorySource(makeVhd({size: SIZE, creator: 'vpc ', geometry}).bytes)};
	t.is(openBytes(makeVhd({...child, creator: 'vpc ', geometry}).bytes, session(empty)).size, 240 * 4 * 17 * 512);
});

/** The paths that a child of these locators asks for. */
function pathsOf(locators: readonly (readonly [string, Uint8Array])[], name = '', warned: string[] = []): string[] {
	const child = makeVhd({size: SIZE, id: ID.child, parent: {id: ID.parent, name, locators}}).bytes;
	const context = session();
	try {
		openBytes(child, context);
	} catch (error) {
		if (!(error instanceof DiskError) || error.code !== 'test/no-parent') throw error;
	}
	warned.push(...context.findings.map(({code}) => code));
	return [...(context.asked[0]?.paths ?? [])];
}

function ascii(text: string): Uint8Array {
	return Uint8Array.from(text, character => character.charCodeAt(0));
}

test('all kinds of parent locators, relative ones first', t => {
	const path = pathsOf(
		[
			['Wi2k', ascii('D:\\old.vhd')],
			['W2ku', utf16('C:\\a\\new.vhd', true)],
			['MacX', ascii('file:///disks/my%20parent%C3%A9.vhd')],
			['Mac ', ascii('alias')],
			['Wi2r', ascii('.\\old.vhd')],
			['W2ru', utf16('..\\a\\new.vhd', true)],
			['\0\0\0\0', ascii('nothing')],
		],
		'name.vhd',
	);
	t.deepEqual(path, [
		'..\\a\\new.vhd',
		'.\\old.vhd',
		'name.vhd',
		'/disks/my parenté.vhd',
		'C:\\a\\new.vhd',
		'D:\\old.vhd',
	]);
});

test('paths in either byte order, in other code pages, ended by zeros, and as URLs of all kinds', t => {
	const text = '.\\Größe-日本語.vhd';
	t.deepEqual(pathsOf([['W2ru', utf16(text, true)]]), [text]);
	t.deepEqual(pathsOf([['W2ru', utf16(text, false)]]), [text]);
	t.deepEqual(pathsOf([['W2ru', utf16(`\ufeff${text}\0junk`, false)]]), [text]);
	t.deepEqual(pathsOf([['Wi2r', utf16(text, true)]]), [text]);
	t.deepEqual(pathsOf([['Wi2r', Uint8Array.from(Buffer.from(text, 'utf8'))]]), [text]);
	t.deepEqual(pathsOf([['Wi2r', Uint8Array.from([0x47, 0x72, 0xf6, 0xdf, 0x65, 0])]]), ['Größe']);
	t.deepEqual(pathsOf([['MacX', ascii('file://localhost/a/b.vhd')]]), ['/a/b.vhd']);
	t.deepEqual(pathsOf([['MacX', ascii('file://./b.vhd\0')]]), ['./b.vhd']);
	t.deepEqual(pathsOf([['MacX', ascii('file:b%zz.vhd')]]), ['b%zz.vhd']);
	t.deepEqual(pathsOf([['W2ru', utf16('\ud800.vhd', true)]]), ['\ufffd.vhd']);
	t.deepEqual(pathsOf([], 'C:\\disks\\name.vhd'), ['C:\\disks\\name.vhd']);
	t.deepEqual(
		pathsOf([
			['W2ru', utf16('a.vhd', true)],
			['W2ku', utf16('a.vhd', true)],
		]),
		['a.vhd'],
	);
	t.deepEqual(pathsOf([['W2ru', new Uint8Array(0)]]), []);
});

test('a locator that lies elsewhere or is too long is reported, and the others are used', t => {
	const locators = [['W2ru', utf16('a.vhd', true)] as const, ['W2ku', utf16('C:\\b.vhd', true)] as const];
	for (const [field, value] of [
		[8, 0x1_0001n],
		[8, 0xffff_ffffn],
		[16, 2n ** 40n],
		[16, 2n ** 64n - 1n],
	] as const) {
		const made = makeVhd({size: SIZE, id: ID.child, parent: {id: ID.parent, locators}});
		const view = new DataView(made.bytes.buffer);
		const [{entry}] = made.locators;
		if (field === 8) view.setUint32(entry + 8, Number(value));
		else view.setBigUint64(entry + 16, value);
		// The checksum covers the locators.
		view.setUint32(512 + 36, 0);
		const sum = made.bytes.subarray(512, 1536).reduce((total, byte) => total + byte, 0);
		view.setUint32(512 + 36, 0xffff_ffff - sum);
		const context = session({'b.vhd': () => memorySource(makeVhd({size: SIZE}).bytes)});
		t.is(openBytes(made.bytes, context).size, SIZE);
		t.deepEqual(
			context.findings.map(({code}) => code),
			['vhd/parent-locator'],
		);
	}
});

test('a parent is known by its unique id, whatever its name', t => {
	const folder = temporaryFolder(t);
	const [, child = ''] = LAYERS.map(({name}) => join(folder, name));
	writeFileSync(child, makeVhd(LAYERS[1]?.recipe ?? {size: 0}).bytes);
	const codeOf = (): string | undefined =>
		t.throws(() => openDisk(child)[Symbol.dispose](), {instanceOf: DiskError})?.code;
	t.is(codeOf(), 'gate/parent-not-found');
	// Others that are no parent lie about.
	writeFileSync(join(folder, 'a.vhd'), makeVhd({size: SIZE, id: ID.unknown}).bytes);
	writeFileSync(join(folder, 'b.vhd'), 'no image at all');
	t.is(codeOf(), 'gate/parent-not-found');
	writeFileSync(join(folder, 'renamed.vhd'), makeVhd(LAYERS[0]?.recipe ?? {size: 0}).bytes);
	const {disk, ...opened} = openDisk(child);
	t.is(factsOf(disk)['parent'], join(folder, 'renamed.vhd'));
	t.is(hashOf(readRange(disk, 0, SIZE)), hashOf(contentOf(LAYERS.slice(0, 2))));
	opened[Symbol.dispose]();
});

test('a parent in a folder above is not taken unless that is allowed', t => {
	const folder = temporaryFolder(t);
	mkdirSync(join(folder, 'below'));
	const parent = join(folder, 'parent.vhd');
	const child = join(folder, 'below', 'child.vhd');
	writeFileSync(parent, makeVhd({size: SIZE}).bytes);
	const locators = [['W2ru', utf16('..\\parent.vhd', true)] as const];
	writeFileSync(child, makeVhd({size: SIZE, id: ID.child, parent: {id: ID.parent, locators}}).bytes);
	t.throws(() => openDisk(child), {instanceOf: DiskError, code: 'gate/parent-not-found'});
	openDisk(child, {allowedFolders: [folder]})[Symbol.dispose]();
	openDisk(child, {parent})[Symbol.dispose]();
});

test('a parent that was exchanged is refused, and everything opened is closed', t => {
	const folder = temporaryFolder(t);
	const [parent = '', child = ''] = writeLayers(folder);
	writeFileSync(parent, makeVhd({size: SIZE, id: ID.unknown}).bytes);
	for (const options of [{}, {parent}]) {
		const error = t.throws(() => openDisk(child, options), {instanceOf: DiskError, code: 'vhd/parent-changed'});
		t.is(error?.family, 'refused');
		t.is(error?.where.file, parent);
		t.regex(error?.message ?? '', new RegExp(`${ID.parent}.*${ID.unknown}`));
	}
	let closed = 0;
	const other = makeVhd({size: SIZE, id: ID.unknown}).bytes;
	const open = () => ({...memorySource(other, 'parent.vhd'), [Symbol.dispose]: () => void closed++});
	t.throws(() => openBytes(readFileSync(child), session({'parent.vhd': open})), {code: 'vhd/parent-changed'});
	t.is(closed, 1);
});

test('an image that is its own parent ends', t => {
	const own = makeVhd({size: SIZE, id: ID.parent, parent: {id: ID.parent, name: 'self.vhd'}}).bytes;
	t.throws(() => openBytes(own, session({'self.vhd': () => memorySource(own)})), {code: 'vhd/chain-too-long'});
});

test('tells the chain, and what is lost where an image of it is missing', t => {
	const chain = vhd.upkeep?.chain;
	if (chain === undefined) {
		t.fail('no chain');
		return;
	}
	const images = LAYERS.map(({recipe}) => makeVhd(recipe).bytes);
	const [parent, child, grandchild] = images;
	const all = session({
		'parent.vhd': () => memorySource(parent, 'parent.vhd'),
		'child.vhd': () => memorySource(child, 'child.vhd'),
	});
	const totals = (context: ReturnType<typeof session>): {held: number[]; lost: number; units: number} => {
		const lineage = chain(memorySource(grandchild, 'grandchild.avhd'), context);
		const held = lineage.files.map(() => 0);
		const holding = newHolding();
		let lost = 0;
		for (let position = 0; position < lineage.size; position += holding.length) {
			lineage.holding(position, holding);
			t.true(holding.length > 0 && (position % lineage.unit) + holding.length <= lineage.unit);
			if (holding.lost) lost += holding.length;
			else if (holding.file >= 0) held[holding.file] = (held[holding.file] ?? 0) + holding.length;
		}
		return {held, lost, units: lineage.unit};
	};
	const lineage = chain(memorySource(grandchild, 'grandchild.avhd'), all);
	t.deepEqual(
		lineage.files.map(({role, identity, file}) => [role, identity, file?.path]),
		[
			['image', ID.grandchild, 'grandchild.avhd'],
			['parent', ID.child, 'child.vhd'],
			['ancestor', ID.parent, 'parent.vhd'],
		],
	);
	const whole = totals(all);
	t.is(whole.lost, 0);
	t.is(whole.units, BLOCK);
	const content = contentOf(LAYERS);
	const used = Array.from(
		{length: SIZE / 512},
		(_, sector) => !isZero(content.subarray(sector * 512, (sector + 1) * 512)),
	);
	t.is(
		whole.held.reduce((sum, bytes) => sum + bytes, 0),
		used.filter(Boolean).length * 512,
	);
	const without = totals(session({'child.vhd': () => memorySource(child, 'child.vhd')}));
	t.deepEqual(without.held.slice(0, 2), whole.held.slice(0, 2));
	t.is(without.lost, SIZE - (whole.held[0] ?? 0) - (whole.held[1] ?? 0));
	const broken = chain(memorySource(grandchild), session({'child.vhd': () => memorySource(child)}));
	t.is(broken.files[2]?.file, undefined);
	t.is(broken.files[2]?.error?.code, 'test/no-parent');
	t.deepEqual(broken.files[2]?.recorded, ['.\\parent.vhd', 'C:\\images\\parent.vhd']);
	const fixed = chain(memorySource(makeFixed(pattern(5 * MIB, 1))), session());
	const holding = newHolding();
	fixed.holding(4 * MIB, holding);
	t.like(holding, {file: 0, length: MIB, lost: false});
});

if (haveSharedTestdata) {
	testWith(test, ['7z'], 'a differencing disk of Windows is what 7-Zip reads', t => {
		const path = sharedImage('dfvfs/fat-differential.vhd');
		const {disk, ...opened} = openDisk(path);
		t.is(hashOf(readBySevenZip(t, path)), hashOf(readRange(disk, 0, disk.size)));
		opened[Symbol.dispose]();
		const parent = openBytes(readFileSync(sharedImage('dfvfs/fat-parent.vhd')));
		t.not(hashOf(readRange(parent, 0, parent.size)), hashOf(readBySevenZip(t, path)));
	});
}

test('a parent is found by its id under another extension, and from the folder of the child that names it', t => {
	const folder = temporaryFolder(t);
	const below = join(folder, 'below');
	mkdirSync(below);
	const [parent, child] = writeLayers(below, LAYERS.slice(0, 2));
	renameSync(parent ?? '', join(below, 'renamed.avhd'));
	const grandchild = layer('grandchild.vhd', ID.grandchild, {id: ID.child, name: 'below\\child.vhd'}, 5);
	const [newest = ''] = writeLayers(folder, [grandchild]);
	const expected = contentOf([...LAYERS.slice(0, 2), grandchild]);
	for (const image of [child ?? '', newest]) {
		const {disk, ...opened} = openDisk(image);
		const wanted = image === newest ? expected : contentOf(LAYERS.slice(0, 2));
		t.is(hashOf(readRange(disk, 0, SIZE)), hashOf(wanted), image);
		opened[Symbol.dispose]();
	}
});
