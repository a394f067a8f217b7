import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {checked} from '../../../../src/core/sources/checked.ts';
import {ext} from '../../../../mount/filesystems/ext/index.ts';
import {haveSharedTestdata, sharedImage} from '../../../helpers/shared-testdata.ts';
import {cachedFile, temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {walkFileSystem} from '../../../helpers/tree.ts';
import {exercise, guard, limited, MAX_READS, random} from './exercise.ts';
import {pattern, writeHoles} from './images.ts';

function fill(folder: string): void {
	mkdirSync(join(folder, 'directory'));
	for (let i = 0; i < 120; i++) writeFileSync(join(folder, 'directory', `${'n'.repeat(60)}${i}`), i % 10 ? '' : `${i}`);
	for (const size of [30, 100, 5000, 60_000]) writeFileSync(join(folder, `file-${size}`), pattern(size, size));
	symlinkSync('short', join(folder, 'short'));
	symlinkSync('l'.repeat(300), join(folder, 'long'));
	writeHoles(join(folder, 'holes'), 30);
}

/** A small image, made from a folder without any mount. */
function smallImage(name: string, options: readonly string[], size: string): Uint8Array {
	const path = cachedFile(`${name}.img`, JSON.stringify([options, size, 'indexed', fill.toString()]), out => {
		const content = `${out}.content`;
		mkdirSync(content);
		fill(content);
		run('mkfs.ext4', ['-q', '-F', '-d', content, '-b', '1024', '-N', '200', ...options, out, size]);
		// mkfs makes plain directories; this indexes them.
		run('e2fsck', ['-f', '-y', '-D', out], {codes: [0, 1]});
	});
	// A Buffer's slice() is no copy.
	return new Uint8Array(readFileSync(path));
}

function open(bytes: Uint8Array): {fileSystem: FileSystem; codes: string[]} {
	const codes: string[] = [];
	const fileSystem = ext.open(checked(memorySource(bytes)), {warn: finding => codes.push(finding.code)});
	return {fileSystem, codes};
}

const PLAIN = ['-O', '^metadata_csum,^has_journal'];
const CHECKSUMS = ['-O', 'metadata_csum,^has_journal'];
/** Two groups and more, so that there are copies. */
const LARGE = '20M';

for (const [title, options] of [
	['with checksums', CHECKSUMS],
	['without checksums', PLAIN],
	['of ext2', ['-O', 'none,filetype,sparse_super']],
] as const) {
	testWith(test, ['mkfs.ext4', 'e2fsck'], `a copy of the superblock and the descriptors is used ${title}`, t => {
		const bytes = smallImage('copies', options, LARGE);
		const expected = walkFileSystem(open(bytes).fileSystem);
		t.true(expected.length > 100);
		// The superblock and the group descriptors of the first group.
		const wiped = bytes.slice();
		wiped.fill(0, 0, 3072);
		t.true(ext.probe(memorySource(wiped)));
		const {fileSystem, codes} = open(wiped);
		t.deepEqual(codes, ['ext/superblock-backup', 'ext/group-descriptor-copy']);
		t.deepEqual(walkFileSystem(fileSystem), expected);
		const span = newSpan();
		fileSystem.allocated?.(0, span);
		t.is(span.kind, SpanKind.stored);
		t.is(span.length, bytes.length, 'nothing is called free');
		// Only the descriptors.
		const descriptors = bytes.slice();
		descriptors.fill(0xff, 2048, 3072);
		const second = open(descriptors);
		t.deepEqual(second.codes, ['ext/group-descriptor-copy']);
		t.deepEqual(walkFileSystem(second.fileSystem), expected);
	});
}

testWith(
	test,
	['mkfs.ext4', 'e2fsck'],
	'a superblock that does not match its checksum is damage, and its copy is used',
	t => {
		const bytes = smallImage('copies', CHECKSUMS, LARGE).slice();
		bytes[1024 + 0x78] ^= 1;
		const {codes} = open(bytes);
		t.deepEqual(codes, ['ext/superblock-backup']);
		const small = smallImage('small', CHECKSUMS, '2M').slice();
		small[1024 + 0x78] ^= 1;
		t.true(ext.probe(memorySource(small)));
		t.throws(() => open(small), {code: 'ext/superblock-checksum'});
	},
);

test('what is no ext file system is not taken for one', t => {
	t.false(ext.probe(memorySource(new Uint8Array(0))));
	t.false(ext.probe(memorySource(new Uint8Array(1 << 20))));
	t.false(ext.probe(memorySource(pattern(1 << 20))));
});

testWith(test, ['mkfs.ext4', 'e2fsck'], 'every unknown incompatible feature is named', t => {
	const bytes = smallImage('small-plain', PLAIN, '2M').slice();
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	const incompatible = view.getUint32(1024 + 0x60, true);
	view.setUint32(1024 + 0x60, incompatible | 0x1 | 0x1000_0000, true);
	const error = t.throws(() => open(bytes));
	t.like(error, {family: 'unsupported', code: 'ext/feature'});
	t.regex(error?.message ?? '', /compression.*0x10000000/);
	view.setUint32(1024 + 0x60, incompatible | 0x4, true);
	t.deepEqual(open(bytes).codes, ['ext/journal-not-replayed']);
});

function nodeOf(fileSystem: FileSystem, name: string): NodeId {
	const node = fileSystem.lookup(fileSystem.root, Buffer.from(name));
	if (node === undefined) throw new Error(`${name} is not there`);
	return node;
}

testWith(test, ['mkfs.ext4', 'e2fsck', 'debugfs'], 'damage in one file leaves the others readable', t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image');
	writeFileSync(image, smallImage('small', CHECKSUMS, '2M'));
	const sane = open(readFileSync(image)).fileSystem;
	const file = nodeOf(sane, 'file-5000');
	const position = Number(/offset (0x[0-9a-f]+)/.exec(run('debugfs', ['-R', `imap <${file}>`, image]))?.[1]);
	const tableBlock = Number(/located at block (\d+)/.exec(run('debugfs', ['-R', `imap <${file}>`, image]))?.[1]);
	const inode = readFileSync(image);
	inode[tableBlock * 1024 + position + 8] ^= 1;
	const {fileSystem, codes} = open(inode);
	t.deepEqual(codes, []);
	t.is(nodeOf(fileSystem, 'file-5000'), file);
	t.throws(() => fileSystem.stat(file), {code: 'ext/inode-checksum'});
	t.is(fileSystem.read(nodeOf(fileSystem, 'file-100'), 0, new Uint8Array(200)), 100);

	// A leaf of the large directory: its names go, those of the other blocks stay, and the end says so.
	const bmap = (block: number): number => Number(run('debugfs', ['-R', `bmap /directory ${block}`, image]));
	const leaf = readFileSync(image);
	leaf[bmap(2) * 1024 + 20] ^= 1;
	const damaged = open(leaf).fileSystem;
	const directory = nodeOf(damaged, 'directory');
	let seen = 0;
	const count = (): boolean => ++seen > 0;
	t.throws(() => damaged.readDirectory(directory, 0, count), {code: 'ext/directory-checksum'});
	t.true(seen > 50 && seen < 120, `${seen} names`);
	let last = 0;
	t.throws(() => damaged.readDirectory(directory, 0, ({cursor}) => (last = cursor) > 0));
	// A second call after the damage still tells of it.
	t.throws(() => damaged.readDirectory(directory, last, count), {code: 'ext/directory-checksum'});
	const names: string[] = [];
	sane.readDirectory(directory, 0, ({name}) => names.push(Buffer.from(name).toString()) > 0);
	let found = 0;
	for (const name of names) {
		try {
			if (damaged.lookup(directory, Buffer.from(name)) !== undefined) found++;
			else t.fail(`${name} is called absent`);
		} catch (error) {
			t.like(error, {family: 'corrupt'});
		}
	}
	t.is(found, seen);
	// The root of the hash tree: all names stay, by a linear search.
	const index = readFileSync(image);
	index[bmap(0) * 1024 + 41] ^= 1;
	const linear = open(index).fileSystem;
	for (const name of names) t.not(linear.lookup(directory, Buffer.from(name)), undefined);
	t.throws(() => linear.readDirectory(directory, 0, () => true), {code: 'ext/directory-index-checksum'});
});

