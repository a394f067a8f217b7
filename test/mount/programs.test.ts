import {mkdirSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {mountImage} from '../../mount/mount-image.ts';
import {openImage} from '../../src/image/image.ts';
import {overwrite} from '../cli/images.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {ask, testMounting} from '../helpers/mounting.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';
import {type TreeEntry, walkFolder} from '../helpers/tree.ts';

/** Usual programs on a mount of real volumes: they run beside this process, which serves what they ask. */

const MIB = 1 << 20;

async function mounted(t: ExecutionContext, path: string): Promise<string> {
	const folder = temporaryFolder(t);
	const image = openImage(path);
	t.teardown(() => image[Symbol.dispose]());
	const mount = await mountImage(image, folder);
	t.teardown(() => mount.unmount());
	return folder;
}

interface Said {
	readonly out: string;
	readonly said: string;
}

async function program(command: string, ...args: string[]): Promise<Said> {
	const {code, out, said} = await ask(command, ...args);
	if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${said}`);
	return {out: out.toString(), said};
}

/** Copies get the owner's right to write, and sizes of directories are each file system's own. */
function comparable(folder: string): TreeEntry[] {
	return walkFolder(folder).map(entry => ({...entry, mode: 0, ...(entry.type === 'directory' && {size: 0})}));
}

const GIT_RECIPE = `
set -e
git init -q -b main tree && cd tree
git config user.name Alice && git config user.email alice@example.org
seq 1 5000 > numbers && git add numbers && git commit -q -m 'first numbers'
mkdir -p deep/er && echo needle in a haystack > deep/er/file && ln -s deep/er/file link
git add . && git commit -q -m 'a needle'
seq 1 6000 > numbers && git commit -q -a -m 'more numbers' && git gc -q
`;

/** A bare ext4 volume with a git repository and a sparse file. */
function gitVolume(): string {
	return cachedFile('git.ext4', `${GIT_RECIPE} v2`, path => {
		const folder = dirname(path);
		const environment = {GIT_CONFIG_NOSYSTEM: '1', HOME: folder};
		run('sh', ['-c', GIT_RECIPE], {cwd: folder, environment});
		const tree = join(folder, 'tree');
		writeFileSync(join(tree, 'sparse'), '');
		truncateSync(join(tree, 'sparse'), 8 * MIB);
		overwrite(join(tree, 'sparse'), 5 * MIB, Buffer.alloc(4096, 'x'));
		writeFileSync(path, '');
		truncateSync(path, 24 * MIB);
		run('mkfs.ext4', ['-q', '-L', 'git', '-d', tree, path]);
	});
}

testMounting(
	test,
	['findmnt', 'df', 'du', 'ls', 'find', 'stat'],
	'findmnt, df, du, ls -lR and find see a mount',
	async t => {
		const folder = await mounted(t, demoDisk());
		const {out: found} = await program('findmnt', '--noheadings', '--output', 'SOURCE,FSTYPE', '--mountpoint', folder);
		t.regex(found, /demo-disk\.raw +fuse\.tintype/);
		const {out: usage} = await program('df', '--output=size,used,avail', '--block-size=1', folder);
		const [size, used, free] = (usage.split('\n')[1] ?? '').trim().split(/\s+/).map(Number);
		t.is(size, statSync(demoDisk()).size);
		t.true(used > 0 && free > 0 && used + free <= size);
		const entries = walkFolder(folder);
		const {out: listed, said} = await program('ls', '-lR', folder);
		t.is(said, '');
		// One line for every entry: those of `ls -l` begin with its type.
		t.is(listed.split('\n').filter(line => /^[-dlbcps][-r]/.test(line)).length, entries.length);
		const {out: paths} = await program('find', folder, '-mindepth', '1', '-printf', '%y %s %P\\n');
		t.is(paths.trimEnd().split('\n').length, entries.length);
		const letter = (await program('find', folder, '-name', 'letter.txt', '-newermt', '2000-01-01')).out.trim();
		t.true(letter.endsWith('3-Linux/home/alice/letter.txt'));
		t.true(Number((await program('du', '-s', folder)).out.split('\t')[0]) > 0);
	},
);

testMounting(test, ['tar', 'rsync', 'diff', 'cp'], 'tar, rsync and cp --reflink=auto take all files out', async t => {
	const folder = await mounted(t, demoDisk());
	for (const volume of ['1-ESP', '2-Windows', '3-Linux']) {
		const from = join(folder, volume);
		const expected = comparable(from);
		t.true(expected.length > 2);
		const target = temporaryFolder(t);
		const [tarred, synced, copied] = ['tar', 'rsync', 'cp'].map(name => join(target, name));
		mkdirSync(tarred);
		await program('tar', '-C', from, '-cf', join(target, 'archive'), '.');
		await program('tar', '-C', tarred, '-xf', join(target, 'archive'));
		await program('rsync', '--archive', '--hard-links', `${from}/`, synced);
		await program('cp', '--archive', '--reflink=auto', from, copied);
		for (const copy of [tarred, synced, copied]) {
			await program('diff', '--recursive', '--no-dereference', from, copy);
			t.deepEqual(comparable(copy), expected, copy);
			await program('chmod', '-R', 'u+rwX', copy);
		}
		t.is(
			(await program('rsync', '--archive', '--itemize-changes', '--omit-dir-times', '--no-perms', `${from}/`, synced))
				.out,
			'',
		);
	}
});

testMounting(
	test,
	['git', 'grep', 'cp', 'mkfs.ext4'],
	'git works in a repository inside, grep -r finds, cp keeps holes',
	async t => {
		const volume = join(await mounted(t, gitVolume()), '1-git');
		const git = async (...args: string[]): Promise<string> =>
			(await program('git', '-c', 'safe.directory=*', '-C', volume, ...args)).out;
		t.is(await git('log', '--format=%an %s'), 'Alice more numbers\nAlice a needle\nAlice first numbers\n');
		t.is(await git('show', 'HEAD~1:deep/er/file'), 'needle in a haystack\n');
		t.regex(await git('diff', '--stat', 'HEAD~2', 'HEAD', '--', 'numbers'), /1000 insertions/);
		t.is(await git('fsck', '--strict', '--full', '--no-dangling', '--no-progress'), '');
		t.is(await git('status', '--porcelain'), '?? sparse\n');
		const {out} = await program('grep', '-rl', 'needle in', volume);
		t.deepEqual(out.trim().split('\n'), [join(volume, 'deep/er/file')]);
		const copy = join(temporaryFolder(t), 'sparse');
		await program('cp', '--reflink=auto', join(volume, 'sparse'), copy);
		t.is(statSync(copy).size, 8 * MIB);
		t.true(statSync(copy).blocks * 512 <= 64 * 1024);
		t.true(readFileSync(copy).equals(readFileSync(join(volume, 'sparse'))));
	},
);
