import type {ChildProcess} from 'node:child_process';
import {mkdirSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {IMAGE_TOOLS, sampleDisk} from './images.ts';
import {exitCode, startTintype, tintype, tintypeOutput} from './run-tintype.ts';

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
	t.deepEqual(readdirSync(directory).sort(), ['1-ESP', '2-root', 'disk.raw']);
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
