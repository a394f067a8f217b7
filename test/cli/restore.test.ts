import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {existsSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {findTool, run} from '../helpers/tools.ts';
import {attach, bytesAt, deviceTest} from '../restore/loops.ts';
import {overwrite} from './images.ts';
import {exitCode, PROGRAM, startTintype, tintype, tintypeJson} from './run-tintype.ts';

const MIB = 1 << 20;

function imageOf(folder: string, size: number): string {
	const path = join(folder, 'image.raw');
	writeFileSync(path, randomBytes(size));
	return path;
}

function target(folder: string, size: number): string {
	const path = join(folder, 'device.img');
	writeFileSync(path, Buffer.alloc(size, 'old'));
	return path;
}

/** Runs it on a terminal of its own, on which `typed` is typed when it asks. */
async function onTerminal(args: readonly string[], typed: string): Promise<{code: number; screen: string}> {
	const command = [process.execPath, PROGRAM, ...args].map(word => `'${word}'`).join(' ');
	// Ctrl-C goes to the shell as well, which would end before it tells the code.
	const child = spawn(findTool('script') ?? '', ['-qec', `trap : INT; ${command}; echo "ended with $?"`, '/dev/null']);
	let screen = '';
	let answered = false;
	child.stdout.on('data', (text: Buffer) => {
		screen += text.toString();
		if (answered || !/Type \S+ to overwrite it: /.test(screen)) return;
		answered = true;
		child.stdin.write(typed);
	});
	await once(child, 'close');
	return {code: Number(/ended with (\d+)/.exec(screen)?.[1]), screen};
}

deviceTest('on a terminal the name of the device is asked for', ['script', 'mkfs.ext4'], async t => {
	const folder = temporaryFolder(t);
	const image = imageOf(folder, MIB);
	const file = target(folder, 4 * MIB);
	run('mkfs.ext4', ['-q', '-F', '-L', 'my precious', file]);
	const device = await attach(t, file);
	const before = readFileSync(file);
	const name = basename(device);
	for (const typed of ['yes\n', '\n', 'loop\n', '\u0004']) {
		const {code, screen} = await onTerminal(['restore', image, device], typed);
		t.is(code, 5, screen);
		t.true(screen.includes(`Type ${name} to overwrite it`), screen);
		t.regex(screen, /4 MiB \(4,194,304 bytes\)/);
		t.regex(screen, /volume 1: 1-my precious, 4 MiB, ext/);
		t.regex(screen, /nothing was written/);
		t.true(readFileSync(file).equals(before));
	}
	const interrupted = await onTerminal(['restore', image, device], '\u0003');
	t.is(interrupted.code, 130, interrupted.screen);
	t.true(readFileSync(file).equals(before));
	for (const typed of [`${name}\n`, `${device}\n`]) {
		const {code, screen} = await onTerminal(['restore', image, device], typed);
		t.is(code, 0, screen);
		t.true(bytesAt(device, 0, MIB).equals(readFileSync(image)));
		overwrite(device, 0, new Uint8Array(MIB));
	}
});

deviceTest('without a terminal a device needs --yes', [], async t => {
	const folder = temporaryFolder(t);
	const image = imageOf(folder, MIB);
	const device = await attach(t, target(folder, 2 * MIB));
	const refused = tintype(['restore', image, device]);
	t.is(refused.code, 5);
	t.regex(refused.stderr, /no terminal[\s\S]*--yes/);
	t.is(bytesAt(device, 0, 3).toString(), 'old');
	const {code, stdout} = tintype(['restore', image, device, '--yes', '--verify']);
	t.is(code, 0);
	t.regex(stdout, /2 MiB written/);
	t.regex(stdout, /verified/);
	t.true(bytesAt(device, 0, MIB).equals(readFileSync(image)));
});

deviceTest('Ctrl-C leaves a device that says so', [], async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image.raw');
	run('sh', ['-c', `head -c 500M /dev/zero | tr '\\0' z > ${image}`]);
	const file = target(folder, MIB);
	truncateSync(file, 500 * MIB);
	const device = await attach(t, file);
	const child = startTintype(['restore', image, device, '--yes']);
	let stderr = '';
	child.stderr?.on('data', (text: Buffer) => {
		stderr += text.toString();
	});
	while (child.exitCode === null && bytesAt(device, 0, 3).toString() === 'old') await delay(2);
	child.kill('SIGINT');
	t.is(await exitCode(child), 130);
	t.regex(stderr, /damage: \/dev\/loop\d+ is incomplete/);
	t.regex(stderr, /interrupted/);
	t.true(bytesAt(device, 0, MIB).every(byte => byte === 0));
});

test('its JSON has what docs/json.md promises', t => {
	const folder = temporaryFolder(t);
	const image = imageOf(folder, MIB);
	const path = join(folder, 'target.raw');
	const {seconds, ...rest} = tintypeJson<{seconds: number}>(['restore', image, path, '--json']);
	t.is(typeof seconds, 'number');
	t.deepEqual(rest as unknown, {
		target: path,
		device: false,
		size: MIB,
		targetSize: MIB,
		written: MIB,
		zeroed: 0,
		left: 0,
		unchanged: 0,
		unreadable: [],
		unreadableBytes: 0,
		damaged: [],
		damagedBytes: 0,
		movedBackup: null,
		wrong: null,
		wrongBytes: 0,
		findings: [],
	});
});

test('damage stops it, or with --keep-going is reported and ends with 1', t => {
	const folder = temporaryFolder(t);
	const raw = imageOf(folder, 8 * MIB);
	const image = join(folder, 'image.tint');
	t.is(tintype(['convert', raw, image]).code, 0);
	overwrite(image, 4 * MIB, Buffer.alloc(4096, 'damage'));
	const path = join(folder, 'target.raw');
	const stopped = tintype(['restore', image, path]);
	t.is(stopped.code, 1);
	t.regex(stopped.stderr, /--keep-going/);
	t.false(existsSync(path));
	const {code, stdout} = tintype(['restore', image, path, '--keep-going']);
	t.is(code, 1);
	t.regex(stdout, /damaged, now zeros: bytes [\d,]+ to [\d,]+/);
	const want = readFileSync(raw);
	const now = readFileSync(path);
	t.is(now.length, want.length);
	let same = 0;
	for (let at = 0; at < want.length; at += 65_536) {
		const block = now.subarray(at, at + 65_536);
		if (block.equals(want.subarray(at, at + 65_536))) same += 1;
		else t.true(block.every(byte => byte === 0));
	}
	t.true(same < 128 && same > 100);
});

test('what people do wrong', t => {
	const folder = temporaryFolder(t);
	const image = imageOf(folder, MIB);
	const cases = [
		{args: [image], code: 2, says: /operand is missing/},
		{args: [image, folder], code: 2, says: /is a directory/},
		{args: [image, '/dev/null'], code: 2, says: /neither a file nor a block device/},
		{args: [image, image, '--force'], code: 5, says: /is the source itself/},
		{args: [join(folder, 'none'), image], code: 3, says: /there is no file/},
		{args: [image, join(folder, 'none', 'file')], code: 3, says: /there is no folder/},
	];
	for (const {args, code, says} of cases) {
		const outcome = tintype(['restore', ...args]);
		t.is(outcome.code, code, outcome.stderr);
		t.regex(outcome.stderr, says);
	}
});
