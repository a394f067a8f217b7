import {
	closeSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	statfsSync,
	statSync,
	truncateSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {writeZeros} from '../../src/convert/fill-holes.ts';
import {seekHole} from '../../src/core/system/seek.ts';
import {tintype} from '../cli/run-tintype.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, runBytes, testWith} from '../helpers/tools.ts';
import {bootableDisk, DISK_TOOLS, emptyFile, MIB, writeAt} from './disks.ts';

function occupies(path: string): number {
	return statSync(path).blocks * 512;
}

function codes(findings: readonly {readonly code: string}[]): string[] {
	return findings.map(({code}) => code);
}

/** A folder in memory, where that is tmpfs. */
function memoryFolder(t: ExecutionContext): string | undefined {
	if (!existsSync('/dev/shm') || statfsSync('/dev/shm').type !== 0x0102_1994) return undefined;
	const folder = mkdtempSync('/dev/shm/tintype-test-');
	t.teardown(() => rmSync(folder, {recursive: true}));
	return folder;
}

testWith(test, ['qemu-img'], 'Hyper-V gets a VHDX without holes, with the same content', async t => {
	const folder = temporaryFolder(t);
	const source = demoDisk();
	const sparse = await convert(source, join(folder, 'sparse.vhdx'), {writer: {'block-size': 32 * MIB}});
	t.true(sparse.allocated < sparse.fileSize, 'what is written without the profile has holes');
	for (const place of [folder, memoryFolder(t)]) {
		if (place === undefined) continue;
		const target = join(place, 'disk.vhdx');
		const result = await convert(source, target, {for: 'hyperv'});
		t.is(result.fileSize, sparse.fileSize);
		t.true(occupies(target) >= statSync(target).size, place);
		t.false(codes(result.findings).includes('profile/still-sparse'));
		t.true(codes(result.findings).includes('profile/does-not-boot'));
		run('qemu-img', ['compare', source, target]);
		t.like(
			result.facts.find(({key}) => key === 'blockSize'),
			{value: 32 * MIB},
		);
	}
});

testWith(
	test,
	['qemu-img', 'ntfs-3g', 'mkntfs', 'getfattr', 'umount'],
	'on NTFS the file is not marked as sparse',
	async t => {
		const folder = temporaryFolder(t);
		const volume = emptyFile(join(folder, 'ntfs'), 200 * MIB);
		run('mkntfs', ['-F', '-Q', '-q', volume]);
		const place = join(folder, 'mount');
		mkdirSync(place);
		try {
			run('ntfs-3g', [volume, place]);
		} catch {
			t.log('ntfs-3g cannot mount here');
			t.pass();
			return;
		}
		t.teardown(() => run('umount', [place]));
		const SPARSE_FILE = 0x200;
		const attributes = (path: string): number =>
			runBytes('getfattr', ['--only-values', '-n', 'system.ntfs_attrib_be', path]).readUInt32BE();
		const plain = join(place, 'plain.vhdx');
		await convert(demoDisk(), plain);
		t.not(attributes(plain) & SPARSE_FILE, 0, 'Windows would refuse this one with 0xC03A001A');
		const target = join(place, 'disk.vhdx');
		const {findings} = await convert(demoDisk(), target, {for: 'hyperv'});
		t.is(attributes(target) & SPARSE_FILE, 0);
		t.false(codes(findings).includes('profile/still-sparse'));
		run('qemu-img', ['compare', demoDisk(), target]);
	},
);

test('where nothing can be allocated, zeros fill the holes and the rest stays', t => {
	const folder = temporaryFolder(t);
	const path = emptyFile(join(folder, 'file'), 5 * MIB + 1234);
	writeAt(path, 2 * MIB + 100, Buffer.from('content'));
	writeAt(path, 4 * MIB, new Uint8Array(70_000).fill(7));
	const before = readFileSync(path);
	const descriptor = openSync(path, 'r+');
	t.teardown(() => closeSync(descriptor));
	t.true(occupies(path) < before.length);
	let asked = 0;
	writeZeros(descriptor, before.length, () => (asked += 1));
	t.true(occupies(path) >= before.length);
	t.is(seekHole(descriptor, 0), before.length);
	t.true(asked > 0);
	t.true(readFileSync(path).equals(before));
	t.throws(
		() => {
			truncateSync(path, 8 * MIB);
			writeZeros(descriptor, 8 * MIB, () => {
				throw new Error('stop');
			});
		},
		{message: 'stop'},
	);
});

testWith(
	test,
	[...DISK_TOOLS, 'qemu-img'],
	'Azure gets a fixed VHD of whole MiB, and hears of the backup GPT',
	async t => {
		const folder = temporaryFolder(t);
		const source = bootableDisk(folder, 24 * MIB + 512 * 3);
		const target = join(folder, 'disk.vhd');
		const result = await convert(source, target, {for: 'azure', verify: true});
		t.is(statSync(target).size, 25 * MIB + 512);
		t.is(readFileSync(target).toString('latin1', 25 * MIB, 25 * MIB + 8), 'conectix');
		const info = JSON.parse(run('qemu-img', ['info', '-f', 'vpc', '--output=json', target])) as Record<string, unknown>;
		t.is(info['virtual-size'], 25 * MIB);
		run('qemu-img', ['compare', '-f', 'raw', '-F', 'vpc', source, target]);
		t.true(result.ids?.good);
		t.deepEqual(codes(result.findings), ['profile/boots', 'profile/padded']);
		t.like(result.findings[1], {severity: 'warning'});
		t.regex(result.findings[1]?.message ?? '', /backup of its GPT is no longer at the end/);

		const whole = await convert(bootableDisk(folder, 24 * MIB), join(folder, 'whole.vhd'), {for: 'azure'});
		t.deepEqual(codes(whole.findings), ['profile/boots']);
		const small = await convert(emptyFile(join(folder, 'small.raw'), 19 * MIB), join(folder, 'small.vhd'), {
			for: 'azure',
		});
		t.deepEqual(codes(small.findings), ['profile/does-not-boot', 'profile/too-small']);
	},
);

testWith(test, ['mkfs.ext4', 'qemu-img'], 'WSL gets an ext4 file system, and nothing else without a word', async t => {
	const folder = temporaryFolder(t);
	const ext = emptyFile(join(folder, 'ext4.raw'), 16 * MIB);
	run('mkfs.ext4', ['-q', ext]);
	const target = join(folder, 'ext4.vhdx');
	const {findings, facts} = await convert(ext, target, {for: 'wsl'});
	t.deepEqual(codes(findings), []);
	t.like(
		facts.find(({key}) => key === 'blockSize'),
		{value: MIB},
	);
	t.true(occupies(target) >= statSync(target).size);
	run('qemu-img', ['compare', ext, target]);

	const partitioned = await convert(demoDisk(), join(folder, 'disk.vhdx'), {for: 'wsl'});
	t.deepEqual(codes(partitioned.findings), ['profile/partitioned']);
	const other = emptyFile(join(folder, 'other.raw'), 2 * MIB);
	t.deepEqual(codes((await convert(other, join(folder, 'other.vhdx'), {for: 'wsl'})).findings), [
		'profile/file-system',
	]);
});

testWith(
	test,
	[...DISK_TOOLS, 'qemu-img'],
	'VirtualBox gets a dynamic VHD, and QEMU a raw disk with holes',
	async t => {
		const folder = temporaryFolder(t);
		const source = bootableDisk(folder);
		const vhd = await convert(source, join(folder, 'disk.vhd'), {for: 'virtualbox'});
		t.like(vhd.facts[0], {key: 'subformat', value: 'dynamic'});
		t.deepEqual(codes(vhd.findings), ['profile/boots']);
		t.regex(vhd.findings[0]?.message ?? '', /UEFI only \(System, Motherboard, Enable EFI\)/);
		run('qemu-img', ['compare', source, join(folder, 'disk.vhd')]);
		const raw = await convert(source, join(folder, 'disk.img'), {for: 'qemu'});
		t.like(raw, {format: 'raw', fileSize: 32 * MIB});
		t.true(raw.allocated < raw.fileSize);
	},
);

test('free space can be left out as well', async t => {
	const folder = temporaryFolder(t);
	const options = {for: 'hyperv', writer: {'block-size': MIB}};
	const all = await convert(demoDisk(), join(folder, 'all.vhdx'), options);
	const used = await convert(demoDisk(), join(folder, 'used.vhdx'), {...options, usedOnly: true});
	t.true(used.fileSize <= all.fileSize);
	t.true(occupies(join(folder, 'used.vhdx')) >= used.fileSize);
});

test('a table that cannot be read is a finding', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'damaged.raw');
	copyFileSync(demoDisk(), source);
	writeAt(source, 512, new Uint8Array(512).fill(0x55));
	writeAt(source, statSync(source).size - 512, new Uint8Array(512).fill(0x55));
	const {findings} = await convert(source, join(folder, 'disk.vhdx'), {for: 'hyperv'});
	t.deepEqual(codes(findings), ['profile/no-table', 'profile/does-not-boot']);
});

test('the command line takes profiles', t => {
	const folder = temporaryFolder(t);
	const good = tintype(['convert', demoDisk(), join(folder, 'disk.vhdx'), '--for', 'hyperv']);
	t.is(good.code, 0);
	t.regex(good.stderr, /warning: no machine boots from this disk/);
	const bad = tintype(['convert', demoDisk(), join(folder, 'disk.vhd'), '--for', 'azure', '--subformat', 'dynamic']);
	t.is(bad.code, 2);
	t.regex(bad.stderr, /--for azure and --subformat dynamic contradict each other/);
	t.is(tintype(['convert', demoDisk(), join(folder, 'disk.vhd'), '--for', 'vmware']).code, 2);
	t.false(existsSync(join(folder, 'disk.vhd')));
});
