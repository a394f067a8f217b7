import {
	closeSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert, type ConvertImageResult, type ConvertOptions} from '../../src/convert/convert.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {newSpan, SpanKind} from '../../src/core/disk.ts';
import {encodeText} from '../../src/core/bytes/text.ts';
import {sparableBytes} from '../../src/convert/free-space.ts';
import {openDisk, openImage} from '../../src/image/image.ts';
import {renderSaving} from '../../src/cli/render/free-space.ts';
import {overwrite} from '../cli/images.ts';
import {tintype, tintypeJson, tintypeOutput} from '../cli/run-tintype.ts';
import {FULL_DISK_TOOLS, fullDisk} from '../helpers/full-disk.ts';
import {isRoot} from '../helpers/mounting.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, runBytes, testWith} from '../helpers/tools.ts';
import {type TreeEntry, walkFolder} from '../helpers/tree.ts';
import {attach} from '../restore/loops.ts';

const MIB = 1 << 20;
const FIXED = {id: '5a'.repeat(16), timestamp: 1_700_000_000};
const TOOLS = [...FULL_DISK_TOOLS, 'qemu-img', 'dumpe2fs', 'debugfs', 'fsck.ext4', 'fsck.fat', 'ntfsfix', 'ntfscat'];

const declare: typeof testWith = isRoot
	? testWith
	: (runner, _tools, title, implementation) => runner.skip(`${title} (making the disk needs root)`, implementation);

/** FAT32, NTFS and ext4, of whose files many were deleted: their content still lies in free space. */
function usedDisk(): string {
	return cachedFile('used-disk.raw', makeUsedDisk.toString(), makeUsedDisk);
}

function makeUsedDisk(path: string): void {
	const {path: full, volumes} = fullDisk();
	copyFileSync(full, path);
	const work = mkdtempSync(join(tmpdir(), 'tintype-used-disk-'));
	const part = join(work, 'part');
	const mounted = join(work, 'mounted');
	mkdirSync(mounted);
	/** Changes a volume through its own system. */
	const change = (number: number, mount: readonly string[]): void => {
		partOf(path, number, part);
		run(mount[0], [...mount.slice(1), part, mounted]);
		try {
			const script = `rm -r many/*[13579].txt && for i in $(seq 200); do head -c $((i * 700)) /dev/zero | tr '\\0' x > "n$i"; done;
				for i in $(seq 40); do head -c 400000 /dev/zero | tr '\\0' y > "l$i"; done; sync; rm n*[02468] l*[1-8]; cp big.bin again; rm big.bin`;
			run('sh', ['-c', script], {cwd: mounted});
		} finally {
			run('umount', [mounted]);
		}
		run('sh', ['-c', `while pgrep -f "^ntfs-3g.*${part}" > /dev/null; do sleep 0.05; done`]);
		putPart(path, number, part);
	};
	try {
		change(2, ['ntfs-3g']);
		change(3, ['mount', '-o', 'loop']);
		const fat = `${path}@@${volumes[1].start}`;
		writeFileSync(join(work, 'x'), Buffer.alloc(9 * MIB, 'deleted '));
		run('mcopy', ['-i', fat, join(work, 'x'), '::/X']);
		run('mdel', ['-i', fat, '::/X', ...Array.from({length: 900}, (_, index) => `::/many/file-${index * 2}.txt`)]);
	} finally {
		rmSync(work, {recursive: true, force: true});
	}
}

function partOf(disk: string, number: number, target: string): string {
	const {start, length} = fullDisk().volumes[number];
	rmSync(target, {force: true});
	run('dd', [`if=${disk}`, `of=${target}`, 'bs=1M', `skip=${start / MIB}`, `count=${length / MIB}`, 'status=none']);
	return target;
}

function putPart(disk: string, number: number, source: string): void {
	const {start} = fullDisk().volumes[number];
	run('dd', [`if=${source}`, `of=${disk}`, 'bs=1M', `seek=${start / MIB}`, 'conv=notrunc', 'status=none']);
}

/** Runs of bytes of a volume that are free, as start and end, by others' means or by hand. */
type Runs = [start: number, end: number][];

