import {chmodSync, closeSync, ftruncateSync, mkdirSync, openSync, utimesSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {directoryEntry, END, fatImage, find, longEntries, openBytes, openFat, shortEntry} from './image.ts';

interface Recipe {
	readonly type: 'fat12' | 'fat16' | 'fat32';
	readonly size: number;
	readonly options: readonly string[];
	readonly clusterSize: number;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
	floppy: {type: 'fat12', size: 1_474_560, options: [], clusterSize: 512},
	'FAT12 with 16 KiB clusters': {type: 'fat12', size: 8 << 20, options: ['-F', '12', '-s', '32'], clusterSize: 16_384},
	FAT16: {type: 'fat16', size: 16 << 20, options: ['-F', '16'], clusterSize: 2048},
	'FAT16 with one FAT': {type: 'fat16', size: 16 << 20, options: ['-F', '16', '-f', '1'], clusterSize: 2048},
	'FAT16 with 64 KiB clusters': {
		type: 'fat16',
		size: 300 << 20,
		options: ['-F', '16', '-s', '128'],
		clusterSize: 65_536,
	},
	// mtools takes FAT32 with fewer than 65,525 clusters for FAT12 or FAT16.
	FAT32: {type: 'fat32', size: 70 << 20, options: ['-F', '32', '-s', '2'], clusterSize: 1024},
	'FAT32 with 4096-byte sectors': {
		type: 'fat32',
		size: 300 << 20,
		options: ['-F', '32', '-S', '4096'],
		clusterSize: 4096,
	},
	'FAT32 with 128 KiB clusters': {
		type: 'fat32',
		size: 9 * 2 ** 30,
		options: ['-F', '32', '-S', '4096', '-s', '32'],
		clusterSize: 131_072,
	},
};

function sparseFile(path: string, size: number): void {
	const descriptor = openSync(path, 'w');
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
}

/** Content that no two places share. */
function content(length: number, seed: number): Uint8Array {
	const bytes = new Uint8Array(length);
	let state = seed;
	for (let i = 0; i < length; i++) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		bytes[i] = state >>> 24;
	}
	return bytes;
}

function makeTree(folder: string): void {
	const files: [string, number][] = [
		['EMPTY.DAT', 0],
		['one', 1],
		['lower.txt', 511],
		['Mixed.Case', 512],
		['cluster.bin', 65_536],
		['large.bin', 300_001],
		['Grüße aus Köln – 日本語.txt', 77],
		['ЮНИКОД.txt', 5],
		[`${'n'.repeat(251)}.txt`, 9],
		['deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/end.txt', 20],
		...Array.from({length: 60}, (_, i): [string, number] => [`many/file number ${i} of sixty.txt`, i]),
	];
	for (const [name, length] of files) {
		const path = join(folder, name);
		mkdirSync(join(path, '..'), {recursive: true});
		writeFileSync(path, content(length, length + 1));
		utimesSync(path, 1_700_000_000 + length * 2, 1_700_000_000 + length * 2);
	}
	chmodSync(join(folder, 'one'), 0o444);
}

const comparable = (tree: TreeEntry[]): string[] =>
	tree.map(
		({path, type, size, modified, sha256}) => `${path} ${type} ${size} ${type === 'file' ? modified : ''} ${sha256}`,
	);

function openImage(t: ExecutionContext, path: string): ReturnType<typeof openFat> {
	const file = openTestFile(path);
	t.teardown(() => file[Symbol.dispose]());
	return openFat(file);
}

