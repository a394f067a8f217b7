import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import type {Finding} from '../../src/core/disk.ts';
import {restore, type RestoreOptions} from '../../src/restore/restore.ts';
import type {DeviceDescription} from '../../src/restore/target.ts';
import {PROGRAM} from '../cli/run-tintype.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';
import {attach, bytesAt, deviceTest} from './loops.ts';

const MIB = 1 << 20;
const DISK_TOOLS = ['sfdisk', 'sgdisk', 'mkfs.ext4'];
const YES: RestoreOptions = {confirm: () => true};

/** A GPT disk of 32 MiB: 1 is 8 MiB of random bytes, 2 is ext4. */
function sampleDisk(): string {
	return cachedFile('restore-sample.raw', readFileSync(import.meta.filename, 'utf8'), path => {
		writeFileSync(path, '');
		truncateSync(path, 32 * MIB);
		run('sfdisk', ['-q', path], {input: 'label: gpt\nstart=2048,size=16384\nstart=18432,size=40960\n'});
		const ext = join(dirname(path), 'ext');
		writeFileSync(ext, '');
		truncateSync(ext, 20 * MIB);
		run('mkfs.ext4', ['-q', '-L', 'root', ext]);
		const random = join(dirname(path), 'random');
		writeFileSync(random, randomBytes(8 * MIB));
		run('dd', [`if=${random}`, `of=${path}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none']);
		run('dd', [`if=${ext}`, `of=${path}`, 'bs=1M', 'seek=9', 'conv=notrunc,sparse', 'status=none']);
	});
}

function garbageFile(folder: string, size: number, name = 'device.img'): string {
	const path = join(folder, name);
	writeFileSync(path, Buffer.alloc(size, 'garbage that no disk holds'));
	return path;
}

for (const extension of ['raw', 'vhdx', 'tint']) {
	deviceTest(`a device full of garbage becomes the disk in a .${extension}, byte for byte`, DISK_TOOLS, async t => {
		const folder = temporaryFolder(t);
		let source = sampleDisk();
		if (extension !== 'raw') {
			source = join(folder, `source.${extension}`);
			await convert(sampleDisk(), source);
		}
		const device = await attach(t, garbageFile(folder, 32 * MIB));
		const seen: DeviceDescription[] = [];
		const result = await restore(source, device, {
			verify: true,
			confirm(description) {
				seen.push(description);
				return true;
			},
		});
		t.like(result, {device: true, wrong: [], damagedBytes: 0, movedBackup: undefined, findings: []});
		t.true(bytesAt(device, 0, 33 * MIB).equals(readFileSync(sampleDisk())));
		t.like(seen, [{path: device, name: basename(device), size: 32 * MIB, volumes: []}]);
	});
}

deviceTest('on a larger device the backup GPT moves to its end', DISK_TOOLS, async t => {
	const folder = temporaryFolder(t);
	const device = await attach(t, garbageFile(folder, 48 * MIB));
	const result = await restore(sampleDisk(), device, {...YES, verify: true});
	t.deepEqual(result.movedBackup, {from: 65_535, to: 98_303, sectorSize: 512});
	t.deepEqual(result.wrong, []);
	t.regex(run('sgdisk', ['--verify', device]), /No problems found/);
	t.regex(run('sfdisk', ['--verify', device]), /No errors detected/);
	const partitions = (path: string) => run('sfdisk', ['--dump', path]).match(/start=.*/g);
	t.deepEqual(partitions(device), partitions(sampleDisk()));
	const disk = readFileSync(sampleDisk());
	t.true(bytesAt(device, MIB, 31 * MIB).equals(disk.subarray(MIB, 32 * MIB)));
	run('e2fsck', ['-fn', `${device}?offset=${9 * MIB}`]);

	const again = await restore(sampleDisk(), device, {...YES, differences: true});
	t.like(again, {written: 0, zeroed: 0});

	const kept = await restore(sampleDisk(), device, {...YES, keepGpt: true});
	t.is(kept.movedBackup, undefined);
	t.true(bytesAt(device, 0, 32 * MIB).equals(disk));
	t.true(bytesAt(device, 47 * MIB, MIB).every(byte => byte === 0));
});

deviceTest(
	'on a larger device a disk with an MBR stays as it is, and a GPT from before is gone',
	DISK_TOOLS,
	async t => {
		const folder = temporaryFolder(t);
		const image = join(folder, 'mbr.raw');
		writeFileSync(image, '');
		truncateSync(image, 16 * MIB);
		run('sfdisk', ['-q', image], {input: 'label: dos\nstart=2048\n'});
		const file = join(folder, 'device.img');
		writeFileSync(file, '');
		truncateSync(file, 32 * MIB);
		run('sgdisk', ['--new=1:2048:4096', file]);
		const device = await attach(t, file);
		const result = await restore(image, device, YES);
		t.like(result, {movedBackup: undefined, findings: []});
		t.true(bytesAt(device, 0, 16 * MIB).equals(readFileSync(image)));
		t.true(bytesAt(device, 31 * MIB, MIB).every(byte => byte === 0));
	},
);

deviceTest('a table of 512-byte sectors stays as it is on a device of 4096', DISK_TOOLS, async t => {
	const folder = temporaryFolder(t);
	const device = await attach(t, garbageFile(folder, 48 * MIB), '--sector-size', '4096');
	const result = await restore(sampleDisk(), device, {...YES, verify: true});
	t.is(result.movedBackup, undefined);
	t.deepEqual(
		result.findings.map(({code}) => code),
		['restore/sector-size', 'restore/backup-stays'],
	);
	t.true(bytesAt(device, 0, 32 * MIB).equals(readFileSync(sampleDisk())));
});

deviceTest('with differences an identical target is not written to', DISK_TOOLS, async t => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'device.img');
	copyFileSync(sampleDisk(), file);
	const device = await attach(t, file);
	run('sync', ['-f', file]);
	const before = statSync(file, {bigint: true});
	await delay(20);
	const result = await restore(sampleDisk(), device, {...YES, differences: true, verify: true});
	t.like(result, {written: 0, zeroed: 0, unchanged: 32 * MIB, wrong: []});
	const after = statSync(file, {bigint: true});
	t.is(after.mtimeNs, before.mtimeNs);
	t.is(after.blocks, before.blocks);
});

deviceTest('a mounted device, or one with a mounted partition, is refused', [...DISK_TOOLS, 'partx'], async t => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'device.img');
	copyFileSync(sampleDisk(), file);
	const device = await attach(t, file, '--partscan');
	const partition = `${device}p2`;
	// Not every kernel reads this kind of table by itself.
	if (!existsSync(partition)) run('partx', ['--add', device]);
	t.teardown(() => run('partx', ['--delete', device], {codes: [0, 1]}));
	for (let attempt = 0; !existsSync(partition) && attempt < 50; attempt++) await delay(20);
	const directory = join(folder, 'a place with blanks');
	mkdirSync(directory);
	run('mount', [partition, directory]);
	let mounted = true;
	const unmount = () => mounted && run('umount', [directory]);
	t.teardown(unmount);
	const before = readFileSync(file);
	const never: RestoreOptions = {
		confirm() {
			throw new Error('it was asked for');
		},
	};
	for (const target of [device, partition]) {
		await t.throwsAsync(restore(join(folder, 'device.img'), target, never), {code: 'restore/is-source'});
		const used = await t.throwsAsync(restore(smallImage(folder), target, never), {code: 'restore/in-use'});
		t.true(used?.message.includes(`${basename(partition)} is mounted on ${directory}`), used?.message);
	}
	t.true(readFileSync(file).equals(before));
	// The other partition is free.
	await restore(smallImage(folder), `${device}p1`, YES);
	t.true(bytesAt(`${device}p1`, 0, MIB).equals(readFileSync(smallImage(folder))));
	unmount();
	mounted = false;
	const link = join(folder, 'by-id');
	symlinkSync(device, link);
	await restore(smallImage(folder), link, YES);
	t.true(bytesAt(device, 0, MIB).equals(readFileSync(smallImage(folder))));
});

function smallImage(folder: string): string {
	const path = join(folder, 'small.raw');
	if (!existsSync(path)) writeFileSync(path, randomBytes(MIB));
	return path;
}

deviceTest('a device that lies under another one is refused', ['losetup'], async t => {
	const folder = temporaryFolder(t);
	const device = await attach(t, garbageFile(folder, 4 * MIB));
	const upper = await attach(t, device);
	const used = await t.throwsAsync(restore(smallImage(folder), device, YES), {code: 'restore/in-use'});
	t.true(used?.message.includes(basename(upper)));
});

deviceTest('swap is refused', ['mkswap', 'swapon'], async t => {
	const folder = temporaryFolder(t);
	const device = await attach(t, garbageFile(folder, 4 * MIB));
	run('mkswap', [device]);
	try {
		run('swapon', [device]);
	} catch {
		t.log('this kernel has no swap on loop devices');
		t.pass();
		return;
	}
	try {
		const used = await t.throwsAsync(restore(smallImage(folder), device, YES), {code: 'restore/in-use'});
		t.regex(used?.message ?? '', /used as swap/);
	} finally {
		run('swapoff', [device]);
	}
});

deviceTest('what is too small, read-only, unconfirmed or the source is refused, and stays as it is', [], async t => {
	const folder = temporaryFolder(t);
	const file = garbageFile(folder, MIB - 4096);
	const before = readFileSync(file);
	const small = await attach(t, file);
	const image = smallImage(folder);
	const error = await t.throwsAsync(restore(image, small, YES), {code: 'restore/too-small'});
	t.regex(error?.message ?? '', /has 1044480 bytes, 4096 fewer than .* 1048576/);

	const readOnly = await attach(t, garbageFile(folder, 2 * MIB, 'read-only.img'), '--read-only');
	await t.throwsAsync(restore(image, readOnly, YES), {code: 'restore/read-only'});
	const other = await attach(t, garbageFile(folder, 2 * MIB, 'other.img'));
	await t.throwsAsync(restore(image, other), {code: 'restore/unconfirmed'});
	await t.throwsAsync(restore(image, other, {confirm: () => false}), {code: 'restore/unconfirmed'});
	await t.throwsAsync(restore(other, other, YES), {code: 'restore/is-source'});
	await t.throwsAsync(restore(join(folder, 'other.img'), other, YES), {code: 'restore/is-source'});
	await t.throwsAsync(restore(other, join(folder, 'other.img'), {force: true, differences: true}), {
		code: 'restore/in-use',
	});
	await t.throwsAsync(restore(image, '/dev/null', YES), {code: 'restore/target'});
	await t.throwsAsync(restore(image, folder, YES), {code: 'restore/target'});
	t.true(readFileSync(file).equals(before));
	t.true(readFileSync(join(folder, 'other.img')).equals(Buffer.alloc(2 * MIB, 'garbage that no disk holds')));
});

deviceTest('a device that changes while it is confirmed is refused', [], async t => {
	const folder = temporaryFolder(t);
	const file = garbageFile(folder, 4 * MIB);
	const device = await attach(t, file);
	const resized: RestoreOptions = {
		confirm() {
			truncateSync(file, 8 * MIB);
			run('losetup', ['--set-capacity', device]);
			return true;
		},
	};
	await t.throwsAsync(restore(smallImage(folder), device, resized), {code: 'restore/changed'});

	// A link that leads elsewhere by then does not matter: what was shown is what is written.
	const second = await attach(t, garbageFile(folder, 4 * MIB, 'second.img'));
	const link = join(folder, 'link');
	symlinkSync(device, link);
	await restore(smallImage(folder), link, {
		confirm() {
			run('ln', ['-sfn', second, link]);
			return true;
		},
	});
	t.true(bytesAt(device, 0, MIB).equals(readFileSync(smallImage(folder))));
	t.true(bytesAt(second, 0, 16).equals(Buffer.alloc(16, 'garbage that no disk holds')));
});

deviceTest('another one attached under the same name is not the same device', [], async t => {
	const folder = temporaryFolder(t);
	const device = await attach(t, garbageFile(folder, 4 * MIB));
	const other = garbageFile(folder, 4 * MIB, 'other.img');
	await t.throwsAsync(
		restore(smallImage(folder), device, {
			confirm() {
				run('losetup', ['--detach', device]);
				run('losetup', [device, other]);
				return true;
			},
		}),
		{code: 'restore/changed'},
	);
	t.true(readFileSync(other).equals(Buffer.alloc(4 * MIB, 'garbage that no disk holds')));
});

deviceTest('interrupted, it says that the target is incomplete', [], async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'large.raw');
	run('sh', ['-c', `head -c 400M /dev/zero | tr '\\0' z > ${image}`]);
	const file = join(folder, 'device.img');
	writeFileSync(file, Buffer.alloc(2 * MIB, 'old'));
	truncateSync(file, 400 * MIB);
	const device = await attach(t, file);
	const controller = new AbortController();
	const findings: Finding[] = [];
	await t.throwsAsync(
		restore(image, device, {
			...YES,
			signal: controller.signal,
			onProgress: ({position}) => position > 0 && controller.abort(),
			onFinding: finding => findings.push(finding),
		}),
		{name: 'AbortError'},
	);
	t.deepEqual(
		findings.map(({code}) => code),
		['restore/incomplete'],
	);
	t.true(bytesAt(device, 0, MIB).every(byte => byte === 0));
});

deviceTest('interrupted while it is verified, it says that the target is whole', [], async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'large.raw');
	run('sh', ['-c', `head -c 300M /dev/zero | tr '\\0' z > ${image}`]);
	const file = join(folder, 'device.img');
	writeFileSync(file, '');
	truncateSync(file, 300 * MIB);
	const device = await attach(t, file);
	const controller = new AbortController();
	const findings: Finding[] = [];
	await t.throwsAsync(
		restore(image, device, {
			...YES,
			verify: true,
			signal: controller.signal,
			onProgress: ({position}) => position > 301 * MIB && controller.abort(),
			onFinding: finding => findings.push(finding),
		}),
		{name: 'AbortError'},
	);
	t.deepEqual(
		findings.map(({code}) => code),
		['restore/unverified'],
	);
	t.true(bytesAt(device, 0, 300 * MIB).equals(readFileSync(image)));
});

deviceTest('a device that fails is told from an image that fails, and is incomplete', ['mount'], async t => {
	const folder = temporaryFolder(t);
	const small = join(folder, 'small');
	mkdirSync(small);
	run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small]);
	// Teardowns run in reverse order: the loop device goes first.
	t.teardown(() => run('umount', [small]));
	const file = join(small, 'device.img');
	writeFileSync(file, '');
	truncateSync(file, 200 * MIB);
	const device = await attach(t, file);
	const image = join(folder, 'image.raw');
	writeFileSync(image, randomBytes(200 * MIB));
	const findings: Finding[] = [];
	const error = await t.throwsAsync<Error & {code?: string}>(
		restore(image, device, {...YES, onFinding: finding => findings.push(finding)}),
	);
	t.regex(error?.code ?? '', /^output\//);
	t.deepEqual(
		findings.map(({code}) => code),
		['restore/incomplete'],
	);
});

deviceTest('killed at any moment, the device begins with zeros or is whole', [], async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image.raw');
	writeFileSync(image, randomBytes(80 * MIB));
	const file = join(folder, 'device.img');
	const head = readFileSync(image).subarray(0, MIB);
	let unfinished = 0;
	writeFileSync(file, '');
	truncateSync(file, 80 * MIB);
	const device = await attach(t, file);
	for (const patience of [0, 15, 60, 600]) {
		writeFileSync(device, Buffer.alloc(80 * MIB, 'old'), {flag: 'r+'});
		const child = spawn(process.execPath, [PROGRAM, 'restore', image, device, '--yes'], {stdio: 'ignore'});
		const ended = new Promise<void>(resolve => {
			child.on('exit', () => resolve());
		});
		while (child.exitCode === null && bytesAt(device, 0, 3).equals(Buffer.from('old'))) await delay(2);
		await Promise.race([delay(patience), ended]);
		child.kill('SIGKILL');
		await ended;
		const now = bytesAt(device, 0, MIB);
		if (now.equals(head)) {
			t.true(bytesAt(device, 0, 80 * MIB).equals(readFileSync(image)));
		} else {
			t.true(now.subarray(0, 4096).every(byte => byte === 0));
			unfinished += 1;
		}
	}
	t.true(unfinished > 0);
	t.log(`${unfinished} of 4 were unfinished`);
});

test('a file: new, refused where it exists, replaced, or changed in place', async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image.raw');
	writeFileSync(image, randomBytes(3 * MIB));
	truncateSync(image, 20 * MIB);
	const want = readFileSync(image);
	const target = join(folder, 'target.raw');
	const made = await restore(image, target, {verify: true});
	t.like(made, {device: false, wrong: [], targetSize: 20 * MIB});
	t.true(readFileSync(target).equals(want));
	t.true(statSync(target).blocks * 512 < 4 * MIB);
	await t.throwsAsync(restore(image, target), {code: 'output/exists'});
	await t.throwsAsync(restore(image, target, {differences: true}), {code: 'output/exists'});
	await t.throwsAsync(restore(image, image, {force: true}), {code: 'output/is-source'});
	await t.throwsAsync(restore(image, image, {force: true, differences: true}), {code: 'restore/is-source'});

	const {ino} = statSync(target);
	writeFileSync(target, Buffer.alloc(20 * MIB, 'x'));
	const inPlace = await restore(image, target, {force: true, differences: true, verify: true});
	t.deepEqual(inPlace.wrong, []);
	t.is(statSync(target).ino, ino);
	t.true(readFileSync(target).equals(want));
	t.true(statSync(target).blocks * 512 < 5 * MIB, 'zeros become holes');

	await restore(image, target, {force: true});
	t.not(statSync(target).ino, ino);
	t.true(readFileSync(target).equals(want));
	truncateSync(target, MIB);
	await t.throwsAsync(restore(image, target, {force: true, differences: true}), {code: 'restore/too-small'});
	t.deepEqual(readdirSync(folder).sort(), ['image.raw', 'target.raw']);
});

test('an aborted restore into a new file leaves nothing, and says nothing of the target', async t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image.raw');
	run('sh', ['-c', `head -c 300M /dev/zero | tr '\\0' z > ${image}`]);
	const controller = new AbortController();
	const findings: Finding[] = [];
	const work = restore(image, join(folder, 'target.raw'), {
		signal: controller.signal,
		onProgress: () => controller.abort(),
		onFinding: finding => findings.push(finding),
	});
	await t.throwsAsync(work, {name: 'AbortError'});
	t.deepEqual(findings, []);
	t.deepEqual(readdirSync(folder), ['image.raw']);
});