function freeOfExt(part: string): Runs {
	const [, size] = /^Block size: +(\d+)$/m.exec(run('dumpe2fs', ['-h', part])) ?? [];
	const text = run('dumpe2fs', [part]);
	const ranges = [...text.matchAll(/^ {2}Free blocks: (.+)$/gm)].flatMap(([, list]) => list.split(', '));
	return ranges.map(range => {
		const [first, last = first] = range.split('-').map(Number);
		return [first * Number(size), (last + 1) * Number(size)];
	});
}

function freeOfNtfs(part: string): Runs {
	const boot = readPart(part, 0, 512);
	const cluster = boot.readUInt16LE(11) * boot.readUInt8(13);
	const count = Math.floor((Number(boot.readBigUInt64LE(40)) * boot.readUInt16LE(11)) / cluster);
	const bitmap = runBytes('ntfscat', ['--inode', '6', part]);
	return runsOf(count, index => ((bitmap[index >> 3] >> (index & 7)) & 1) === 0, cluster, 0);
}

function freeOfFat32(part: string): Runs {
	const boot = readPart(part, 0, 512);
	const sector = boot.readUInt16LE(11);
	const cluster = boot.readUInt8(13) * sector;
	const reserved = boot.readUInt16LE(14);
	const tableSectors = boot.readUInt32LE(36);
	const data = (reserved + boot.readUInt8(16) * tableSectors) * sector;
	const count = Math.floor((boot.readUInt32LE(32) * sector - data) / cluster);
	const table = readPart(part, reserved * sector, (count + 2) * 4);
	return runsOf(count, index => table.readUInt32LE((index + 2) * 4) % 2 ** 28 === 0, cluster, data);
}

function runsOf(count: number, isFree: (index: number) => boolean, unit: number, from: number): Runs {
	const runs: Runs = [];
	for (let index = 0; index < count; index++) {
		if (!isFree(index)) continue;
		const last = runs.at(-1);
		const start = from + index * unit;
		if (last?.[1] === start) last[1] = start + unit;
		else runs.push([start, start + unit]);
	}
	return runs;
}

function readPart(path: string, position: number, length: number): Buffer {
	const bytes = Buffer.alloc(length);
	const descriptor = openSync(path, 'r');
	readSync(descriptor, bytes, 0, length, position);
	closeSync(descriptor);
	return bytes;
}

/** What is expected of a result: the source with zeros in all that is free. */
function expectedOf(t: ExecutionContext, source: string): Buffer {
	const folder = temporaryFolder(t);
	const bytes = readFileSync(source);
	const free = [freeOfFat32, freeOfNtfs, freeOfExt];
	for (const [index, freeOf] of free.entries()) {
		const {start, length} = fullDisk().volumes[index + 1];
		const runs = freeOf(partOf(source, index + 1, join(folder, 'part')));
		let before = 0;
		for (const [from, to] of runs) {
			t.true(to <= length && from < to);
			before += Number(!isZero(bytes.subarray(start + from, start + to)));
			bytes.fill(0, start + from, start + to);
		}
		t.true(before > 0, `nothing lies in the free space of volume ${index + 1}`);
	}
	return bytes;
}

/** The disk of an image, by qemu-img where it knows the format. */
function rawOf(folder: string, image: string, format: string): Buffer {
	if (format === 'raw') return readFileSync(image);
	const raw = join(folder, `${format}.out`);
	if (format === 'tint') tintypeOutput(['convert', image, raw, '--to', 'raw']);
	else run('qemu-img', ['convert', '-f', format === 'vhd' ? 'vpc' : format, '-O', 'raw', image, raw]);
	const bytes = readFileSync(raw);
	rmSync(raw);
	return bytes;
}

/** Whether two buffers are equal, without showing megabytes where not. */
function same(t: ExecutionContext, found: Buffer, expected: Buffer, title: string): void {
	const at = found.compare(expected) === 0 ? -1 : found.findIndex((byte, index) => byte !== expected[index]);
	t.true(at < 0 && found.length === expected.length, `${title}: differs at ${at}`);
}