/** Bytes worth changing: the superblock and descriptors, inodes, and blocks of directories and maps. */
function targets(bytes: Uint8Array): {start: number; length: number}[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const blockSize = 1024 << view.getUint32(1024 + 0x18, true);
	const descriptors = (Math.floor(1024 / blockSize) + 1) * blockSize;
	const inodeSize = view.getUint16(1024 + 0x58, true);
	const result = [
		{start: 1024, length: 0x180},
		{start: descriptors, length: 64},
		{start: view.getUint32(descriptors + 8, true) * blockSize + inodeSize, length: inodeSize * 40},
	];
	const {fileSystem} = open(bytes);
	const span = newSpan();
	// Directory blocks: found by their content, an entry for `.` with a length of 12.
	for (let at = 0; at + blockSize <= bytes.length; at += blockSize) {
		const dot =
			view.getUint16(at + 4, true) === 12 && view.getUint16(at + 6, true) === 0x0201 && bytes[at + 8] === 0x2e;
		const map = view.getUint16(at, true) === 0xf30a;
		const attribute = view.getUint32(at, true) === 0xea020000;
		const journal = view.getUint32(at, false) === 0xc03b_3998;
		if (journal) result.push({start: at, length: 96});
		if (dot || map || attribute) result.push({start: at, length: blockSize});
	}
	fileSystem.allocated?.(0, span);
	return result;
}

const EXTREMES = [
	0, 1, 2, 0x7f, 0xff, 0x100, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];

