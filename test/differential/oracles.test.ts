import {createCipheriv} from 'node:crypto';
import {closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, readSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext, type TestFn} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {roundUp} from '../../src/core/bytes/u64.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../../src/core/disk.ts';
import {openDisk} from '../../src/image/image.ts';
import {type Random, seededRandom} from '../fuzz/random.ts';
import {hugeFolder} from '../helpers/huge-files.ts';
import {allCases, pairwise} from '../helpers/pairwise.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {findTool, run, runBytes, testWith} from '../helpers/tools.ts';

/**
 * Images that tintype and qemu-img make, read by tintype, qemu-img, libvhdi and 7-Zip: all of them must find what the
 * source holds. Every two values of different axes meet in some case; TINTYPE_MATRIX=full runs every combination.
 */
const SEED = Number(process.env['TINTYPE_MATRIX_SEED'] ?? 4);
const FULL = process.env['TINTYPE_MATRIX'] === 'full';
const KIB = 1024;
const MIB = KIB * KIB;
const GIB = KIB * MIB;
const TIB = KIB * GIB;

/** Up to here a disk may be full, is unpacked whole by 7-Zip, and compared whole by qemu. */
const SMALL = 33 * MIB + 1;
/** A BAT of 64 TiB in blocks of 1 MiB takes qemu 512 MiB of zeros, and a fixed image of it as much of entries. */
const LEAST_BLOCKS_OF_LARGEST = 32 * MIB;

interface Case {
	readonly format: 'vhdx' | 'vhd' | 'raw';
	readonly maker: string;
	readonly subformat: string;
	readonly block: number;
	readonly sector: number;
	readonly size: number;
	readonly content: string;
}

const CONTENTS = ['empty', 'full', 'holes'] as const;
const VHDX = allCases(
	{
		maker: ['tintype', 'qemu-img'],
		subformat: ['dynamic', 'fixed'],
		block: [MIB, 2 * MIB, 32 * MIB, 256 * MIB],
		sector: [512, 4096],
		size: [1, 1_234_567, SMALL, 2 ** 32 + 512, 2 * TIB + 512, 64 * TIB],
		content: CONTENTS,
	},
	({maker, subformat, block, sector, size, content}) => {
		if (content === 'full' && size > SMALL) return false;
		if (maker === 'qemu-img' && (sector !== 512 || (subformat === 'fixed' && size > SMALL))) return false;
		const plain = subformat === 'dynamic' && maker === 'tintype';
		return size < 64 * TIB || plain || block >= LEAST_BLOCKS_OF_LARGEST;
	},
);
const VHD = allCases(
	{
		maker: ['tintype', 'qemu-img'],
		subformat: ['dynamic', 'fixed'],
		block: [512 * KIB, 2 * MIB, 16 * MIB],
		sector: [512],
		size: [1536, 1_234_567, SMALL, 2 ** 31 + 1, 2040 * GIB],
		content: CONTENTS,
	},
	({maker, subformat, block, size, content}) => {
		if (content === 'full' && size > SMALL) return false;
		// Only a dynamic one has blocks.
		if (subformat === 'fixed' && block !== 2 * MIB) return false;
		return maker === 'tintype' || (block === 2 * MIB && (subformat === 'dynamic' || size <= SMALL));
	},
);
const RAW = allCases(
	{
		maker: ['tintype'],
		subformat: [''],
		block: [0],
		sector: [512, 4096],
		size: [1, 1_234_567, SMALL, 2 ** 32 + 512, 2 * TIB + 512, 64 * TIB],
		content: CONTENTS,
	},
	({size, content}) => content !== 'full' || size <= SMALL,
);

function choose<Each extends Omit<Case, 'format'> & Readonly<Record<string, string | number>>>(
	format: Case['format'],
	all: readonly Each[],
): Case[] {
	return (FULL ? all : pairwise(all, seededRandom(SEED))).map(each => ({format, ...each}));
}

/** A range of the disk that is looked at. */
type Range = readonly [start: number, length: number];

function randomBytes(random: Random, length: number): Uint8Array {
	const key = Uint8Array.from({length: 16}, () => random.below(256));
	return createCipheriv('aes-128-ctr', key, new Uint8Array(16)).update(new Uint8Array(length));
}

