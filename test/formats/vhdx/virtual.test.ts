import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import {isZero} from '../../../src/core/bytes/zeros.ts';
import {type Disk, newSpan, readsAsZero, SpanKind, type VirtualFile} from '../../../src/core/disk.ts';
import {corrupt} from '../../../src/core/error.ts';
import {mappedDisk} from '../../../src/core/mapped-disk.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {MIB, pattern} from '../../helpers/vhdx-image.ts';
import {readRange, session} from '../../helpers/vhdx-session.ts';
import {readBySevenZip} from './tools.ts';

const KIB = 1024;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;
/** As new disks of Hyper-V have it. */
const BLOCK = 32 * MIB;
const ID = Uint8Array.from({length: 16}, (_, index) => index * 7);

interface Area {
	readonly at: number;
	readonly bytes: Uint8Array;
}

interface TestDisk {
	readonly disk: Disk;
	/** How often `locate` was called. */
	readonly looks: () => number;
}

/** A disk with data in some places and holes in all others; a hole is told in parts of `hole` bytes. */
function diskOf(
	size: number,
	areas: readonly Area[],
	{sectorSize = 512, hole = Infinity, damagedAt = -1} = {},
): TestDisk {
	let count = 0;
	const sources = areas.map(({bytes}) => ({
		name: 'area',
		size: bytes.length,
		readAt: (position: number, target: Uint8Array) => target.set(bytes.subarray(position, position + target.length)),
		[Symbol.dispose]() {},
	}));
	const disk = mappedDisk({
		format: 'test',
		name: 'disk',
		size,
		sectorSize,
		sources,
		locate(position, span) {
			count += 1;
			if (position === damagedAt) throw corrupt('test/map', 'the map is damaged here', {position});
			const source = areas.findIndex(({at, bytes}) => position < at + bytes.length);
			const area = areas[source];
			if (area === undefined || position < area.at) {
				const end = Math.min(area?.at ?? size, damagedAt > position ? damagedAt : Infinity);
				Object.assign(span, {kind: SpanKind.zero, length: Math.min(end - position, hole), source: 0, at: 0});
				return;
			}
			const at = position - area.at;
			Object.assign(span, {kind: SpanKind.stored, length: area.bytes.length - at, source, at});
		},
		describe: () => ({facts: []}),
	});
	return {disk: checked(disk), looks: () => count};
}

function present(disk: Disk, id = ID): VirtualFile {
	const file = vhdx.present?.(disk, id);
	if (file === undefined) throw new Error('not shown');
	return checked(file);
}

function openBack(file: VirtualFile): Disk {
	return checked(vhdx.open(file, session()));
}

function all(source: {readonly size: number; readAt(position: number, target: Uint8Array): void}): Uint8Array {
	const bytes = new Uint8Array(source.size);
	source.readAt(0, bytes);
	return bytes;
}

/** Places of the holes, from `from` on. */
function holesOf(source: Pick<VirtualFile, 'size' | 'locate'>, from = 0): [number, number][] {
	const span = newSpan();
	const holes: [number, number][] = [];
	for (let position = from; position < source.size; position += span.length) {
		source.locate(position, span);
		const last = holes.at(-1);
		if (!readsAsZero(span.kind)) continue;
		if (last?.[1] === position) last[1] += span.length;
		else holes.push([position, position + span.length]);
	}
	return holes;
}

const SIZES = [1, 512, 100_000, BLOCK - 1, BLOCK, BLOCK + 513, 3 * BLOCK + 4096];

for (const sectorSize of [512, 4096]) {
	test(`what is read back is the disk, whatever its size: sectors of ${sectorSize}`, t => {
		for (const size of SIZES) {
			const last = Math.min(3, size);
			const areas = [{at: size - last, bytes: pattern(last, 9)}];
			if (size > BLOCK) areas.unshift({at: BLOCK - 1000, bytes: pattern(1200, 3)});
			const {disk} = diskOf(size, areas, {sectorSize});
			const back = openBack(present(disk));
			t.is(back.sectorSize, sectorSize);
			t.is(back.size, Math.ceil(size / sectorSize) * sectorSize);
			const content = all(back);
			t.true(Buffer.from(content.buffer, 0, size).equals(all(disk)), `${size} bytes`);
			t.true(isZero(content.subarray(size)), `padding behind ${size} bytes`);
		}
	});
}

