import {
	closeSync,
	copyFileSync,
	ftruncateSync,
	openSync,
	readFileSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {compareDisks, type CompareOptions, type Comparison} from '../../src/compare/compare.ts';
import {compareImages} from '../../src/compare/explain.ts';
import {convert} from '../../src/convert/convert.ts';
import {type Disk, type Span, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import {openDisk, openImage} from '../../src/image/image.ts';
import {overwrite} from '../cli/images.ts';
import {tintype, tintypeOutput} from '../cli/run-tintype.ts';
import {seededRandom} from '../fuzz/random.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {type SparseSource, sparseSource} from '../helpers/sparse-source.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';

const MIB = 1 << 20;

/** A run of a disk: stored unless it says something else. */
interface Run {
	readonly start: number;
	readonly end: number;
	readonly kind?: SpanKind;
}

interface Counted extends Disk {
	readonly content: SparseSource;
}

/** A disk with such runs in an order that rises; what lies between is zeros by the map. */
function diskOf(size: number, runs: readonly Run[], failing: readonly Run[] = []): Counted {
	const content = sparseSource(size);
	const disk = mappedDisk({
		format: 'test',
		name: 'test disk',
		size,
		sectorSize: 512,
		sources: [
			{
				...content,
				readAt(position, target) {
					const bad = failing.find(({start, end}) => start < position + target.length && position < end);
					if (bad !== undefined) throw new DiskError('io', 'test/bad-sector', 'a bad sector');
					content.readAt(position, target);
				},
			},
		],
		locate(position: number, span: Span) {
			const run = runs.find(({end}) => position < end);
			if (run === undefined) unstored(span, SpanKind.zero, size - position);
			else if (position < run.start) unstored(span, SpanKind.zero, run.start - position);
			else if (run.kind === undefined) stored(span, run.end - position, 0, position);
			else unstored(span, run.kind, run.end - position);
		},
		describe: () => ({facts: []}),
	});
	return {...disk, content};
}

function facts(comparison: Comparison): Partial<Comparison> {
	const {read: _, seconds: __, ...rest} = comparison;
	return rest;
}

test('what both call zero is not read, though the disks have 64 TiB', async t => {
	const size = 2 ** 46;
	const runs = [
		{start: MIB, end: 2 * MIB},
		{start: size - MIB, end: size},
	];
	const [a, b] = [diskOf(size, runs), diskOf(size, runs)];
	for (const disk of [a, b]) disk.content.write(size - 4096, Buffer.alloc(4096, 'data'));
	t.like(await compareDisks(a, b), {identical: true, by: 'bytes', read: 4 * MIB});
	for (const {content} of [a, b]) t.is(content.read.bytes, 2 * MIB);
	const empty = [diskOf(size, []), diskOf(size, [{start: 5, end: 2 ** 45, kind: SpanKind.absent}])] as const;
	t.like(await compareDisks(...empty), {identical: true, read: 0});
	t.deepEqual(
		empty.map(({content}) => content.read.calls),
		[0, 0],
	);
});

test('of a side that is zero by its map nothing is read, even where the other is zero by content', async t => {
	const size = 16 * MIB;
	const [a, b] = [diskOf(size, [{start: 3 * MIB, end: 9 * MIB + 700}]), diskOf(size, [])];
	t.like(await compareDisks(a, b), {identical: true, read: 6 * MIB + 700});
	t.is(a.content.read.bytes, 6 * MIB + 700);
	t.is(b.content.read.calls, 0);
	a.content.write(9 * MIB + 600, Buffer.from('x'));
	const found = await compareDisks(b, a);
	t.like(found, {identical: false, firstDifference: 9 * MIB + 600, rangeCount: 1, differentBytes: 188});
	t.deepEqual(found.ranges, [{position: 9 * MIB + 512, length: 188}]);
	t.is(b.content.read.calls, 0);
});

test('sparse files of 8 TiB are compared by their holes, by threads as well', async t => {
	const folder = temporaryFolder(t);
	const size = 8 * 2 ** 40;
	const paths = ['a', 'b'].map(name => {
		const path = join(folder, name);
		const descriptor = openSync(path, 'w');
		ftruncateSync(descriptor, size);
		for (let index = 0; index < 70; index++)
			writeSync(descriptor, Buffer.alloc(MIB, `${index} `), 0, MIB, index * 2 ** 36);
		closeSync(descriptor);
		return path;
	});
	const disks = paths.map(path => openDisk(path, {format: 'raw'}));
	t.teardown(() => disks.forEach(disk => disk[Symbol.dispose]()));
	const recipes = [disks[0].recipe, disks[1].recipe] as const;
	const options: CompareOptions = {recipes, workers: 3};
	t.like(await compareDisks(disks[0].disk, disks[1].disk, options), {identical: true, read: 140 * MIB});
	overwrite(paths[1], 69 * 2 ** 36 + 100_000, Buffer.from('other'));
	overwrite(paths[1], 3 * 2 ** 36 + 5, Buffer.from('?'));
	const found = await compareDisks(disks[0].disk, disks[1].disk, options);
	t.like(found, {identical: false, rangeCount: 2, differentBytes: 1024, firstDifference: 3 * 2 ** 36 + 5});
	t.deepEqual(facts(found), facts(await compareDisks(disks[0].disk, disks[1].disk, {workers: 1})));
});

/** Sector by sector, over all of both. */
function expectedOf(a: Buffer, b: Buffer) {
	const ranges: {position: number; length: number}[] = [];
	let first: number | undefined;
	for (let at = 0; at < a.length; at += 512) {
		const end = Math.min(at + 512, a.length);
		if (a.compare(b, at, end, at, end) === 0) continue;
		for (let byte = at; first === undefined; byte++) if (a[byte] !== b[byte]) first = byte;
		const last = ranges.at(-1);
		if (last !== undefined && last.position + last.length === at) last.length += end - at;
		else ranges.push({position: at, length: end - at});
	}
	const differentBytes = ranges.reduce((sum, {length}) => sum + length, 0);
	return {ranges, rangeCount: ranges.length, differentBytes, firstDifference: first, identical: ranges.length === 0};
}

test('random disks differ where a plain comparison says so, with any number of threads', async t => {
	const folder = temporaryFolder(t);
	const random = seededRandom(11);
	const size = 70 * MIB;
	const a = Buffer.alloc(size);
	for (let at = 0; at < size; at += 4096) a.writeUInt32LE(random.below(2 ** 31), at);
	for (let round = 0; round < 2; round++) {
		const b = Buffer.from(a);
		for (let change = 0; change < 40; change++) {
			const at = random.below(size - 3 * MIB);
			const length = random.below(change % 8 === 0 ? 3 * MIB : 2000);
			b.fill(change % 2 === 0 ? random.below(256) : 0, at, at + length);
		}
		const paths = [join(folder, 'a'), join(folder, 'b')];
		writeFileSync(paths[0], a);
		writeFileSync(paths[1], b);
		const disks = paths.map(path => openDisk(path, {format: 'raw'}));
		const recipes = [disks[0].recipe, disks[1].recipe] as const;
		const expected = expectedOf(a, b);
		for (const workers of [1, 3]) {
			const found = await compareDisks(disks[0].disk, disks[1].disk, {recipes, workers, ranges: 1e6});
			t.like(found, expected, `${workers} threads`);
		}
		const few = await compareDisks(disks[0].disk, disks[1].disk, {recipes, ranges: 3, workers: 2});
		t.like(few, {...expected, ranges: expected.ranges.slice(0, 3)});
		for (const disk of disks) disk[Symbol.dispose]();
	}
});

test('what cannot be read is told, and the rest is compared', async t => {
	const size = 8 * MIB;
	const all = [{start: 0, end: size}];
	const first = diskOf(size, [
		{start: 0, end: 4 * MIB},
		{start: 4 * MIB, end: 4 * MIB + 5120, kind: SpanKind.unreadable},
		{start: 4 * MIB + 5120, end: size},
	]);
	const second = diskOf(size, all, [{start: MIB + 9000, end: MIB + 9001}]);
	second.content.write(6 * MIB, Buffer.from('!'));
	second.content.write(4 * MIB + 100, Buffer.from('not compared'));
	const found = await compareDisks(first, second);
	t.like(found, {identical: false, rangeCount: 1, unreadableCount: 2, unreadableBytes: [5120, 4096]});
	t.deepEqual(
		found.unreadable.map(({disk, position, length, error}) => [disk, position, length, error.code]),
		[
			[0, 4 * MIB, 5120, 'disk/unreadable'],
			[1, MIB + 8192, 4096, 'test/bad-sector'],
		],
	);
	t.is(found.unreadable[1].error.where.position, MIB + 8192);
	// Where nothing else differs, equality is still not told.
	const alike = diskOf(size, all, [{start: 0, end: 1}]);
	t.like(await compareDisks(alike, diskOf(size, all)), {identical: false, rangeCount: 0, unreadableCount: 1});
});

test('a longer disk is the same where it goes on with zeros', async t => {
	const [short, long] = [diskOf(3 * MIB + 512, []), diskOf(7 * MIB, [{start: MIB, end: 7 * MIB}])];
	const rest = {length: 4 * MIB - 512, zero: true};
	for (const [a, b] of [
		[short, long],
		[long, short],
	]) {
		t.like(await compareDisks(a, b), {identical: true, rest});
		t.like(await compareDisks(a, b, {strict: true}), {identical: false, rest, rangeCount: 0});
	}
	long.content.write(5 * MIB + 3, Buffer.from('x'));
	const found = await compareDisks(short, long);
	t.like(found, {identical: false, rangeCount: 0, firstDifference: 5 * MIB + 3, rest: {...rest, zero: false}});
	// Nothing is read when it is known that the rest has data.
	t.true(found.read < 6 * MIB);
});

test('a signal ends it, with one thread and with several', async t => {
	const size = 64 * 1024 * MIB;
	const [a, b] = [diskOf(size, [{start: 0, end: size}]), diskOf(size, [{start: 0, end: size}])];
	const controller = new AbortController();
	const running = compareDisks(a, b, {
		signal: controller.signal,
		onProgress: () => controller.abort(new Error('enough')),
	});
	await t.throwsAsync(running, {message: 'enough'});
	t.true(a.content.read.bytes < size);
});

/** A disk whose copy differs in one file, in free space and in the gap before the first partition. */
async function changedImage(t: ExecutionContext): Promise<{folder: string; changed: string}> {
	const folder = temporaryFolder(t);
	const changed = join(folder, 'changed.raw');
	copyFileSync(demoDisk(), changed);
	const at = readFileSync(demoDisk()).indexOf('P6 160 120 255');
	overwrite(changed, at + 20, Buffer.from('not the same'));
	overwrite(changed, 512 * 1000, Buffer.from('gap'));
	await convert(changed, join(folder, 'changed.vhdx'));
	return {folder, changed};
}

test('the files that differ are named', async t => {
	const {folder} = await changedImage(t);
	const [first, second] = [openImage(demoDisk()), openDisk(join(folder, 'changed.vhdx'))];
	t.teardown(() => [first, second].forEach(image => image[Symbol.dispose]()));
	const {differences, rangeCount} = await compareImages(first, second);
	t.is(rangeCount, 2);
	t.is(differences?.outsideBytes, 512);
	t.deepEqual(
		differences?.volumes.flatMap(({files}) => files.map(({damaged}) => damaged)),
		[512],
	);
	t.is((await compareImages(first, openDisk(demoDisk()))).differences, undefined);
});

test('the command tells ranges, volumes and files, and goes on past damage', async t => {
	const {folder, changed} = await changedImage(t);
	const differ = tintype(['compare', demoDisk(), join(folder, 'changed.vhdx')]);
	t.is(differ.code, 1);
	t.regex(differ.stdout, /^\S+ and \S+ differ$/m);
	t.regex(differ.stdout, /512,000 to 512,511, outside of all volumes/);
	t.regex(differ.stdout, /what differs in .*\n[^]*\.ppm: 512 bytes of/);
	const packed = join(folder, 'packed.tint');
	await convert(changed, packed);
	damageChunk(packed, 0);
	const damaged = tintype(['compare', '--bytes', packed, changed, '--json']);
	t.is(damaged.code, 1);
	const report = JSON.parse(damaged.stdout) as {identical: boolean; rangeCount: number; unreadable: {image: number}[]};
	t.like(report, {identical: false, rangeCount: 0, unreadableCount: 1});
	t.deepEqual(
		report.unreadable.map(({image}) => image),
		[0],
	);
	const text = tintype(['compare', changed, packed]);
	t.is(text.code, 1);
	t.regex(
		text.stdout,
		/hold the same where they can be read\n {2}cannot be read, and so was not compared: \S+ KiB of \S+packed.tint/,
	);
	const longer = join(folder, 'longer.raw');
	copyFileSync(demoDisk(), longer);
	truncateSync(longer, readFileSync(demoDisk()).length + MIB);
	t.regex(tintypeOutput(['compare', demoDisk(), longer, '--workers', '2']), /is longer by 1 MiB, which are zeros only/);
});
