import {createCipheriv, createHash} from 'node:crypto';
import {closeSync, ftruncateSync, openSync, readFileSync, readSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {roundUp} from '../../src/core/bytes/u64.ts';
import {newSpan, readsAsZero, type Span, SpanKind} from '../../src/core/disk.ts';
import {seekData} from '../../src/core/system/seek.ts';
import {openDisk} from '../../src/image/image.ts';
import {type Random, seededRandom} from '../fuzz/random.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {findTool, run} from '../helpers/tools.ts';

const SEED = 1;
const KIB = 1024;
const MIB = KIB * KIB;
const ID = '00112233-4455-6677-8899-aabbccddeeff';

interface Target {
	readonly name: string;
	readonly extension: string;
	readonly sectorSize: number;
	readonly writer: Readonly<Record<string, string | number>>;
}

function vhdx(subformat: string, blocks: number, sectorSize: number): Target {
	const writer = {subformat, 'block-size': blocks * MIB};
	return {name: `vhdx ${subformat} ${blocks} MiB ${sectorSize}`, extension: 'vhdx', sectorSize, writer};
}

function vhd(subformat: string, block: number): Target {
	const writer = {subformat, 'block-size': block * KIB};
	return {name: `vhd ${subformat} ${block} KiB`, extension: 'vhd', sectorSize: 512, writer};
}

function tint(codec: string, chunk: number, sectorSize: number): Target {
	const writer = {codec, 'chunk-size': chunk * KIB};
	return {name: `tint ${codec} ${chunk} KiB ${sectorSize}`, extension: 'tint', sectorSize, writer};
}

const TARGETS: readonly Target[] = [
	{name: 'raw', extension: 'raw', sectorSize: 512, writer: {}},
	vhdx('dynamic', 1, 512),
	vhdx('dynamic', 2, 4096),
	vhdx('dynamic', 32, 512),
	vhdx('dynamic', 256, 512),
	vhdx('fixed', 1, 4096),
	vhdx('fixed', 32, 512),
	tint('lz4', 64, 512),
	tint('lz4', 256, 4096),
	tint('lz4', 1024, 512),
	tint('zstd', 64, 4096),
	tint('zstd', 512, 512),
	vhd('dynamic', 512),
	vhd('dynamic', 2048),
	vhd('dynamic', 16_384),
	vhd('fixed', 2048),
];

const SIZES = [
	512,
	64 * KIB - 1,
	MIB + 512,
	1_234_567,
	33 * MIB + 1,
	2 ** 31 - 1,
	2 ** 31 + 1,
	2 ** 32 + 512,
	5 * 2 ** 30 + 3,
];

const CONTENTS = ['empty', 'full', 'holes', 'zeros'] as const;
type Content = (typeof CONTENTS)[number];
/** A disk that is full of random bytes is small. */
const LARGEST_FULL = 33 * MIB + 1;

/** All of a fixed VHDX or VHD is read: of the large sizes one is enough, on the far side of bit 31. */
function isWorthwhile({target, size, content}: Case): boolean {
	if (size <= LARGEST_FULL) return true;
	return content !== 'full' && (target.writer['subformat'] !== 'fixed' || size === 2 ** 31 + 1);
}

interface Case {
	readonly target: Target;
	readonly size: number;
	readonly content: Content;
	readonly workers: number;
}

/** What a case shows; every one of these is shown by some case that runs. */
function pairsOf({target, size, content, workers}: Case): string[] {
	const {name, extension, sectorSize} = target;
	return [
		`${extension} of ${size}`,
		`${extension} of ${content}, ${size > LARGEST_FULL ? 'large' : 'small'}`,
		// Only those are shown to qemu-img.
		...(isInSectors(extension) && size > LARGEST_FULL && content === 'holes'
			? [`large ${extension} of ${sectorSize}`]
			: []),
		name,
		`${extension} by ${workers}`,
	];
}

/** Again and again the one of some random cases that shows most of what is still open. */
function selectCases(random: Random): Case[] {
	const all = TARGETS.flatMap(target =>
		SIZES.flatMap(size => CONTENTS.flatMap(content => [1, 3].map(workers => ({target, size, content, workers})))),
	).filter(isWorthwhile);
	const open = new Set(all.flatMap(pairsOf));
	const cases: Case[] = [];
	const news = (each: Case): number => pairsOf(each).filter(pair => open.has(pair)).length;
	while (open.size > 0) {
		const tried = Array.from({length: 100}, () => random.pick(all));
		const best = tried.reduce((one, other) => (news(other) > news(one) ? other : one));
		if (news(best) === 0) continue;
		for (const pair of pairsOf(best)) open.delete(pair);
		cases.push(best);
	}
	return cases;
}

function randomBytes(random: Random, length: number): Uint8Array {
	const key = Uint8Array.from({length: 16}, () => random.below(256));
	return createCipheriv('aes-128-ctr', key, new Uint8Array(16)).update(new Uint8Array(length));
}

/** Writes a disk, and returns where something was written. */
function makeDisk(path: string, {size, content}: Pick<Case, 'size' | 'content'>, random: Random): [number, number][] {
	const written: [number, number][] = [];
	const descriptor = openSync(path, 'w');
	function put(position: number, length: number, zeros: boolean): void {
		const start = Math.max(0, Math.min(position, size - 1));
		const count = Math.min(length, size - start);
		const bytes = zeros ? new Uint8Array(count) : randomBytes(random, count);
		writeSync(descriptor, bytes, 0, count, start);
		written.push([start, count]);
	}
	if (content === 'full') put(0, size, false);
	if (content === 'holes' || content === 'zeros') {
		const zeros = content === 'zeros';
		if (zeros && size <= LARGEST_FULL) put(0, size, true);
		for (const border of [0, 64 * KIB, MIB, 32 * MIB, 2 ** 31, 2 ** 32, size]) {
			if (border <= size) put(border - 700 - random.below(9000), 1400 + random.below(20_000), zeros);
		}
		for (let i = 0; i < 6; i++) put(random.below(size), 1 + random.below(200_000), zeros);
	}
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
	return written;
}

const GRAIN = 64 * KIB;

/** What a file holds beside zeros: the place and the hash of every grain, filled up with zeros, that has anything. */
function contentOf(path: string): string[] {
	const found: string[] = [];
	const {size} = statSync(path);
	const descriptor = openSync(path, 'r');
	const grain = new Uint8Array(GRAIN);
	let position = 0;
	for (let data = seekData(descriptor, 0); data !== undefined && data < size; data = seekData(descriptor, position)) {
		position = data - (data % GRAIN);
		grain.fill(0);
		readSync(descriptor, grain, 0, GRAIN, position);
		if (!isZero(grain)) found.push(`${position} ${createHash('sha1').update(grain).digest('hex')}`);
		position += GRAIN;
		if (position >= size) break;
	}
	closeSync(descriptor);
	return found;
}

interface MapEntry {
	readonly start: number;
	readonly length: number;
	readonly data: boolean;
	readonly zero: boolean;
	readonly offset?: number;
}

/** Every span of ours against what qemu says of the same place; raw must agree to the byte of every border. */
function compareMaps(t: ExecutionContext, path: string, format: string): void {
	const entries = JSON.parse(run('qemu-img', ['map', '-f', format, '--output=json', path])) as MapEntry[];
	const {disk, ...opened} = openDisk(path);
	const span = newSpan();
	const ours: MapEntry[] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		const stored = span.kind === SpanKind.stored;
		ours.push({start: position, length: span.length, data: stored, zero: !stored, ...(stored && {offset: span.at})});
		t.true(stored || readsAsZero(span.kind));
		for (const entry of entries) {
			const start = Math.max(entry.start, position);
			if (start >= Math.min(entry.start + entry.length, position + span.length)) continue;
			if (stored && entry.offset !== undefined) t.is(entry.offset + start - entry.start, span.at + start - position);
			// Where it says that nothing is stored, nothing is.
			if (entry.zero && !entry.data) t.false(stored, `${start} is a hole for qemu-img`);
		}
	}
	if (format === 'raw') {
		// It counts in sectors and rounds the end up.
		const cut = entries.map(({start, length, data}) => ({start, length: Math.min(length, disk.size - start), data}));
		t.deepEqual(
			ours.map(({start, length, data}) => ({start, length, data})),
			cut.filter(({length}) => length > 0),
		);
	}
	opened[Symbol.dispose]();
}

