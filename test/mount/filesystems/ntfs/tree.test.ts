import {linkSync, mkdirSync, readdirSync, rmSync, statfsSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {sameBytes} from '../../../../src/core/bytes/text.ts';
import {newSpan, readsAsZero, SpanKind} from '../../../../src/core/disk.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {
	listNames,
	makeVolume,
	noise,
	nodeAt,
	openImage,
	readAll,
	type Recipe,
	TOOLS,
	whileMounted,
	writePieces,
} from './recipes.ts';

/** ntfs-3g gives every file mode 0777 where it has no permissions to show. */
const withoutMode = (entries: TreeEntry[]) => entries.map(entry => ({...entry, mode: 0}));

/** The first lines in which two trees differ; comparing thousands of objects one by one takes ava a minute. */
function differences(ours: readonly TreeEntry[], theirs: readonly unknown[]): string[] {
	const lines: string[] = [];
	for (let i = 0; i < Math.max(ours.length, theirs.length) && lines.length < 5; i++) {
		const [own, other] = [JSON.stringify(ours[i]), JSON.stringify(theirs[i])];
		if (own !== other) lines.push(`ours ${own}, theirs ${other}`);
	}
	return lines;
}

function build(folder: string): void {
	const at = (path: string) => join(folder, path);
	const write = (path: string, content: string | Uint8Array) => writeFileSync(at(path), content);
	for (const name of ['many', 'names', 'sizes', 'links/sub', 'streams', 'fragmented', 'gaps', 'removed']) {
		mkdirSync(at(name), {recursive: true});
	}
	for (let i = 1; i <= 10_000; i++) write(`many/file-${i}.txt`, i % 16 === 0 ? `${i}` : '');
	const deep = Array.from({length: 60}, (_, level) => `level-${level + 1}`).join('/');
	mkdirSync(at(`deep/${deep}`), {recursive: true});
	write(`deep/${deep}/file`, 'bottom');
	const names = [`${'n'.repeat(251)}.txt`, 'ö straße', '日'.repeat(85), '🎞🎞 emoji', 'Case', 'case', 'CASE', 'a  b. c.'];
	for (const name of [...names, 'Ω-greek', '$dollar', 'back\\slash', 'trailing dot.', 'q?*:|<>"'])
		write(`names/${name}`, name);
	for (let i = 0; i < 100; i++) write(`names/${String(i).padStart(200, '0')}`, `${i}`);
	for (const size of [0, 1, 100, 500, 600, 680, 700, 720, 800, 1000, 1024, 4095, 4096, 4097, 65_536, 65_537, 1e6]) {
		write(`sizes/${size}`, noise(size, size));
	}
	write('links/one', 'shared');
	linkSync(at('links/one'), at('links/sub/three'));
	for (let i = 1; i <= 300; i++) linkSync(at('links/one'), at(`links/many-${i}`));
	symlinkSync('one', at('links/relative'));
	symlinkSync('../sizes/4096', at('links/up'));
	symlinkSync('/etc/passwd', at('links/absolute'));
	symlinkSync('ü'.repeat(300), at('links/dangling'));
	run('mkfifo', [at('links/fifo')]);
	write('streams/file', 'content');
	run('setfattr', ['-n', 'user.small', '-v', 'a small stream', at('streams/file')]);
	run('setfattr', ['-n', 'user.large', '-v', 's'.repeat(50_000), at('streams/file')]);
	write('gaps/hole', '');
	truncateSync(at('gaps/hole'), 10_000_000);
	writePieces(at('gaps/mixed'), [
		[200_000, noise(60_000)],
		[800_000, noise(4096)],
		[900, noise(10)],
	]);
	truncateSync(at('gaps/mixed'), 3_000_000);
	for (let i = 0; i < 200; i++) {
		writePieces(at('fragmented/a'), [[i * 8192, noise(8192, i)]]);
		writePieces(at('fragmented/b'), [[i * 4096, noise(4096, i)]]);
	}
	write('old', 'old');
	write('new', 'new');
	run('touch', ['-d', '1601-01-02 00:00:00 UTC', at('old')]);
	run('touch', ['-d', '2500-07-08 09:10:11.7654321 UTC', at('new')]);
	for (let i = 0; i < 2000; i++) write(`removed/${i}`, '');
	for (let i = 0; i < 2000; i++) if (i % 10 !== 0) rmSync(at(`removed/${i}`));
}

const MAIN: Recipe = {
	name: 'main',
	size: 96,
	format: ['-L', 'Tïntype 🎞', '-c', '4096'],
	mount: 'rw,streams_interface=xattr',
	build,
};

