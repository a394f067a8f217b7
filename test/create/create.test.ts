import {createHash} from 'node:crypto';
import {mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {chainOf} from '../../src/chain/chain.ts';
import {convert} from '../../src/convert/convert.ts';
import {create, type CreateOptions} from '../../src/create/create.ts';
import {DiskError} from '../../src/core/error.ts';
import {openDisk, type OpenImageOptions} from '../../src/image/image.ts';
import {noisyDisk, OFTEN, stopAt} from '../convert/work.ts';
import {readByLibvhdi, writeImage as writeVhd} from '../formats/vhd/tools.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {makeFixed, makeVhd, pattern as vhdPattern} from '../helpers/vhd-image.ts';
import {GUID, makeVhdx, MIB, pattern, putLogEntry} from '../helpers/vhdx-image.ts';
import {request, writeImage as writeVhdx} from '../helpers/vhdx-session.ts';

const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

function sha256(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex');
}

function contentOf(path: string, options: OpenImageOptions = {}): Buffer {
	const opened = openDisk(path, options);
	try {
		const bytes = Buffer.alloc(opened.disk.size);
		opened.disk.readAt(0, bytes);
		return bytes;
	} finally {
		opened[Symbol.dispose]();
	}
}

/** A disk with data at both ends and between, as an image that children can stand on. */
function parentImage(
	folder: string,
	format: string,
	writer: Readonly<Record<string, string | number>> = {},
	size = 9 * MIB + 1024,
): {path: string; content: Buffer} {
	const content = Buffer.alloc(size);
	for (const [at, length] of [
		[0, 70_000],
		[3 * MIB - 5, 11],
		[5 * MIB, MIB],
		[size - 700, 700],
	] as const) {
		content.set(pattern(length, at + 1), at);
	}
	const path = join(folder, `parent.${format}`);
	const write = format === 'vhdx' ? writeVhdx : writeVhd;
	write(path, request(size, writer), content);
	return {path, content};
}

function codeOf(t: ExecutionContext, target: string, options: CreateOptions): string {
	return t.throws(() => create(target, options), {instanceOf: DiskError})?.code ?? '';
}

testWith(test, ['qemu-img'], 'an empty disk in every format that can be written', t => {
	const folder = temporaryFolder(t);
	for (const [name, options] of [
		['a.raw', {size: 10 * MIB + 512}],
		['a.vhdx', {size: 10 * MIB + 512}],
		['b.vhdx', {size: 10 * MIB, writer: {subformat: 'fixed', 'block-size': MIB}}],
		['c.avhdx', {size: 64 * TIB, writer: {'block-size': 256 * MIB}}],
		['a.vhd', {size: 10 * MIB}],
		['b.vhd', {size: 10 * MIB, writer: {subformat: 'fixed'}}],
		['a.tint', {size: 10 * MIB}],
		['b.img', {size: 10 * MIB, to: 'raw'}],
	] as const) {
		const path = join(folder, name);
		const result = create(path, options);
		t.like(result, {target: path, size: options.size, sectorSize: 512, parent: undefined});
		t.deepEqual(result.findings, []);
		t.is(result.fileSize, statSync(path).size);
		t.true(result.allocated < MIB);
		const opened = openDisk(path);
		t.is(opened.disk.size, options.size, name);
		opened[Symbol.dispose]();
		if (options.size < GIB) t.true(contentOf(path).every(byte => byte === 0));
		if (result.format === 'vhdx') t.regex(run('qemu-img', ['check', '-f', 'vhdx', path]), /No errors/);
	}
	const info = JSON.parse(run('qemu-img', ['info', '--output=json', join(folder, 'b.vhd')]));
	t.like(info, {format: 'raw', 'virtual-size': 10 * MIB + 512});
	t.false(readdirSync(folder).some(name => name.endsWith('.partial')));
});

const asRoot = isRoot ? test : test.skip;

asRoot('a target without room keeps what it had, and gets nothing half-made', t => {
	const folder = temporaryFolder(t);
	run('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tintype-test', folder]);
	t.teardown(() => run('umount', [folder]));
	const path = join(folder, 'disk.vhd');
	create(path, {size: MIB});
	const before = sha256(readFileSync(path));
	// Its BAT alone takes 16 MiB.
	const large = {size: 2040 * GIB, writer: {'block-size': 512 * 1024}, force: true};
	const error = t.throws(() => create(path, large), {instanceOf: DiskError});
	t.is(error?.code, 'output/write');
	t.regex(error?.message ?? '', /ENOSPC/);
	t.is(sha256(readFileSync(path)), before);
	t.deepEqual(readdirSync(folder), ['disk.vhd']);
});