for (const [title, recipe] of Object.entries(RECIPES)) {
	testWith(test, ['mkfs.fat', 'mcopy', 'mattrib', 'mdel'], `${title}: a tree that mtools wrote is read whole`, t => {
		const folder = temporaryFolder(t);
		const tree = join(folder, 'tree');
		mkdirSync(tree);
		makeTree(tree);
		const image = join(folder, 'image');
		sparseFile(image, recipe.size);
		run('mkfs.fat', ['-n', 'A LABEL', '-i', 'CAFE0123', ...recipe.options, image]);
		const top = ['EMPTY.DAT', 'one', 'lower.txt', 'Mixed.Case', 'cluster.bin', 'deep', 'many'].map(name =>
			join(tree, name),
		);
		const rest = ['large.bin', 'Grüße aus Köln – 日本語.txt', 'ЮНИКОД.txt', `${'n'.repeat(251)}.txt`];
		// Holes among the first files make the last ones fragmented.
		run('mcopy', ['-i', image, '-s', '-m', ...top, '::']);
		run('mdel', ['-i', image, '::many/file number 1*']);
		run('mcopy', ['-i', image, '-s', '-m', ...rest.map(name => join(tree, name)), '::']);
		const removed = Array.from({length: 60}, (_, i) => i).filter(i => String(i).startsWith('1'));
		run('mcopy', ['-i', image, '-m', ...removed.map(i => join(tree, `many/file number ${i} of sixty.txt`)), '::many']);
		run('mattrib', ['-i', image, '+r', '::one']);

		const {fileSystem, codes} = openImage(t, image);
		t.deepEqual(codes, []);
		t.is(fileSystem.type, recipe.type);
		t.is(fileSystem.label, 'A LABEL');
		t.is(fileSystem.identifier, 'CAFE-0123');
		const ours = walkFileSystem(fileSystem);
		t.deepEqual(comparable(ours), comparable(walkFolder(tree)));
		t.is(ours.find(({path}) => path === 'one')?.mode, 0o444);
		t.is(ours.find(({path}) => path === 'lower.txt')?.mode, 0o644);
		t.is(ours.find(({path}) => path === 'deep')?.mode, 0o755);

		const usage = fileSystem.usage();
		t.is(usage.blockSize, recipe.clusterSize);
		const free = /([\d ]+) bytes free/.exec(run('mdir', ['-i', image, '::']))?.[1]?.replaceAll(' ', '');
		t.is(usage.freeBlocks * usage.blockSize, Number(free));
		checkSpans(t, image, fileSystem);
	});
}

/** Every file's spans lead to its bytes, lie in space in use, and its clusters are what it occupies. */
function checkSpans(t: ExecutionContext, image: string, fileSystem: ReturnType<typeof openFat>['fileSystem']): void {
	const file = openTestFile(image);
	t.teardown(() => file[Symbol.dispose]());
	const span = newSpan();
	const use = newSpan();
	let spans = 0;
	for (const {path, type} of walkFileSystem(fileSystem)) {
		if (type !== 'file') continue;
		const node = find(fileSystem, path);
		const {size, allocated} = fileSystem.stat(node);
		t.true(allocated >= size && allocated - size < fileSystem.usage().blockSize);
		const expected = new Uint8Array(size);
		t.is(fileSystem.read(node, 0, expected), size);
		const mapped = new Uint8Array(size);
		for (let position = 0; position < size; position += span.length) {
			fileSystem.locate(node, position, span);
			t.is(span.kind, SpanKind.stored);
			file.readAt(span.at, mapped.subarray(position, position + span.length));
			fileSystem.allocated?.(span.at, use);
			t.is(use.kind, SpanKind.stored);
			t.true(use.length >= span.length);
			spans++;
		}
		t.deepEqual(mapped, expected);
		t.is(fileSystem.read(node, size, expected), 0);
	}
	t.true(spans > 60);
}