/** Data and holes by turns, and two files that grow by turns: run lists over many records. */
const SHATTERED: Recipe = {
	name: 'shattered',
	size: 24,
	format: ['-c', '1024'],
	build: folder => {
		const pieces = Array.from({length: 5000}, (_, i) => [i * 4096 + 1024, noise(1024, i)] as const);
		writePieces(join(folder, 'shattered'), pieces);
		for (let i = 0; i < 1500; i++) {
			writePieces(join(folder, 'first'), [[i * 1024, noise(1024, i)]]);
			writePieces(join(folder, 'second'), [[i * 1024, noise(1024, i + 5000)]]);
		}
	},
};

testWith(test, TOOLS, 'a tree equals what ntfs-3g shows', t => {
	const image = makeVolume(MAIN);
	const {fileSystem, findings} = openImage(image);
	t.deepEqual(findings, []);
	t.is(fileSystem.type, 'ntfs');
	t.is(fileSystem.label, 'Tïntype 🎞');
	const serial = run('blkid', ['-p', '-s', 'UUID', '-o', 'value', image]).trim();
	t.is(fileSystem.identifier, serial);
	const ours = withoutMode(walkFileSystem(fileSystem));
	whileMounted(image, 'ro', folder => {
		const theirs = withoutMode(walkFolder(folder)).map(entry =>
			// An empty system file may be an Interix pipe or only a file; here it stays a file.
			entry.type === 'fifo'
				? {...entry, type: 'file', sha256: ours.find(own => own.type === 'file' && own.size === 0)?.sha256}
				: entry,
		);
		t.is(ours.length, theirs.length);
		t.deepEqual(differences(ours, theirs), []);
		const {bsize, bfree, blocks} = statfsSync(folder);
		const usage = fileSystem.usage();
		t.is(usage.blockSize, bsize);
		t.is(usage.totalBlocks, blocks);
		t.is(usage.freeBlocks, bfree);
	});
	t.true(ours.length > 10_700);
});

testWith(test, TOOLS, 'every name of a large directory is found, whatever its case', t => {
	const {fileSystem} = openImage(makeVolume(MAIN));
	const many = nodeAt(fileSystem, 'many');
	const names = listNames(fileSystem, many);
	t.is(names.length, 10_000);
	t.is(new Set(names).size, 10_000);
	for (const name of names) {
		const node = fileSystem.lookup(many, Buffer.from(name));
		if (node === undefined || fileSystem.lookupAnyCase?.(many, Buffer.from(name.toUpperCase())) !== node) t.fail(name);
	}
	t.is(fileSystem.lookup(many, Buffer.from('file-10001.txt')), undefined);
	t.is(fileSystem.lookup(many, Buffer.from('FILE-1.TXT')), undefined);
	t.is(fileSystem.lookup(many, Buffer.from([0xff, 0xfe])), undefined);
	const directory = nodeAt(fileSystem, 'names');
	for (const name of ['Case', 'case', 'CASE', '🎞🎞 emoji']) {
		t.is(Buffer.from(readAll(fileSystem, nodeAt(fileSystem, `names/${name}`))).toString(), name);
	}
	t.is(fileSystem.lookup(directory, Buffer.from('cASE')), undefined);
	t.not(fileSystem.lookupAnyCase?.(directory, Buffer.from('cASE')), undefined);
	t.is(fileSystem.lookupAnyCase?.(directory, Buffer.from('ω-GREEK')), nodeAt(fileSystem, 'names/Ω-greek'));
});

testWith(test, TOOLS, 'a directory read in pieces gives every entry once', t => {
	const {fileSystem} = openImage(makeVolume(MAIN));
	for (const path of ['many', 'names', 'removed', 'links']) {
		const directory = nodeAt(fileSystem, path);
		const whole = listNames(fileSystem, directory);
		for (const step of [1, 7, 100]) t.deepEqual(listNames(fileSystem, directory, step), whole);
	}
	t.is(listNames(fileSystem, nodeAt(fileSystem, 'removed')).length, 200);
});

testWith(test, TOOLS, 'system files are found by name and not listed', t => {
	const {fileSystem} = openImage(makeVolume(MAIN));
	t.false(listNames(fileSystem, fileSystem.root).some(name => name.startsWith('$')));
	t.is(nodeAt(fileSystem, '$MFT'), 0);
	t.is(fileSystem.stat(nodeAt(fileSystem, '$Extend')).type, 'directory');
	t.true(listNames(fileSystem, nodeAt(fileSystem, '$Extend')).includes('$Quota'));
	t.is(Buffer.from(readAll(fileSystem, 0)).subarray(0, 4).toString(), 'FILE');
});