/** What `locate` calls stored is there in the file, byte for byte. */
function checkPlaces(t: ExecutionContext, source: string, target: string, written: readonly [number, number][]): void {
	const {disk, ...opened} = openDisk(target);
	const [from, to] = [openSync(source, 'r'), openSync(target, 'r')];
	const span: Span = newSpan();
	for (const [start, count] of written) {
		for (let position = start; position < start + count; position += span.length) {
			disk.locate(position, span);
			const length = Math.min(span.length, start + count - position);
			const want = new Uint8Array(length);
			readSync(from, want, 0, length, position);
			if (readsAsZero(span.kind)) t.true(isZero(want), `${position} is called empty`);
			if (span.kind !== SpanKind.stored) continue;
			const found = new Uint8Array(length);
			readSync(to, found, 0, length, span.at);
			t.deepEqual(Buffer.compare(found, want), 0, `the place of ${position}`);
		}
	}
	closeSync(from);
	closeSync(to);
	opened[Symbol.dispose]();
}

const cases = selectCases(seededRandom(SEED));

for (const [number, each] of cases.entries()) {
	const {target, size, content, workers} = each;
	const {name, extension, sectorSize, writer} = target;
	test.serial(`${name}, ${size} bytes, ${content}, by ${workers}: there and back`, async t => {
		t.log(`seed ${SEED}, case ${number + 1} of ${cases.length}`);
		const folder = temporaryFolder(t);
		const source = join(folder, 'source.raw');
		const there = join(folder, `there.${extension}`);
		const back = join(folder, 'back.raw');
		const written = makeDisk(source, each, seededRandom(SEED + number));
		const result = await convert(source, there, {workers, sectorSize, writer});
		t.is(result.size, size);
		await convert(there, back, {workers: workers === 1 ? 2 : 1});
		t.is(statSync(back).size, isInSectors(extension) ? roundUp(size, sectorSize) : size);
		t.deepEqual(contentOf(back), contentOf(source));
		if (content === 'empty' || content === 'zeros') t.is(statSync(back).blocks, 0, 'zeros take no place');
		checkPlaces(t, source, there, written);
		if (extension === 'tint' || sectorSize !== 512) return;
		// It reads all of a VHDX or VHD, holes too: of the large ones, those without data are left out.
		const isCostly = size > LARGEST_FULL && content !== 'holes' && isInSectors(extension);
		if (!isCostly && haveTool(t, 'qemu-img')) askQemu(t, source, there, extension === 'vhd' ? 'vpc' : extension);
	});
}

