import {copyFileSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {overwrite} from '../cli/images.ts';
import {check, damageOf} from './checking.ts';

const TOOLS = ['mkfs.ext4', 'debugfs', 'fsck.ext4'];
/** What fsck ends with when it left errors. */
const ERRORS_LEFT = 4;
const BLOCK = 1024;

/** 8 MiB with a small tree; `ext2` has block pointers, which debugfs can set. */
function image(type: 'ext2' | 'ext4'): string {
	const recipe = readFileSync(import.meta.filename, 'utf8');
	return cachedFile(`check.${type}`, recipe, path => {
		const tree = join(path, '..', 'tree');
		mkdirSync(join(tree, 'folder/inner'), {recursive: true});
		for (const name of ['a', 'b', 'folder/c', 'folder/d', 'folder/inner/e']) {
			writeFileSync(join(tree, name), name.repeat(9000).slice(0, 9000));
		}
		linkSync(join(tree, 'a'), join(tree, 'folder/again'));
		symlinkSync('a', join(tree, 'link'));
		run(`mkfs.${type}`, [
			'-q',
			'-b',
			String(BLOCK),
			'-O',
			type === 'ext4' ? 'metadata_csum' : 'none,filetype',
			'-d',
			tree,
			path,
			'8M',
		]);
	});
}

function debugfs(path: string, ...commands: string[]): string {
	return run('debugfs', ['-w', '-f', '-', path], {input: commands.join('\n')});
}

function blockOf(path: string, file: string): number {
	return Number(run('debugfs', ['-R', `bmap ${file} 0`, path]).trim());
}

interface Damage {
	readonly title: string;
	readonly type?: 'ext2';
	readonly harm: (path: string) => void;
	/** All of these are found, as `code path`. */
	readonly finds: readonly string[];
	readonly orphans?: number;
}

const DAMAGES: readonly Damage[] = [
	{
		title: 'an inode is cleared',
		harm: path => debugfs(path, 'clri /folder/c'),
		finds: ['ext/inode-unused /folder/c'],
	},
	{
		title: 'the inode of a file is free in the bitmap',
		harm: path => debugfs(path, 'freei /b'),
		finds: ['check/free-node /b'],
	},
	{
		title: 'a block of a file is free in the bitmap',
		harm: path => debugfs(path, `freeb ${blockOf(path, '/b')}`),
		finds: ['check/free-cluster /b'],
	},
	{
		title: 'the link count of a file is wrong',
		harm: path => debugfs(path, 'sif /a links_count 5'),
		finds: ['check/link-count /a'],
	},
	{
		title: 'the link count of a directory is wrong',
		harm: path => debugfs(path, 'sif /folder links_count 9'),
		finds: ['check/link-count /folder'],
	},
	{
		title: 'a file with one link has two names',
		harm: path => debugfs(path, 'link /b /folder/more'),
		finds: ['check/link-count /folder/more'],
	},
	{
		title: 'an entry is taken away and its inode stays',
		harm: path => debugfs(path, 'unlink /folder/d'),
		finds: ['check/orphan null'],
		orphans: 1,
	},
	{
		title: 'an orphan directory counts once',
		harm: path => debugfs(path, 'unlink /folder'),
		finds: ['check/orphan null', 'check/link-count /'],
		orphans: 1,
	},
	{
		title: 'a file becomes a device',
		harm: path => debugfs(path, 'sif /b mode 020644'),
		finds: ['check/type /b'],
	},
	{
		title: 'two files have one block',
		type: 'ext2',
		harm: path => debugfs(path, `sif /b block[2] ${blockOf(path, '/folder/c')}`),
		finds: ['check/cross-linked /b', 'check/cross-linked /folder/c'],
	},
	{
		title: 'a file has one block twice',
		type: 'ext2',
		harm: path => debugfs(path, `sif /b block[2] ${blockOf(path, '/b')}`),
		finds: ['check/cross-linked /b'],
	},
	{
		title: 'a block pointer leads out of the volume',
		type: 'ext2',
		harm: path => debugfs(path, 'sif /b block[2] 99999999'),
		finds: ['ext/block-number /b'],
	},
	{
		title: 'a directory block is overwritten',
		harm: path => overwrite(path, blockOf(path, '/folder') * BLOCK, new Uint8Array(BLOCK).fill(0xee)),
		finds: ['ext/directory-checksum /folder'],
	},
	{
		title: 'a directory leads to the wrong parent',
		type: 'ext2',
		harm: path => debugfs(path, 'cd /folder/inner', 'unlink ..', 'link /folder/inner ..'),
		finds: ['check/parent /folder/inner'],
	},
	{
		title: 'a block of the inode table is overwritten',
		harm: path => {
			const [, position] = /located at block (\d+), offset/.exec(run('debugfs', ['-R', 'imap /folder/c', path])) ?? [];
			overwrite(path, Number(position) * BLOCK, new Uint8Array(BLOCK).fill(0x5a));
		},
		finds: ['ext/inode-extra-size /b', 'ext/inode-extra-size /folder'],
	},
];

function copyOf(t: ExecutionContext, type: 'ext2' | 'ext4'): string {
	const path = join(temporaryFolder(t), 'image');
	copyFileSync(image(type), path);
	return path;
}

testWith(test, TOOLS, 'ext: images that fsck calls clean have no damage', async t => {
	for (const type of ['ext2', 'ext4'] as const) {
		run('fsck.ext4', ['-fn', image(type)]);
		for (const content of [false, true]) {
			const report = await check(t, image(type), {content});
			t.deepEqual(report.findings, []);
			t.true(report.good);
			t.like(report.volumes, [{fileSystem: type, directories: 4, files: 6, damage: 0, read: content ? 45_000 : 0}]);
		}
	}
});

for (const {title, type = 'ext4', harm, finds, orphans} of DAMAGES) {
	testWith(test, TOOLS, `ext: ${title}`, async t => {
		const path = copyOf(t, type);
		harm(path);
		run('fsck.ext4', ['-fn', path], {codes: [ERRORS_LEFT, ERRORS_LEFT + 8]});
		const report = await check(t, path);
		const found = damageOf(report);
		for (const one of finds) t.true(found.includes(one), `${one} is not among ${found.join(', ')}`);
		t.false(report.good);
		t.is(report.volumes[0]?.damage, report.counts.damage);
		if (orphans !== undefined) t.is(found.filter(one => one === 'check/orphan null').length, orphans);
	});
}

testWith(test, TOOLS, 'ext: a free block that is marked as used is a wrong count, and no damage', async t => {
	const path = copyOf(t, 'ext4');
	const free = run('debugfs', ['-R', 'ffb 1', path]).replaceAll(/\D/g, '');
	debugfs(path, `setb ${free}`);
	run('fsck.ext4', ['-fn', path], {codes: [ERRORS_LEFT]});
	const report = await check(t, path);
	t.true(report.good);
	t.deepEqual(
		report.findings.map(({code, severity}) => [code, severity]),
		[['check/free-count', 'warning']],
	);
});

testWith(test, TOOLS, 'ext: no more findings are listed than asked for, and all are counted', async t => {
	const path = copyOf(t, 'ext4');
	debugfs(path, 'clri /a', 'clri /b', 'clri /folder/c', 'clri /folder/d');
	const {findings, counts} = await check(t, path, {limit: 2});
	t.is(findings.length, 2);
	t.true(counts.damage >= 5);
});
