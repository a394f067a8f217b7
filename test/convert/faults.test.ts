/**
 * What fails while a conversion runs, with real means: devices with lost sectors, full and vanished file systems, limits. Whatever
 * it is, the error names the file and the place, an old target stays as it was, and nothing is left that is of no use.
 */
import {randomBytes} from 'node:crypto';
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {exitCodeOf} from '../../src/cli/exit-code.ts';
import {convert, type ConvertOptions} from '../../src/convert/convert.ts';
import {DiskError} from '../../src/core/error.ts';
import {openDisk} from '../../src/image/image.ts';
import {PROGRAM} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {attach, deviceTest} from '../restore/loops.ts';
import {type Target, targetArguments, TARGETS} from './targets.ts';

const MIB = 1 << 20;
const PAGE = 4096;
const SIZE = 6 * MIB;
/** Most that the kernel reads of a device as one. */
const FOLIO = MIB / 4;

const OLD = Buffer.from('an image that was here before, and is dear to somebody\n'.repeat(1000));

interface Attempt {
	readonly target: Target;
	/** Of the new image. */
	readonly path: string;
	/** Whether there is an old target. */
	readonly replaces: boolean;
}

/** All kinds of targets; every other one has an old one in its place. */
function attempts(folder: string, turn = 0, targets: readonly Target[] = TARGETS): Attempt[] {
	return targets.map((target, index) => {
		const replaces = (index + turn) % 2 === 0;
		return {target, path: join(folder, `${target.name.replace(' ', '-')}.${target.extension}`), replaces};
	});
}

function optionsOf({target, replaces}: Attempt): ConvertOptions {
	return {writer: target.writer, force: replaces, workers: 1, id: '00'.repeat(16), timestamp: 0};
}

/** A conversion that must fail; with what. `meanwhile` runs when all files are open and nothing is copied yet. */
async function failure(attempt: Attempt, source: string, meanwhile: () => void = () => {}, more: ConvertOptions = {}) {
	if (attempt.replaces) writeFileSync(attempt.path, OLD);
	else rmSync(attempt.path, {force: true});
	let thrown: unknown;
	try {
		const work = convert(source, attempt.path, {...optionsOf(attempt), ...more});
		meanwhile();
		await work;
	} catch (error) {
		thrown = error;
	}
	if (!(thrown instanceof DiskError)) throw new Error(`${attempt.path}: ${String(thrown)}`, {cause: thrown});
	return thrown;
}

function requireOld(t: ExecutionContext, {path, replaces}: Attempt): void {
	if (replaces) t.true(readFileSync(path).equals(OLD), `${path} has changed`);
	else t.false(existsSync(path), `${path} is there`);
}

function requireNothingLeft(t: ExecutionContext, attempt: Attempt): void {
	requireOld(t, attempt);
	t.false(existsSync(`${attempt.path}.partial`), `${attempt.path}.partial is there`);
}

function noise(path: string, size = SIZE): Buffer {
	const content = randomBytes(size);
	writeFileSync(path, content);
	return content;
}

function requireContent(t: ExecutionContext, path: string, want: Buffer): void {
	const {disk, ...opened} = openDisk(path);
	const bytes = Buffer.alloc(want.length);
	disk.readAt(0, bytes);
	opened[Symbol.dispose]();
	t.true(bytes.equals(want), path);
}

deviceTest('a source that fails at its n-th read: the error names the place, for every n', [], async t => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'device');
	// One read of the conversion is a MiB.
	const cuts = [0, PAGE, MIB - PAGE, MIB, 3 * MIB + 5 * PAGE, SIZE - PAGE];
	for (const [index, cut] of cuts.entries()) {
		noise(file);
		const device = await attach(t, file, '--read-only');
		// The device keeps its size; the kernel answers EIO for what is gone.
		truncateSync(file, cut);
		// Each target meets two of the cuts.
		const some = TARGETS.filter((_, number) => (index + number) % 3 === 0);
		for (const attempt of attempts(folder, index, some)) {
			const error = await failure(attempt, device, undefined, {format: 'raw'});
			t.like(error, {code: 'file/read', family: 'io'}, attempt.path);
			t.is(error.where.file, device);
			// The kernel reads several pages as one, and gives up those that are whole with the others.
			const position = error.where.position ?? -1;
			t.true(position <= cut && position > cut - FOLIO, `${attempt.path}: ${position} instead of ${cut}`);
			t.is(exitCodeOf(error), 3);
			requireNothingLeft(t, attempt);
		}
	}
});

