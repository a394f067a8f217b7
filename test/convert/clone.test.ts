import {randomBytes} from 'node:crypto';
import {closeSync, existsSync, mkdirSync, openSync, readFileSync, statfsSync, truncateSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert, type ConvertOptions} from '../../src/convert/convert.ts';
import {fileSink} from '../../src/convert/file-sink.ts';
import {DiskError} from '../../src/core/error.ts';
import {fileSource, openFile} from '../../src/core/sources/file.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {MIB, usedVolume} from './work.ts';

/** File systems whose files can share blocks. */
const CLONING = [
	{name: 'XFS', size: 320 * MIB, make: ['mkfs.xfs', '-q', '-m', 'reflink=1']},
	{name: 'Btrfs', size: 320 * MIB, make: ['mkfs.btrfs', '-q']},
] as const;

const TARGETS: readonly {name: string; options: Pick<ConvertOptions, 'writer'>; clones: boolean}[] = [
	{name: 'copy.raw', options: {}, clones: true},
	{name: 'dynamic.vhdx', options: {}, clones: true},
	{name: 'small.vhdx', options: {writer: {'block-size': MIB}}, clones: true},
	{name: 'fixed.vhdx', options: {writer: {subformat: 'fixed'}}, clones: true},
	{name: 'fixed.vhd', options: {writer: {subformat: 'fixed'}}, clones: true},
	{name: 'dynamic.vhd', options: {}, clones: true},
	{name: 'archive.tint', options: {}, clones: false},
];

/** Where files of a new file system are. */
function mounted(
	t: ExecutionContext,
	{size, make}: (typeof CLONING)[number] | {size: number; make: readonly string[]},
) {
	const folder = temporaryFolder(t);
	const image = join(folder, 'file-system.img');
	closeSync(openSync(image, 'w'));
	truncateSync(image, size);
	run(make[0], [...make.slice(1), image]);
	const mount = join(folder, 'mounted');
	mkdirSync(mount);
	run('mount', ['-o', 'loop', image, mount]);
	t.teardown(() => run('umount', [mount]));
	return mount;
}

/** Noise in some places, holes elsewhere, and an end within a block. */
function sparseDisk(path: string): string {
	const descriptor = openSync(path, 'w');
	const noise = randomBytes(20 * MIB);
	writeSync(descriptor, noise, 0, 20 * MIB, 0);
	writeSync(descriptor, noise, 0, 12_288, 33 * MIB + 4096);
	writeSync(descriptor, noise, 0, 3 * MIB, 63 * MIB - 8192);
	writeSync(descriptor, noise, 0, 700, 90 * MIB);
	closeSync(descriptor);
	truncateSync(path, 90 * MIB + 700);
	return path;
}

function freeSpace(folder: string): number {
	run('sync', ['-f', folder]);
	const {bfree, bsize} = statfsSync(folder);
	return bfree * bsize;
}

function contentOf(path: string, length: number): Buffer {
	return readFileSync(path).subarray(0, length);
}

for (const system of CLONING) {
	for (const {name, options, clones} of TARGETS) {
		testWith(test, [system.make[0], 'losetup'], `${system.name}: ${name} and back`, async t => {
			const folder = mounted(t, system);
			const source = sparseDisk(join(folder, 'disk.raw'));
			const target = join(folder, name);
			const free = freeSpace(folder);
			const there = await convert(source, target, {...options, verify: true});
			t.is(there.dataPath, clones ? 'clone' : 'copy');
			t.true(there.ids?.good);
			if (clones) {
				// All but the last sectors, which end within a block.
				t.true(there.cloned >= 23 * MIB && there.cloned < 24 * MIB, `${there.cloned} bytes cloned`);
				t.true(free - freeSpace(folder) < 2 * MIB, `${free - freeSpace(folder)} bytes more in use`);
			}
			const back = await convert(target, join(folder, 'back.raw'));
			t.is(back.dataPath, clones ? 'clone' : 'copy');
			const whole = readFileSync(source);
			t.true(contentOf(join(folder, 'back.raw'), whole.length).equals(whole));
			run('qemu-img', ['compare', source, join(folder, 'back.raw')]);
		});
	}

	testWith(test, [system.make[0], 'losetup'], `${system.name}: any number of threads gives the same file`, async t => {
		const folder = mounted(t, system);
		const source = sparseDisk(join(folder, 'disk.raw'));
		const same = {id: '0'.repeat(32), timestamp: 0};
		await convert(source, join(folder, 'one.vhdx'), {...same, workers: 1});
		await convert(source, join(folder, 'four.vhdx'), {...same, workers: 4});
		t.true(readFileSync(join(folder, 'one.vhdx')).equals(readFileSync(join(folder, 'four.vhdx'))));
	});

	testWith(
		test,
		[system.make[0], 'losetup', 'mkfs.fat', 'mcopy'],
		`${system.name}: what is free is not cloned, and what is used is`,
		async t => {
			const folder = mounted(t, system);
			// 26 MiB of old noise, in which two files have 14 MiB.
			const source = usedVolume(folder);
			await convert(source, join(folder, 'copied.raw'), {usedOnly: true, dataPath: 'copy'});
			const copied = readFileSync(join(folder, 'copied.raw'));
			t.false(copied.equals(readFileSync(source)));
			for (const name of ['cloned.raw', 'cloned.vhdx']) {
				const {dataPath, cloned, ids} = await convert(source, join(folder, name), {usedOnly: true, verify: true});
				t.is(dataPath, 'clone', name);
				t.true(cloned > 12 * MIB && cloned < 16 * MIB, `${cloned} bytes cloned`);
				t.true(ids?.good, name);
			}
			t.true(readFileSync(join(folder, 'cloned.raw')).equals(copied));
			run('qemu-img', ['compare', join(folder, 'cloned.raw'), join(folder, 'cloned.vhdx')]);
		},
	);

	testWith(test, [system.make[0], 'losetup'], `${system.name}: --data-path copy shares nothing`, async t => {
		const folder = mounted(t, system);
		const source = sparseDisk(join(folder, 'disk.raw'));
		const free = freeSpace(folder);
		const {dataPath, cloned} = await convert(source, join(folder, 'copy.vhdx'), {dataPath: 'copy'});
		t.deepEqual({dataPath, cloned}, {dataPath: 'copy', cloned: 0});
		t.true(free - freeSpace(folder) > 23 * MIB);
	});

	testWith(test, [system.make[0], 'losetup'], `${system.name}: what cannot be cloned is copied, without zeros`, t => {
		const folder = mounted(t, system);
		const path = sparseDisk(join(folder, 'disk.raw'));
		const source = fileSource({name: path, parts: [openFile(path)]});
		const descriptor = openSync(join(folder, 'target'), 'w+');
		t.teardown(() => closeSync(descriptor));
		t.teardown(() => closeSync(source.descriptor ?? -1));
		const sink = fileSink(descriptor, 'target');
		sink.cloneAt(4096, source, 8192, 40_960);
		t.is(sink.cloned, 40_960);
		// Neither the place nor the length is a multiple of a block.
		sink.cloneAt(10 * MIB + 512, source, 18 * MIB + 1, 16 * MIB + 3);
		t.is(sink.cloned, 40_960);
		const whole = readFileSync(path);
		const written = readFileSync(join(folder, 'target'));
		t.deepEqual(written.subarray(4096, 4096 + 40_960), whole.subarray(8192, 8192 + 40_960));
		const length = written.length - 10 * MIB - 512;
		t.true(written.subarray(10 * MIB + 512).equals(whole.subarray(18 * MIB + 1, 18 * MIB + 1 + length)));
		t.true(length > 15 * MIB && length <= 16 * MIB + 3);
		// XFS allocates some more behind what is written.
		t.true(Number(run('stat', ['-c', '%b', join(folder, 'target')])) * 512 < 14 * MIB);
	});
}