test('sectors of 4096 bytes, and what no disk can be', t => {
	const folder = temporaryFolder(t);
	const path = join(folder, 'a.vhdx');
	create(path, {size: 8 * MIB, sectorSize: 4096});
	const opened = openDisk(path);
	t.is(opened.disk.sectorSize, 4096);
	opened[Symbol.dispose]();
	const other = join(folder, 'b.vhdx');
	for (const size of [undefined, 0, -1, 1.5, Number.NaN, 2 ** 53]) {
		t.is(codeOf(t, other, size === undefined ? {} : {size}), 'create/size');
	}
	t.is(codeOf(t, other, {size: 65 * TIB}), 'vhdx/disk-size');
	t.is(codeOf(t, join(folder, 'b.vhd'), {size: 2041 * GIB}), 'vhd/disk-size');
	t.is(codeOf(t, join(folder, 'b.vhd'), {size: MIB, sectorSize: 4096}), 'vhd/sector-size');
	t.is(codeOf(t, join(folder, 'b.xyz'), {size: MIB}), 'convert/extension');
	t.is(codeOf(t, other, {size: MIB, writer: {colour: 'red'}}), 'convert/option');
	t.is(codeOf(t, other, {size: MIB, id: 'short'}), 'convert/id');
	t.is(codeOf(t, join(folder, 'none', 'b.vhdx'), {size: MIB}), 'output/create');
	t.deepEqual(readdirSync(folder), ['a.vhdx']);
});

test.serial('the work of an interrupted run is not thrown away unasked', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const tint = join(folder, 'c.tint');
	await stopAt(`${tint}.partial`, 5 * MIB, async options => convert(source, tint, {...OFTEN, ...options}));
	t.is(codeOf(t, tint, {size: MIB}), 'output/resumable');
	create(tint, {size: MIB, force: true});
	t.deepEqual(readdirSync(folder).sort(), ['c.tint', 'source.raw']);
});

test('nothing is replaced unasked, and nothing half-made is left', t => {
	const folder = temporaryFolder(t);
	const path = join(folder, 'a.vhdx');
	create(path, {size: MIB});
	const before = sha256(readFileSync(path));
	t.is(codeOf(t, path, {size: 2 * MIB}), 'output/exists');
	t.is(sha256(readFileSync(path)), before);
	create(path, {size: 2 * MIB, force: true});
	t.not(sha256(readFileSync(path)), before);
	t.is(codeOf(t, folder, {size: MIB, to: 'raw'}), 'output/is-directory');
	const other = join(folder, 'b.vhdx');
	writeFileSync(`${other}.partial`, 'of a run that was killed');
	t.deepEqual(
		create(other, {size: MIB}).findings.map(({code}) => code),
		['output/interrupted'],
	);
	t.deepEqual(readdirSync(folder).sort(), ['a.vhdx', 'b.vhdx']);
});

for (const [format, writer, child] of [
	['vhdx', {}, {}],
	['vhdx', {'block-size': MIB}, {'block-size': 2 * MIB}],
	['vhdx', {subformat: 'fixed', 'block-size': MIB, 'physical-sector-size': 512}, {}],
	['vhd', {}, {}],
	['vhd', {'block-size': 512 * 1024}, {'block-size': 4 * MIB}],
	['vhd', {subformat: 'fixed'}, {}],
] as const) {
	const title = `${format}: children of children of ${JSON.stringify(writer)} are to all what their parent is`;
	testWith(test, ['vhdimount', 'fusermount', '7z'], title, async t => {
		const folder = temporaryFolder(t);
		const {path, content} = parentImage(folder, format, writer);
		const names = [`first.a${format}`, `second.${format}`, `third.a${format}`];
		let parent = path;
		for (const [depth, name] of names.entries()) {
			const target = join(folder, name);
			const result = create(target, {parent, writer: child});
			t.like(result, {target, format, size: content.length, sectorSize: 512, parent});
			t.deepEqual(result.findings, []);
			t.is(sha256(contentOf(target)), sha256(content), 'tintype');
			const [seen = Buffer.alloc(0)] = readByLibvhdi(t, target, [[0, content.length]], depth + 2);
			t.is(sha256(seen), sha256(content), 'libvhdi');
			const unpacked = join(folder, `seven-${depth}`);
			run('7z', ['x', '-y', `-t${format.toUpperCase()}`, `-o${unpacked}`, target]);
			const [image = ''] = readdirSync(unpacked);
			t.is(sha256(readFileSync(join(unpacked, image))), sha256(content), '7-Zip');
			t.regex(run('vhdiinfo', [target]), /Disk type\s*: Differential/);
			parent = target;
		}
		const chain = await chainOf(parent);
		t.true(chain.whole);
		t.deepEqual(
			chain.files.map(file => file.path),
			[...names.toReversed(), `parent.${format}`].map((name, index) => (index === 0 ? parent : join(folder, name))),
		);
		if (Object.keys(writer).length > 0) return;
		const flat = join(folder, 'flat.raw');
		await convert(parent, flat, {workers: 2});
		t.is(sha256(readFileSync(flat)), sha256(content));
	});
}