test('a source that becomes shorter meanwhile', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	const cut = 2 * MIB + 12_345;
	for (const [index, attempt] of attempts(folder).entries()) {
		const workers = index % 3 === 2 ? 3 : 1;
		noise(source);
		const error = await failure(attempt, source, () => truncateSync(source, cut), {workers});
		t.like(error, {code: 'file/shrunk', family: 'io'}, attempt.path);
		t.is(error.where.file, source);
		const position = error.where.position ?? -1;
		t.true(workers === 1 ? position === cut : position >= cut && position < SIZE, `${position}`);
		t.is(exitCodeOf(error), 3);
		requireNothingLeft(t, attempt);
	}
});

test('an image as source, or its parent, that becomes shorter meanwhile', async t => {
	const folder = temporaryFolder(t);
	noise(join(folder, 'disk.raw'));
	for (const target of TARGETS) {
		const source = join(folder, `source-${target.name.replace(' ', '-')}.${target.extension}`);
		const attempt: Attempt = {target: TARGETS[0], path: join(folder, 'out.raw'), replaces: true};
		await convert(join(folder, 'disk.raw'), source, {writer: target.writer});
		const cut = Math.min(statSync(source).size - 3 * MIB, 7 * MIB);
		const error = await failure(attempt, source, () => truncateSync(source, cut));
		t.true(error.code === 'file/shrunk' && error.where.file === source, `${target.name}: ${error.code}`);
		t.true((error.where.position ?? 0) >= cut, `${target.name}: ${error.where.position}`);
		requireNothingLeft(t, attempt);
	}
});

test('a source that is written to meanwhile is told', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	const work = convert(source, join(folder, 'a.vhdx'));
	const descriptor = openSync(source, 'r+');
	writeSync(descriptor, Buffer.from('changed'), 0, 7, 5 * MIB);
	closeSync(descriptor);
	const {findings} = await work;
	t.deepEqual(
		findings.map(({code}) => code),
		['convert/source-changed'],
	);
});

/** A file system in memory of so many bytes. */
function smallFileSystem(t: ExecutionContext, folder: string, bytes: number): string {
	const mount = join(folder, 'small');
	mkdirSync(mount);
	run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', mount]);
	t.teardown(() => run('umount', ['-l', mount], {codes: [0, 32]}));
	return mount;
}

deviceTest(
	'a disk that is full: at the first byte, within the data, within the tables, and at the last page',
	[],
	async t => {
		const folder = temporaryFolder(t);
		const source = join(folder, 'source.raw');
		const content = noise(source);
		const mount = smallFileSystem(t, folder, 64 * MIB);
		const resize = (bytes: number) => run('mount', ['-o', `remount,size=${bytes}`, mount]);
		for (const attempt of attempts(mount)) {
			resize(64 * MIB);
			const options = {...optionsOf(attempt), force: true};
			const {allocated} = await convert(source, attempt.path, options);
			requireContent(t, attempt.path, content);
			rmSync(attempt.path);
			const old = attempt.replaces ? Math.ceil(OLD.length / PAGE) * PAGE : 0;
			const positions = new Set<number | undefined>();
			const missings = TARGETS.indexOf(attempt.target) % 2 === 0 ? [PAGE, allocated / 2] : [2 * PAGE, allocated - PAGE];
			for (const missing of missings) {
				resize(old + Math.floor((allocated - missing) / PAGE) * PAGE);
				const error = await failure(attempt, source);
				t.like(error, {code: 'output/write', family: 'io'}, `${attempt.path} without ${missing}`);
				t.regex(error.message, /ENOSPC/);
				t.regex(error.hint ?? '', /space/);
				t.is(error.where.file, `${attempt.path}.partial`);
				positions.add(error.where.position);
				t.is(exitCodeOf(error), 6);
				requireNothingLeft(t, attempt);
			}
			t.true(positions.size > 1 && !positions.has(undefined), [...positions].join(', '));
			// And with a page more than that it works.
			resize(old + allocated);
			await convert(source, attempt.path, options);
			requireContent(t, attempt.path, content);
			rmSync(attempt.path);
			t.deepEqual(readdirSync(mount), []);
		}
	},
);