function refusedBecause(t: ExecutionContext, error: unknown, reason: RegExp): void {
	if (!(error instanceof DiskError)) throw error;
	t.deepEqual({family: error.family, code: error.code}, {family: 'refused', code: 'convert/no-clone'});
	t.regex(error.message, reason);
}

testWith(test, ['mkfs.xfs', 'losetup'], 'on two file systems data is copied, unless cloning is asked for', async t => {
	const source = sparseDisk(join(mounted(t, CLONING[0]), 'disk.raw'));
	const folder = mounted(t, CLONING[0]);
	const target = join(folder, 'copy.vhdx');
	const error = await t.throwsAsync(convert(source, target, {dataPath: 'clone'}));
	refusedBecause(t, error, /different file systems/);
	t.false(existsSync(target) || existsSync(`${target}.partial`));
	const {dataPath} = await convert(source, target, {verify: true});
	t.is(dataPath, 'copy');
});

testWith(test, ['mkfs.ext4', 'losetup'], 'a file system that cannot clone is named', async t => {
	const folder = mounted(t, {size: 128 * MIB, make: ['mkfs.ext4', '-q']});
	const source = sparseDisk(join(folder, 'disk.raw'));
	const target = join(folder, 'copy.vhdx');
	const error = await t.throwsAsync(convert(source, target, {dataPath: 'clone'}));
	refusedBecause(t, error, /cannot share blocks/);
	t.is((await convert(source, target)).dataPath, 'copy');
});

testWith(
	test,
	['mkfs.xfs', 'losetup'],
	'cloning is refused where the target or the source is not verbatim',
	async t => {
		const folder = mounted(t, CLONING[0]);
		const source = sparseDisk(join(folder, 'disk.raw'));
		const archive = join(folder, 'archive.tint');
		refusedBecause(
			t,
			await t.throwsAsync(convert(source, archive, {dataPath: 'clone'})),
			/does not hold the disk verbatim/,
		);
		await convert(source, archive);
		const back = convert(archive, join(folder, 'back.raw'), {dataPath: 'clone'});
		refusedBecause(t, await t.throwsAsync(back), /the source does not hold the disk verbatim/);
	},
);

testWith(test, ['mkfs.btrfs', 'losetup', 'chattr'], 'two files that may not share blocks are copied', async t => {
	const folder = mounted(t, CLONING[1]);
	const special = join(folder, 'special.raw');
	closeSync(openSync(special, 'w'));
	// Without copy on write there is no sharing with files that have it.
	run('chattr', ['+C', special]);
	const noise = randomBytes(4 * MIB);
	const descriptor = openSync(special, 'r+');
	writeSync(descriptor, noise);
	closeSync(descriptor);
	const target = join(folder, 'copy.raw');
	refusedBecause(t, await t.throwsAsync(convert(special, target, {dataPath: 'clone'})), /refuses to share blocks/);
	t.is((await convert(special, target)).dataPath, 'copy');
	t.true(readFileSync(target).equals(noise));
});