testWith(
	test,
	['fsck.fat', '7z'],
	'a directory of 10,000 long names is listed as 7-Zip lists it, and each name is found',
	t => {
		const image = fatImage({bits: 32, clusters: 70_000});
		const entries: Uint8Array[] = [directoryEntry('.', 3), directoryEntry('..', 0)];
		for (let i = 0; i < 10_000; i++) {
			const short = shortEntry(`FILE${String(i).padStart(4, '0')}TXT`, {cluster: 3000 + i, size: 2});
			entries.push(...longEntries(`a long name with 😀 for file ${i}.txt`, short), short);
			image.chain(3000 + i);
			image.bytes.set(Buffer.from([i & 0xff, i >> 8]), image.at(3000 + i));
		}
		const perCluster = image.clusterSize / 32;
		const count = Math.ceil(entries.length / perCluster);
		// Every second cluster first, so that the directory is fragmented.
		const order = Array.from(
			{length: count},
			(_, i) => 20_000 + (i * 2 < count ? i * 2 : (i - Math.ceil(count / 2)) * 2 + 1),
		);
		order[0] = 3;
		image.chain(...order);
		entries.forEach((entry, i) =>
			image.put(image.at(order[Math.floor(i / perCluster)] ?? 0) + (i % perCluster) * 32, entry),
		);
		image.put(image.root, directoryEntry('BIG', 3));
		image.bytes.set(Buffer.from('NO NAME    '), 71);
		image.bytes.copyWithin(6 * 512, 0, 512);
		const path = join(temporaryFolder(t), 'image');
		writeFileSync(path, image.bytes);
		t.regex(run('fsck.fat', ['-n', path]), /10001 files/);
		const listed = [...run('7z', ['l', '-slt', '-tfat', path]).matchAll(/^Path = BIG\/(.*)$/gm)].map(match => match[1]);

		const {fileSystem} = openBytes(image.bytes);
		const directory = find(fileSystem, 'BIG');
		const ours: [string, number][] = [];
		fileSystem.readDirectory(directory, 0, ({name, node}) => ours.push([new TextDecoder().decode(name), node]) > 0);
		t.deepEqual(ours.map(([name]) => name).sort(), listed.sort());
		t.is(ours.length, 10_000);
		const target = new Uint8Array(4);
		let wrong = 0;
		ours.forEach(([name, node], i) => {
			if (fileSystem.lookup(directory, Buffer.from(name.toUpperCase())) !== node) wrong++;
			if (fileSystem.read(node, 0, target) !== 2 || (target[0] ?? 0) + (target[1] ?? 0) * 256 !== i) wrong++;
		});
		t.is(wrong, 0);
	},
);

test('a file of 4 GiB - 1 in 131,072 fragments is read anywhere without walking its chain again', t => {
	const clusters = 140_000;
	const small = fatImage({bits: 32, clusters, sectorsPerCluster: 1});
	// The same tables over clusters of 32 KiB: the data area is made up, each cluster full of its number.
	const clusterSize = 32_768;
	small.bytes[13] = clusterSize / 512;
	small.view.setUint32(32, small.dataStart / 512 + clusters * (clusterSize / 512), true);
	small.bytes.copyWithin(6 * 512, 0, 512);
	const links = Array.from({length: 131_072}, (_, i) => 131_080 - i);
	links.forEach((cluster, i) => small.link(cluster, links[i + 1] ?? END));
	small.put(small.root, shortEntry('BIG', {cluster: links[0] ?? 0, size: 0xffff_ffff}));
	const head = small.bytes.subarray(0, small.dataStart + 512);
	let reads = 0;
	const source: ByteSource = {
		name: 'sparse',
		size: small.dataStart + clusters * clusterSize,
		readAt(position, target) {
			reads++;
			for (let i = 0; i < target.length; i++) {
				const at = position + i;
				const cluster = Math.floor((at - small.dataStart) / clusterSize) + 2;
				target[i] = at < head.length ? (head[at] ?? 0) : (cluster >> ((at % 2) * 8)) & 0xff;
			}
		},
		[Symbol.dispose]() {},
	};
	const {fileSystem} = openFat(source);
	const node = find(fileSystem, 'big');
	t.is(fileSystem.stat(node).size, 0xffff_ffff);
	t.is(fileSystem.stat(node).allocated, 2 ** 32);
	const target = new Uint8Array(2);
	t.is(fileSystem.read(node, 0xffff_fffe, target), 1);
	reads = 0;
	for (let i = 0; i < 1000; i++) {
		const index = (i * 7919 * 31) % 131_072;
		t.is(fileSystem.read(node, index * clusterSize + 4, target), 2);
		const cluster = (target[small.dataStart % 2] ?? 0) + (target[1 - (small.dataStart % 2)] ?? 0) * 256;
		if (cluster !== (131_080 - index) % 65_536) t.fail(`cluster ${cluster} at index ${index}`);
	}
	// One for the data each, and few for pages of the table, which has 33.
	t.true(reads <= 1000 + 33, String(reads));
	const across = new Uint8Array(clusterSize * 3);
	t.is(fileSystem.read(node, clusterSize * 10, across), across.length);
	t.is(across[clusterSize * 2], (131_080 - 12) & 0xff);
	const span = newSpan();
	fileSystem.locate(node, clusterSize * 100_000 + 5, span);
	t.deepEqual(span, {
		kind: SpanKind.stored,
		length: clusterSize - 5,
		source: 0,
		at: small.dataStart + (131_080 - 100_000 - 2) * clusterSize + 5,
	});
});
