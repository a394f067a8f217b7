import {execFileSync, spawn} from 'node:child_process';
import {
	closeSync,
	openSync,
	readFileSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {DiskError} from '../../src/core/error.ts';
import {openImage} from '../../src/image/image.ts';
import {resize} from '../../src/resize/resize.ts';
import {tintype, tintypeJson, tintypeOutput} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {GUID, makeVhdx, pattern} from '../helpers/vhdx-image.ts';

const MIB = 1 << 20;
const GIB = 1024 * MIB;

function emptyFile(path: string, size: number): string {
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

function put(path: string, position: number, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

/** A GPT with two partitions, the second of which ends at 49 MiB, and something in both. */
function someDisk(folder: string): string {
	const path = emptyFile(join(folder, 'disk.raw'), 64 * MIB);
	run('sgdisk', ['--new=1:2048:40959', '--new=5:40960:100351', '--change-name=5:Data', path]);
	for (const at of [MIB, 7 * MIB + 4096, 20 * MIB, 49 * MIB - 8192]) {
		put(
			path,
			at,
			Uint8Array.from({length: 8192}, (_, index) => (index * 31 + at / 4096) & 0xff),
		);
	}
	return path;
}

const FORMATS = [
	{extension: 'raw', qemu: 'raw', options: []},
	{extension: 'vhdx', qemu: 'vhdx', options: ['-o', 'subformat=dynamic,block_size=1M']},
	{extension: 'fixed.vhdx', qemu: 'vhdx', options: ['-o', 'subformat=fixed,block_size=8M']},
	{extension: 'vhd', qemu: 'vpc', options: ['-o', 'subformat=dynamic,force_size=on']},
	{extension: 'geometry.vhd', qemu: 'vpc', options: ['-o', 'subformat=dynamic']},
	{extension: 'fixed.vhd', qemu: 'vpc', options: ['-o', 'subformat=fixed,force_size=on']},
] as const;

function checkWith(
	t: ExecutionContext,
	folder: string,
	path: string,
	qemu: string,
	original: string,
	size: number,
): void {
	const raw = join(folder, 'now.raw');
	run('qemu-img', ['convert', '-f', qemu, '-O', 'raw', path, raw]);
	t.is(statSync(raw).size, size);
	if (qemu === 'vhdx') t.regex(run('qemu-img', ['check', '-f', 'vhdx', path]), /No errors/);
	const verdict = run('sgdisk', ['--verify', raw]);
	t.regex(verdict, /No problems found/);
	t.notRegex(verdict, /Caution|Warning|not at the end/i);
	t.regex(run('sfdisk', ['--verify', raw]), /No errors detected/);
	const bytes = readFileSync(raw);
	const before = readFileSync(original);
	t.is(Buffer.compare(bytes.subarray(MIB, 49 * MIB), before.subarray(MIB, 49 * MIB)), 0, 'partitions');
	t.true(isZero(bytes.subarray(49 * MIB, size - 33 * 512)), 'behind them');
	const image = openImage(path);
	try {
		t.deepEqual(image.findings, []);
		t.is(image.disk.size, size);
	} finally {
		image[Symbol.dispose]();
	}
	if (qemu !== 'raw' && size % 1024 === 0) run('7z', ['t', path]);
	if (qemu !== 'raw') t.regex(run('vhdiinfo', [path]), new RegExp(`\\(${size} bytes\\)`));
}

for (const {extension, qemu, options} of FORMATS) {
	testWith(
		test,
		['qemu-img', 'sgdisk', 'sfdisk', '7z', 'vhdiinfo'],
		`${extension}: larger, a little larger, and smaller, as others see it`,
		async t => {
			const folder = temporaryFolder(t);
			const original = someDisk(folder);
			const path = join(folder, `image.${extension}`);
			run('qemu-img', ['convert', '-O', qemu, ...options, original, path]);
			const steps = [
				[{by: 37 * MIB + 1536}, 'grown'],
				[{by: 512}, 'grown'],
				[{to: 52 * MIB + 512}, 'shrunk'],
				[{to: 70_000_128}, 'grown'],
			] as const;
			for (const [wanted, method] of steps) {
				const dry = await resize(path, wanted, {shrink: true, dryRun: true});
				const result = await resize(path, wanted, {shrink: true});
				t.like(result, {method, oldSize: dry.oldSize, size: dry.size, fileSize: dry.fileSize});
				t.truthy(result.movedBackup);
				t.is(statSync(path).size, result.fileSize);
				checkWith(t, folder, path, qemu, original, result.size);
			}
			t.like(await resize(path, {by: 0}), {method: 'none'});
			const file = readFileSync(path);
			await t.throwsAsync(resize(path, {to: 49 * MIB + 8192}, {shrink: true}), {code: 'resize/table'});
			await t.throwsAsync(resize(path, {to: 30 * MIB}, {shrink: true}), {
				code: 'resize/cuts-partition',
				message: /partition 5-Data ends at 51380224/,
			});
			await t.throwsAsync(resize(path, {to: 60 * MIB}), {code: 'resize/smaller'});
			t.true(file.equals(readFileSync(path)));
		},
	);
}

testWith(
	test,
	['qemu-img', 'vhdiinfo'],
	'the largest disks, and back: 2040 GiB in a VHD, 64 TiB in a VHDX',
	async t => {
		const folder = temporaryFolder(t);
		const content = join(folder, 'content.raw');
		writeFileSync(content, pattern(7 * MIB, 5));
		const bytes = readFileSync(content);
		const cases = [
			{name: 'large.vhd', qemu: 'vpc', options: 'force_size=on', most: 2040 * GIB, shows: '2190433320960 bytes'},
			{name: 'large.vhdx', qemu: 'vhdx', options: 'block_size=32M', most: 65_536 * GIB, shows: '70368744177664 bytes'},
		];
		for (const {name, qemu, options, most, shows} of cases) {
			const path = join(folder, name);
			run('qemu-img', ['convert', '-O', qemu, '-o', options, content, path]);
			await t.throwsAsync(resize(path, {to: most + 512}), {code: 'resize/too-large'});
			t.like(await resize(path, {to: most}), {method: 'grown', size: most});
			t.true(run('qemu-img', ['info', '-f', qemu, path]).includes(shows));
			t.true(run('vhdiinfo', [path]).includes(shows));
			const image = openImage(path);
			const found = new Uint8Array(bytes.length);
			image.disk.readAt(0, found);
			image[Symbol.dispose]();
			t.is(Buffer.compare(found, bytes), 0);
			await t.throwsAsync(resize(path, {to: 7 * MIB - 512}, {shrink: true}), {code: 'resize/cuts-data'});
			t.like(await resize(path, {to: 7 * MIB + 512}, {shrink: true}), {method: 'shrunk'});
			// qemu-img compares the longer one's rest with zeros.
			run('qemu-img', ['compare', '-f', qemu, '-F', 'raw', path, content]);
			if (qemu === 'vhdx') t.regex(run('qemu-img', ['check', '-f', 'vhdx', path]), /No errors/);
		}
	},
);

testWith(test, ['sfdisk'], 'an MBR: larger without a change, smaller not below an extended partition', async t => {
	const path = emptyFile(join(temporaryFolder(t), 'mbr.raw'), 64 * MIB);
	run('sfdisk', [path], {input: 'label: dos\n2048,20480,83\n22528,40960,5\n24576,8192,83\n'});
	t.like(await resize(path, {to: 128 * MIB}), {method: 'grown', movedBackup: undefined});
	t.regex(run('sfdisk', ['--verify', path]), /No errors detected/);
	await t.throwsAsync(resize(path, {to: 24 * MIB}, {shrink: true}), {
		code: 'resize/cuts-partition',
		message: /partition 2 ends/,
	});
	t.like(await resize(path, {to: 31 * MIB}, {shrink: true}), {method: 'shrunk', size: 31 * MIB});
	t.regex(run('sfdisk', ['--verify', path]), /No errors detected/);
});

testWith(test, ['mkfs.ext4'], 'without a table a file system and data are not cut', async t => {
	const folder = temporaryFolder(t);
	const bare = emptyFile(join(folder, 'ext.raw'), 64 * MIB);
	run('mkfs.ext4', ['-q', '-F', bare, '16M']);
	t.like(await resize(bare, {by: 4096}), {method: 'grown'});
	await t.throwsAsync(resize(bare, {to: 15 * MIB}, {shrink: true}), {code: 'resize/cuts-file-system'});
	t.like(await resize(bare, {to: 16 * MIB}, {shrink: true}), {method: 'shrunk'});
	const data = emptyFile(join(folder, 'data.raw'), 8 * MIB);
	put(data, 6 * MIB + 77, Uint8Array.of(1));
	await t.throwsAsync(resize(data, {to: 6 * MIB}, {shrink: true}), {code: 'resize/cuts-data', message: /6291533/});
	t.like(await resize(data, {to: 7 * MIB}, {shrink: true}), {method: 'shrunk'});
});

testWith(test, ['sgdisk'], 'a backup that another program left behind moves with +0', async t => {
	const path = someDisk(temporaryFolder(t));
	truncateSync(path, 80 * MIB);
	t.like(await resize(path, {by: 0}), {method: 'table-moved', movedBackup: {from: 131_071, to: 163_839}});
	t.notRegex(run('sgdisk', ['--verify', path]), /Caution|Warning|not at the end|doesn't reside/i);
	put(path, 512, new Uint8Array(512));
	await t.throwsAsync(resize(path, {to: 90 * MIB}), {code: 'resize/table'});
	t.is(statSync(path).size, 80 * MIB);
});

test('what may not be changed is refused, and says why', async t => {
	const folder = temporaryFolder(t);
	const raw = emptyFile(join(folder, 'disk.raw'), 2 * MIB);
	const archive = join(folder, 'disk.tint');
	await convert(raw, archive);
	await t.throwsAsync(resize(archive, {by: MIB}), {instanceOf: DiskError, code: 'resize/archive'});
	const child = join(folder, 'child.vhdx');
	writeFileSync(
		child,
		makeVhdx({size: 2 * MIB, locator: {parent_linkage: `{${GUID.parent}}`, relative_path: 'gone.vhdx'}}).bytes,
	);
	await t.throwsAsync(resize(child, {by: MIB}), {code: 'vhdx/resize-differencing'});
	for (const part of ['001', '002']) emptyFile(join(folder, `split.${part}`), MIB);
	await t.throwsAsync(resize(join(folder, 'split.001'), {by: MIB}), {code: 'resize/split'});
	await t.throwsAsync(resize(join(folder, 'none.raw'), {by: MIB}), {code: 'file/not-found'});
	await t.throwsAsync(resize('/dev/null', {by: MIB}), {code: 'resize/device'});
	await t.throwsAsync(resize(raw, {to: 0}), {code: 'resize/size'});
	await t.throwsAsync(resize(raw, {by: Number.MAX_SAFE_INTEGER}), {code: 'resize/size'});
	if (process.platform === 'linux') {
		const user = spawn('sleep', ['20'], {stdio: [openSync(raw, 'r'), 'ignore', 'ignore']});
		try {
			await t.throwsAsync(resize(raw, {by: MIB}), {code: 'resize/in-use', message: /sleep|node/});
		} finally {
			user.kill();
			await new Promise(done => void user.once('exit', done));
		}
	}
	const link = join(folder, 'link.raw');
	symlinkSync(raw, link);
	t.like(await resize(link, {by: MIB}), {method: 'grown', size: 3 * MIB});
	t.is(statSync(raw).size, 3 * MIB);
});

testWith(test, ['prlimit', 'sgdisk'], 'a full disk in the middle of it leaves the old disk', async t => {
	const folder = temporaryFolder(t);
	const original = someDisk(folder);
	for (const to of ['vhd', 'vhdx']) {
		const path = join(folder, `image.${to}`);
		await convert(original, path, {writer: {'block-size': MIB}});
		const before = openImage(path);
		const size = before.disk.size;
		before[Symbol.dispose]();
		const old = readFileSync(path);
		// The file may grow by less than the block that the backup needs.
		const limit = old.length + 300_000;
		const script = join(import.meta.dirname, '../../bin/tintype.js');
		const failed = t.throws(() =>
			execFileSync('prlimit', [`--fsize=${limit}`, process.execPath, script, 'resize', path, '+100M'], {stdio: 'pipe'}),
		);
		t.regex(String((failed as {stderr?: unknown} | undefined)?.stderr), /EFBIG|failed/);
		const now = readFileSync(path);
		t.is(now.length, old.length);
		t.is(openedSize(path), size);
		// Of a VHDX the header that came first says that the file was written to: that goes back, too.
		t.true(now.equals(old), to);
	}
});

function openedSize(path: string): number {
	const image = openImage(path);
	try {
		return image.disk.size;
	} finally {
		image[Symbol.dispose]();
	}
}

testWith(test, ['sgdisk'], 'on the command line', t => {
	const folder = temporaryFolder(t);
	const path = someDisk(folder);
	const report = tintypeJson<Record<string, unknown>>(['resize', path, '+16M', '--dry-run', '--json']);
	t.like(report, {method: 'grown', dryRun: true, oldSize: 64 * MIB, size: 80 * MIB});
	t.is(statSync(path).size, 64 * MIB);
	const said = tintypeOutput(['resize', path, '80M']);
	t.regex(said, /64 MiB -> 80 MiB/);
	t.regex(said, /backup GPT: sector 131071 -> 163839/);
	t.is(tintype(['resize', path, '60M']).code, 5);
	t.is(tintype(['resize', path, 'much']).code, 2);
	t.is(tintype(['resize', path, '40M', '--shrink']).code, 5);
	t.is(statSync(path).size, 80 * MIB);
});
