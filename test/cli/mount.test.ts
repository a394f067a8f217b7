import type {ChildProcess} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {LINKS_TOOLS, linksDisk} from '../image/images.ts';
import {IMAGE_TOOLS, sampleDisk} from './images.ts';
import {exitCode, startTintype, tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

const isRoot = process.geteuid?.() === 0;
const tools = isRoot ? IMAGE_TOOLS : [...IMAGE_TOOLS, 'fusermount3'];

function mountPoint(t: ExecutionContext): string {
	const directory = join(temporaryFolder(t), 'mnt');
	mkdirSync(directory);
	t.teardown(() => void tintype(['umount', directory]));
	return directory;
}

/** It serves when it says so; the directory may be seen a moment earlier. */
async function isReady({stdout}: ChildProcess): Promise<void> {
	let said = '';
	for await (const text of stdout ?? []) {
		said += String(text);
		if (said.includes('unmount it with Ctrl-C')) return;
	}
	throw new Error(`it ended and said only ${said}`);
}

testWith(test, tools, 'mount --detach returns when it is ready, umount ends it', t => {
	const directory = mountPoint(t);
	const text = tintypeOutput(['mount', sampleDisk(), directory, '--detach']);
	t.regex(text, /is mounted read-only on /);
	t.regex(text, /mnt\/2-root +ext4 +40 MiB/);
	t.is(readFileSync(join(directory, '1-ESP/HELLO.TXT'), 'utf8'), 'hello\n');
	t.is(readFileSync(join(directory, '2-root/a'), 'utf8'), 'data\n');
	const again = tintype(['mount', sampleDisk(), directory, '--detach']);
	t.is(again.code, 5);
	t.is(tintypeOutput(['umount', directory]), '');
	t.deepEqual(readdirSync(directory), []);
	t.is(tintype(['umount', directory]).code, 3);
});

testWith(test, tools, 'mount serves in the foreground until Ctrl-C', async t => {
	const directory = mountPoint(t);
	const child = startTintype(['mount', sampleDisk(), directory]);
	await isReady(child);
	t.deepEqual(readdirSync(directory).sort(), ['1-ESP', '2-root', 'disk.raw', 'disk.vhdx']);
	child.kill('SIGINT');
	t.is(await exitCode(child), 0);
	t.deepEqual(readdirSync(directory), []);
});

testWith(test, tools, 'a foreground mount ends when somebody unmounts it', async t => {
	const directory = mountPoint(t);
	const child = startTintype(['mount', sampleDisk(), directory]);
	await isReady(child);
	tintypeOutput(['umount', directory]);
	t.is(await exitCode(child), 0);
});

testWith(test, tools, '--volume shows one volume alone', t => {
	const directory = mountPoint(t);
	const text = tintypeOutput(['mount', sampleDisk(), directory, '--detach', '--volume', '2-root']);
	t.regex(text, /^2-root of .* \(ext4, 40 MiB\) is mounted read-only on .*mnt$/m);
	t.is(readFileSync(join(directory, 'a'), 'utf8'), 'data\n');
	t.false(existsSync(join(directory, 'disk.raw')));
	tintypeOutput(['umount', directory]);
	tintypeOutput(['mount', sampleDisk(), directory, '--detach', '--volume', '1']);
	t.is(readFileSync(join(directory, 'HELLO.TXT'), 'utf8'), 'hello\n');
	tintypeOutput(['umount', directory]);
	const {code, stderr} = tintype(['mount', sampleDisk(), directory, '--detach', '--volume', '7']);
	t.is(code, 3);
	t.regex(stderr, /has no volume 7\n.*it has 1-ESP, 2-root/);
	t.deepEqual(readdirSync(directory), []);
});

const linksTools = isRoot ? LINKS_TOOLS : [...LINKS_TOOLS, 'fusermount3'];

testWith(test, linksTools, 'a volume that cannot be read says why in its place, and the others work', t => {
	const directory = mountPoint(t);
	const text = tintypeOutput(['mount', linksDisk(), directory, '--detach']);
	t.regex(text, /mnt\/4 +not recognised; see README\.txt there/);
	t.deepEqual(readdirSync(directory).sort(), ['1-one', '2-two', '3', '4', 'disk.raw', 'disk.vhdx']);
	t.deepEqual(readdirSync(join(directory, '3')), ['README.txt']);
	t.regex(readFileSync(join(directory, '3/README.txt'), 'utf8'), /LUKS-encrypted/);
	t.is(readFileSync(join(directory, '1-one/etc/hostname'), 'utf8'), 'one\n');
	t.is(readFileSync(join(directory, '2-two/only-two'), 'utf8'), 'two\n');
	tintypeOutput(['umount', directory]);
	const alone = tintype(['mount', linksDisk(), directory, '--detach', '--volume', '3']);
	t.is(alone.code, 4);
	t.regex(alone.stderr, /LUKS-encrypted/);
});

testWith(test, tools, '--uid, --gid and --umask are what every node shows', t => {
	const directory = mountPoint(t);
	tintypeOutput(['mount', sampleDisk(), directory, '-d', '--uid=1234', '--gid=567', '--umask=027']);
	const modes = ['', '2-root', '2-root/a', '2-root/sub/big', 'disk.vhdx'].map(path => {
		const {uid, gid, mode} = statSync(join(directory, path));
		return `${path} ${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
	});
	t.deepEqual(modes, [
		' 1234:567 550',
		'2-root 1234:567 550',
		'2-root/a 1234:567 440',
		'2-root/sub/big 1234:567 550',
		'disk.vhdx 1234:567 440',
	]);
});

interface Listed {
	readonly image: string;
	readonly directory: string;
	readonly pid: number | null;
	readonly uid: number | null;
	readonly allowOther: boolean;
	readonly dead: boolean;
}

testWith(test, tools, 'mounts lists what is mounted, and says what has lost its process', t => {
	const directory = mountPoint(t);
	const listed = () => tintypeJson<Listed[]>(['mounts', '--json']).filter(mount => mount.directory === directory);
	t.deepEqual(listed(), []);
	tintypeOutput(['mount', sampleDisk(), directory, '--detach']);
	const [found, ...others] = listed();
	t.deepEqual(others, []);
	t.like(found, {image: sampleDisk(), uid: process.geteuid?.() ?? null, allowOther: false, dead: false});
	const line = tintypeOutput(['mounts'])
		.split('\n')
		.find(text => text.includes(directory));
	t.true(line?.startsWith(sampleDisk()));
	const pid = found?.pid ?? null;
	// Before Linux 6.16 nobody can tell.
	if (pid === null) return;
	t.true(readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory));
	process.kill(pid, 'SIGKILL');
	while (existsSync(`/proc/${pid}/fd/0`)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
	t.like(listed()[0], {pid: null, dead: true});
	t.regex(tintypeOutput(['mounts']), new RegExp(`tintype umount ${directory}`));
	tintypeOutput(['umount', directory]);
	t.deepEqual(listed(), []);
});

test('what cannot be shown as asked is refused before anything is opened', t => {
	for (const [options, said] of [
		[['--uid', 'alice'], /--uid takes a number/],
		[['--gid', '4294967295'], /--gid takes a number/],
		[['--umask', '8'], /--umask takes an octal number/],
		[['--umask', '7777'], /--umask takes an octal number/],
		[['--owner', 'image', '--umask', '077'], /are for files that are yours/],
	] as const) {
		const {code, stderr} = tintype(['mount', 'no-image', '/no-folder', ...options]);
		t.is(code, 2, options.join(' '));
		t.regex(stderr, said);
	}
});