/** Makes a sparse disk, and names ranges that hold all that was written, and some where there is nothing. */
function makeSource(path: string, {size, content, block}: Case, random: Random): Range[] {
	const descriptor = openSync(path, 'w');
	const ranges: Range[] = [];
	function put(position: number, length: number): void {
		const start = Math.max(0, Math.min(position, size - 1));
		const count = Math.min(length, size - start);
		writeSync(descriptor, randomBytes(random, count), 0, count, start);
		ranges.push([start, count]);
	}
	if (content === 'full') put(0, size);
	if (content === 'holes') {
		for (const border of [0, 64 * KIB, MIB, block, 2 ** 31, 2 ** 32, 2 * TIB, size]) {
			if (border <= size) put(border - 700 - random.below(9000), 1400 + random.below(20_000));
		}
		for (let i = 0; i < 3; i++) put(random.below(size), 1 + random.below(100_000));
	}
	for (let i = 0; i < 4; i++) ranges.push([random.below(size), 5000]);
	ranges.push([size - 1, 1]);
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
	return ranges.map(([start, length]) => [start, Math.min(length, size - start)]);
}

function readRanges(path: string, ranges: readonly Range[]): Buffer[] {
	const descriptor = openSync(path, 'r');
	try {
		return ranges.map(([start, length]) => {
			const bytes = Buffer.alloc(length);
			for (let done = 0; done < length; ) {
				const count = readSync(descriptor, bytes, done, length - done, start + done);
				if (count === 0) throw new Error(`${path} ends at ${start + done}`);
				done += count;
			}
			return bytes;
		});
	} finally {
		closeSync(descriptor);
	}
}

async function makeImage(each: Case, source: string, target: string): Promise<void> {
	const {format, maker, subformat, block, sector: sectorSize} = each;
	if (maker === 'tintype') {
		const sized = subformat === 'fixed' && format === 'vhd' ? {} : {'block-size': block};
		const writer = format === 'raw' ? {} : {subformat, ...sized};
		await convert(source, target, {workers: 1, sectorSize, writer});
		return;
	}
	const options =
		format === 'vhdx' ? `subformat=${subformat},block_size=${block}` : `subformat=${subformat},force_size=on`;
	run('qemu-img', ['convert', '-f', 'raw', '-O', qemuName(format), '-o', options, source, target]);
}

function qemuName(format: Case['format']): string {
	return format === 'vhd' ? 'vpc' : format;
}

/** Ours: the ranges, what the map says of them, and the whole of a small disk. */
function askTintype(t: ExecutionContext, disk: Disk, target: string, ranges: readonly Range[], want: Buffer[]): void {
	const span = newSpan();
	const file = openSync(target, 'r');
	t.teardown(() => closeSync(file));
	for (const [index, [start, length]] of ranges.entries()) {
		const bytes = Buffer.alloc(length);
		disk.readAt(start, bytes);
		if (Buffer.compare(bytes, want[index]) !== 0) t.fail(`tintype reads ${length} bytes at ${start} otherwise`);
		for (let position = start; position < start + length; position += span.length) {
			disk.locate(position, span);
			const part = want[index].subarray(position - start, position - start + span.length);
			if (readsAsZero(span.kind) && !isZero(part)) t.fail(`the map calls ${position} empty`);
			if (span.kind !== SpanKind.stored) continue;
			const there = Buffer.alloc(part.length);
			readSync(file, there, 0, part.length, span.at);
			if (Buffer.compare(there, part) !== 0) t.fail(`the map puts ${position} at ${span.at} of the file`);
		}
	}
}

