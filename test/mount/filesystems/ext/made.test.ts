import {
	linkSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {ext} from '../../../../mount/filesystems/ext/index.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {filledImage, fillLargeDirectory, openImage, pattern, testWithMount, withMount, writeHoles} from './images.ts';

/** What this machine's kernel may not mount: made by mkfs from a folder, and compared with the folder. */
const UNMOUNTABLE: Readonly<Record<string, readonly string[]>> = {
	'blocks of 8 KiB': ['-b', '8192'],
	'blocks of 64 KiB': ['-b', '65536', '-O', '^has_journal'],
	'blocks of 64 KiB without extents': ['-b', '65536', '-O', '^has_journal,^extents,^metadata_csum,^64bit'],
	casefold: ['-O', 'casefold', '-E', 'encoding=utf8'],
	'quota, project, verity and encrypt': ['-O', 'quota,project,verity,encrypt,stable_inodes'],
	mmp: ['-O', 'mmp'],
	'a GNU/Hurd creator': ['-o', 'hurd', '-O', '^has_journal,^metadata_csum,^extents,^64bit,^flex_bg,^huge_file'],
};

function fill(folder: string): void {
	mkdirSync(join(folder, 'inner', 'deeper'), {recursive: true});
	for (const size of [0, 1, 60, 1000, 8192, 65_536, 70_000, 1_000_000]) {
		writeFileSync(join(folder, 'inner', String(size)), pattern(size, size));
	}
	for (let i = 0; i < 300; i++) writeFileSync(join(folder, 'inner', 'deeper', `${'x'.repeat(200)}${i}`), `${i}`);
	symlinkSync('short', join(folder, 'short'));
	symlinkSync('l'.repeat(900), join(folder, 'long'));
	linkSync(join(folder, 'inner', '1000'), join(folder, 'hard'));
	writeHoles(join(folder, 'holes'), 400);
	utimesSync(join(folder, 'inner', '60'), 1_000_000_000, 1_000_000_000);
}

/** mkfs keeps whole seconds, and links have times of their own. */
function comparable(entries: readonly TreeEntry[]): unknown[] {
	return entries
		.filter(entry => entry.path !== 'lost+found')
		.map(({path, type, size, mode, modified, sha256}) => {
			const seconds = type === 'symlink' ? '' : modified.replace(/\..*/, '');
			return [path, type, size, mode, seconds, sha256];
		});
}

for (const [title, options] of Object.entries(UNMOUNTABLE)) {
	testWith(test, ['mkfs.ext4'], `made by mkfs with ${title}`, t => {
		const folder = temporaryFolder(t);
		const content = join(folder, 'content');
		mkdirSync(content);
		fill(content);
		const image = join(folder, 'image');
		run('mkfs.ext4', ['-q', '-F', '-d', content, ...options, image, '96M']);
		const {fileSystem, findings} = openImage(image);
		t.deepEqual(findings, []);
		t.deepEqual(comparable(walkFileSystem(fileSystem)), comparable(walkFolder(content)));
	});
}

testWith(test, ['mkfs.ext4'], 'an external journal is refused by name', t => {
	const image = join(temporaryFolder(t), 'journal');
	run('mkfs.ext4', ['-q', '-F', '-O', 'journal_dev', image, '4M']);
	const source = openTestFile(image);
	t.true(ext.probe(source));
	const error = t.throws(() => ext.open(source, {warn: () => {}}));
	t.like(error, {code: 'ext/feature', family: 'unsupported'});
	t.regex(error?.message ?? '', /journal_dev/);
});

const MOUNT = ['mkfs.ext4'];

for (const [title, options] of [
	['with checksums', ['-b', '1024']],
	['with 4 KiB blocks', []],
	['with large_dir', ['-b', '1024', '-O', 'large_dir,^metadata_csum']],
] as const) {
	testWithMount(MOUNT, `a directory of 10,000 names ${title}`, t => {
		const name = `large-${title.replaceAll(/[^a-z0-9]/g, '-')}`;
		const image = filledImage(name, ['mkfs.ext4', ...options, '-N', '2000'], 24, fillLargeDirectory);
		const {fileSystem} = openImage(image);
		const directory = fileSystem.lookup(fileSystem.root, Buffer.from('large')) ?? 0;
		const found = new Map<string, number>();
		const cursors = new Set<number>();
		// A few at a time, as a mount asks for them.
		for (let cursor = 0, before = -1; found.size !== before; ) {
			before = found.size;
			let left = 37;
			fileSystem.readDirectory(directory, cursor, entry => {
				found.set(Buffer.from(entry.name).toString('latin1'), entry.node);
				cursor = entry.cursor;
				cursors.add(cursor);
				return --left > 0;
			});
		}
		t.is(cursors.size, found.size);
		const expected = withMount(image, 'ro', folder => {
			const path = join(folder, 'large');
			const inode = statSync(join(path, 'a rather long name 0 ü')).ino;
			return readdirSync(path, {encoding: 'buffer', withFileTypes: true}).map(
				entry => [Buffer.from(entry.name).toString('latin1'), entry.isDirectory() ? 'directory' : inode] as const,
			);
		});
		t.is(found.size, 10_005);
		t.deepEqual([...found.keys()].sort(), expected.map(([file]) => file).sort());
		for (const [file, node] of found) {
			if (fileSystem.lookup(directory, Buffer.from(file, 'latin1')) !== node) t.fail(`${file} is not found`);
		}
		for (let i = 0; i < 500; i++) t.is(fileSystem.lookup(directory, Buffer.from(`absent ${i}`)), undefined);
	});
}

const GIB = 2 ** 30;

for (const command of ['mkfs.ext2', 'mkfs.ext4']) {
	testWithMount(MOUNT, `a sparse file of 5 GiB under ${command}`, t => {
		const places = [0, 12 * 1024, 70_000, GIB + 513, 3 * GIB - 10, 5 * GIB - 5000];
		const image = filledImage(`sparse-${command}`, [command, '-b', '1024'], 16, function fillSparse(folder) {
			const at = [0, 12 * 1024, 70_000, 2 ** 30 + 513, 3 * 2 ** 30 - 10, 5 * 2 ** 30 - 5000];
			for (const position of at) {
				run('dd', [
					'if=/dev/urandom',
					`of=${join(folder, 'sparse')}`,
					'bs=1',
					`seek=${position}`,
					'count=5000',
					'conv=notrunc',
				]);
			}
			writeHoles(join(folder, 'fragmented'), 1000);
		});
		const {fileSystem} = openImage(image);
		const volume = openTestFile(image);
		const node = fileSystem.lookup(fileSystem.root, Buffer.from('sparse')) ?? 0;
		t.is(fileSystem.stat(node).size, 5 * GIB);
		const span = newSpan();
		let stored = 0;
		let steps = 0;
		for (let position = 0; position < 5 * GIB; position += span.length) {
			fileSystem.locate(node, position, span);
			t.true(span.length > 0);
			if (span.kind === SpanKind.stored) {
				const there = new Uint8Array(span.length);
				const read = new Uint8Array(span.length);
				volume.readAt(span.at, there);
				t.is(fileSystem.read(node, position, read), read.length);
				t.deepEqual(read, there);
				stored += span.length;
			} else {
				t.is(span.kind, SpanKind.zero);
			}
			steps++;
		}
		t.true(stored >= 30_000 && stored < 50_000, `${stored} bytes are stored`);
		t.true(steps < 2000, `${steps} steps`);
		withMount(image, 'ro', folder => {
			const file = openTestFile(join(folder, 'sparse'));
			for (const place of [...places, 2 * GIB, 4 * GIB + 1]) {
				const from = Math.max(place - 3000, 0);
				const actual = new Uint8Array(20_000);
				const count = fileSystem.read(node, from, actual);
				const wanted = new Uint8Array(Math.min(20_000, 5 * GIB - from));
				file.readAt(from, wanted);
				t.deepEqual(actual.subarray(0, count), wanted, `at ${from}`);
			}
			file[Symbol.dispose]();
		});
		const end = new Uint8Array(10);
		t.is(fileSystem.read(node, 5 * GIB - 4, end), 4);
		t.is(fileSystem.read(node, 5 * GIB, end), 0);
		const fragmented = fileSystem.lookup(fileSystem.root, Buffer.from('fragmented')) ?? 0;
		const last = new Uint8Array(4096);
		for (const index of [999, 0, 500, 333]) {
			fileSystem.read(fragmented, index * 8192, last);
			t.deepEqual(last, pattern(4096, index));
		}
	});
}

testWith(test, ['mkfs.ext4', 'debugfs'], 'names in a casefolded directory are found whatever their case', t => {
	const folder = temporaryFolder(t);
	const content = join(folder, 'content');
	mkdirSync(join(content, 'folded'), {recursive: true});
	const names = ['Straße', 'ÅNGSTRÖM', 'ΣΊΣΥΦΟΣ', 'plain.TXT', 'ı'];
	for (const name of names) writeFileSync(join(content, 'folded', name), name);
	for (let i = 0; i < 200; i++) writeFileSync(join(content, 'folded', `${'Many '.repeat(20)}${i}`), '');
	writeFileSync(Buffer.concat([Buffer.from(join(content, 'folded/')), Buffer.from([0x41, 0xff])]), '');
	const image = join(folder, 'image');
	run('mkfs.ext4', ['-q', '-F', '-b', '1024', '-O', 'casefold', '-E', 'encoding=utf8', '-d', content, image, '8M']);
	const find = (name: string | Uint8Array): string | undefined => {
		const {fileSystem} = openImage(image);
		const directory = fileSystem.lookup(fileSystem.root, Buffer.from('folded')) ?? 0;
		const node = fileSystem.lookup(directory, typeof name === 'string' ? Buffer.from(name) : name);
		if (node === undefined) return undefined;
		const bytes = new Uint8Array(100);
		return Buffer.from(bytes.subarray(0, fileSystem.read(node, 0, bytes))).toString();
	};
	t.is(find('PLAIN.txt'), undefined, 'only marked directories are searched so');
	const flags = Number(/Flags: (0x[0-9a-f]+)/.exec(run('debugfs', ['-R', 'stat folded', image]))?.[1]);
	run('debugfs', ['-w', '-R', `sif folded flags ${flags | 0x4000_0000}`, image]);
	for (const name of names) t.is(find(name), name);
	t.is(find('PLAIN.txt'), 'plain.TXT');
	t.is(find('STRASSE'), 'Straße');
	t.is(find('straẞe'), 'Straße');
	t.is(find('a\u030Angstro\u0308m'), 'ÅNGSTRÖM');
	t.is(find('σίσυφος'), 'ΣΊΣΥΦΟΣ');
	t.is(find('σίσυφοσ'), 'ΣΊΣΥΦΟΣ');
	t.is(find('pl\u00ADain.txt'), 'plain.TXT');
	t.is(find('i'), undefined);
	t.is(find(`${'MANY '.repeat(20)}199`), '');
	t.is(find(Uint8Array.of(0x41, 0xff)), '');
	t.is(find(Uint8Array.of(0x61, 0xff)), undefined);
});

testWithMount(['mkfs.ext4', 'setfattr', 'debugfs'], 'an attribute in an inode of its own must match its hash', t => {
	const image = join(temporaryFolder(t), 'image');
	writeFileSync(image, '');
	run('mkfs.ext4', ['-q', '-F', '-b', '4096', '-O', 'ea_inode', image, '16M']);
	withMount(image, 'rw', folder => {
		writeFileSync(join(folder, 'file'), '');
		run('setfattr', ['-n', 'user.large', '-v', 'L'.repeat(20_000), join(folder, 'file')]);
	});
	const value = (): string => {
		const {fileSystem} = openImage(image);
		const node = fileSystem.lookup(fileSystem.root, Buffer.from('file')) ?? 0;
		return [...fileSystem.attributes(node)].map(({value: bytes}) => Buffer.from(bytes).toString()).join();
	};
	t.is(value(), 'L'.repeat(20_000));
	const block = Number(run('debugfs', ['-R', 'bmap <13> 2', image]));
	t.true(block > 0);
	const bytes = readFileSync(image);
	t.is(bytes[block * 4096], 0x4c);
	bytes[block * 4096] ^= 1;
	writeFileSync(image, bytes);
	t.throws(value, {code: 'ext/attribute-hash'});
});

testWith(test, ['mkfs.ext4', 'debugfs'], 'what fs-verity keeps beyond the end of a file is not shown', t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image');
	writeFileSync(join(folder, 'data'), pattern(300_000, 3));
	writeFileSync(image, '');
	run('mkfs.ext4', ['-q', '-F', '-O', 'verity', image, '8M']);
	writeFileSync(
		join(folder, 'commands'),
		['write data file', 'sif file size 100000', 'sif file flags 0x180000', 'q', ''].join('\n'),
	);
	run('debugfs', ['-w', '-f', 'commands', image], {cwd: folder});
	const {fileSystem, findings} = openImage(image);
	t.deepEqual(findings, []);
	const node = fileSystem.lookup(fileSystem.root, Buffer.from('file')) ?? 0;
	const bytes = new Uint8Array(300_000);
	t.is(fileSystem.stat(node).size, 100_000);
	t.is(fileSystem.read(node, 0, bytes), 100_000);
	t.deepEqual(bytes.subarray(0, 100_000), pattern(300_000, 3).subarray(0, 100_000));
});