deviceTest('work that was saved before the disk was full is gone on with', [], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	const content = noise(source);
	const mount = smallFileSystem(t, folder, 4 * MIB);
	const resumable = TARGETS.filter(target => target.resumable);
	for (const attempt of [...attempts(mount, 0, resumable), ...attempts(mount, 1, resumable)]) {
		let kept: string | undefined;
		const error = await failure(attempt, source, undefined, {
			checkpointEvery: MIB,
			onKept: ({partial}) => {
				kept = partial;
			},
		});
		t.like(error, {code: 'output/write'});
		t.is(kept, `${attempt.path}.partial`);
		requireOld(t, attempt);
		run('mount', ['-o', `remount,size=${32 * MIB}`, mount]);
		const result = await convert(source, attempt.path, {...optionsOf(attempt), resume: true});
		t.true(result.resumedAt >= MIB);
		requireContent(t, attempt.path, content);
		rmSync(attempt.path);
		run('mount', ['-o', `remount,size=${4 * MIB}`, mount]);
	}
});

/** A file system on a loop device over a file. */
async function loopFileSystem(
	t: ExecutionContext,
	file: string,
	mount: string,
	make: readonly [string, ...string[]],
	...options: readonly string[]
): Promise<void> {
	const device = await attach(t, file);
	const [tool, ...args] = make;
	run(tool, [...args, device]);
	mkdirSync(mount);
	run('mount', [...options, device, mount]);
	t.teardown(() => run('umount', [mount]));
}

deviceTest('a full ext4', ['mkfs.ext4'], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source, 12 * MIB);
	const file = join(folder, 'ext4');
	writeFileSync(file, '');
	truncateSync(file, 10 * MIB);
	const mount = join(folder, 'mount');
	await loopFileSystem(t, file, mount, ['mkfs.ext4', '-q', '-O', '^has_journal', '-m', '0', '-F']);
	for (const attempt of attempts(mount)) {
		const error = await failure(attempt, source);
		t.true(error.code === 'output/write' || error.code === 'output/sync', `${attempt.path}: ${error.code}`);
		t.regex(error.message, /ENOSPC/);
		t.is(exitCodeOf(error), 6);
		requireNothingLeft(t, attempt);
	}
});

deviceTest(
	'a medium that does not keep what it took: the sync tells, and the old target stays',
	['mkfs.ext4'],
	async t => {
		const folder = temporaryFolder(t);
		const source = join(folder, 'source.raw');
		noise(source, 12 * MIB);
		// The file system has 64 MiB, but the file that it lies in can only hold 8.
		const below = smallFileSystem(t, folder, 8 * MIB);
		const file = join(below, 'ext4');
		writeFileSync(file, '');
		truncateSync(file, 64 * MIB);
		const mount = join(folder, 'mount');
		const make = ['mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'nodiscard', '-F'] as const;
		await loopFileSystem(t, file, mount, [...make], '-o', 'errors=continue');
		const attempt: Attempt = {target: TARGETS[1], path: join(mount, 'a.vhdx'), replaces: true};
		const error = await failure(attempt, source);
		t.is(error.code, 'output/sync');
		t.regex(error.message, /EIO|ENOSPC/);
		t.is(error.where.file, `${attempt.path}.partial`);
		t.is(exitCodeOf(error), 6);
		requireNothingLeft(t, attempt);
	},
);

testWith(test, ['bash'], 'a limit on the size of files', t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	for (const attempt of attempts(folder)) {
		if (attempt.replaces) writeFileSync(attempt.path, OLD);
		const args = ['convert', source, attempt.path, ...targetArguments(attempt.target), '--force'];
		// In units of 1024 bytes.
		const script = 'ulimit -f 3000; exec "$@"';
		const {status, stderr} = spawnSync('bash', ['-c', script, 'bash', process.execPath, PROGRAM, ...args], {
			encoding: 'utf8',
			env: {...process.env, NODE_COMPILE_CACHE: ''},
		});
		t.is(status, 6, `${attempt.path}: ${stderr}`);
		t.regex(stderr, /EFBIG/);
		t.regex(stderr, /cannot hold so large a file/);
		t.true(stderr.includes(`${attempt.path}.partial`), stderr);
		requireNothingLeft(t, attempt);
	}
});

deviceTest('a file system that holds no file so large', ['mkfs.ext2'], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	// With blocks of 1 KiB and no extents a file ends at 16 GiB.
	truncateSync(source, 20 * 2 ** 30);
	const file = join(folder, 'ext2');
	writeFileSync(file, '');
	truncateSync(file, 24 * MIB);
	const mount = join(folder, 'mount');
	await loopFileSystem(t, file, mount, ['mkfs.ext2', '-q', '-b', '1024', '-F']);
	const large = TARGETS.filter(({name}) => name === 'raw' || name.endsWith('fixed'));
	for (const attempt of attempts(mount, 0, large)) {
		const error = await failure(attempt, source);
		t.regex(error.message, /EFBIG/, attempt.path);
		t.regex(error.hint ?? '', /cannot hold so large a file/);
		t.is(exitCodeOf(error), 6);
		requireNothingLeft(t, attempt);
	}
});

