import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import {newSpan} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {findTool, run, testWith} from '../../helpers/tools.ts';
import {
	batEntry,
	BLOCK,
	GUID,
	logEntry,
	type LogWrite,
	type MadeImage,
	makeVhdx,
	MIB,
	pattern,
	putInLog,
	putLogEntry,
} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

const SECTOR = 4096;
const SIZE = 4 * MIB;

/** Four blocks, of which 0 and 1 hold data, 2 is stored but not yet in the BAT, and 3 is nowhere. */
function unclean(logLength = MIB): MadeImage {
	const image = makeVhdx({
		size: SIZE,
		logGuid: GUID.log,
		logLength,
		blocks: [0, 1, 2].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, block)})),
	});
	image.bytes.fill(0, image.entryAt(2), image.entryAt(2) + 8);
	return image;
}

/** The BAT's first sector as it would be with block 2 in it. */
function batWith2(image: MadeImage): LogWrite {
	const bytes = image.bytes.slice(image.bat, image.bat + SECTOR);
	bytes.set(batEntry(BLOCK.full, image.places.get(2) ?? 0), image.entryAt(2) - image.bat);
	return {kind: 'data', at: image.bat, bytes};
}

/** A write into the content of block 0, to see which entries were replayed. */
function mark(image: MadeImage, sector: number, seed: number): LogWrite {
	return {kind: 'data', at: (image.places.get(0) ?? 0) + sector * SECTOR, bytes: pattern(SECTOR, 1000 + seed)};
}

/**
 * Reads the whole disk, and where qemu-img is there and `ask` is not false, lets it repair a copy and compares all
 * bytes. qemu (7.2) reads every sector of descriptors into the first one's place, and a sequence that wraps only from
 * its start in the ring; there the expected bytes of the test are the only judge.
 */
function replayed(t: ExecutionContext, image: MadeImage, ask = true): Uint8Array {
	const context = session();
	const before = image.bytes.slice();
	const disk = openBytes(image.bytes, context);
	t.true(context.findings.some(({code}) => code === 'vhdx/log-replayed'));
	const all = readRange(disk, 0, disk.size);
	t.is(Buffer.compare(image.bytes, before), 0, 'the file was not touched');
	if (ask && findTool('qemu-img') !== undefined) {
		const folder = temporaryFolder(t);
		const copy = join(folder, 'copy.vhdx');
		writeFileSync(copy, image.bytes);
		run('qemu-img', ['check', '-q', '-f', 'vhdx', '-r', 'all', copy]);
		run('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', copy, join(folder, 'copy.raw')]);
		t.is(Buffer.compare(readFileSync(join(folder, 'copy.raw')), all), 0, 'as qemu-img replays it');
	}
	return all;
}

function refused(t: ExecutionContext, image: MadeImage, code: string): DiskError | undefined {
	const error = t.throws(() => openBytes(image.bytes), {instanceOf: DiskError});
	t.is(error?.code, code);
	return error;
}

function same(t: ExecutionContext, actual: Uint8Array, expected: Uint8Array, message: string): void {
	t.is(Buffer.compare(actual, expected), 0, message);
}

testWith(test, ['qemu-img'], 'data descriptors: a block that only the log knows', t => {
	const image = unclean();
	putLogEntry(image, 0, {sequence: 5, writes: [batWith2(image), mark(image, 3, 1)]});
	const all = replayed(t, image);
	same(t, all.subarray(2 * MIB, 3 * MIB), pattern(MIB, 2), 'block 2');
	same(t, all.subarray(3 * SECTOR, 4 * SECTOR), pattern(SECTOR, 1001), 'sector 3, its first 8 and last 4 bytes too');
	same(t, all.subarray(4 * SECTOR, MIB), pattern(MIB, 0).subarray(4 * SECTOR), 'what lies behind it');
});

testWith(test, ['qemu-img'], 'zero descriptors, and data over zeros over data', t => {
	const image = unclean();
	const start = image.places.get(0) ?? 0;
	let at = putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 2, 1), mark(image, 5, 2)]});
	at = putLogEntry(image, at, {
		sequence: 2,
		tail: 0,
		writes: [{kind: 'zero', at: start + SECTOR, length: 8 * SECTOR}],
	});
	putLogEntry(image, at, {sequence: 3, tail: 0, writes: [mark(image, 4, 3)]});
	const all = replayed(t, image);
	const expected = pattern(MIB, 0);
	expected.fill(0, SECTOR, 9 * SECTOR);
	expected.set(pattern(SECTOR, 1003), 4 * SECTOR);
	same(t, all.subarray(0, MIB), expected, 'block 0');
});

test('an entry with more descriptors than one sector holds', t => {
	const image = unclean();
	const writes = Array.from({length: 200}, (_, index) => mark(image, index, index));
	putLogEntry(image, 0, {sequence: 1, writes});
	const all = replayed(t, image, false);
	for (let i = 0; i < 200; i++) same(t, all.subarray(i * SECTOR, (i + 1) * SECTOR), pattern(SECTOR, 1000 + i), `${i}`);
});

