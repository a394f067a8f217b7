import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import type {PendingLog} from '../../../src/core/upkeep.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {lossy, prefixes, type Recording, recordingSink} from '../../helpers/recording-sink.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, runBytes, testWith} from '../../helpers/tools.ts';
import {
	batEntry,
	BLOCK,
	GUID,
	headersOf,
	type LogWrite,
	type MadeImage,
	makeVhdx,
	MIB,
	pattern,
	putLogEntry,
	reseal,
} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

const SEED = 20_261;
const SECTOR = 4096;
const SIZE = 3 * MIB;
const ID = Uint8Array.from({length: 16}, (_, index) => index + 1);

function write(at: number, seed: number): LogWrite {
	return {kind: 'data', at, bytes: pattern(SECTOR, seed)};
}

/**
 * Block 0 is stored; the log changes it, gives block 1 a place behind the file's end, and wraps. All of the new part is
 * written by the log.
 */
function unclean(wraps = true): MadeImage {
	const image = makeVhdx({
		size: SIZE,
		logGuid: GUID.log,
		blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, 0)}],
	});
	const start = image.places.get(0) ?? 0;
	const end = image.bytes.length;
	const bat = image.bytes.slice(image.bat, image.bat + SECTOR);
	bat.set(batEntry(BLOCK.full, end), image.entryAt(1) - image.bat);
	const first = wraps ? MIB - 4 * SECTOR : 0;
	const growth = {flushed: end, last: end + MIB};
	const before = putLogEntry(image, first, {
		sequence: 1,
		writes: [write(start, 1), write(start + SECTOR, 2)],
		...growth,
	});
	const next = putLogEntry(image, before, {
		sequence: 2,
		tail: first,
		writes: [
			{kind: 'zero', at: start + SECTOR, length: 9 * SECTOR},
			{kind: 'zero', at: end, length: MIB},
			write(start + 5 * SECTOR, 3),
			write(end + 2 * SECTOR, 4),
			write(end + MIB - SECTOR, 5),
		],
		...growth,
	});
	putLogEntry(image, next, {sequence: 3, tail: first, writes: [{kind: 'data', at: image.bat, bytes: bat}], ...growth});
	return image;
}

function contentOf(bytes: Uint8Array): Uint8Array {
	const disk = openBytes(bytes);
	return readRange(disk, 0, disk.size);
}

function pendingIn(source: ByteSource): PendingLog | undefined {
	return vhdx.upkeep?.pendingLog?.(checked(source), session());
}

function replay(bytes: Uint8Array): {readonly after: Uint8Array; readonly recording: Recording} {
	const recorded = recordingSink(bytes);
	const pending = pendingIn(memorySource(bytes));
	if (pending !== undefined) for (const step of pending.replay(recorded.sink, ID)) void step;
	return {after: recorded.bytes(), recording: recorded.recording};
}

function same(t: ExecutionContext, actual: Uint8Array, expected: Uint8Array, message: string): void {
	if (Buffer.compare(actual, expected) !== 0) t.fail(message);
}

for (const wraps of [false, true]) {
	testWith(
		test,
		['qemu-img', 'vhdimount', 'fusermount', '7z'],
		`a log is written into its file, wraps: ${wraps}`,
		t => {
			const {bytes} = unclean(wraps);
			const expected = contentOf(bytes);
			const {after, recording} = replay(bytes);
			const context = session();
			openBytes(after, context);
			t.deepEqual(context.findings, [], 'clean');
			t.is(after.length, bytes.length + MIB);
			same(t, contentOf(after), expected, 'as replayed in memory');
			t.deepEqual(replay(after).recording.steps, [], 'nothing more to do');

			const folder = temporaryFolder(t);
			const image = join(folder, 'disk.vhdx');
			writeFileSync(image, after);
			t.regex(run('qemu-img', ['check', '-f', 'vhdx', image]), /No errors/);
			t.is(Buffer.compare(readFileSync(image), after), 0, 'qemu finds nothing to replay');
			const raw = join(folder, 'disk.raw');
			run('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', image, raw]);
			t.is(Buffer.compare(readFileSync(raw), expected), 0, 'qemu-img reads it so');
			const mount = join(folder, 'mount');
			mkdirSync(mount);
			run('vhdimount', [image, mount]);
			try {
				t.is(Buffer.compare(readFileSync(join(mount, 'vhdi1')), expected), 0, 'libvhdi reads it so');
			} finally {
				run('fusermount', ['-u', mount]);
			}
			// 7-Zip replays nothing, and says so of a file that wants it.
			const unpacked = runBytes('7z', ['x', '-so', '-tVHDX', image]);
			t.is(Buffer.compare(unpacked, expected), 0, '7-Zip reads it so');
			writeFileSync(image, bytes);
			t.throws(() => runBytes('7z', ['x', '-so', '-tVHDX', image]), {message: /LOG was not replayed/});
			// What qemu knows how to replay, it replays alike.
			if (wraps) return;
			run('qemu-img', ['check', '-q', '-f', 'vhdx', '-r', 'all', image]);
			run('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', image, raw]);
			t.is(Buffer.compare(readFileSync(raw), expected), 0, 'qemu-img replays it so');
			t.true(recording.steps.length > 5);
		},
	);
}