/** Data in the first block, in the third and at the end of the fifth; the second, fourth and sixth are holes. */
function sample(): Disk {
	const areas = [
		{at: 4096, bytes: pattern(8192, 1)},
		{at: 2 * BLOCK + MIB, bytes: pattern(MIB, 2)},
		{at: 5 * BLOCK - 4096, bytes: pattern(4096, 3)},
	];
	return diskOf(6 * BLOCK, areas).disk;
}

test('blocks lie in their own places, those of holes are not there, and holes in the others stay holes', t => {
	const disk = sample();
	const file = present(disk);
	const base = file.size - 6 * BLOCK;
	t.is(base % MIB, 0);
	t.deepEqual(
		holesOf(file, base),
		holesOf(disk).map(([from, to]) => [base + from, base + to]),
	);
	// A disk that reads as zeros where blocks are missing: 2 and 6 whole, 4 up to the next block's data.
	const back = openBack(file);
	const span = newSpan();
	for (const block of [0, 1, 2, 3, 4, 5]) {
		back.locate(block * BLOCK + BLOCK - 1, span);
		const isThere = block % 2 === 0;
		t.is(span.kind, isThere ? SpanKind.stored : SpanKind.absent, `block ${block}`);
		if (isThere) t.is(span.at, base + block * BLOCK + BLOCK - 1);
	}
	// The tree speaks of places on the disk.
	file.locate(base + 2 * BLOCK + MIB, span);
	t.like(span, {kind: SpanKind.stored, source: 0, at: 2 * BLOCK + MIB, length: MIB});
});

test('what is told to be a hole reads as zeros, and reading in any parts gives the same', t => {
	const {disk} = diskOf(BLOCK + 777, [{at: BLOCK - 10, bytes: pattern(700, 5)}]);
	const file = present(disk);
	const whole = all(file);
	const holes = holesOf(file);
	for (const [from, to] of holes) t.true(isZero(whole.subarray(from, to)), `${from} to ${to}`);
	const tables = holes.filter(([from]) => from < 3 * MIB).reduce((sum, [from, to]) => sum + to - from, 0);
	t.true(tables > 2.9 * MIB, 'the log and the room behind every table are holes');
	const base = file.size - 2 * BLOCK;
	for (const middle of [
		520,
		64 * KIB,
		192 * KIB,
		2 * MIB + 64 * KIB,
		base - MIB,
		base - MIB + 8,
		base,
		base + BLOCK - 10,
	]) {
		for (const length of [1, 2, 4097, 2 * MIB]) {
			const from = Math.max(0, middle - Math.floor(length / 2));
			t.true(Buffer.from(readRange(file as Disk, from, length)).equals(whole.subarray(from, from + length)));
		}
	}
});

test('the same disk and id give the same bytes, another id other identifiers and nothing else', t => {
	const disk = diskOf(MIB, [{at: 0, bytes: pattern(MIB, 1)}]).disk;
	const [first, again] = [all(present(disk)), all(present(disk))];
	t.true(Buffer.from(first).equals(again));
	const other = present(
		disk,
		Uint8Array.from({length: 16}, () => 1),
	);
	t.false(Buffer.from(first).equals(all(other)));
	t.true(Buffer.from(all(openBack(other))).equals(all(disk)));
	const guids = [present(disk), other].map(file =>
		openBack(file)
			.describe()
			.facts.filter(({value}) => /^[0-9a-f]{8}-/.test(String(value)))
			.map(({value}) => value),
	);
	t.is(new Set(guids.flat()).size, 6, 'a disk id and two GUIDs each, all different');
});