testWith(test, ['7z', 'vhdiinfo'], 'VHDX: the fields of a child, as 7-Zip and libvhdi read them', t => {
	const folder = temporaryFolder(t);
	const writer = {'block-size': 4 * MIB, 'physical-sector-size': 512};
	const {path} = parentImage(folder, 'vhdx', writer);
	const child = join(folder, 'child.avhdx');
	create(child, {parent: path});
	const field = (text: string, name: string) => new RegExp(`^\\s*${name}: (.*)$`, 'm').exec(text)?.[1];
	const of = {child: run('7z', ['l', '-slt', child]), parent: run('7z', ['l', '-slt', path])};
	t.is(field(of.child, 'HasParent'), '+');
	t.is(field(of.child, 'Fixed'), '-');
	for (const name of ['BlockSize', 'LogicalSectorSize', 'PhysicalSectorSize', 'VirtualDiskSize', 'Id']) {
		t.is(field(of.child, name), field(of.parent, name), name);
		t.truthy(field(of.child, name), name);
	}
	const linkage = field(of.child, 'parent_linkage') ?? '';
	t.is(linkage, linkage.toLowerCase());
	t.is(linkage.replaceAll(/[{}-]/g, ''), guidDigits(field(of.parent, 'DataWriteGuid') ?? ''));
	t.is(field(of.child, 'relative_path'), '.\\parent.vhdx');
	t.not(field(of.child, 'DataWriteGuid'), field(of.parent, 'DataWriteGuid'));
	const info = run('vhdiinfo', [child]);
	t.is(/Parent identifier\s*: (.*)/.exec(info)?.[1], linkage.slice(1, -1));
	t.is(/Parent filename\s*: (.*)/.exec(info)?.[1], '.\\parent.vhdx');
	// Blocks are the parent's; the bitmap of the only chunk is there, and has no sector that is the child's.
	const bytes = readFileSync(child);
	const entries = new BigUint64Array(bytes.buffer.slice(bytes.byteOffset + 3 * MIB, bytes.byteOffset + 4 * MIB));
	t.deepEqual(
		[...entries.entries()].filter(([, entry]) => entry !== 0n),
		[[1024, BigInt(4 * MIB + 6)]],
	);
	t.is(bytes.length, 5 * MIB);
	t.true(bytes.subarray(4 * MIB).every(byte => byte === 0));
});