testWith(test, TOOLS, 'parents, links and streams', t => {
	const {fileSystem} = openImage(makeVolume(MAIN));
	t.is(fileSystem.parent(fileSystem.root), fileSystem.root);
	const deep = nodeAt(fileSystem, 'deep/level-1/level-2');
	t.is(fileSystem.parent(deep), nodeAt(fileSystem, 'deep/level-1'));
	t.is(nodeAt(fileSystem, 'links/one'), nodeAt(fileSystem, 'links/sub/three'));
	t.is(fileSystem.stat(nodeAt(fileSystem, 'links/many-300')).links, 302);
	t.is(fileSystem.stat(nodeAt(fileSystem, 'names/case')).links, 1);
	const streams = [...fileSystem.streams(nodeAt(fileSystem, 'streams/file'))].sort((a, b) => a.size - b.size);
	t.deepEqual(
		streams.map(({name, size}) => ({name, size})),
		[
			{name: 'small', size: 14},
			{name: 'large', size: 50_000},
		],
	);
	const small = new Uint8Array(20);
	t.is(streams[0]?.read(2, small), 12);
	t.is(Buffer.from(small.subarray(0, 12)).toString(), 'small stream');
	const large = new Uint8Array(50_000);
	t.is(streams[1]?.read(0, large), 50_000);
	t.true(large.every(byte => byte === 0x73));
	const [attributes] = [...fileSystem.attributes(nodeAt(fileSystem, 'streams/file'))];
	t.is(attributes?.name, 'system.ntfs_attrib');
	t.throws(() => fileSystem.read(fileSystem.root, 0, small), {code: 'ntfs/is-a-directory'});
	t.throws(() => fileSystem.readDirectory(nodeAt(fileSystem, 'old'), 0, () => true), {code: 'ntfs/not-a-directory'});
	t.throws(() => fileSystem.readLink(nodeAt(fileSystem, 'old')), {code: 'ntfs/invalid'});
	t.throws(() => fileSystem.stat(2 ** 40), {code: 'ntfs/record'});
});

/** Reads a file through `locate` and the volume alone; zeros where `locate` says so, `read` where it says encoded. */
function readLocated(fileSystem: FileSystem, image: string, node: number): Uint8Array {
	const {size} = fileSystem.stat(node);
	const source = openTestFile(image);
	const bytes = new Uint8Array(size).fill(0xaa);
	const span = newSpan();
	for (let position = 0; position < size; position += span.length) {
		fileSystem.locate(node, position, span);
		if (span.length < 1 || position + span.length > size) throw new Error(`span of ${span.length} at ${position}`);
		const part = bytes.subarray(position, position + span.length);
		if (span.kind === SpanKind.stored) source.readAt(span.at, part);
		else if (readsAsZero(span.kind)) part.fill(0);
		else fileSystem.read(node, position, part);
	}
	source[Symbol.dispose]();
	return bytes;
}

testWith(test, TOOLS, 'bytes lie where locate says, in space that is in use', t => {
	const image = makeVolume(MAIN);
	const {fileSystem} = openImage(image);
	const span = newSpan();
	for (const path of ['fragmented/a', 'fragmented/b', 'gaps/hole', 'gaps/mixed', 'sizes/4097', 'sizes/500']) {
		const node = nodeAt(fileSystem, path);
		t.true(sameBytes(readLocated(fileSystem, image, node), readAll(fileSystem, node)), path);
		fileSystem.locate(node, 0, span);
		if (span.kind !== SpanKind.stored) continue;
		const {at} = span;
		fileSystem.allocated?.(at, span);
		t.is(span.kind, SpanKind.stored);
	}
	const kinds = {used: 0, free: 0};
	const {size} = openTestFile(image);
	for (let position = 0; position < size; position += span.length) {
		fileSystem.allocated?.(position, span);
		kinds[span.kind === SpanKind.free ? 'free' : 'used'] += span.length;
	}
	const {blockSize, freeBlocks} = fileSystem.usage();
	t.is(kinds.free, freeBlocks * blockSize);
	t.is(kinds.used + kinds.free, size);
});

testWith(test, TOOLS, 'a file in thousands of pieces, with its attribute list in many records', t => {
	const image = makeVolume(SHATTERED);
	const {fileSystem} = openImage(image);
	const node = nodeAt(fileSystem, 'shattered');
	const span = newSpan();
	let pieces = 0;
	const {size} = fileSystem.stat(node);
	for (let position = 0; position < size; position += span.length) {
		fileSystem.locate(node, position, span);
		pieces++;
	}
	t.true(pieces > 2000, `${pieces} pieces`);
	t.true(sameBytes(readLocated(fileSystem, image, node), readAll(fileSystem, node)));
	whileMounted(image, 'ro', folder => {
		const ours = withoutMode(walkFileSystem(fileSystem));
		t.deepEqual(differences(ours, withoutMode(walkFolder(folder))), []);
	});
});

