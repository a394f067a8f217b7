import {
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {walkFolder} from '../helpers/tree.ts';
import {hostileImage, IMAGE_TOOLS, patched, sampleDisk, sampleTree} from './images.ts';
import {tintype, tintypeOutput} from './run-tintype.ts';

const isRoot = process.geteuid?.() === 0;

testWith(test, IMAGE_TOOLS, 'cp -r copies a volume as it was made', t => {
	const folder = temporaryFolder(t);
	const original = sampleTree(folder);
	const copy = join(folder, 'copy');
	const {code, stderr} = tintype(['cp', '-r', sampleDisk(), '/2', copy]);
	t.is(code, 0);
	t.regex(stderr, /left out 1 device, FIFO or socket/);
	// Names that are no text are there byte for byte; the helpers below know only text.
	for (const path of [original, copy]) {
		const name = Buffer.concat([Buffer.from(`${path}/bad`), Uint8Array.of(0xff)]);
		t.is(readFileSync(name, 'utf8'), 'b');
		unlinkSync(name);
	}
	// The recipe sets only some times; directories made by mkfs have the time of making.
	const timed = new Set(['a', 'hard', 'link', 'sub/big', 'sub/deeper/end.TXT']);
	const comparable = (path: string) =>
		walkFolder(path)
			.filter(entry => entry.type !== 'fifo' && entry.path !== 'lost+found')
			.map(entry => ({
				...entry,
				mode: entry.type === 'symlink' ? 0 : entry.mode % 0o1000,
				modified: timed.has(entry.path) ? entry.modified : '',
			}));
	t.deepEqual(comparable(copy), comparable(original));
	t.is(statSync(join(copy, 'a')).ino, statSync(join(copy, 'hard')).ino);
	t.true(statSync(join(copy, 'sparse')).blocks * 512 < 1 << 20);
	t.is(statSync(join(copy, 'sub/deeper')).mode % 0o1000, 0o500);
	t.is(statSync(join(copy, 'sub/big')).mode % 0o10000, 0o755);
	t.deepEqual(
		walkFolder(copy).filter(entry => entry.path.includes('partial')),
		[],
	);
	run('chmod', ['-R', 'u+rwx', folder]);
});

testWith(test, IMAGE_TOOLS, 'cp takes single files, several, and the whole image', t => {
	const folder = temporaryFolder(t);
	const disk = sampleDisk();
	tintypeOutput(['cp', disk, '/1/HELLO.TXT', join(folder, 'new.txt')]);
	t.is(readFileSync(join(folder, 'new.txt'), 'utf8'), 'hello\n');
	tintypeOutput(['cp', disk, '/1/HELLO.TXT', '/2/link', folder]);
	t.is(readFileSync(join(folder, 'HELLO.TXT'), 'utf8'), 'hello\n');
	t.is(readFileSync(join(folder, 'a'), 'utf8'), 'data\n');
	tintypeOutput(['cp', '-r', disk, '/', join(folder, 'all')]);
	t.deepEqual(readdirSync(join(folder, 'all')).sort(), ['1-ESP', '2-root']);
	run('chmod', ['-R', 'u+rwx', folder]);
});

testWith(test, IMAGE_TOOLS, 'cp refuses to overwrite without --force, and never the image', t => {
	const folder = temporaryFolder(t);
	const disk = patched(sampleDisk(), join(folder, 'HELLO.TXT'), 0, new Uint8Array(0));
	const target = join(folder, 'target');
	writeFileSync(target, 'old');
	const refused = tintype(['cp', disk, '/1/HELLO.TXT', target]);
	t.is(refused.code, 5);
	t.regex(refused.stderr, /target exists already\n.*try: replace it with --force/);
	t.is(readFileSync(target, 'utf8'), 'old');
	tintypeOutput(['cp', '--force', disk, '/1/HELLO.TXT', target]);
	t.is(readFileSync(target, 'utf8'), 'hello\n');
	const image = tintype(['cp', '--force', disk, '/1/HELLO.TXT', folder]);
	t.is(image.code, 5);
	t.regex(image.stderr, /is the image itself/);
	t.is(statSync(disk).size, 64 << 20);
});

testWith(test, IMAGE_TOOLS, 'cp --force replaces a symbolic link instead of following it', t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'outside'), 'safe');
	symlinkSync('outside', join(folder, 'target'));
	tintypeOutput(['cp', '--force', sampleDisk(), '/1/HELLO.TXT', join(folder, 'target')]);
	t.is(readFileSync(join(folder, 'outside'), 'utf8'), 'safe');
	t.true(lstatSync(join(folder, 'target')).isFile());
	mkdirSync(join(folder, 'away'));
	mkdirSync(join(folder, 'out'));
	symlinkSync('../away', join(folder, 'out', '2-root'));
	const {code, stderr} = tintype(['cp', '-r', '--force', sampleDisk(), '/2', join(folder, 'out')]);
	t.is(code, 5);
	t.regex(stderr, /exists and is no directory/);
	t.deepEqual(readdirSync(join(folder, 'away')), []);
});