/** qemu knows no sectors of 4096 bytes in a VHDX; that is the only thing that it may refuse. */
function askQemu(t: ExecutionContext, each: Case, folder: string, files: Files): void {
	const {format, sector} = each;
	const {source, target, ranges, want, disk} = files;
	const name = qemuName(format);
	if (format === 'vhdx' && sector === 4096) {
		t.throws(() => run('qemu-img', ['info', '-f', name, target]), {message: /Operation not supported|sector size/i});
		return;
	}
	const info = JSON.parse(run('qemu-img', ['info', '-f', name, '--output=json', target])) as {'virtual-size': number};
	t.is(info['virtual-size'], roundUp(disk.size, 512));
	if (format === 'vhdx') t.regex(run('qemu-img', ['check', '-f', name, target]), /No errors/);
	const isSparse = format === 'raw';
	if (isSparse || disk.size <= SMALL + 512) {
		run('qemu-img', ['compare', '-f', 'raw', '-F', name, source, target]);
		if (isSparse) compareMaps(t, disk, target);
		if (disk.size > SMALL + 512) return;
		const back = join(folder, 'back.raw');
		run('qemu-img', ['convert', '-f', name, '-O', 'raw', target, back]);
		const [all] = readRanges(back, [[0, disk.size]]);
		const [before] = readRanges(source, [[0, each.size]]);
		t.is(Buffer.compare(all.subarray(0, each.size), before), 0, 'as qemu-img converts it');
		t.true(isZero(all.subarray(each.size)));
		return;
	}
	// It would read all of the disk, holes too: it is asked for the ranges alone.
	const part = join(folder, 'part.raw');
	for (const [index, [start, length]] of ranges.entries()) {
		const from = Math.floor(start / 512);
		const count = Math.ceil((start + length) / 512) - from;
		run('qemu-img', [
			'dd',
			'-f',
			name,
			'-O',
			'raw',
			'bs=512',
			`skip=${from}`,
			`count=${from + count}`,
			`if=${target}`,
			`of=${part}`,
		]);
		const bytes = readFileSync(part).subarray(start - from * 512, start - from * 512 + length);
		if (Buffer.compare(bytes, want[index]) !== 0) t.fail(`qemu-img reads ${length} bytes at ${start} otherwise`);
	}
}

/** Of a raw file both take the borders from the file system; qemu counts in whole sectors. */
function compareMaps(t: ExecutionContext, disk: Disk, target: string): void {
	const entries = JSON.parse(run('qemu-img', ['map', '-f', 'raw', '--output=json', target])) as {
		readonly start: number;
		readonly length: number;
		readonly data: boolean;
	}[];
	const span = newSpan();
	const ours: {start: number; length: number; data: boolean}[] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		ours.push({start: position, length: span.length, data: span.kind === SpanKind.stored});
	}
	const theirs = entries.map(({start, length, data}) => ({start, length: Math.min(length, disk.size - start), data}));
	t.deepEqual(
		ours,
		theirs.filter(({length}) => length > 0),
	);
}

/** Sectors that one sector bitmap of a VHDX speaks of: a chunk. */
const SECTORS_IN_CHUNK = 2 ** 23;

/** Of a fixed VHDX only the first chunk: see the test of libvhdi's own error below. */
function askLibvhdi(t: ExecutionContext, each: Case, folder: string, {target, ranges, want, disk}: Files): void {
	const info = run('vhdiinfo', [target]);
	t.regex(info, new RegExp(`Media size.*[ (]${disk.size} bytes`));
	const isWhole = each.format === 'vhd' || each.subformat === 'dynamic';
	const end = isWhole ? disk.size : Math.min(disk.size, SECTORS_IN_CHUNK * disk.sectorSize);
	withVhdimount(target, folder, mounted => {
		for (const [index, [start, length]] of ranges.entries()) {
			if (start + length > end) continue;
			const [bytes] = readRanges(mounted, [[start, length]]);
			if (Buffer.compare(bytes, want[index]) !== 0) t.fail(`libvhdi reads ${length} bytes at ${start} otherwise`);
		}
	});
}

function withVhdimount(image: string, folder: string, look: (mounted: string) => void): void {
	const mount = join(folder, 'mount');
	mkdirSync(mount);
	run('vhdimount', [image, mount]);
	try {
		look(join(mount, 'vhdi1'));
	} finally {
		run('fusermount', ['-u', mount]);
	}
}

/** 7-Zip (26.02) takes no VHDX of an odd number of sectors; that is the only thing that it may refuse. */
function askSevenZip(t: ExecutionContext, {format, size}: Case, {source, target, disk}: Files): void {
	let all: Buffer;
	try {
		all = runBytes('7z', ['x', '-so', `-t${format.toUpperCase()}`, target]);
	} catch (error) {
		const isOdd = format === 'vhdx' && (disk.size / disk.sectorSize) % 2 === 1;
		t.true(isOdd, `7-Zip refuses it: ${String(error)}`);
		return;
	}
	const [before] = readRanges(source, [[0, size]]);
	t.is(all.length, disk.size);
	t.is(Buffer.compare(all.subarray(0, size), before), 0, 'as 7-Zip unpacks it');
	t.true(isZero(all.subarray(size)));
}