test('a sequence that wraps around, within an entry too', t => {
	const image = unclean();
	const start = MIB - 5 * SECTOR;
	// 3 sectors, then 4 of which two are past the end of the ring, then 2.
	let at = putLogEntry(image, start, {sequence: 7, writes: [mark(image, 0, 1), mark(image, 1, 2)]});
	at = putLogEntry(image, at, {
		sequence: 8,
		tail: start,
		writes: [mark(image, 1, 3), mark(image, 2, 4), batWith2(image)],
	});
	t.is(at, 2 * SECTOR);
	putLogEntry(image, at, {sequence: 9, tail: start, writes: [mark(image, 3, 5)]});
	const all = replayed(t, image, false);
	for (const [sector, seed] of [
		[0, 1],
		[1, 3],
		[2, 4],
		[3, 5],
	] as const) {
		same(t, all.subarray(sector * SECTOR, (sector + 1) * SECTOR), pattern(SECTOR, 1000 + seed), `sector ${sector}`);
	}
	same(t, all.subarray(2 * MIB, 3 * MIB), pattern(MIB, 2), 'block 2');
});

testWith(test, ['qemu-img'], 'a torn last entry is ignored', t => {
	const image = unclean();
	const at = putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
	const torn = logEntry(image, at, {sequence: 2, tail: 0, writes: [mark(image, 0, 2), mark(image, 1, 3)]});
	putInLog(image, at, torn.subarray(0, 2 * SECTOR));
	const all = replayed(t, image);
	same(t, all.subarray(0, SECTOR), pattern(SECTOR, 1001), 'sector 0');
	same(t, all.subarray(SECTOR, 2 * SECTOR), pattern(MIB, 0).subarray(SECTOR, 2 * SECTOR), 'sector 1');
});

test('of two valid sequences the one with the greater number is active', t => {
	for (const [first, second] of [
		[10, 50],
		[50, 10],
	] as const) {
		const image = unclean();
		putLogEntry(image, 0, {sequence: first, writes: [mark(image, 0, first)]});
		putLogEntry(image, 64 * SECTOR, {sequence: second, writes: [mark(image, 1, second)]});
		const all = readRange(openBytes(image.bytes), 0, 2 * SECTOR);
		const old = pattern(MIB, 0);
		same(t, all.subarray(0, SECTOR), first === 50 ? pattern(SECTOR, 1050) : old.subarray(0, SECTOR), 'sector 0');
		const other = old.subarray(SECTOR, 2 * SECTOR);
		same(t, all.subarray(SECTOR), second === 50 ? pattern(SECTOR, 1050) : other, 'sector 1');
	}
});

test('entries before the tail are done with and are not replayed', t => {
	const image = unclean();
	const second = putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
	const third = putLogEntry(image, second, {sequence: 2, tail: 0, writes: [mark(image, 1, 2)]});
	putLogEntry(image, third, {sequence: 3, tail: second, writes: [mark(image, 2, 3)]});
	const all = readRange(openBytes(image.bytes), 0, 3 * SECTOR);
	same(t, all.subarray(0, SECTOR), pattern(MIB, 0).subarray(0, SECTOR), 'sector 0 is as the file has it');
	same(t, all.subarray(SECTOR, 2 * SECTOR), pattern(SECTOR, 1002), 'sector 1');
	same(t, all.subarray(2 * SECTOR), pattern(SECTOR, 1003), 'sector 2');
});

test('entries of an older log are stale, whatever their number', t => {
	const image = unclean();
	const at = putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
	putLogEntry(image, at, {sequence: 2, tail: 0, guid: GUID.unknown, writes: [mark(image, 0, 2)]});
	same(t, readRange(openBytes(image.bytes), 0, SECTOR), pattern(SECTOR, 1001), 'sector 0');
});

test('a sequence whose tail was overwritten is not valid', t => {
	const image = unclean();
	putLogEntry(image, 0, {sequence: 9, tail: 32 * SECTOR, writes: [mark(image, 0, 9)]});
	putLogEntry(image, 64 * SECTOR, {sequence: 4, writes: [mark(image, 0, 4)]});
	same(t, readRange(openBytes(image.bytes), 0, SECTOR), pattern(SECTOR, 1004), 'sector 0');
});

test('a number that skips ends the sequence', t => {
	const image = unclean();
	const at = putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
	putLogEntry(image, at, {sequence: 3, tail: 0, writes: [mark(image, 0, 3)]});
	// The second stands alone: its tail is not its own, so only the first sequence is valid.
	same(t, readRange(openBytes(image.bytes), 0, SECTOR), pattern(SECTOR, 1001), 'sector 0');
});

