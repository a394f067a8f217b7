import {spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {exitCode, PROGRAM, startTintype, tintype} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {idOf, MIB, noisyDisk} from './work.ts';

const FIXED = {id: '5a'.repeat(16), timestamp: 1_700_000_000};

function sha256(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex');
}

test('the same stream comes of any number of workers, and reads as the disk', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const hashes = new Map<string, Set<string>>();
	for (const to of ['raw', 'tint']) {
		for (const workers of [1, 3]) {
			const path = join(folder, `${workers}.${to}`);
			const stream = openSync(path, 'w');
			const {fileSize, target} = await convert(source, 'a pipe', {...FIXED, to, workers, stream});
			closeSync(stream);
			t.is(target, 'a pipe');
			t.is(readFileSync(path).length, fileSize);
			t.is(await idOf(path), await idOf(source));
			hashes.set(to, (hashes.get(to) ?? new Set()).add(sha256(readFileSync(path))));
		}
	}
	t.deepEqual(
		[...hashes].map(([to, found]) => [to, found.size]),
		[
			['raw', 1],
			['tint', 1],
		],
	);
});

test('what a pipe cannot have is refused before anything is written', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'), 46 * MIB);
	const path = join(folder, 'out');
	const stream = openSync(path, 'w');
	await t.throwsAsync(convert(source, '-', {to: 'vhdx', stream}), {code: 'convert/stream'});
	await t.throwsAsync(convert(source, '-', {to: 'tint', stream, resume: true}), {code: 'convert/resume'});
	await t.throwsAsync(convert(source, '-', {to: 'tint', stream, verify: true}), {code: 'convert/verify'});
	await t.throwsAsync(convert(source, '-', {stream}), {code: 'convert/extension'});
	closeSync(stream);
	t.is(readFileSync(path).length, 0);
	t.deepEqual(readdirSync(folder).sort(), ['out', 'source.raw']);
});

test('the program writes images to standard output, and all else to the other', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	for (const args of [
		['convert', source, '-', '--to', 'tint', '--json'],
		['capture', source, '-'],
	]) {
		const child = spawn(process.execPath, [PROGRAM, ...args], {cwd: folder, stdio: ['ignore', 'pipe', 'pipe']});
		const parts: Buffer[] = [];
		let said = '';
		child.stdout.on('data', (part: Buffer) => parts.push(part));
		child.stderr.on('data', (part: Buffer) => (said += String(part)));
		t.is(await exitCode(child), 0, said);
		writeFileSync(join(folder, 'image.tint'), Buffer.concat(parts));
		t.is(await idOf(join(folder, 'image.tint')), await idOf(source));
		if (args.includes('--json')) t.like(JSON.parse(said), {target: '-', format: 'tint', size: 48 * MIB});
		else t.regex(said, /source\.raw -> -\n {2}tint, a disk of 48 MiB/);
		t.false(existsSync(join(folder, '-')));
	}
});

testWith(test, ['perl'], 'a pipe that does not wait and a reader that is slow lose nothing', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const script = 'use Fcntl; fcntl(STDOUT, F_SETFL, O_NONBLOCK) or die; exec @ARGV or die';
	const child = spawn('perl', ['-e', script, process.execPath, PROGRAM, 'convert', source, '-', '--to', 'raw'], {
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	const hash = createHash('sha256');
	let parts = 0;
	for await (const part of child.stdout) {
		hash.update(part as Buffer);
		if (parts++ % 50 === 0) await delay(5);
	}
	t.is(await exitCode(child), 0);
	t.is(hash.digest('hex'), sha256(readFileSync(source)));
});

test('a reader that goes away ends it quietly', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const child = startTintype(['convert', source, '-', '--to', 'tint']);
	let said = '';
	child.stderr?.on('data', part => {
		said += String(part);
	});
	child.stdout?.once('data', () => child.stdout?.destroy());
	t.is(await exitCode(child), 141);
	t.is(said, '');
});

test('Ctrl-C ends it though the reader stands still', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const child = startTintype(['convert', source, '-', '--to', 'raw']);
	await new Promise(resolve => child.stdout?.once('readable', resolve));
	child.kill('SIGINT');
	t.is(await exitCode(child), 130);
});

testWith(test, ['script'], 'a terminal is no place for an image', t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'), 46 * MIB);
	const command = `${process.execPath} ${PROGRAM} convert ${source} - --to tint`;
	const said = run('script', ['-qec', command, '/dev/null'], {codes: [5]});
	t.regex(said, /standard output is a terminal/);
	t.is(tintype(['convert', source, '']).code, 2);
});