/** 7-Zip shows GUIDs as they are stored: the first three groups with their lowest byte first. */
function guidDigits(stored: string): string {
	const pairs = stored.match(/../g) ?? [];
	return [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(index => pairs[index]).join('');
}

testWith(test, ['vhdiinfo'], 'VHD: the fields of a child', t => {
	const folder = temporaryFolder(t);
	const {path} = parentImage(folder, 'vhd');
	const child = join(folder, 'child.avhd');
	create(child, {parent: path});
	const bytes = readFileSync(child);
	const parent = readFileSync(path);
	const footer = bytes.subarray(-512);
	t.deepEqual(bytes.subarray(0, 512), footer);
	const [sizes, parentSizes] = [footer, parent.subarray(-512)].map(part => part.subarray(40, 60).toString('hex'));
	t.is(sizes, parentSizes, 'original and current size, geometry');
	t.is(footer.readUInt32BE(60), 4);
	for (const [block, field] of [
		[footer, 64],
		[bytes.subarray(512, 1536), 36],
	] as const) {
		const sum = block.reduce((total, byte, index) => total + (index >= field && index < field + 4 ? 0 : byte), 0);
		t.is(block.readUInt32BE(field), 0xffff_ffff - sum);
	}
	const header = bytes.subarray(512, 1536);
	t.deepEqual(header.subarray(40, 56), parent.subarray(-512).subarray(68, 84));
	t.is(header.readUInt32BE(56), Math.floor(statSync(path).mtimeMs / 1000) - 946_684_800);
	t.is(
		Buffer.from(header.subarray(64, 64 + 22))
			.swap16()
			.toString('utf16le'),
		'parent.vhd\0',
	);
	const locators = [576, 600].map(at => ({
		code: header.toString('latin1', at, at + 4),
		space: header.readUInt32BE(at + 4),
		text: bytes.toString(
			'utf16le',
			header.readUInt32BE(at + 20),
			header.readUInt32BE(at + 20) + header.readUInt32BE(at + 8),
		),
	}));
	t.deepEqual(locators, [
		{code: 'W2ku', space: 4096, text: '.\\parent.vhd'},
		{code: 'W2ru', space: 4096, text: '.\\parent.vhd'},
	]);
	const bat = header.readUInt32BE(20);
	t.is(header.readUInt32BE(28), Math.ceil((9 * MIB + 1024) / (2 * MIB)));
	t.true(bytes.subarray(bat, -512).every(byte => byte === 0xff));
	const info = run('vhdiinfo', [child]);
	t.regex(info, /Parent filename\s*: parent\.vhd/);
});

test('equal requests make equal children, wherever the chain lies', t => {
	for (const format of ['vhdx', 'vhd']) {
		const hashes: string[] = [];
		for (const round of [1, 2]) {
			const folder = temporaryFolder(t);
			const parent = join(folder, `parent.${format}`);
			create(parent, {size: MIB, id: '1'.repeat(32), timestamp: 1_700_000_000});
			const child = join(folder, `child-${round}.${format}`);
			create(child, {parent, id: '2'.repeat(32), timestamp: 1_700_000_000});
			hashes.push(sha256(readFileSync(child)));
			t.is(codeOf(t, join(folder, `same.${format}`), {parent, id: '1'.repeat(32)}), `${format}/child-id`);
			t.is(codeOf(t, join(folder, `same.${format}`), {parent: child, id: '1'.repeat(32)}), `${format}/child-id`);
		}
		t.is(hashes[0], hashes[1]);
	}
});

test('a child in another folder than its parent says what it needs, and how it is opened', t => {
	for (const format of ['vhdx', 'vhd']) {
		const folder = temporaryFolder(t);
		const {path, content} = parentImage(folder, format);
		const below = join(folder, 'below');
		mkdirSync(below);
		const child = join(below, `child.${format}`);
		const {findings} = create(child, {parent: path});
		t.deepEqual(
			findings.map(({code, severity}) => [code, severity]),
			[['create/parent-outside', 'note']],
		);
		t.throws(() => openDisk(child), {code: 'gate/parent-not-found', message: /\.\.\\parent\.vhd/});
		t.is(sha256(contentOf(child, {allowedFolders: [folder]})), sha256(content));
		t.is(sha256(contentOf(child, {parent: path})), sha256(content));
		const next = create(join(folder, 'below', `next.${format}`), {parent: child, opening: {allowedFolders: [folder]}});
		t.deepEqual(
			next.findings.map(({code}) => code),
			['create/parent-outside'],
			'the parent is beside it, but not the parent’s parent',
		);
		// On top of it, where its own parent has to be allowed as well.
		const above = join(folder, `above.${format}`);
		t.is(codeOf(t, above, {parent: child}), 'gate/parent-not-found');
		const opening = {allowedFolders: [folder]};
		t.deepEqual(create(above, {parent: child, opening}).findings, []);
		t.is(sha256(contentOf(above)), sha256(content), 'all of its chain lies in its folder');
		// Links are resolved: what counts is where the files are.
		symlinkSync(below, join(folder, 'link'));
		create(join(folder, 'link', `linked.${format}`), {parent: path});
		t.is(sha256(contentOf(join(below, `linked.${format}`), opening)), sha256(content));
	}
});

test('what cannot have a child, or be one', t => {
	const folder = temporaryFolder(t);
	const {path: vhdx} = parentImage(folder, 'vhdx');
	const {path: vhd} = parentImage(folder, 'vhd');
	const child = join(folder, 'child.vhdx');
	t.is(codeOf(t, child, {parent: vhd}), 'create/parent-format');
	t.is(codeOf(t, join(folder, 'child.vhd'), {parent: vhdx}), 'create/parent-format');
	const raw = join(folder, 'parent.raw');
	create(raw, {size: MIB});
	t.is(codeOf(t, child, {parent: raw}), 'create/parent-format');
	t.is(codeOf(t, join(folder, 'child.raw'), {parent: vhdx}), 'create/no-children');
	t.is(codeOf(t, join(folder, 'child.tint'), {parent: vhdx}), 'create/no-children');
	t.is(codeOf(t, child, {parent: vhdx, size: 10 * MIB}), 'create/parent-size');
	t.is(codeOf(t, child, {parent: vhdx, sectorSize: 512}), 'create/parent-size');
	t.is(codeOf(t, child, {parent: vhdx, writer: {subformat: 'fixed'}}), 'vhdx/child-fixed');
	t.is(codeOf(t, join(folder, 'child.vhd'), {parent: vhd, writer: {subformat: 'fixed'}}), 'vhd/child-fixed');
	t.is(codeOf(t, child, {parent: join(folder, 'missing.vhdx')}), 'file/not-found');
	t.is(codeOf(t, vhdx, {parent: vhdx, force: true}), 'output/is-source');
	const odd = join(folder, 'a\\b.vhdx');
	renameSync(vhdx, odd);
	t.is(codeOf(t, child, {parent: odd}), 'create/backslash');
	t.false(readdirSync(folder).some(name => name.startsWith('child')));
});

test('a parent whose log is not replayed yet has no children', t => {
	const folder = temporaryFolder(t);
	const parent = join(folder, 'parent.vhdx');
	const image = makeVhdx({size: 4 * MIB, logGuid: GUID.log, blocks: [{block: 0, state: 6, bytes: pattern(MIB, 1)}]});
	const at = image.places.get(0) ?? 0;
	putLogEntry(image, 0, {sequence: 1, writes: [{kind: 'data', at, bytes: pattern(4096, 2)}]});
	writeFileSync(parent, image.bytes);
	t.is(codeOf(t, join(folder, 'child.vhdx'), {parent}), 'vhdx/parent-log');
});

test('a child is cut to its geometry where its parent is', t => {
	const folder = temporaryFolder(t);
	const geometry = [32, 4, 17] as const;
	const seen = 32 * 4 * 17 * 512;
	const bytes = new Uint8Array(2 * MIB);
	bytes.set(vhdPattern(seen, 3));
	for (const [creator, size] of [
		['vpc ', seen],
		['win ', seen + 4096],
	] as const) {
		const parent = join(folder, `${creator.trim()}.vhd`);
		writeFileSync(parent, makeVhd({size: seen + 4096, creator, geometry, blocks: [{block: 0, bytes}]}).bytes);
		const child = join(folder, `child-of-${creator.trim()}.vhd`);
		t.is(create(child, {parent}).size, size);
		t.is(readFileSync(child).readUIntBE(50, 6), seen + 4096, 'Hyper-V wants the current sizes to be equal');
		t.is(sha256(contentOf(child)), sha256(contentOf(parent)));
	}
});

test('a fixed disk of any creator can be a parent', t => {
	const folder = temporaryFolder(t);
	const parent = join(folder, 'fixed.vhd');
	writeFileSync(parent, makeFixed(vhdPattern(3 * MIB, 1)));
	const child = join(folder, 'child.vhd');
	create(child, {parent});
	t.is(sha256(contentOf(child)), sha256(vhdPattern(3 * MIB, 1)));
});

test('large chains: bitmaps up to 4 TiB, none beyond', t => {
	const folder = temporaryFolder(t);
	for (const [size, fileSize] of [
		[9 * GIB, 7 * MIB],
		[4 * TIB, 5 * MIB + 1024 * MIB],
		[5 * TIB, 5 * MIB],
		[64 * TIB, 20 * MIB],
	] as const) {
		const parent = join(folder, `${size}.vhdx`);
		create(parent, {size});
		const child = join(folder, `${size}.avhdx`);
		const result = create(child, {parent});
		t.is(result.fileSize, fileSize, `${size}`);
		t.true(result.allocated < 16 * MIB);
		const opened = openDisk(child);
		const bytes = Buffer.alloc(512, 1);
		opened.disk.readAt(size - 512, bytes);
		t.true(bytes.every(byte => byte === 0));
		opened[Symbol.dispose]();
	}
});