type Trees = Record<'fat' | 'ntfs' | 'ext', readonly string[]>;

/** What the systems themselves show of a raw disk; they are asked whether it is sound, too. */
async function truth(t: ExecutionContext, disk: string): Promise<Trees> {
	const folder = temporaryFolder(t);
	const part = (number: number): string => partOf(disk, number, join(folder, `part-${number}`));
	const at = (name: string): string => {
		mkdirSync(join(folder, name));
		return join(folder, name);
	};
	const [fat, ntfs, ext] = [part(1), part(2), part(3)];
	run('fsck.fat', ['-n', fat]);
	run('ntfsfix', ['-n', ntfs]);
	run('fsck.ext4', ['-fn', ext]);
	run('mcopy', ['-s', '-m', '-Q', '-i', fat, '::/*', at('fat')]);
	const shown = (name: string, mount: () => void): readonly string[] => {
		mount();
		try {
			return lines(walkFolder(join(folder, name)));
		} finally {
			run('umount', [join(folder, name)]);
		}
	};
	const device = await attach(t, ext, '--read-only');
	return {
		fat: lines(walkFolder(join(folder, 'fat'))),
		ntfs: shown('ntfs', () => run('ntfs-3g', ['-o', 'ro', ntfs, at('ntfs')])),
		ext: shown('ext', () => run('mount', ['-t', 'ext4', '-o', 'ro,noload', device, at('ext')])),
	};
}

function lines(entries: readonly TreeEntry[]): readonly string[] {
	return entries.map(({path, type, size, sha256}) => `${path}|${type}|${size}|${sha256}`);
}

function skippedIn({freeSpace = []}: ConvertImageResult): [number, boolean][] {
	return freeSpace.map(({volume, skipped}) => [volume, skipped]);
}

const ALL_SKIPPED: [number, boolean][] = [
	[1, true],
	[2, true],
	[3, true],
];

declare(test, TOOLS, 'what is free reads as zeros, and nothing else, in every format', async t => {
	t.timeout(300_000);
	const folder = temporaryFolder(t);
	const source = usedDisk();
	const expected = expectedOf(t, source);
	const opened = openDisk(source);
	t.teardown(() => opened[Symbol.dispose]());
	const saving = await sparableBytes(opened, new AbortController().signal, Number.POSITIVE_INFINITY);
	t.is(await sparableBytes(opened, new AbortController().signal, -1), undefined);
	for (const format of ['raw', 'vhdx', 'vhd', 'tint']) {
		const target = join(folder, `used.${format}`);
		const result = await convert(source, target, {...FIXED, usedOnly: true, verify: true, to: format});
		t.deepEqual(skippedIn(result), ALL_SKIPPED, format);
		t.true(result.ids?.good, format);
		t.not(result.ids?.source, result.ids?.target);
		t.deepEqual(result.ids?.reasons.slice(0, 1), ['free space of volume 1, 2, 3 is left out']);
		const found = rawOf(folder, target, format);
		same(t, found.subarray(0, expected.length), expected, format);
		t.true(isZero(found.subarray(expected.length)));
		if (format === 'raw') t.deepEqual(await truth(t, target), await truth(t, source));
		if (format !== 'vhdx') continue;
		const whole = await convert(source, join(folder, 'whole'), {...FIXED, to: format});
		t.is(whole.freeSpace, undefined);
		const bytes = result.freeSpace?.reduce((sum, {bytes: own = 0}) => sum + own, 0);
		t.is(saving, bytes, format);
		// A machine that is busy does not tell it.
		t.is(whole.usedOnlySaves ?? saving, bytes, format);
		t.true(whole.allocated - result.allocated > 8 * MIB, `${whole.allocated}`);
	}
});

