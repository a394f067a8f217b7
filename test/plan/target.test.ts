import {chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {planConversion} from '../../src/plan/plan.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {attach, deviceTest} from '../restore/loops.ts';
import {emptyFile, MIB} from '../profiles/disks.ts';

const TIB = 2 ** 40;
const EXT4 = 0xef53;

async function problemsOf(source: string, target: string, force = false): Promise<string[]> {
	const {problems} = await planConversion(source, {target, force});
	return problems.map(({code}) => code);
}

/** A file system in a file, mounted; undefined where this user may not. */
function mounted(t: ExecutionContext, path: string, options: string[] = []): string | undefined {
	const place = mkdtempSync(join(temporaryFolder(t), 'mount-'));
	try {
		run('mount', [...options, path, place]);
	} catch {
		t.log('this cannot be mounted here');
		t.pass();
		return undefined;
	}
	t.teardown(() => run('umount', [place]));
	return place;
}

test('the place of the target: free, taken, a folder, missing', async t => {
	const folder = temporaryFolder(t);
	const target = join(folder, 'disk.vhdx');
	const plan = await planConversion(demoDisk(), {target});
	t.like(plan, {possible: true, format: 'vhdx', target: {path: target, folder}});
	t.deepEqual(readdirSync(folder), [], 'nothing is written');
	writeFileSync(target, 'old');
	t.deepEqual(await problemsOf(demoDisk(), target), ['output/exists']);
	t.deepEqual(await problemsOf(demoDisk(), target, true), []);
	t.like((await planConversion(demoDisk(), {target: folder, to: 'raw'})).target, {path: null, folder});
	t.deepEqual(await problemsOf(demoDisk(), join(folder, 'none', 'disk.vhdx')), ['output/create']);
	t.deepEqual(await problemsOf(demoDisk(), '/dev/null.vhdx/disk.vhdx'), ['output/create']);
	t.is((await planConversion(demoDisk(), {to: 'raw'})).target, null);
});

test('a folder that may not be written', async t => {
	if (process.getuid?.() === 0) {
		t.log('everything may be written by root');
		t.pass();
		return;
	}
	const folder = join(temporaryFolder(t), 'locked');
	mkdirSync(folder);
	chmodSync(folder, 0o500);
	t.deepEqual(await problemsOf(demoDisk(), join(folder, 'disk.vhdx')), ['output/create']);
});

testWith(test, ['qemu-img'], 'a file that its file system cannot hold, foreseen as it comes', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'large.vhdx');
	run('qemu-img', ['create', '-q', '-f', 'vhdx', source, '20T']);
	if (statfsSync(folder).type !== EXT4) {
		t.log('this is not ext4');
		t.pass();
		return;
	}
	const target = join(folder, 'large.raw');
	const plan = await planConversion(source, {target});
	t.deepEqual(
		plan.problems.map(({code}) => code),
		['plan/file-too-large'],
	);
	t.like(plan.target, {fileSystem: 'ext4', largestFile: 16 * TIB - 4096});
	const error = await t.throwsAsync(convert(source, target));
	t.regex(error?.message ?? '', /EFBIG/);
	t.like(error, {family: 'io', hint: 'its file system cannot hold so large a file; choose a target on another one'});
	t.deepEqual(readdirSync(folder), ['large.vhdx']);

	t.deepEqual(await problemsOf(source, join(folder, 'copy.vhdx')), [], 'a VHDX of it is small');
	const smaller = join(folder, 'smaller.vhdx');
	run('qemu-img', ['create', '-q', '-f', 'vhdx', smaller, '15T']);
	t.deepEqual(await problemsOf(smaller, target), []);
	if (!existsSync('/dev/shm') || statfsSync('/dev/shm').type !== 0x0102_1994) return;
	const memory = mkdtempSync('/dev/shm/tintype-test-');
	t.teardown(() => rmSync(memory, {recursive: true}));
	t.deepEqual(await problemsOf(source, join(memory, 'large.raw')), []);
	t.like(await convert(source, join(memory, 'large.raw')), {fileSize: 20 * TIB, allocated: 0});
});