deviceTest('a quota that is used up', ['mkfs.btrfs', 'btrfs'], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	const file = join(folder, 'btrfs');
	writeFileSync(file, '');
	truncateSync(file, 160 * MIB);
	const mount = join(folder, 'mount');
	await loopFileSystem(t, file, mount, ['mkfs.btrfs', '-q']);
	const own = join(mount, 'own');
	run('btrfs', ['quota', 'enable', mount]);
	run('btrfs', ['subvolume', 'create', own]);
	run('btrfs', ['qgroup', 'limit', '3M', own]);
	for (const attempt of attempts(own)) {
		const error = await failure(attempt, source);
		t.true(error.code === 'output/write' || error.code === 'output/sync', `${attempt.path}: ${error.code}`);
		t.regex(error.message, /EDQUOT/);
		t.regex(error.hint ?? '', /quota is used up/);
		t.is(exitCodeOf(error), 6);
		requireNothingLeft(t, attempt);
		rmSync(attempt.path, {force: true});
	}
});

test('work that is removed, renamed or replaced meanwhile cannot get its name, and what took its place stays', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	for (const attempt of attempts(folder, 1)) {
		const partial = `${attempt.path}.partial`;
		const error = await failure(attempt, source, () => unlinkSync(partial));
		t.like(error, {code: 'output/rename', family: 'io'}, attempt.path);
		t.is(error.where.file, attempt.path);
		t.is(exitCodeOf(error), 6);
		requireNothingLeft(t, attempt);

		const replaced = await failure(attempt, source, () => {
			renameSync(partial, `${partial}.away`);
			writeFileSync(partial, 'the work of another run');
		});
		t.like(replaced, {code: 'output/rename'}, attempt.path);
		requireOld(t, attempt);
		t.is(readFileSync(partial, 'utf8'), 'the work of another run');
		for (const path of [partial, `${partial}.away`]) rmSync(path);
	}
});

test('a work that fails does not remove what took its place meanwhile', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	for (const attempt of attempts(folder, 0, TARGETS.slice(0, 2))) {
		noise(source);
		const partial = `${attempt.path}.partial`;
		const error = await failure(attempt, source, () => {
			unlinkSync(partial);
			writeFileSync(partial, 'the work of another run');
			truncateSync(source, MIB);
		});
		t.is(error.code, 'file/shrunk');
		requireOld(t, attempt);
		t.is(readFileSync(partial, 'utf8'), 'the work of another run');
		rmSync(partial);
	}
});

test('a folder that is removed meanwhile', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	const place = join(folder, 'place');
	for (const attempt of attempts(place, 0, TARGETS.slice(0, 2))) {
		mkdirSync(place);
		const error = await failure(attempt, source, () => rmSync(place, {recursive: true}));
		t.like(error, {code: 'output/rename', family: 'io'}, attempt.path);
		t.is(exitCodeOf(error), 6);
		t.false(existsSync(place));
	}
});

deviceTest('a file system that is taken away meanwhile', [], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	for (const replaces of [false, true]) {
		const place = join(folder, `place-${replaces}`);
		mkdirSync(place);
		const mount = smallFileSystem(t, place, 32 * MIB);
		const attempt: Attempt = {target: TARGETS[1], path: join(mount, 'a.vhdx'), replaces};
		const error = await failure(attempt, source, () => run('umount', ['-l', mount]));
		t.like(error, {code: 'output/rename', family: 'io'});
		t.deepEqual(readdirSync(mount), []);
	}
});

deviceTest('a target that cannot be written to', [], async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'source.raw');
	noise(source);
	const mount = smallFileSystem(t, folder, 32 * MIB);
	writeFileSync(join(mount, 'a.vhd'), OLD);
	run('mount', ['-o', 'remount,ro', mount]);
	for (const name of ['a.vhd', 'b.tint']) {
		const error = await t.throwsAsync<DiskError>(convert(source, join(mount, name), {force: true}));
		t.is(error?.code, 'output/create');
		t.regex(error?.message ?? '', /EROFS/);
		t.is(exitCodeOf(error), 6);
	}
	t.deepEqual(readdirSync(mount), ['a.vhd']);
	t.true(readFileSync(join(mount, 'a.vhd')).equals(OLD));
});