declare(test, TOOLS, 'a .tint knows what is free, and any number of threads gives the same file', async t => {
	const folder = temporaryFolder(t);
	const files = await Promise.all(
		[1, 3].map(async workers => {
			const target = join(folder, `${workers}.tint`);
			await convert(usedDisk(), target, {...FIXED, usedOnly: true, workers});
			return target;
		}),
	);
	same(t, readFileSync(files[0]), readFileSync(files[1]), 'threads');
	const image = openImage(files[0]);
	t.teardown(() => image[Symbol.dispose]());
	const span = newSpan();
	let free = 0;
	for (let position = 0; position < image.disk.size; position += span.length) {
		image.disk.locate(position, span);
		if (span.kind === SpanKind.free) free += span.length;
	}
	t.true(free > 20 * MIB, `${free}`);
	const {metadata} = tintypeJson<{metadata?: {freeSpaceSkipped?: number[]}}>(['info', files[0], '--json']);
	if (metadata !== undefined) t.deepEqual(metadata.freeSpaceSkipped, [1, 2, 3]);
});

async function copied(t: ExecutionContext, source: string, options: ConvertOptions = {}) {
	const target = join(temporaryFolder(t), 'target.raw');
	const result = await convert(source, target, {...FIXED, usedOnly: true, ...options});
	return {result, bytes: readFileSync(target)};
}

/** Where a file of the second volume lies on the disk. */
function placeOf(disk: string, name: string): number {
	const image = openImage(disk);
	try {
		const {fileSystem, partition} = image.volumes[1];
		const node = fileSystem?.lookup(fileSystem.root, encodeText(name));
		const span = newSpan();
		if (fileSystem === undefined || node === undefined) throw new Error(`no ${name}`);
		fileSystem.locate(node, 0, span);
		return partition.start + span.at;
	} finally {
		image[Symbol.dispose]();
	}
}

declare(test, TOOLS, 'a file system that is dirty or damaged is copied whole, byte for byte', async t => {
	t.timeout(300_000);
	const folder = temporaryFolder(t);
	const {volumes} = fullDisk();
	// mkfs.ext4 makes blocks of 1 KiB on a volume of this size.
	const changes: {number: number; reason: RegExp; change: (disk: string) => void}[] = [
		{
			number: 1,
			reason: /not closed cleanly/,
			// The second entry of a FAT32, bit 27: closed cleanly.
			change: disk => overwrite(disk, volumes[1].start + 32 * 512 + 7, Buffer.from([0x07])),
		},
		{
			number: 2,
			reason: /its log is not closed/,
			change(disk) {
				const page = Buffer.alloc(512);
				page.write('RSTR');
				page.writeUInt32LE(4096, 16);
				page.writeUInt32LE(4096, 20);
				page.writeUInt16LE(48, 24);
				page.writeUInt32LE(77, 48);
				overwrite(disk, placeOf(disk, '$LogFile'), page);
			},
		},
		{
			number: 2,
			reason: /calls its own first block free/,
			change: disk => overwrite(disk, placeOf(disk, '$Bitmap'), Buffer.alloc(1024)),
		},
		{
			number: 3,
			reason: /its journal holds nothing to replay/,
			change(disk) {
				const part = partOf(disk, 3, join(folder, 'part'));
				run('debugfs', ['-w', '-R', 'feature needs_recovery', part]);
				putPart(disk, 3, part);
			},
		},
		{
			number: 3,
			reason: /the block bitmap of group 0 is damaged/,
			change(disk) {
				const [, block] = /Block bitmap at (\d+)/.exec(run('dumpe2fs', [partOf(disk, 3, join(folder, 'part'))])) ?? [];
				overwrite(disk, volumes[3].start + Number(block) * 1024 + 100, Buffer.alloc(900));
			},
		},
	];
	const disk = join(folder, 'disk.raw');
	/** Each volume at most once in a round. */
	for (const round of [
		[0, 1, 3],
		[2, 4],
	]) {
		copyFileSync(usedDisk(), disk);
		const made = round.map(index => changes[index]);
		for (const {change} of made) change(disk);
		const {result, bytes} = await copied(t, disk);
		const dirty = made.map(({number}) => number);
		t.deepEqual(
			skippedIn(result),
			ALL_SKIPPED.map(([volume]) => [volume, !dirty.includes(volume)]),
		);
		const source = readFileSync(disk);
		for (const {number, reason} of made) {
			t.regex(result.freeSpace?.[number - 1].reason ?? '', reason);
			const {start, length} = volumes[number];
			const part = (from: Buffer): Buffer => from.subarray(start, start + length);
			same(t, part(bytes), part(source), String(reason));
		}
		t.is(bytes.compare(source) === 0, dirty.length === 3);
	}
	const said = tintypeOutput(['convert', disk, join(folder, 'x.vhdx'), '--used-only']);
	t.regex(
		said,
		/free space of volume 1: skipped, [\d.]+ MiB\n {2}free space of volume 2: kept, .*\n.*3: kept, the block bitmap/,
	);
	t.deepEqual(renderSaving(3 * MIB), [
		'  3 MiB of it are free space of its file systems, which --used-only leaves out',
	]);
	t.deepEqual([renderSaving(MIB - 1), renderSaving(undefined)], [[], []]);
});