test('order: a new FileWriteGuid, the writes, a header without the log, the other one', t => {
	const {bytes} = unclean();
	const [, current] = headersOf(bytes);
	const {after, recording} = replay(bytes);
	const kinds = recording.steps.map(step => {
		if (step.kind !== 'write') return step.kind;
		if (step.position === 0x10000) return 'header 1';
		return step.position === 0x20000 ? 'header 2' : 'write';
	});
	const writes = kinds.filter(kind => kind === 'write');
	t.deepEqual(kinds, ['header 1', 'sync', 'truncate', ...writes, 'sync', 'header 2', 'sync', 'header 1', 'sync']);
	const [first, second] = headersOf(after);
	t.like(first, {valid: true, sequence: current.sequence + 3n, logGuid: '00000000-0000-0000-0000-000000000000'});
	t.deepEqual({...first, sequence: 0n}, {...second, sequence: 0n});
	t.is(second.sequence, current.sequence + 2n);
	t.not(first.fileWriteGuid, current.fileWriteGuid);
	t.is(first.dataWriteGuid, current.dataWriteGuid, 'children know it still');
	const [written] = recording.steps;
	if (written?.kind !== 'write') throw new Error('a header comes first');
	const meanwhile = bytes.slice();
	meanwhile.set(written.bytes, written.position);
	t.like(headersOf(meanwhile)[0], {valid: true, logGuid: GUID.log, fileWriteGuid: first.fileWriteGuid});
});

test('cut short after any write and within it, the disk is the same, and the rest is done later', t => {
	const {bytes} = unclean();
	const expected = contentOf(bytes);
	const {after, recording} = replay(bytes);
	let count = 0;
	for (const crash of prefixes(recording)) {
		same(t, contentOf(crash.bytes), expected, crash.how);
		const again = replay(crash.bytes).after;
		const context = session();
		openBytes(again, context);
		// Only of the last header the old state may be left, torn.
		if (crash.end < recording.steps.length - 2) t.deepEqual(context.findings, [], crash.how);
		same(t, contentOf(again), expected, `${crash.how}, done again`);
		same(t, again.subarray(0x30000), after.subarray(0x30000), `${crash.how}: all but the headers`);
		count++;
	}
	t.true(count > 90, `${count} states`);
});

test('whatever of it reached the medium, the disk is the same', t => {
	t.log(`seed ${SEED}`);
	const random = seededRandom(SEED);
	const {bytes} = unclean();
	const expected = contentOf(bytes);
	const crashes = lossy(replay(bytes).recording);
	for (let i = 0; i < 150; i++) {
		const crash = crashes.draw(random);
		same(t, contentOf(crash.bytes), expected, crash.how);
		same(t, contentOf(replay(crash.bytes).after), expected, `${crash.how}, done again`);
	}
	t.pass();
});

test('cut short again and again, it ends all the same', t => {
	const random = seededRandom(SEED + 1);
	const {bytes} = unclean();
	const expected = contentOf(bytes);
	let state = bytes;
	for (let i = 0; i < 60; i++) {
		const {recording} = replay(state);
		state = recording.steps.length === 0 ? bytes : lossy(recording).draw(random).bytes;
		same(t, contentOf(state), expected, `the ${i}th time`);
	}
	t.pass();
});

test('with one header damaged, the log of the other one is written, and both are right again', t => {
	for (const at of [0x10000, 0x20000]) {
		const {bytes} = unclean();
		const expected = contentOf(bytes);
		bytes.fill(0, at, at + SECTOR);
		const {after} = replay(bytes);
		t.true(headersOf(after).every(({valid}) => valid));
		same(t, contentOf(after), expected, `header at ${at}`);
	}
});

test('reserved bytes of the header are kept, and a number that cannot rise is refused', t => {
	const {bytes} = unclean();
	bytes.fill(0x5a, 0x20000 + 4000, 0x20000 + SECTOR);
	reseal(bytes, 0x20000, SECTOR);
	const {after} = replay(bytes);
	for (const at of [0x10000, 0x20000]) {
		t.true(after.subarray(at + 4000, at + SECTOR).every(byte => byte === 0x5a));
	}
	bytes.fill(0xff, 0x20000 + 8, 0x20000 + 16);
	reseal(bytes, 0x20000, SECTOR);
	const error = t.throws(() => pendingIn(memorySource(bytes)), {instanceOf: DiskError});
	t.is(error?.code, 'vhdx/header-sequence');
});

test('zeros are written only where the file has data', t => {
	const image = makeVhdx({
		size: SIZE,
		logGuid: GUID.log,
		blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, 0)}],
	});
	const start = image.places.get(0) ?? 0;
	const length = 2 ** 40;
	putLogEntry(image, 0, {sequence: 1, writes: [{kind: 'zero', at: start, length}], last: start + length});
	const size = start + length;
	const data = [start + 3 * SECTOR, start + 7 * SECTOR] as const;
	const source: ByteSource = {
		name: 'sparse',
		size,
		readAt(position, target) {
			target.fill(0);
			if (position < image.bytes.length) target.set(image.bytes.subarray(position, position + target.length));
		},
		seekData: position => (position < data[1] ? Math.max(position, data[0]) : size),
		seekHole: position => (position < data[0] ? position : data[1]),
		[Symbol.dispose]() {},
	};
	const {sink, recording} = recordingSink(image.bytes);
	const pending = pendingIn(source);
	t.is(pending?.size, size);
	for (const step of pending?.replay(sink, ID) ?? []) void step;
	const zeros = recording.steps.filter(step => step.kind === 'write' && step.position >= MIB);
	t.deepEqual(zeros, [{kind: 'write', position: data[0], bytes: new Uint8Array(4 * SECTOR)}]);
});

test('a file whose tables are damaged even with its log is left as it is', t => {
	const image = unclean();
	image.bytes.fill(0, image.metadata, image.metadata + SECTOR);
	t.is(t.throws(() => pendingIn(memorySource(image.bytes)), {instanceOf: DiskError})?.family, 'corrupt');
	const clean = makeVhdx({size: SIZE});
	t.is(pendingIn(memorySource(clean.bytes)), undefined);
});
