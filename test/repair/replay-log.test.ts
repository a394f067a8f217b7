import {spawn} from 'node:child_process';
import {
	chmodSync,
	closeSync,
	copyFileSync,
	existsSync,
	readFileSync,
	renameSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {openDisk} from '../../src/image/image.ts';
import {openInPlace} from '../../src/repair/in-place.ts';
import {replayLog} from '../../src/repair/replay-log.ts';
import {tintype, tintypeJson} from '../cli/run-tintype.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {BLOCK, GUID, headersOf, makeVhdx, MIB, pattern, putLogEntry} from '../helpers/vhdx-image.ts';
import {attach, deviceTest} from '../restore/loops.ts';

const ID = '00112233-4455-6677-8899-aabbccddeeff';

/** A disk of 2 MiB that was not closed cleanly, and its content with the log. */
function unclean(t: ExecutionContext): {folder: string; path: string; expected: Uint8Array} {
	const folder = temporaryFolder(t);
	const path = join(folder, 'disk.vhdx');
	const stored = pattern(MIB, 0);
	const image = makeVhdx({
		size: 2 * MIB,
		logGuid: GUID.log,
		blocks: [{block: 0, state: BLOCK.full, bytes: stored}],
	});
	const start = image.places.get(0) ?? 0;
	const at = putLogEntry(image, 0, {
		sequence: 1,
		writes: [{kind: 'data', at: start + 4096, bytes: pattern(4096, 1)}],
	});
	putLogEntry(image, at, {sequence: 2, tail: 0, writes: [{kind: 'zero', at: start + 8192, length: 12_288}]});
	writeFileSync(path, image.bytes);
	const expected = new Uint8Array(2 * MIB);
	expected.set(stored);
	expected.set(pattern(4096, 1), 4096);
	expected.fill(0, 8192, 8192 + 12_288);
	return {folder, path, expected};
}

function contentOf(path: string): {bytes: Uint8Array; findings: string[]} {
	const opened = openDisk(path);
	const bytes = new Uint8Array(opened.disk.size);
	opened.disk.readAt(0, bytes);
	opened[Symbol.dispose]();
	return {bytes, findings: opened.findings.map(({code}) => code)};
}

test('the log is written into the file once, and then there is nothing to do', t => {
	const {path, expected} = unclean(t);
	t.deepEqual(contentOf(path), {bytes: expected, findings: ['vhdx/log-replayed']});
	const result = tintypeJson<Record<string, unknown>>(['repair', path, '--replay-log', '--json']);
	t.like(result, {image: path, method: 'replayed', entries: 2, bytes: 16_384, findings: []});
	t.is(result['fileSize'], statSync(path).size);
	t.deepEqual(contentOf(path), {bytes: expected, findings: []});

	const {mtimeMs, ctimeMs} = statSync(path);
	const again = tintypeJson<Record<string, unknown>>(['repair', path, '--replay-log', '--json']);
	t.like(again, {image: path, method: 'none', entries: 0, bytes: 0, fileSize: statSync(path).size, findings: []});
	t.like(statSync(path), {mtimeMs, ctimeMs});
	t.like(tintype(['repair', path, '--replay-log']), {
		code: 0,
		stdout: `${path}: clean, its log has nothing to write\n`,
	});
});

test('in words; through a link; with an id the file is the same every time', async t => {
	const {folder, path, expected} = unclean(t);
	const copy = join(folder, 'copy.vhdx');
	copyFileSync(path, copy);
	const link = join(folder, 'link.vhdx');
	symlinkSync(path, link);
	const {code, stdout} = tintype(['repair', link, '--replay-log', '--id', ID]);
	t.is(code, 0);
	t.regex(stdout, /its log was written into it/);
	t.regex(stdout, /2 entries, 16 KiB; the file has 5 MiB now, and is clean/);
	t.is(Buffer.compare(contentOf(path).bytes, expected), 0);
	await replayLog(copy, {id: ID});
	t.is(Buffer.compare(readFileSync(copy), readFileSync(path)), 0);
	const [header] = headersOf(readFileSync(path));
	t.regex(header.fileWriteGuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('what has no log, or is no image at all', async t => {
	const folder = temporaryFolder(t);
	for (const name of ['disk.vhd', 'disk.tint', 'disk.raw']) {
		const path = join(folder, name);
		await convert(demoDisk(), path);
		const before = readFileSync(path);
		const {code, stderr} = tintype(['repair', path, '--replay-log']);
		t.is(code, 4, name);
		t.regex(stderr, /have no log/);
		t.true(readFileSync(path).equals(before));
	}
	await t.throwsAsync(replayLog(join(folder, 'none.vhdx')), {code: 'file/not-found'});
	await t.throwsAsync(replayLog(join(folder, 'disk.raw'), {id: 'x'}), {code: 'convert/id'});
});

test('the options that make no sense with it', t => {
	const {path} = unclean(t);
	const before = readFileSync(path);
	t.is(tintype(['repair', path, `${path}.new`, '--replay-log']).code, 2);
	t.is(tintype(['repair', path, '--in-place', '--replay-log']).code, 2);
	t.true(readFileSync(path).equals(before));
	t.false(existsSync(`${path}.new`));
});

test('a child needs no parent for it, and stays the child of its own', t => {
	const {folder, path} = unclean(t);
	const child = join(folder, 'child.avhdx');
	const image = makeVhdx({
		size: 2 * MIB,
		logGuid: GUID.log,
		dataWriteGuid: GUID.child,
		locator: {parent_linkage: `{${GUID.parent}}`, relative_path: '.\\parent.vhdx'},
		blocks: [{block: 1, state: BLOCK.full, bytes: pattern(MIB, 7)}],
	});
	const start = image.places.get(1) ?? 0;
	putLogEntry(image, 0, {sequence: 1, writes: [{kind: 'data', at: start, bytes: pattern(4096, 8)}]});
	writeFileSync(child, image.bytes);
	const moved = join(folder, 'elsewhere');
	renameSync(path, moved);
	t.is(tintype(['repair', child, '--replay-log']).code, 0);
	// Now the parent's own: its content is the same, and so is what its child knows it by.
	renameSync(moved, join(folder, 'parent.vhdx'));
	const before = contentOf(child);
	t.deepEqual(before.findings, ['vhdx/log-replayed']);
	t.is(tintype(['repair', join(folder, 'parent.vhdx'), '--replay-log']).code, 0);
	t.deepEqual(contentOf(child), {bytes: before.bytes, findings: []});
});

test('read-only files, split ones, and those that another tintype writes are left alone', async t => {
	const {path, folder} = unclean(t);
	const before = readFileSync(path);
	chmodSync(path, 0o444);
	await t.throwsAsync(replayLog(path), {code: 'repair/read-only'});
	chmodSync(path, 0o644);
	const descriptor = openInPlace(path, '');
	await t.throwsAsync(replayLog(path), {code: 'output/busy'});
	t.is(tintype(['repair', path, '--replay-log']).code, 5);
	closeSync(descriptor);
	t.true(readFileSync(path).equals(before));

	const part = join(folder, 'split.vhdx.001');
	writeFileSync(part, before.subarray(0, 3 * MIB));
	writeFileSync(join(folder, 'split.vhdx.002'), before.subarray(3 * MIB));
	await t.throwsAsync(replayLog(part, {format: 'vhdx'}), {code: 'repair/split'});
	t.is((await replayLog(path)).method, 'replayed');
});

test('a clean file may be read-only: nothing is to be written', async t => {
	const {path} = unclean(t);
	await replayLog(path);
	chmodSync(path, 0o444);
	t.is((await replayLog(path)).method, 'none');
});

test('a log that asks for more than the file system holds leaves the disk as it was', async t => {
	const {path, expected} = unclean(t);
	const image = makeVhdx({
		size: 2 * MIB,
		logGuid: GUID.log,
		blocks: [{block: 0, state: BLOCK.full, bytes: expected.subarray(0, MIB)}],
	});
	putLogEntry(image, 0, {sequence: 1, writes: [], last: 2 ** 52});
	writeFileSync(path, image.bytes);
	try {
		await replayLog(path);
	} catch (error) {
		t.like(error, {family: 'io', code: 'output/truncate'});
	}
	t.is(Buffer.compare(contentOf(path).bytes, expected), 0);
});

test('an interruption leaves the rest for later', async t => {
	const {path, expected} = unclean(t);
	const controller = new AbortController();
	controller.abort(new Error('enough'));
	// Too short to be interrupted, or interrupted: both leave the same disk.
	await replayLog(path, {signal: controller.signal}).catch((error: unknown) => t.is(String(error), 'Error: enough'));
	t.is(Buffer.compare(contentOf(path).bytes, expected), 0);
});

testWith(test, ['qemu-io'], 'an image that a virtual machine has open is left alone', async t => {
	const {path} = unclean(t);
	const before = readFileSync(path);
	const machine = spawn('qemu-io', ['-f', 'raw', path], {stdio: ['pipe', 'pipe', 'inherit']});
	t.teardown(() => machine.kill('SIGKILL'));
	await new Promise(resolve => machine.stdout.once('data', resolve));
	await t.throwsAsync(replayLog(path), {code: 'output/in-use'});
	t.true(readFileSync(path).equals(before));
	machine.stdin.end('quit\n');
	await new Promise(resolve => machine.once('exit', resolve));
	t.is((await replayLog(path)).method, 'replayed');
});

deviceTest('devices are left alone', [], async t => {
	const {path} = unclean(t);
	const before = readFileSync(path);
	const device = await attach(t, path);
	await t.throwsAsync(replayLog(device), {code: 'repair/not-a-file'});
	t.true(readFileSync(path).equals(before));
	await replayLog(path);
	const clean = await attach(t, path);
	t.like(await replayLog(clean), {method: 'none', fileSize: before.length});
});