testWith(test, ['mkfs.ext4'], 'what lies within a volume and is not its own is kept', async t => {
	const folder = temporaryFolder(t);
	const ext = join(folder, 'ext');
	truncated(ext, 32 * MIB);
	run('mkfs.ext4', ['-q', '-O', '^has_journal', ext]);
	const disk = join(folder, 'disk.raw');
	const bytes = Buffer.alloc(40 * MIB);
	readFileSync(ext).copy(bytes, MIB);
	// The second partition lies in the free space of the first.
	const secret = Buffer.alloc(MIB, 'not free');
	secret.copy(bytes, 20 * MIB);
	for (const [index, start, length] of [
		[0, MIB, 32 * MIB],
		[1, 20 * MIB, MIB],
	]) {
		const entry = 446 + index * 16;
		bytes[entry + 4] = 0x83;
		bytes.writeUInt32LE(start / 512, entry + 8);
		bytes.writeUInt32LE(length / 512, entry + 12);
	}
	bytes.writeUInt16LE(0xaa55, 510);
	writeFileSync(disk, bytes);
	const overlapping = await copied(t, disk);
	same(t, overlapping.bytes, bytes, 'overlapping volumes');
	t.is(overlapping.result.freeSpace?.[0].reason, 'it overlaps volume 2');
	// The same without the second partition.
	bytes.fill(0, 446 + 16, 446 + 32);
	writeFileSync(disk, bytes);
	const alone = await copied(t, disk);
	t.deepEqual(skippedIn(alone.result), [[1, true]]);
	t.true(isZero(alone.bytes.subarray(20 * MIB, 21 * MIB)));
	same(t, alone.bytes.subarray(33 * MIB), bytes.subarray(33 * MIB), 'behind the volume');
});

function truncated(path: string, size: number): void {
	writeFileSync(path, '');
	truncateSync(path, size);
}

test('a disk on which nothing is known is copied whole, and nothing is told of what could be left out', async t => {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	const bytes = Buffer.alloc(3 * MIB, 'unknown ');
	writeFileSync(disk, bytes);
	const {result, bytes: found} = await copied(t, disk);
	t.deepEqual(result.freeSpace, [{volume: 1, skipped: false, reason: 'its file system is not known'}]);
	same(t, found, bytes, 'unknown');
	const whole = await convert(disk, join(folder, 'whole.vhdx'));
	t.false('usedOnlySaves' in whole);
});

declare(test, TOOLS, 'both ids are explained on the command line, and JSON has what was left out', t => {
	const folder = temporaryFolder(t);
	const {code, stdout} = tintype(['convert', usedDisk(), join(folder, 'a.vhdx'), '--used-only', '--verify']);
	t.is(code, 0);
	t.regex(stdout, /they differ: free space of volume 1, 2, 3 is left out/);
	const target = join(folder, 'b.vhd');
	const {freeSpace} = tintypeJson<{freeSpace: {volume: number; skipped: boolean; bytes?: number}[]}>([
		'convert',
		usedDisk(),
		target,
		'--used-only',
		'--json',
	]);
	t.true(freeSpace.every(({skipped, bytes = 0}) => skipped && bytes > MIB));
});