test('64 TiB cost no more than is looked at, and no disk is larger', t => {
	const size = 64 * TIB;
	// Chunks are 4 GiB: an entry for a sector bitmap stands behind every 128 blocks.
	const places = [0, 127 * BLOCK, 128 * BLOCK, 129 * BLOCK + 5, 511 * BLOCK, 33 * TIB, size - 700];
	const {disk, looks} = diskOf(
		size,
		places.map(at => ({at, bytes: pattern(700, (at % 250) + 1)})),
	);
	const before = process.memoryUsage();
	const file = present(disk);
	t.true(file.size > size && file.size < size + 64 * MIB);
	const back = openBack(file);
	t.is(back.size, size);
	for (const at of places) {
		t.deepEqual(readRange(back, at, 700), pattern(700, (at % 250) + 1), `at ${at}`);
		if (at > 0) t.deepEqual(readRange(back, at - 5, 5), new Uint8Array(5));
	}
	t.true(looks() < 1000, `${looks()} looks`);
	t.deepEqual(readRange(back, 50 * TIB, 4096), new Uint8Array(4096));
	// The whole table, twice: of 16 MiB of it at most 1 MiB is kept.
	const bat = new Uint8Array(128 * KIB);
	const offset = 3 * MIB;
	const base = file.size - size;
	const isThere = new Set<number>();
	for (let round = 0; round < 2; round++) {
		for (let at = offset; at < base; at += bat.length) {
			const part = bat.subarray(0, Math.min(bat.length, base - at));
			file.readAt(at, part);
			for (let i = 0; i < part.length; i += 8) if (!isZero(part.subarray(i, i + 8))) isThere.add(at + i);
		}
	}
	t.is(isThere.size, new Set(places.map(at => Math.floor(at / BLOCK))).size);
	const after = process.memoryUsage();
	t.true(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 64 * MIB);
	t.is(vhdx.present?.(diskOf(size + 512, []).disk, ID), undefined);
});

test('damage in the map of the disk costs the blocks that it hits, and is told to whoever reads them', t => {
	const {disk} = diskOf(4 * BLOCK, [{at: 3 * BLOCK, bytes: pattern(4096, 1)}], {damagedAt: 2 * BLOCK});
	const back = openBack(present(disk));
	t.deepEqual(readRange(back, 3 * BLOCK, 4096), pattern(4096, 1));
	t.true(isZero(readRange(back, BLOCK, 4096)));
	t.throws(() => readRange(back, 2 * BLOCK, 4096), {code: 'test/map'});
});

test('a disk cut into tiny holes takes a bounded number of looks', t => {
	const {disk, looks} = diskOf(8 * BLOCK, [], {hole: 512});
	const back = openBack(present(disk));
	const span = newSpan();
	back.locate(7 * BLOCK, span);
	t.true(looks() <= 8 * 2048 + 8, `${looks()} looks`);
	t.true(isZero(readRange(back, 7 * BLOCK, 65_536)));
});

/** The file as others see it: written out, with its holes. */
function writtenOut(t: ExecutionContext, file: VirtualFile): string {
	const path = join(temporaryFolder(t), 'disk.vhdx');
	writeFileSync(path, all(file));
	return path;
}

testWith(test, ['qemu-img', '7z'], 'qemu and 7-Zip see the disk', t => {
	for (const disk of [sample(), diskOf(BLOCK + 1024, [{at: BLOCK, bytes: pattern(1024, 8)}]).disk]) {
		const image = writtenOut(t, present(disk));
		const raw = join(temporaryFolder(t), 'disk.raw');
		writeFileSync(raw, all(disk));
		t.regex(run('qemu-img', ['check', '-f', 'vhdx', image]), /No errors/);
		t.regex(run('qemu-img', ['compare', '-f', 'vhdx', '-F', 'raw', image, raw]), /identical/);
		t.true(readBySevenZip(t, image).equals(readFileSync(raw)));
	}
});

testWith(test, ['vhdiinfo'], 'libvhdi sees sectors of 4096 bytes', t => {
	const {disk} = diskOf(BLOCK, [{at: 0, bytes: pattern(4096, 4)}], {sectorSize: 4096});
	const said = run('vhdiinfo', [writtenOut(t, present(disk))]);
	t.regex(said, /Bytes per sector\s*: 4096/);
	t.regex(said, /\(33554432 bytes\)/);
});
