import {createHash, randomBytes} from 'node:crypto';
import {
	appendFileSync,
	closeSync,
	copyFileSync,
	existsSync,
	linkSync,
	openSync,
	readdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {DiskError} from '../../src/core/error.ts';
import {tryLock} from '../../src/core/system/lock.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';

const MIB = 1 << 20;

/** A sparse disk with data at its start, across a piece border, far out, and in its last odd bytes. */
function sparseDisk(path: string, size = 300 * MIB + 512): void {
	const descriptor = openSync(path, 'w');
	for (const [position, length] of [
		[0, 512],
		[3 * MIB - 700, 1400],
		[200 * MIB + 4096, 65536],
		[size - 100, 100],
	] as const) {
		writeSync(descriptor, randomBytes(length), 0, length, position);
	}
	closeSync(descriptor);
	truncateSync(path, size);
}

function sha256(path: string): string {
	return createHash('sha256').update(readFileSync(path)).digest('hex');
}

test('a sparse raw disk is copied whole and stays sparse, with any number of workers', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source);
	for (const workers of [1, 2, 5]) {
		const target = join(folder, `target-${workers}.raw`);
		const result = await convert(source, target, {workers});
		t.is(sha256(target), sha256(source));
		t.true(result.allocated < 2 * MIB, `${result.allocated} bytes are allocated`);
		t.true(result.read <= 6 * MIB, `${result.read} bytes were read`);
		t.is(result.fileSize, 300 * MIB + 512);
	}
	t.deepEqual(
		readdirSync(folder).filter(name => name.endsWith('.partial')),
		[],
	);
});

test('progress ends at the size of the disk', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source);
	const seen: number[] = [];
	await convert(source, join(folder, 'target.raw'), {onProgress: ({position}) => seen.push(position)});
	t.is(seen.at(-1), 300 * MIB + 512);
	t.deepEqual(
		seen,
		[...seen].sort((a, b) => a - b),
	);
});

test('an existing target is kept unless it may be replaced', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	const target = join(folder, 'target.raw');
	sparseDisk(source, 2 * MIB);
	writeFileSync(target, 'precious');
	await t.throwsAsync(convert(source, target), {instanceOf: DiskError, code: 'output/exists'});
	t.is(readFileSync(target, 'utf8'), 'precious');
	await convert(source, target, {force: true});
	t.is(sha256(target), sha256(source));
});

test('the source is never the target, by whatever name', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source, 2 * MIB);
	const before = sha256(source);
	linkSync(source, join(folder, 'hard.raw'));
	symlinkSync('source.raw', join(folder, 'soft.raw'));
	for (const name of ['source.raw', 'hard.raw', 'soft.raw']) {
		await t.throwsAsync(convert(source, join(folder, name), {force: true}), {code: 'output/is-source'});
	}
	linkSync(source, join(folder, 'other.raw.partial'));
	await t.throwsAsync(convert(source, join(folder, 'other.raw'), {force: true}), {code: 'output/is-source'});
	t.is(sha256(source), before);
});

test('directories, devices and links to nowhere are refused as targets', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source, MIB);
	await t.throwsAsync(convert(source, folder, {to: 'raw', force: true}), {code: 'output/is-directory'});
	await t.throwsAsync(convert(source, '/dev/null', {to: 'raw', force: true}), {code: 'output/not-a-file'});
	await t.throwsAsync(convert(source, join(folder, 'none', 'x.raw')), {code: 'output/create'});
	symlinkSync('/etc/passwd', join(folder, 'trap.raw.partial'));
	await t.throwsAsync(convert(source, join(folder, 'trap.raw')), {code: 'output/create'});
	t.true(existsSync('/etc/passwd'));
});

test('a partial file of an interrupted run is replaced and named, one that is being written is left alone', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	const target = join(folder, 'target.raw');
	sparseDisk(source, 2 * MIB);
	copyFileSync(source, `${target}.partial`);
	const descriptor = openSync(`${target}.partial`, 'r');
	t.true(tryLock(descriptor, 'exclusive'));
	await t.throwsAsync(convert(source, target), {code: 'output/busy'});
	t.true(existsSync(`${target}.partial`));
	closeSync(descriptor);
	const {findings} = await convert(source, target);
	t.deepEqual(
		findings.map(finding => finding.code),
		['output/interrupted'],
	);
	t.is(sha256(target), sha256(source));
});

test('an aborted conversion leaves nothing behind', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	writeFileSync(source, randomBytes(64 * MIB));
	const controller = new AbortController();
	const running = convert(source, join(folder, 'target.raw'), {
		signal: controller.signal,
		onProgress: () => controller.abort(),
	});
	// A conversion faster than the first report of progress is not aborted by it.
	controller.abort();
	await t.throwsAsync(running, {name: 'AbortError'});
	t.deepEqual(readdirSync(folder), ['source.raw']);
});