interface Files {
	readonly source: string;
	readonly target: string;
	readonly ranges: readonly Range[];
	readonly want: Buffer[];
	readonly disk: Disk;
}

/** With CI=true a missing oracle is a failure. */
function haveTool(t: ExecutionContext, ...names: string[]): boolean {
	const missing = names.filter(name => findTool(name) === undefined);
	if (missing.length === 0) return true;
	if (process.env['CI'] === 'true') t.fail(`missing on this machine: ${missing.join(', ')}`);
	t.log(`not asked, since it is missing: ${missing.join(', ')}`);
	return false;
}

const cases = [...choose('vhdx', VHDX), ...choose('vhd', VHD), ...choose('raw', RAW)];

for (const [number, each] of cases.entries()) {
	const {format, maker, subformat, block, sector, size, content} = each;
	const blocks = block === 0 ? '' : ` ${block / KIB} KiB`;
	const title = `${format} ${subformat}${blocks} ${sector} by ${maker}, ${size} bytes, ${content}`;
	test.serial(`${number + 1} of ${cases.length}, seed ${SEED}: ${title}`, async t => {
		const folder = hugeFolder(t, 2 * size);
		if (folder === undefined || (maker !== 'tintype' && !haveTool(t, maker))) {
			t.pass();
			return;
		}
		const source = join(folder, 'source.raw');
		const target = join(folder, `target.${format}`);
		const ranges = makeSource(source, each, seededRandom(SEED + number));
		const want = readRanges(source, ranges);
		await makeImage(each, source, target);
		const opened = openDisk(target, format === 'raw' ? {sectorSize: sector} : {});
		t.teardown(() => opened[Symbol.dispose]());
		const {disk} = opened;
		t.is(disk.sectorSize, sector);
		t.is(disk.size, format === 'raw' ? size : roundUp(size, sector));
		const files: Files = {source, target, ranges, want, disk};
		askTintype(t, disk, target, ranges, want);
		if (haveTool(t, 'qemu-img')) askQemu(t, each, folder, files);
		if (format === 'raw') return;
		if (haveTool(t, 'vhdimount', 'vhdiinfo', 'fusermount')) askLibvhdi(t, each, folder, files);
		if (size <= SMALL && haveTool(t, '7z')) askSevenZip(t, each, files);
	});
}

testWith(
	test.serial as TestFn,
	['qemu-img', 'qemu-io', 'vhdimount', 'fusermount'],
	'libvhdi forgets the bitmap entries in the BAT of a fixed VHDX: one of qemu as well',
	t => {
		const chunk = SECTORS_IN_CHUNK * 512;
		const folder = temporaryFolder(t);
		const image = join(folder, 'fixed.vhdx');
		run('qemu-img', [
			'create',
			'-q',
			'-f',
			'vhdx',
			'-o',
			'subformat=fixed,block_size=1M',
			image,
			String(chunk + 8 * MIB),
		]);
		run('qemu-io', ['-f', 'vhdx', '-c', `write -P 65 ${chunk} 1M`, '-c', `write -P 66 ${chunk - MIB} 1M`, image]);
		const ranges: Range[] = [
			[chunk - MIB, 512],
			[chunk, 512],
			[chunk + MIB, 512],
		];
		const opened = openDisk(image);
		t.teardown(() => opened[Symbol.dispose]());
		const ours = ranges.map(([start, length]) => {
			const bytes = Buffer.alloc(length);
			opened.disk.readAt(start, bytes);
			return bytes[0];
		});
		t.deepEqual(ours, [66, 65, 0], 'as qemu wrote it');
		withVhdimount(image, folder, mounted => {
			const theirs = readRanges(mounted, ranges).map(bytes => bytes[0]);
			// One block too late behind the first chunk (20210425), or right in a version to come.
			t.true([[66, 0, 65].join(), ours.join()].includes(theirs.join()), theirs.join());
		});
	},
);