function isInSectors(extension: string): boolean {
	return extension === 'vhdx' || extension === 'vhd';
}

function askQemu(t: ExecutionContext, source: string, target: string, format: string): void {
	t.notThrows(() => run('qemu-img', ['compare', '-f', 'raw', '-F', format, source, target]));
	if (format === 'vhdx') t.notThrows(() => run('qemu-img', ['check', '-f', format, target]));
	compareMaps(t, target, format);
}

/** With CI=true a missing oracle is a failure. */
function haveTool(t: ExecutionContext, name: string): boolean {
	if (findTool(name) !== undefined) return true;
	if (process.env['CI'] === 'true') t.fail(`missing on this machine: ${name}`);
	t.log(`not asked, since it is missing: ${name}`);
	return false;
}

for (const {name, extension, sectorSize, writer} of TARGETS.filter((_, index) =>
	[0, 2, 8, 10, 12, 15].includes(index),
)) {
	test.serial(`${name}: the file is the same byte for byte, whatever the number of workers`, async t => {
		const folder = temporaryFolder(t);
		const source = join(folder, 'source.raw');
		makeDisk(source, {size: 33 * MIB + 1, content: 'holes'}, seededRandom(SEED));
		const hashes: string[] = [];
		for (const workers of [1, 2, 5]) {
			const target = join(folder, `target-${workers}.${extension}`);
			await convert(source, target, {workers, sectorSize, writer, id: ID, timestamp: 1_700_000_000});
			hashes.push(createHash('sha256').update(readFileSync(target)).digest('hex'));
		}
		t.deepEqual(hashes, [hashes[0], hashes[0], hashes[0]]);
	});
}