const FLAWS: [string, (entry: Uint8Array) => void][] = [
	['a wrong signature', entry => entry.fill(0x41, 0, 4)],
	['a wrong checksum', entry => entry.fill(entry[100] ^ 1, 100, 101)],
	['a changed data sector', entry => entry.fill(entry[SECTOR + 500] ^ 1, SECTOR + 500, SECTOR + 501)],
	['a data sector of another sequence', entry => entry.fill(9, SECTOR + 4, SECTOR + 5)],
	['a length that is no multiple of a sector', entry => entry.fill(1, 8, 9)],
];
for (const [title, spoil] of FLAWS) {
	test(`an entry with ${title} is no entry`, t => {
		const image = unclean();
		const entry = logEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
		spoil(entry);
		putInLog(image, 0, entry);
		const error = refused(t, image, 'vhdx/log-empty');
		t.is(error?.family, 'corrupt');
		t.truthy(error?.hint);
	});
}

test('a log may not write over the headers or itself', t => {
	for (const at of [0, 0x10000, 0x20000, MIB, 2 * MIB - SECTOR, 1]) {
		const image = unclean();
		putLogEntry(image, 0, {sequence: 1, writes: [{kind: 'data', at, bytes: pattern(SECTOR, 1)}]});
		refused(t, image, 'vhdx/log-empty');
	}
});

test('the log repairs a region table and metadata, and both are read after it', t => {
	const image = unclean();
	const writes: LogWrite[] = [];
	for (const [at, length] of [
		[0x30000, 65_536],
		[0x40000, 65_536],
		[image.metadata, 65_536 + SECTOR],
	] as const) {
		for (let offset = 0; offset < length; offset += SECTOR) {
			const position = at + offset;
			writes.push({kind: 'data', at: position, bytes: image.bytes.slice(position, position + SECTOR)});
		}
		image.bytes.fill(0, at, at + length);
	}
	putLogEntry(image, 0, {sequence: 1, writes});
	t.is(openBytes(image.bytes).size, SIZE);
});

test('a file cut below what the log saw on disk is truncated, not replayed', t => {
	const image = unclean();
	putLogEntry(image, 0, {sequence: 1, flushed: image.bytes.length + SECTOR, writes: [mark(image, 0, 1)]});
	const error = refused(t, image, 'vhdx/log-file-truncated');
	t.truthy(error?.hint);
});

testWith(test, ['qemu-img'], 'a log that extends the file', t => {
	const image = unclean();
	const end = image.bytes.length;
	const bytes = image.bytes.slice(image.bat, image.bat + SECTOR);
	bytes.set(batEntry(BLOCK.full, end), image.entryAt(3) - image.bat);
	const writes: LogWrite[] = [
		{kind: 'data', at: image.bat, bytes},
		{kind: 'data', at: end + 2 * SECTOR, bytes: pattern(SECTOR, 77)},
		{kind: 'data', at: end + MIB - SECTOR, bytes: pattern(SECTOR, 78)},
	];
	putLogEntry(image, 0, {sequence: 1, flushed: end, last: end + MIB, writes});
	const context = session();
	openBytes(image.bytes, context);
	t.true(context.findings.some(({code}) => code === 'vhdx/log-extends-file'));
	const all = replayed(t, image);
	const expected = new Uint8Array(MIB);
	expected.set(pattern(SECTOR, 77), 2 * SECTOR);
	expected.set(pattern(SECTOR, 78), MIB - SECTOR);
	same(t, all.subarray(3 * MIB), expected, 'block 3');
});

test('blocks that the log leaves alone stay in the file itself, so that they can be cloned', t => {
	const image = unclean();
	putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 3, 1)]});
	const disk = openBytes(image.bytes);
	const span = newSpan();
	t.is(disk.sources.length, 2);
	disk.locate(MIB, span);
	t.is(span.source, 0);
	disk.locate(0, span);
	t.is(span.source, 1);
});

test('a clean file with old entries in its log replays nothing', t => {
	const image = makeVhdx({size: SIZE, blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, 0)}]});
	putLogEntry(image, 0, {sequence: 1, writes: [mark(image, 0, 1)]});
	const context = session();
	const disk = openBytes(image.bytes, context);
	t.deepEqual(context.findings, []);
	same(t, readRange(disk, 0, SECTOR), pattern(MIB, 0).subarray(0, SECTOR), 'sector 0');
});

test('a log that is full of entries, none of them valid, is scanned once', t => {
	const image = unclean(16 * MIB);
	const count = image.log.length / SECTOR;
	for (let index = 0; index < count; index++) {
		// Every entry has the right number, and the newest names a tail that is nobody's: a longer one lies over it.
		putLogEntry(image, index * SECTOR, {
			sequence: index + 1,
			tail: index === count - 1 ? 0 : index * SECTOR,
			writes: [],
		});
	}
	putInLog(image, 0, new Uint8Array(SECTOR));
	let reads = 0;
	const counted: ByteSource = {
		name: 'counted',
		size: image.bytes.length,
		readAt(position, target) {
			reads++;
			target.set(image.bytes.subarray(position, position + target.length));
		},
		[Symbol.dispose]() {},
	};
	t.is(t.throws(() => vhdx.open(counted, session()), {instanceOf: DiskError})?.code, 'vhdx/log-empty');
	t.true(reads < 3 * count, `${reads} reads for ${count} sectors`);
});