function mutate(
	original: Uint8Array,
	places: readonly {start: number; length: number}[],
	next: (below: number) => number,
) {
	let bytes = original.slice();
	const view = new DataView(bytes.buffer);
	for (let change = 0; change <= next(4); change++) {
		const place = places[next(places.length)];
		const at = place.start + next(Math.floor(place.length / 2)) * 2;
		const kind = next(8);
		if (kind < 3) bytes[at + next(2)] ^= 1 << next(8);
		else if (kind === 3 && at + 4 <= bytes.length) view.setUint32(at, EXTREMES[next(EXTREMES.length)], true);
		else if (kind === 4) view.setUint16(at, EXTREMES[next(EXTREMES.length)] & 0xffff, true);
		else if (kind === 5 && at + 4 <= bytes.length) view.setUint32(at, next(bytes.length / 1024), true);
		else if (kind === 6) bytes[next(bytes.length)] ^= 1 << next(8);
		else bytes.fill(next(256), at, at + next(64));
	}
	if (next(12) === 0) bytes = bytes.slice(0, next(bytes.length));
	return bytes;
}

function fuzz(t: ExecutionContext, bytes: Uint8Array, times: number): void {
	const count = times * Number(process.env['FUZZ_FACTOR'] ?? 1);
	const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
	t.log(`seed ${seed}`);
	const places = targets(bytes);
	let opened = 0;
	for (let index = 0; index < count; index++) {
		const mutated = mutate(bytes, places, random(seed + index));
		try {
			guard(() => {
				const source = checked(limited(memorySource(mutated), MAX_READS));
				ext.probe(source);
				const fileSystem = ext.open(source, {warn: () => {}});
				opened++;
				exercise(fileSystem, mutated.length);
			});
		} catch (error) {
			t.log(error);
			t.fail(`SEED=${seed + index}`);
			return;
		}
	}
	t.true(opened > count / 4, `${opened} of ${count} could be opened`);
}

const BASES: Readonly<Record<string, readonly string[]>> = {
	'without checksums': PLAIN,
	'with checksums': CHECKSUMS,
	'of ext2': ['-O', 'none,filetype,dir_index'],
	'with inline data': ['-I', '256', '-O', 'inline_data,^metadata_csum,^has_journal'],
};

for (const [title, options] of Object.entries(BASES)) {
	testWith(test, ['mkfs.ext4', 'e2fsck'], `150 mutations of an image ${title}`, t => {
		fuzz(t, smallImage('fuzz', options, '2M'), 150);
	});
}

/** A file system with transactions in its journal, which change its inodes, directories and superblock. */
function journaledImage(options: readonly string[], opening: string): Uint8Array {
	const path = cachedFile('journaled.img', JSON.stringify([options, opening, fill.toString(), 1]), out => {
		writeFileSync(out, smallImage('journaled-base', [...options, '-J', 'size=1'], '4M'));
		const bytes = readFileSync(out);
		const table = bytes.readUInt32LE(2048 + 8);
		const blocks = [1, 2, table, table + 1, table + 2, table + 3, table + 4];
		for (const block of blocks) writeFileSync(`${out}.${block}`, bytes.subarray(block * 1024, block * 1024 + 1024));
		const lines = blocks.flatMap(block => [`jw -b ${block} ${out}.${block}`, `jw -r ${block + 50},${block + 70}`]);
		writeFileSync(`${out}.commands`, [opening, ...lines, ...lines.slice(2), 'jc', ''].join('\n'));
		run('debugfs', ['-w', '-f', `${out}.commands`, out]);
	});
	return new Uint8Array(readFileSync(path));
}

for (const [title, options, command] of [
	['without checksums', ['-O', '^metadata_csum,has_journal,^64bit'], 'jo'],
	['with checksums of version 3', ['-O', 'metadata_csum,has_journal'], 'jo -c -v 3'],
] as const) {
	testWith(test, ['mkfs.ext4', 'e2fsck', 'debugfs'], `150 mutations of a journal ${title}`, t => {
		const bytes = journaledImage(options, command);
		t.deepEqual(open(bytes).codes, ['ext/journal-replayed']);
		fuzz(t, bytes, 150);
	});
}

(haveSharedTestdata ? test : test.skip)('200 mutations of an image that others made', t => {
	for (const path of ['goext4/assets_hierarchy_32.ext4', 'e2fs/f_valid_ea_in_inode.img.gz']) {
		fuzz(t, new Uint8Array(readFileSync(sharedImage(path))), 100);
	}
});

testWith(test, ['mkfs.ext4', 'e2fsck'], 'a copy of the superblock is found behind a group of any size', t => {
	for (const [blockSize, blocks] of [
		['1024', '4104'],
		['4096', '1280'],
	]) {
		const path = join(temporaryFolder(t), 'image');
		writeFileSync(path, '');
		run('mkfs.ext4', ['-q', '-F', '-b', blockSize, '-g', blocks, '-O', 'metadata_csum', path, '24M']);
		const bytes = new Uint8Array(readFileSync(path));
		const expected = walkFileSystem(open(bytes).fileSystem);
		bytes[1024 + 0x78] ^= 1;
		const {fileSystem, codes} = open(bytes);
		t.deepEqual(codes, ['ext/superblock-backup']);
		t.deepEqual(walkFileSystem(fileSystem), expected);
		// Without a word of the superblock but its magic.
		bytes.fill(0, 1024, 1024 + 0x38);
		bytes.fill(0xff, 1024 + 0x3a, 2048);
		t.deepEqual(walkFileSystem(open(bytes).fileSystem), expected);
	}
});