interface Volume {
	readonly name: string;
	readonly make: readonly string[];
	readonly size: number;
	/** Bytes of a disk that finds no room as a raw file, and of one that does. */
	readonly tooLarge?: number;
	readonly fits: number;
	readonly fileSystem: string;
}

const VOLUMES: readonly Volume[] = [
	{
		name: 'ext4 of blocks of 1 KiB',
		make: ['mkfs.ext4', '-q', '-b', '1024'],
		size: 32 * MIB,
		tooLarge: 4 * TIB,
		fits: 4 * TIB - 1024,
		fileSystem: 'ext4',
	},
	{name: 'XFS', make: ['mkfs.xfs', '-q'], size: 320 * MIB, fits: 64 * TIB, fileSystem: 'XFS'},
	{
		name: 'FAT',
		make: ['mkfs.fat', '-F', '32'],
		size: 64 * MIB,
		tooLarge: 2 ** 32,
		fits: 2 ** 32 - 512,
		fileSystem: 'FAT',
	},
];

for (const {name, make, size, tooLarge, fits, fileSystem} of VOLUMES) {
	deviceTest(`how large a file can be on ${name}`, [make[0] ?? '', 'mount', 'umount', 'qemu-img'], async t => {
		const folder = temporaryFolder(t);
		const volume = emptyFile(join(folder, 'volume'), size);
		run(make[0] ?? '', [...make.slice(1), volume]);
		const place = mounted(t, await attach(t, volume));
		if (place === undefined) return;
		const disk = (bytes: number): string => {
			const path = join(folder, `${bytes}.vhdx`);
			run('qemu-img', ['create', '-q', '-f', 'vhdx', path, String(bytes)]);
			return path;
		};
		const target = join(place, 'disk.raw');
		t.is((await planConversion(disk(MIB), {target})).target?.fileSystem, fileSystem);
		if (tooLarge !== undefined) {
			t.deepEqual(await problemsOf(disk(tooLarge), target), ['plan/file-too-large']);
			await t.throwsAsync(convert(disk(tooLarge), target), {message: /EFBIG/});
		}
		// FAT has no holes: what fits into a file need not fit into the volume.
		const problems = await problemsOf(disk(fits), target);
		if (fileSystem === 'FAT') return;
		t.deepEqual(problems, []);
		t.like(await convert(disk(fits), target), {fileSize: fits});
	});
}

testWith(test, ['mount', 'umount'], 'a target without room for it', async t => {
	const place = mounted(t, 'tmpfs', ['-t', 'tmpfs', '-o', 'size=2m']);
	if (place === undefined) return;
	const target = join(place, 'disk.vhdx');
	const plan = await planConversion(demoDisk(), {target});
	t.like(plan.target, {fileSystem: 'tmpfs', free: 2 * MIB, largestFile: null});
	t.deepEqual(
		plan.problems.map(({code}) => code),
		['plan/no-space'],
	);
	await t.throwsAsync(convert(demoDisk(), target), {message: /ENOSPC/});
	t.deepEqual(await problemsOf(demoDisk(), join(place, 'disk.tint')), [], 'compressed it finds room');
	await convert(demoDisk(), join(place, 'disk.tint'));
});

testWith(test, ['mount', 'umount'], 'a file without holes needs more room than one with them', async t => {
	const place = mounted(t, 'tmpfs', ['-t', 'tmpfs', '-o', 'size=8m']);
	if (place === undefined) return;
	const target = join(place, 'disk.vhdx');
	t.deepEqual(await problemsOf(demoDisk(), target), []);
	const plan = await planConversion(demoDisk(), {target, for: 'hyperv'});
	t.deepEqual(
		plan.problems.map(({code}) => code),
		['plan/no-space'],
	);
	await t.throwsAsync(convert(demoDisk(), target, {for: 'hyperv'}), {code: 'output/allocate', message: /ENOSPC/});
	t.deepEqual(readdirSync(place), []);
	await convert(demoDisk(), target);
});
