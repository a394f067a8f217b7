import {copyFileSync, truncateSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {demoDisk} from '../helpers/demo-disk.ts';
import test, {type ExecutionContext} from 'ava';
import {printable} from '../../src/core/bytes/text.ts';
import {newSpan, readsAsZero, SpanKind} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {type FileSystem, NODE_ID_LIMIT, type NodeId, type NodeType} from '../../src/core/file-system.ts';
import type {Image} from '../../src/image/image.ts';
import {resolvePath} from '../../src/image/paths.ts';
import {imageTree} from '../../src/image/tree.ts';
import {readableVolume} from '../../src/image/volume-name.ts';
import {overwrite} from '../cli/images.ts';
import {FULL_DISK_TOOLS, fullDisk, MANY_FILES} from '../helpers/full-disk.ts';
import {isRoot} from '../helpers/mounting.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {walkFileSystem} from '../helpers/tree.ts';
import {LINKS_TOOLS, linksDisk, opened} from './images.ts';

function nodeOf(tree: FileSystem, path: string): NodeId {
	return resolvePath(tree, path, {followLast: false}).node;
}

interface Listed {
	readonly name: string;
	readonly node: NodeId;
	readonly type: NodeType;
	readonly cursor: number;
}

/** At most `most` entries after `cursor`. */
function list(tree: FileSystem, directory: NodeId, cursor = 0, most = Infinity): Listed[] {
	const entries: Listed[] = [];
	tree.readDirectory(directory, cursor, entry => {
		entries.push({...entry, name: printable(entry.name)});
		return entries.length < most;
	});
	return entries;
}

test('the root has a directory for every volume, and the disk', t => {
	const image = opened(t, demoDisk());
	const tree = imageTree(image);
	const entries = list(tree, tree.root);
	t.deepEqual(
		entries.map(({name, type}) => [name, type]),
		[
			['1-ESP', 'directory'],
			['2-Windows', 'directory'],
			['3-Linux', 'directory'],
			['disk.raw', 'file'],
			['disk.vhdx', 'file'],
		],
	);
	for (const {name, node, type} of entries) {
		t.is(tree.lookup(tree.root, Buffer.from(name)), node);
		t.is(tree.stat(node).type, type);
		t.is(tree.stat(node).node, node);
	}
	t.is(tree.stat(tree.root).links, 5);
	t.is(tree.lookup(tree.root, Buffer.from('4')), undefined);
	t.is(tree.parent(tree.root), tree.root);
});

test('the tree shows every volume as its own file system does, under ids that tell them apart', t => {
	const image = opened(t, demoDisk());
	const tree = imageTree(image);
	const want = image.volumes.flatMap(({name, fileSystem}) =>
		fileSystem === undefined
			? []
			: walkFileSystem(fileSystem).map(entry => ({...entry, path: `${name}/${entry.path}`})),
	);
	const all = walkFileSystem(tree).filter(({path}) => path.includes('/'));
	t.deepEqual(all, want);
	for (const {number, fileSystem} of image.volumes) {
		if (fileSystem === undefined) continue;
		const root = number * NODE_ID_LIMIT + fileSystem.root;
		t.is(tree.parent(root), tree.root);
		for (const {node, type} of list(tree, root)) {
			t.is(Math.floor(node / NODE_ID_LIMIT), number);
			if (type === 'directory') t.is(tree.parent(node), root);
		}
	}
});

test('the disk in the tree is the disk, to its last byte and not beyond', t => {
	const image = opened(t, demoDisk());
	const tree = imageTree(image);
	const node = nodeOf(tree, '/disk.raw');
	const {size} = tree.stat(node);
	t.is(size, image.disk.size);
	const [found, want] = [new Uint8Array(5000), new Uint8Array(5000)];
	t.is(tree.read(node, size - 1000, found), 1000);
	image.disk.readAt(size - 1000, want.subarray(0, 1000));
	t.deepEqual(found, want);
	t.is(tree.read(node, size, found), 0);
	t.is(tree.read(node, size + 5, found), 0);
	const span = newSpan();
	for (let position = 0; position < size; position += span.length) {
		tree.locate(node, position, span);
		if (span.kind === SpanKind.stored) t.is(span.at, position);
	}
});

test('the disk as a VHDX is the same for every opener, and another for another file', t => {
	const copy = join(temporaryFolder(t), 'disk.raw');
	copyFileSync(demoDisk(), copy);
	const [first, again, other] = [demoDisk(), demoDisk(), copy].map(path => {
		const tree = imageTree(opened(t, path));
		const node = nodeOf(tree, '/disk.vhdx');
		const whole = new Uint8Array(tree.stat(node).size);
		t.is(tree.read(node, 0, whole), whole.length);
		t.is(tree.read(node, whole.length, new Uint8Array(1)), 0);
		return {tree, node, whole};
	});
	t.true(Buffer.from(first.whole).equals(again.whole));
	t.is(other.whole.length, first.whole.length);
	t.false(Buffer.from(first.whole).equals(other.whole), 'two disks, though of one content');
	// As disk.raw, it says where on the disk its content lies, and what of it is made up.
	const {tree, node, whole} = first;
	const {disk} = opened(t, demoDisk());
	const span = newSpan();
	let holes = 0;
	for (let position = 0; position < whole.length; position += span.length) {
		tree.locate(node, position, span);
		const found = whole.subarray(position, position + span.length);
		const want = new Uint8Array(found.length);
		if (readsAsZero(span.kind)) holes += found.length;
		else if (span.kind === SpanKind.encoded) want.set(found);
		else disk.readAt(span.at, want);
		t.true(Buffer.from(found).equals(want), `${found.length} bytes at ${position}`);
	}
	t.is(tree.stat(node).allocated, whole.length - holes);
});

test('what the tree says of the place of a file is a place on the disk', t => {
	const image = opened(t, demoDisk());
	const tree = imageTree(image);
	const span = newSpan();
	for (const path of ['/1/EFI/BOOT/loader.conf', '/2/Users/alice/Pictures/garden.ppm', '/3/home/alice/letter.txt']) {
		const node = nodeOf(tree, path);
		const {size} = tree.stat(node);
		const want = new Uint8Array(size);
		t.is(tree.read(node, 0, want), size);
		const found = new Uint8Array(size);
		for (let position = 0; position < size; position += span.length) {
			tree.locate(node, position, span);
			if (readsAsZero(span.kind)) continue;
			const part = found.subarray(position, position + span.length);
			if (span.kind === SpanKind.stored) image.disk.readAt(span.at, part);
			else tree.read(node, position, part);
		}
		t.deepEqual(found, want, path);
	}
});

testWith(test, LINKS_TOOLS, 'a volume that cannot be read is a directory with a file that says why', t => {
	const image = opened(t, linksDisk());
	const tree = imageTree(image);
	t.deepEqual(
		list(tree, tree.root).map(({name}) => name),
		['1-one', '2-two', '3', '4', 'disk.raw', 'disk.vhdx'],
	);
	for (const [volume, said] of [
		['3', /LUKS-encrypted/],
		['4', /Nothing that tintype knows/],
	] as const) {
		const directory = nodeOf(tree, `/${volume}`);
		const [readme, ...others] = list(tree, directory);
		t.deepEqual([readme?.name, others], ['README.txt', []]);
		const node = readme?.node ?? 0;
		t.is(nodeOf(tree, `/${volume}/README.txt`), node);
		t.is(tree.parent(directory), tree.root);
		const {size, type} = tree.stat(node);
		t.is(type, 'file');
		const whole = new Uint8Array(size + 10);
		t.is(tree.read(node, 0, whole), size);
		const text = Buffer.from(whole.subarray(0, size)).toString();
		t.regex(text, said);
		t.regex(text, new RegExp(`at byte ${image.volumes[Number(volume) - 1]?.partition.start}`));
		const part = new Uint8Array(7);
		t.is(tree.read(node, 5, part), 7);
		t.is(Buffer.from(part).toString(), text.slice(5, 12));
		t.is(tree.read(node, size, part), 0);
		// It lies nowhere on the disk, so nobody may read it there.
		const span = newSpan();
		tree.locate(node, 3, span);
		t.deepEqual([span.kind, span.length], [SpanKind.encoded, size - 3]);
		t.throws(() => list(tree, node), {code: 'tree/not-a-directory'});
		t.throws(() => tree.read(directory, 0, part), {code: 'tree/is-a-directory'});
	}
});

/** Volumes that nothing here reads, each for another reason, 1 MiB each from 1 MiB on. */
function unreadableDisk(t: ExecutionContext): string {
	const path = join(temporaryFolder(t), 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, 6 << 20);
	const entries = Buffer.alloc(66);
	for (let index = 0; index < 4; index++) {
		entries.writeUInt8(7, index * 16 + 4);
		entries.writeUInt32LE((index + 1) * 2048, index * 16 + 8);
		entries.writeUInt32LE(2048, index * 16 + 12);
	}
	entries.writeUInt16LE(0xaa55, 64);
	overwrite(path, 446, entries);
	const MIB = 1 << 20;
	overwrite(path, MIB, Buffer.from('\xeb\x58\x90-FVE-FS-', 'latin1'));
	overwrite(path, 2 * MIB, Buffer.from('LUKS\xba\xbe\0\x02', 'latin1'));
	overwrite(path, 3 * MIB, Buffer.from('XFSB'));
	// An NTFS boot sector of which nothing but the name is left.
	overwrite(path, 4 * MIB, Buffer.from('\xeb\x52\x90NTFS    ', 'latin1'));
	overwrite(path, 4 * MIB + 510, Buffer.from([0x55, 0xaa]));
	return path;
}

test('the README of a volume names what it is: BitLocker, LUKS, XFS, a damaged NTFS', t => {
	const image = opened(t, unreadableDisk(t));
	const tree = imageTree(image);
	for (const [number, said] of [
		[1, /BitLocker-encrypted/],
		[2, /LUKS-encrypted/],
		[3, /XFS/],
		[4, /recognised as ntfs, but/],
	] as const) {
		const node = nodeOf(tree, `/${number}/README.txt`);
		const text = new Uint8Array(tree.stat(node).size);
		tree.read(node, 0, text);
		t.regex(Buffer.from(text).toString(), said);
		t.throws(() => readableVolume(image, number), {instanceOf: DiskError});
	}
	t.throws(() => readableVolume(image, 5), {code: 'volume/not-found'});
});

testWith(test, LINKS_TOOLS, 'a volume is found by its number and by its name', t => {
	const image = opened(t, linksDisk());
	for (const wanted of [2, '2', '2-two']) t.is(readableVolume(image, wanted).fileSystem.label, 'two');
	for (const wanted of [9, 'two', '', '2-']) t.throws(() => readableVolume(image, wanted), {code: 'volume/not-found'});
	t.throws(() => readableVolume(image, '4'), {code: 'volume/unknown'});
});

test('ids that nothing has are not found, whatever they are', t => {
	const tree = imageTree(opened(t, demoDisk()));
	for (const node of [0, 4, 15, 16, 18, 19, 16 + 2 * 511, 4 * NODE_ID_LIMIT, 511 * NODE_ID_LIMIT + 5]) {
		t.throws(() => tree.stat(node), {code: 'tree/no-node'}, String(node));
	}
});

test('a volume that hides how much of it is free leaves the others their say', t => {
	const image = opened(t, demoDisk());
	const {freeBlocks} = imageTree(image).usage();
	const volumes = image.volumes.map(volume => {
		if (volume.number !== 2 || volume.fileSystem === undefined) return volume;
		const usage = (): never => {
			throw corrupt('test/bitmap', 'the bitmap is damaged');
		};
		return {...volume, fileSystem: {...volume.fileSystem, usage}};
	});
	const damaged: Image = {...image, volumes};
	const {fileSystem} = image.volumes[1] ?? {};
	const usage = fileSystem?.usage() ?? {freeBlocks: 0, blockSize: 0};
	t.is(imageTree(damaged).usage().freeBlocks, freeBlocks - (usage.freeBlocks * usage.blockSize) / 4096);
});

/** Lists with a new call for every `step` entries, each time by another tree, as the workers of a mount do. */
function listInSteps(trees: readonly FileSystem[], directory: NodeId, step: number): Listed[] {
	const entries: Listed[] = [];
	for (let turn = 0; ; turn++) {
		const tree = trees[turn % trees.length];
		const more = tree === undefined ? [] : list(tree, directory, entries.at(-1)?.cursor ?? 0, step);
		if (more.length === 0) return entries;
		entries.push(...more);
	}
}

testWith(test, LINKS_TOOLS, 'a listing goes on where it was left, in every directory', t => {
	const trees = [imageTree(opened(t, linksDisk())), imageTree(opened(t, linksDisk()))] as const;
	const [tree] = trees;
	for (const path of ['/', '/1', '/1/etc', '/2', '/2/many', '/3', '/4']) {
		const node = nodeOf(tree, path);
		const all = list(tree, node);
		t.true(all.length > 0, path);
		t.is(new Set(all.map(({cursor}) => cursor)).size, all.length, 'cursors differ');
		t.true(all.every(({cursor}) => Number.isSafeInteger(cursor) && cursor > 0));
		for (const step of [1, 7, 1000]) t.deepEqual(listInSteps(trees, node, step), all, `${path} by ${step}`);
	}
	t.is(list(tree, nodeOf(tree, '/2/many')).length, 1500);
});

if (isRoot) {
	testWith(test, FULL_DISK_TOOLS, 'a listing goes on where it was left, in FAT, NTFS and ext4', t => {
		const {path} = fullDisk();
		const trees = [imageTree(opened(t, path)), imageTree(opened(t, path))] as const;
		const [tree] = trees;
		for (const volume of [1, 2, 3]) {
			const node = nodeOf(tree, `/${volume}/many`);
			const all = list(tree, node);
			t.is(all.length, MANY_FILES);
			for (const step of [3, 113]) t.deepEqual(listInSteps(trees, node, step), all, `volume ${volume} by ${step}`);
			// Any entry's cursor leads to its successor, in whatever order they are asked.
			for (const index of [1998, 0, 1000, 77, 1999, 512]) {
				t.deepEqual(list(tree, node, all[index]?.cursor, 1), all.slice(index + 1, index + 2));
			}
		}
	});
}

testWith(test, ['sgdisk', 'mkfs.fat', 'dd'], 'volume 511 is in the tree, 512 only in the list', t => {
	const path = cachedFile('many-volumes.raw', 'GPT with 1024 slots; FAT in 511 and 512; v1', image => {
		writeFileSync(image, '');
		truncateSync(image, 8 << 20);
		run('sgdisk', ['--resize-table=1024', '--new=511:4096:8191', '--new=512:8192:12287', image]);
		const volume = join(dirname(image), 'volume');
		for (const [number, start] of [
			[511, 4096],
			[512, 8192],
		]) {
			writeFileSync(volume, '');
			truncateSync(volume, 2 << 20);
			run('mkfs.fat', ['-F', '12', '-n', `V${number}`, volume]);
			run('dd', [`if=${volume}`, `of=${image}`, `seek=${start}`, 'conv=notrunc', 'status=none']);
		}
	});
	const image = opened(t, path);
	t.deepEqual(
		image.volumes.map(({name}) => name),
		['511-V511', '512-V512'],
	);
	const tree = imageTree(image);
	t.deepEqual(
		list(tree, tree.root).map(({name}) => name),
		['511-V511', 'disk.raw', 'disk.vhdx'],
	);
	const node = nodeOf(tree, '/511');
	t.true(Number.isSafeInteger(node));
	t.is(tree.stat(node).type, 'directory');
	t.is(tree.parent(node), tree.root);
	t.throws(() => nodeOf(tree, '/512'), {code: 'path/not-found'});
});