function buildSmall(folder: string): void {
	mkdirSync(join(folder, 'd'));
	for (let i = 1; i <= 300; i++) writeFileSync(join(folder, `d/name-of-a-file-${i}`), noise(i * 37, i));
	writeFileSync(join(folder, 'big'), noise(3_000_000));
	writeFileSync(join(folder, 'hole'), '');
	truncateSync(join(folder, 'hole'), 5_000_000);
	linkSync(join(folder, 'd/name-of-a-file-1'), join(folder, 'hard'));
	symlinkSync('d/name-of-a-file-2', join(folder, 'soft'));
}

for (const cluster of [512, 1024, 2048, 8192, 16_384, 32_768, 65_536, 131_072, 2_097_152]) {
	testWith(test, TOOLS, `clusters of ${cluster} bytes`, t => {
		const size = cluster > 100_000 ? 512 * Math.max(1, cluster / 524_288) : 24;
		const image = makeVolume({name: `c${cluster}`, size, format: ['-c', String(cluster)], build: buildSmall});
		const {fileSystem} = openImage(image);
		t.is(fileSystem.usage().blockSize, cluster);
		const ours = withoutMode(walkFileSystem(fileSystem));
		t.is(ours.length, 305);
		const d = nodeAt(fileSystem, 'd');
		for (const name of listNames(fileSystem, d)) t.not(fileSystem.lookup(d, Buffer.from(name)), undefined);
		whileMounted(image, 'ro', folder => t.deepEqual(differences(ours, withoutMode(walkFolder(folder))), []));
	});
}

for (const sector of [1024, 4096]) {
	testWith(test, TOOLS, `sectors of ${sector} bytes`, t => {
		const format = ['-s', String(sector), '-c', '4096'];
		const image = makeVolume({name: `s${sector}`, size: 24, format, build: buildSmall});
		const {fileSystem} = openImage(image);
		const ours = withoutMode(walkFileSystem(fileSystem));
		whileMounted(image, 'ro', folder => t.deepEqual(differences(ours, withoutMode(walkFolder(folder))), []));
	});
}

testWith(test, TOOLS, 'a sparse file of 5 GiB', t => {
	const image = makeVolume({
		name: 'sparse',
		size: 32,
		build: folder => {
			const path = join(folder, 'file');
			writePieces(
				path,
				[0, 1, 100_000, 1_000_000, 1_310_719].map(block => [block * 4096, noise(4096, block)]),
			);
		},
	});
	const {fileSystem} = openImage(image);
	const node = nodeAt(fileSystem, 'file');
	t.is(fileSystem.stat(node).size, 5 * 2 ** 30);
	const span = newSpan();
	const stored: number[] = [];
	for (let position = 0; position < 5 * 2 ** 30; position += span.length) {
		fileSystem.locate(node, position, span);
		if (span.kind === SpanKind.stored) stored.push(position);
	}
	t.true(stored.length >= 4 && stored.length < 20);
	whileMounted(image, 'ro', folder => {
		for (const at of [0, 4096, 8192, 100_000 * 4096, 1_000_000 * 4096 - 100, 1_310_719 * 4096, 77_777_777]) {
			const ours = new Uint8Array(4096);
			const count = fileSystem.read(node, at, ours);
			const theirs = run('bash', [
				'-c',
				`tail -c +${at + 1} '${join(folder, 'file')}' | head -c 4096 | sha256sum`,
			]).slice(0, 64);
			t.is(run('sha256sum', [], {input: ours.subarray(0, count)}).slice(0, 64), theirs, `at ${at}`);
		}
	});
});

testWith(test, TOOLS, 'names with lone surrogates have bytes of their own', t => {
	// ntfs-3g takes WTF-8 for them; whether it does is up to how it was built.
	const image = makeVolume({
		name: 'surrogates',
		size: 8,
		build: folder => {
			for (const name of [[0xed, 0xa0, 0x80, 0x61], [0x62, 0xed, 0xb0, 0x81], [0x63]]) {
				writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]), 'x');
			}
		},
	});
	const {fileSystem} = openImage(image);
	const ours: string[] = [];
	fileSystem.readDirectory(fileSystem.root, 0, entry => {
		const name = entry.name.slice();
		ours.push(Buffer.from(name).toString('hex'));
		t.is(fileSystem.lookup(fileSystem.root, name), entry.node);
		return true;
	});
	whileMounted(image, 'ro', folder => {
		const theirs = readdirSync(folder, {encoding: 'buffer'}).map(name => name.toString('hex'));
		t.deepEqual(ours.sort(), theirs.sort());
	});
});
