import {copyFileSync, readFileSync, truncateSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import type {OpenImageOptions} from '../../src/image/image.ts';
import {openToVerify} from '../../src/verify/open.ts';
import {verifyImage, type VerifyOptions, type VerifyReport} from '../../src/verify/verify.ts';
import {seededRandom} from '../fuzz/random.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {BIG_FILE_SIZE, type FullDisk, fullDisk, FULL_DISK_TOOLS} from '../helpers/full-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk, flip} from '../helpers/tint-file.ts';
import {testWith} from '../helpers/tools.ts';

async function verify(path: string, options: VerifyOptions & OpenImageOptions = {}): Promise<VerifyReport> {
	const image = openToVerify(path, options);
	try {
		return await verifyImage(image, options);
	} finally {
		image[Symbol.dispose]();
	}
}

/** Where a piece of `big.bin` lies on the disk, by its content alone. */
function placeOfBig({path, volumes}: FullDisk, volume: number, position: number): number {
	const random = seededRandom(7);
	const content = Buffer.alloc(position + 512);
	for (let at = 0; at < content.length; at++) content[at] = random.below(256);
	const {start, length} = volumes[volume] ?? {start: 0, length: 0};
	const found = readFileSync(path)
		.subarray(start, start + length)
		.indexOf(content.subarray(position));
	if (found < 0) throw new Error(`big.bin is not in volume ${volume}`);
	return start + found;
}

async function compressed(t: ExecutionContext, source: string, writer = {}): Promise<string> {
	const target = join(temporaryFolder(t), 'disk.tint');
	await convert(source, target, {writer});
	return target;
}

testWith(test, FULL_DISK_TOOLS, 'a damaged chunk is told as files, in FAT, NTFS and ext4', async t => {
	const disk = fullDisk();
	const target = await compressed(t, disk.path);
	const broken = join(temporaryFolder(t), 'broken.tint');
	for (const volume of [1, 2, 3]) {
		copyFileSync(target, broken);
		const place = placeOfBig(disk, volume, 1_536_000);
		const {position, length} = damageChunk(broken, place);
		for (const depth of ['fast', 'full'] as const) {
			const report = await verify(broken, {depth});
			t.false(report.good);
			t.is(report.depth, depth);
			t.is(report.proven, undefined);
			t.deepEqual(
				report.unreadable.map(({volumes, error, ...range}) => ({...range, volumes, code: error.code})),
				[{position, length, volumes: [volume], code: 'tint/chunk-checksum'}],
			);
			t.deepEqual(
				report.damage?.volumes.map(({number}) => number),
				[volume],
			);
			const [found] = report.damage?.volumes ?? [];
			t.is(found?.bytes, length);
			const big = found?.files.find(({path}) => path === '/big.bin');
			t.is(big?.size, BIG_FILE_SIZE);
			const run = big?.ranges.find(range => range.position <= 1_536_000);
			t.true(run !== undefined && run.position + run.length > 1_536_000, JSON.stringify(big));
			t.true((big?.damaged ?? 0) >= 64 << 10);
			t.false(found?.files.some(({path}) => path === '/empty'));
		}
	}
});

testWith(test, FULL_DISK_TOOLS, 'threads prove the same as one, and fewer bytes than the disk are read', async t => {
	const target = await compressed(t, fullDisk().path, {codec: 'zstd', level: 1});
	const [one, two] = [await verify(target, {workers: 1}), await verify(target, {workers: 2})];
	t.true(one.good && two.good);
	t.regex(one.proven ?? '', /^[0-9a-f]{64}$/);
	t.is(one.proven, two.proven);
	t.is(one.read, two.read);
	const fast = await verify(target, {depth: 'fast'});
	t.like(fast, {good: true, depth: 'fast', proven: undefined, read: 0, volumes: []});
});

test('every bit is under some check, also where no file is', async t => {
	const target = await compressed(t, demoDisk());
	const {length} = readFileSync(target);
	const copy = join(temporaryFolder(t), 'copy.tint');
	for (const position of [300, 4100, 8192 + 600, 12_288 + 30, Math.floor(length / 2), length - 70, length - 1]) {
		copyFileSync(target, copy);
		flip(copy, position);
		for (const depth of ['fast', 'full'] as const) t.false((await verify(copy, {depth})).good, `${position} ${depth}`);
	}
	t.true((await verify(target, {depth: 'fast'})).good);
});

test('formats without checksums are read in full, also when fast was asked for', async t => {
	const report = await verify(demoDisk(), {depth: 'fast'});
	t.like(report, {good: true, depth: 'full', proven: undefined, damage: undefined});
	t.is(report.volumes.length, 3);
});

test('a lost index page is damage to all that it tells of', async t => {
	const target = await compressed(t, demoDisk());
	const bytes = readFileSync(target);
	const root = new DataView(bytes.buffer, bytes.byteOffset + 4096 + 64);
	flip(target, (root.getUint16(384 + 6, true) + root.getUint32(384 + 8, true) * 0x1_0000) * 16 + 70);
	const report = await verify(target, {depth: 'fast'});
	t.false(report.good);
	t.is(report.unreadableBytes, 48 << 20);
	t.true(report.findings.some(({code}) => code === 'tint/frame-payload'));
});

test('it can be stopped', async t => {
	const target = await compressed(t, demoDisk());
	await t.throwsAsync(verify(target, {signal: AbortSignal.abort(new Error('enough')), workers: 2}), {
		message: 'enough',
	});
	truncateSync(target, 20_000);
	await t.throwsAsync(verify(target), {code: 'tint/truncated'});
});