testWith(test, IMAGE_TOOLS, 'a hostile image writes nothing outside of the target', t => {
	const folder = temporaryFolder(t);
	const outside = join(folder, 'outside');
	mkdirSync(outside);
	const image = hostileImage(folder, outside);
	mkdirSync(join(folder, 'in'));
	const before = readdirSync(folder).sort();
	for (const force of [[], ['--force']]) {
		tintype(['cp', '-r', ...force, image, '/', join(folder, 'in')]);
		t.deepEqual(readdirSync(outside), []);
		t.deepEqual(readdirSync(folder).sort(), before);
	}
	const names = walkFolder(join(folder, 'in')).map(entry => entry.path);
	t.true(names.includes('1/evil'));
	t.false(names.some(name => name.includes('partial')));
});

testWith(test, IMAGE_TOOLS, 'cp leaves out what is damaged, says so, and copies the rest', t => {
	const folder = temporaryFolder(t);
	const disk = sampleDisk();
	const place = run('debugfs', ['-R', 'imap /a', `${disk}?offset=${17 << 20}`]);
	const match = /located at block (\d+), offset 0x([0-9a-f]+)/.exec(place);
	const position = (17 << 20) + Number(match?.[1]) * 1024 + Number.parseInt(match?.[2] ?? '', 16);
	const blockSize = Number(
		/Block size:\s+(\d+)/.exec(run('debugfs', ['-R', 'stats -h', `${disk}?offset=${17 << 20}`]))?.[1],
	);
	t.is(blockSize, 1024);
	const broken = patched(disk, join(folder, 'broken.raw'), position + 4, new Uint8Array(64).fill(0xa5));
	const target = join(folder, 'target');
	const {code, stderr} = tintype(['cp', '-r', broken, '/2', target]);
	t.is(code, 1, stderr);
	t.regex(stderr, /tintype: \/2-root\/(a|hard): /);
	t.regex(stderr, /copied \d+ files, 2 failures/);
	t.false(existsSync(join(target, 'a')));
	t.is(readFileSync(join(target, 'empty'), 'utf8'), '');
	t.is(statSync(join(target, 'sub/big')).size, 3_000_000);
	const verified = tintype(['verify', broken]);
	t.is(verified.code, 1);
	t.regex(verified.stdout, /volume 2, \/2-root: ext4, .*, 2 damaged\n {4}\/a: /);
	run('chmod', ['-R', 'u+rwx', folder]);
});

if (isRoot) {
	testWith(test, IMAGE_TOOLS, 'cp --owner image keeps owners, setuid bits and FIFOs', t => {
		const folder = temporaryFolder(t);
		tintypeOutput(['cp', '-r', '--owner', 'image', sampleDisk(), '/2', join(folder, 'copy')]);
		t.is(statSync(join(folder, 'copy/sub/big')).mode % 0o10000, 0o4755);
		t.true(lstatSync(join(folder, 'copy/fifo')).isFIFO());
	});
}