test('a source that shrinks fails the conversion and leaves nothing behind', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	writeFileSync(source, randomBytes(32 * MIB));
	const running = convert(source, join(folder, 'target.raw'), {workers: 2});
	truncateSync(source, 512);
	const error = await t.throwsAsync(running, {instanceOf: DiskError});
	t.is(error?.code, 'file/shrunk');
	t.deepEqual(readdirSync(folder), ['source.raw']);
});

test('a sparse source that shrinks fails too: what is gone is no hole', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source);
	const running = convert(source, join(folder, 'target.raw'), {workers: 1});
	truncateSync(source, MIB);
	await t.throwsAsync(running, {instanceOf: DiskError, code: 'file/shrunk'});
	t.deepEqual(readdirSync(folder), ['source.raw']);
});

test('a source that is written to meanwhile is converted as it was opened, and that is told', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source, 2 * MIB);
	const quiet = await convert(source, join(folder, 'quiet.raw'));
	t.deepEqual(quiet.findings, []);
	const running = convert(source, join(folder, 'target.raw'));
	appendFileSync(source, 'more');
	const {findings, size} = await running;
	t.is(size, 2 * MIB);
	t.is(statSync(join(folder, 'target.raw')).size, 2 * MIB);
	t.deepEqual(
		findings.map(({code, severity}) => [code, severity]),
		[['convert/source-changed', 'damage']],
	);
});

test('a conversion that is aborted before it starts touches nothing', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source, MIB);
	writeFileSync(join(folder, 'target.raw.partial'), 'of another run');
	await t.throwsAsync(convert(source, join(folder, 'target.raw'), {signal: AbortSignal.abort()}), {name: 'AbortError'});
	t.is(readFileSync(join(folder, 'target.raw.partial'), 'utf8'), 'of another run');
});

test('a disk without a byte is converted where the format can hold it', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	writeFileSync(source, '');
	await t.throwsAsync(convert(source, join(folder, 'target.raw')), {code: 'format/empty'});
	await t.throwsAsync(convert(source, join(folder, 'target.vhdx'), {format: 'raw'}), {code: 'vhdx/disk-size'});
	for (const name of ['target.raw', 'target.tint']) await convert(source, join(folder, name), {format: 'raw'});
	t.is(statSync(join(folder, 'target.raw')).size, 0);
	await convert(join(folder, 'target.tint'), join(folder, 'back.raw'));
	t.is(statSync(join(folder, 'back.raw')).size, 0);
});

const asRoot = isRoot ? test : test.skip;

asRoot('a block device is a source like any other', async t => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'file');
	sparseDisk(file, 3 * MIB + 512);
	const device = run('losetup', ['--find', '--show', '--read-only', file]).trim();
	t.teardown(() => run('losetup', ['--detach', device]));
	const {size, findings} = await convert(device, join(folder, 'target.raw'));
	t.is(size, 3 * MIB + 512);
	t.deepEqual(findings, []);
	t.is(sha256(join(folder, 'target.raw')), sha256(file));
	await t.throwsAsync(convert(file, device, {to: 'raw', force: true}), {code: 'output/not-a-file'});
});

test('what cannot be written is said before anything is touched', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	sparseDisk(source, MIB);
	await t.throwsAsync(convert(source, join(folder, 'target.xyz')), {code: 'convert/extension'});
	await t.throwsAsync(convert(source, join(folder, 'target.raw'), {to: 'nothing'}), {code: 'convert/format'});
	await t.throwsAsync(convert(source, join(folder, 'target.raw'), {writer: {colour: 'red'}}), {code: 'convert/option'});
	await t.throwsAsync(convert(source, join(folder, 'target.raw'), {id: 'short'}), {code: 'convert/id'});
	for (const workers of [0, 1.5, Number.NaN]) {
		await t.throwsAsync(convert(source, join(folder, 'target.raw'), {workers}), {code: 'convert/workers'});
	}
	await t.throwsAsync(convert(source, join(folder, 'target.tint'), {timestamp: -1}), {code: 'convert/timestamp'});
	await t.throwsAsync(convert(join(folder, 'missing.raw'), join(folder, 'target.raw')), {code: 'file/not-found'});
	t.deepEqual(readdirSync(folder), ['source.raw']);
	t.is(statSync(source).size, MIB);
});

test('split images are read as one', async t => {
	const folder = temporaryFolder(t);
	const whole = randomBytes(3 * MIB + 1000);
	writeFileSync(join(folder, 'disk.raw.001'), whole.subarray(0, MIB));
	writeFileSync(join(folder, 'disk.raw.002'), whole.subarray(MIB, 2 * MIB + 77));
	writeFileSync(join(folder, 'disk.raw.003'), whole.subarray(2 * MIB + 77));
	writeFileSync(join(folder, 'disk.raw.005'), 'not part of it');
	await convert(join(folder, 'disk.raw.001'), join(folder, 'whole.raw'));
	t.true(readFileSync(join(folder, 'whole.raw')).equals(whole));
});
