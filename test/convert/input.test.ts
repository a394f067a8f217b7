import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {exitCode, PROGRAM, tintype} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {idOf, MIB, noisyDisk} from './work.ts';

const SIZE = 46 * MIB + 1024;

interface Outcome {
	readonly code: number | null;
	readonly said: string;
}

function start(folder: string, args: readonly string[]): ChildProcess {
	const child = spawn(process.execPath, [PROGRAM, ...args], {cwd: folder, stdio: ['pipe', 'ignore', 'pipe']});
	// It may go before it has read all.
	child.stdin.on('error', () => {});
	return child;
}

/** Sends what a shell command prints through a pipe. */
async function piped(folder: string, command: string, args: readonly string[]): Promise<Outcome> {
	const child = spawn('sh', ['-c', `${command} | "$0" "$@"`, process.execPath, PROGRAM, ...args], {cwd: folder});
	let said = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		said += text;
	});
	child.stdout.resume();
	await once(child, 'close');
	return {code: child.exitCode, said};
}

testWith(test, ['sh', 'cat', 'qemu-img'], 'a disk comes through a pipe', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'), SIZE);
	const expected = await idOf(source);
	for (const [target, ...options] of [
		['copy.raw'],
		['copy.tint'],
		['dynamic.vhdx', '--workers', '5'],
		['fixed.vhd', '--subformat', 'fixed'],
	]) {
		const args = ['convert', '-', target, '--size', String(SIZE), ...options];
		t.deepEqual(await piped(folder, 'cat source.raw', args), {code: 0, said: ''}, target);
		if (!target.endsWith('vhdx')) t.is(await idOf(join(folder, target)), expected);
		else run('qemu-img', ['compare', source, join(folder, target)]);
	}
	const through = `convert - - --to tint --size ${SIZE} >through.tint`;
	const {code} = await piped(folder, `cat source.raw | "${process.execPath}" "${PROGRAM}" ${through}; true`, [
		'--version',
	]);
	t.is(code, 0);
	t.is(await idOf(join(folder, 'through.tint')), expected);
});

test('a pipe may be slow, and end at any byte', async t => {
	const folder = temporaryFolder(t);
	const source = readFileSync(noisyDisk(join(folder, 'source.raw'), 3 * MIB + 7));
	const child = start(folder, ['convert', '-', 'copy.raw', '--size', String(source.length)]);
	for (let at = 0; at < source.length; at += 300_001) {
		child.stdin?.write(source.subarray(at, at + 300_001));
		await delay(20);
	}
	child.stdin?.end();
	t.is(await exitCode(child), 0);
	t.true(readFileSync(join(folder, 'copy.raw')).equals(source));
});

testWith(test, ['sh', 'cat', 'head'], 'a pipe that is not as long as was said leaves nothing', async t => {
	const folder = temporaryFolder(t);
	noisyDisk(join(folder, 'source.raw'), SIZE);
	for (const target of ['copy.raw', 'copy.vhdx', 'copy.tint']) {
		const short = await piped(folder, 'head -c 20000001 source.raw', ['convert', '-', target, '--size', String(SIZE)]);
		t.is(short.code, 3);
		t.regex(short.said, /^tintype: standard input ended after 20000001 bytes; 48235\d{3} were to come\n {2}try: .+\n$/);
		const long = await piped(folder, 'cat source.raw', ['convert', '-', target, '--size', String(SIZE - 1)]);
		t.is(long.code, 2);
		t.regex(long.said, /^tintype: more than 48235\d{3} bytes come through standard input\n {2}try: .+\n$/);
	}
	t.deepEqual(readdirSync(folder), ['source.raw']);
});

testWith(test, ['sh', 'cat'], 'what cannot be done with a pipe is refused', async t => {
	const folder = temporaryFolder(t);
	noisyDisk(join(folder, 'source.raw'), SIZE);
	const secret = 'standard input cannot be the disk and a secret at the same time';
	for (const [options, message] of [
		[[], 'the size of a disk that comes through a pipe is not known'],
		[['--size', '46M', '--resume'], 'what came through a pipe cannot be gone on with'],
		[['--size', '46M', '--verify'], 'what came through a pipe cannot be read again'],
		[['--size', '46M', '--used-only'], 'what comes through a pipe is read once: all of it is copied'],
		[['--size', '0'], 'the size of a disk is at least 1 byte'],
		[['--size', '46M', '--encrypt', '--encrypt-passphrase-file', '-'], secret],
	] as const) {
		const {code, said} = await piped(folder, 'cat source.raw', ['convert', '-', 'copy.tint', ...options]);
		t.is(code, 2, said);
		t.true(said.startsWith(`tintype: ${message}\n`), said);
	}
	t.regex(tintype(['convert', 'source.raw', 'copy.raw', '--size', '46M'], {cwd: folder}).stderr, /others know theirs/);
	t.deepEqual(readdirSync(folder), ['source.raw']);
});

testWith(test, ['sh', 'script'], 'a terminal is no disk', t => {
	const said = run('script', ['-qec', `"${process.execPath}" "${PROGRAM}" convert - copy.raw --size 1M`, '/dev/null'], {
		cwd: temporaryFolder(t),
		codes: [5],
	});
	t.regex(said, /standard input is a terminal/);
});

testWith(test, ['sh'], 'standard input that is a file is opened like any other', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'), SIZE);
	run('sh', ['-c', `"${process.execPath}" "${PROGRAM}" convert source.raw archive.tint`], {cwd: folder});
	run('sh', ['-c', `"${process.execPath}" "${PROGRAM}" convert - back.raw <archive.tint`], {cwd: folder});
	t.is(await idOf(join(folder, 'back.raw')), await idOf(source));
});

test('waiting for a pipe can be interrupted, and leaves nothing', async t => {
	const folder = temporaryFolder(t);
	for (const [signal, code] of [
		['SIGINT', 130],
		['SIGTERM', 143],
	] as const) {
		const child = start(folder, ['convert', '-', 'copy.tint', '--size', '1G', '--checkpoint', '1M']);
		child.stdin?.write(new Uint8Array(5 * MIB).fill(7));
		while (!readdirSync(folder).includes('copy.tint.partial')) await delay(20);
		await delay(300);
		child.kill(signal);
		t.is(await exitCode(child), code);
		t.deepEqual(readdirSync(folder), []);
	}
});

test('a target that fails ends the waiting for a pipe', async t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'copy.raw'), 'old');
	const child = start(folder, ['convert', '-', 'copy.raw', '--size', '1G']);
	// It must not wait for a disk that it cannot keep.
	t.is(await exitCode(child), 5);
	t.is(readFileSync(join(folder, 'copy.raw'), 'utf8'), 'old');
});
