import {randomBytes} from 'node:crypto';
import {closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {checked} from '../../src/core/sources/checked.ts';
import {type Disk, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {corrupt} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {Aborted, newSharedState, openState, type TargetFile, type WriteOptions} from '../../src/restore/job.ts';
import {layOut} from '../../src/restore/content.ts';
import {writeDisk} from '../../src/restore/write.ts';
import {seededRandom} from '../fuzz/random.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const MIB = 1 << 20;
const KIB = 1 << 10;
const NOTHING: WriteOptions = {
	differences: false,
	zeroFree: false,
	zeroUnreadable: false,
	keepGoing: false,
	verify: false,
};

interface Area {
	readonly length: number;
	readonly kind: SpanKind;
}

/** A disk of areas one after the other; where they are stored or encoded it holds random bytes. */
function diskOf(
	areas: readonly Area[],
	onRead?: (position: number, length: number) => void,
): {disk: Disk; bytes: Buffer} {
	const size = areas.reduce((total, {length}) => total + length, 0);
	const bytes = Buffer.alloc(size);
	let start = 0;
	const starts = areas.map(({length, kind}) => {
		if (kind === SpanKind.stored || kind === SpanKind.encoded) randomBytes(length).copy(bytes, start);
		start += length;
		return start - length;
	});
	const source = memorySource(bytes);
	const disk = mappedDisk({
		format: 'test',
		name: 'test',
		size,
		sectorSize: 512,
		sources: [source],
		locate(position, span) {
			const index = starts.findLastIndex(each => each <= position);
			const {length, kind} = areas[index];
			const rest = starts[index] + length - position;
			if (kind === SpanKind.stored) stored(span, rest, 0, position);
			else unstored(span, kind, rest);
		},
		decode(position, target) {
			target.set(bytes.subarray(position, position + target.length));
		},
		describe: () => ({facts: []}),
	});
	const watched: Disk = {
		...disk,
		readAt(position, target) {
			onRead?.(position, target.length);
			disk.readAt(position, target);
		},
	};
	return {disk: checked(watched), bytes};
}

function openTarget(
	t: ExecutionContext,
	content: Uint8Array | number,
	kind: Partial<TargetFile> = {},
): {path: string; file: TargetFile} {
	const path = join(temporaryFolder(t), 'target.raw');
	writeFileSync(path, typeof content === 'number' ? '' : content);
	if (typeof content === 'number') truncateSync(path, content);
	const descriptor = openSync(path, 'r+');
	t.teardown(() => closeSync(descriptor));
	return {path, file: {name: path, descriptor, size: statSync(path).size, isDevice: false, isNew: false, ...kind}};
}

const state = () => openState(newSharedState());

test('whatever a target held, it holds the disk afterwards', t => {
	const random = seededRandom(3);
	const kinds = [SpanKind.stored, SpanKind.zero, SpanKind.encoded, SpanKind.absent, SpanKind.excluded, SpanKind.free];
	for (let round = 0; round < 24; round++) {
		const areas = Array.from({length: 1 + random.below(30)}, () => ({
			kind: kinds[random.below(kinds.length)],
			length: 512 * (1 + random.below(random.below(2) === 0 ? 40 : 3000)),
		}));
		const {disk, bytes} = diskOf(areas);
		const beyond = random.below(3) * random.below(5 * MIB);
		const garbage = Buffer.alloc(bytes.length + beyond, 'garbage');
		const isNew = beyond === 0 && random.below(2) === 0;
		const {path, file} = openTarget(t, isNew ? bytes.length : garbage, {isNew});
		const differences = random.below(2) === 0;
		const outcome = writeDisk(disk, file, [], {...NOTHING, differences, verify: true}, state());
		t.deepEqual(outcome.wrong, []);
		const now = readFileSync(path);
		t.true(now.subarray(0, bytes.length).equals(bytes), `round ${round}`);
		const {headEnd, tailStart} = layOut(disk.size, file.size, []);
		const from = Math.max(bytes.length, headEnd);
		const to = Math.max(from, tailStart);
		t.true(now.subarray(from, to).equals(garbage.subarray(from, to)), 'beyond the disk');
		const again = writeDisk(disk, file, [], {...NOTHING, differences: true}, state());
		if (!isNew) t.is(again.written + again.zeroed, 0);
	}
});

test('free space on a device stays as it is, unless it is to be zeroed', t => {
	const areas = [
		{kind: SpanKind.stored, length: 2 * MIB},
		{kind: SpanKind.free, length: 100 * KIB},
		{kind: SpanKind.stored, length: 4 * KIB},
		{kind: SpanKind.free, length: 4 * KIB},
		{kind: SpanKind.zero, length: 4 * KIB},
		{kind: SpanKind.stored, length: 3 * MIB},
	];
	const {disk, bytes} = diskOf(areas);
	const garbage = Buffer.alloc(bytes.length, 'garbage');
	const {path, file} = openTarget(t, garbage, {isDevice: true});
	const outcome = writeDisk(disk, file, [], {...NOTHING, verify: true}, state());
	t.is(outcome.left, 104 * KIB);
	t.deepEqual(outcome.wrong, []);
	const want = Buffer.from(bytes);
	for (const [from, length] of [
		[2 * MIB, 100 * KIB],
		[2 * MIB + 104 * KIB, 4 * KIB],
	] as const) {
		garbage.copy(want, from, from, from + length);
	}
	t.true(readFileSync(path).equals(want));

	const zeroed = writeDisk(disk, file, [], {...NOTHING, zeroFree: true}, state());
	t.is(zeroed.left, 0);
	t.true(readFileSync(path).equals(bytes));
});

test('head and tail are zeros from the first write to the last but one', t => {
	const size = 6 * MIB;
	const {path, file} = openTarget(t, Buffer.alloc(size, 'old'), {});
	let looks = 0;
	const {disk, bytes} = diskOf([{kind: SpanKind.stored, length: size}], position => {
		if (position < MIB || position >= 5 * MIB) return;
		const now = readFileSync(path);
		t.true(
			now.subarray(0, MIB).every(byte => byte === 0),
			`head at ${position}`,
		);
		t.true(
			now.subarray(5 * MIB).every(byte => byte === 0),
			`tail at ${position}`,
		);
		looks += 1;
	});
	writeDisk(disk, file, [], NOTHING, state());
	t.is(looks, 4);
	t.true(readFileSync(path).equals(bytes));
});

test('an aborted run leaves neither the old disk nor the new one', t => {
	const size = 8 * MIB;
	const {path, file} = openTarget(t, Buffer.alloc(size, 'old'));
	const shared = state();
	const {disk} = diskOf([{kind: SpanKind.stored, length: size}], position => {
		if (position === 3 * MIB) shared.abort();
	});
	t.throws(() => writeDisk(disk, file, [], NOTHING, shared), {instanceOf: Aborted});
	t.true(shared.touched);
	const now = readFileSync(path);
	t.true(now.subarray(0, MIB).every(byte => byte === 0));
	t.true(now.subarray(7 * MIB).every(byte => byte === 0));
});

test('with differences only what differs is written, and head and tail with it', t => {
	const size = 8 * MIB;
	const {disk, bytes} = diskOf([
		{kind: SpanKind.stored, length: 4 * MIB},
		{kind: SpanKind.zero, length: 4 * MIB},
	]);
	const other = Buffer.from(bytes);
	other[3 * MIB + 5] ^= 1;
	other[6 * MIB + 5] ^= 1;
	const {path, file} = openTarget(t, other);
	const outcome = writeDisk(disk, file, [], {...NOTHING, differences: true}, state());
	t.is(outcome.written, 2 * MIB + 64 * KIB);
	t.is(outcome.zeroed, 64 * KIB);
	t.is(outcome.unchanged, size - 2 * MIB - 128 * KIB);
	t.true(readFileSync(path).equals(bytes));
});

test('a difference in the head alone is found', t => {
	const {disk, bytes} = diskOf([{kind: SpanKind.stored, length: 4 * MIB}]);
	const other = Buffer.from(bytes);
	other[3] ^= 1;
	const {path, file} = openTarget(t, other);
	writeDisk(disk, file, [], {...NOTHING, differences: true}, state());
	t.true(readFileSync(path).equals(bytes));
});

function damage(disk: Disk, from: number, to: number): Disk {
	return {
		...disk,
		readAt(position, target) {
			if (position < to && position + target.length > from) throw corrupt('test/damaged', 'this is damaged');
			disk.readAt(position, target);
		},
	};
}

test('damage ends the work, or with keepGoing becomes zeros that are reported', t => {
	const {disk, bytes} = diskOf([{kind: SpanKind.encoded, length: 8 * MIB}]);
	for (const from of [100 * KIB, 3 * MIB + 70 * KIB, 8 * MIB - 70 * KIB]) {
		const bad = damage(disk, from, from + 1);
		const {path, file} = openTarget(t, Buffer.alloc(bytes.length, 'old'));
		const error = t.throws(() => writeDisk(bad, file, [], NOTHING, state()));
		t.like(error, {code: 'test/damaged'});
		const outcome = writeDisk(bad, file, [], {...NOTHING, keepGoing: true, verify: true}, state());
		const position = from - (from % (64 * KIB));
		t.like(outcome, {damagedBytes: 64 * KIB, wrong: [], damaged: [{position, length: 64 * KIB}]});
		const want = Buffer.from(bytes);
		want.fill(0, position, position + 64 * KIB);
		t.true(readFileSync(path).equals(want));
	}
});

test('damage in the head is found before anything changes', t => {
	const {disk, bytes} = diskOf([{kind: SpanKind.encoded, length: 4 * MIB}]);
	const old = Buffer.alloc(bytes.length, 'old');
	const {path, file} = openTarget(t, old);
	const shared = state();
	t.throws(() => writeDisk(damage(disk, 0, 1), file, [], NOTHING, shared));
	t.false(shared.touched);
	t.true(readFileSync(path).equals(old));
});

test('unreadable ranges become zeros only where it was said', t => {
	const areas = [
		{kind: SpanKind.stored, length: 2 * MIB},
		{kind: SpanKind.unreadable, length: 12 * KIB},
		{kind: SpanKind.stored, length: 2 * MIB},
	];
	const {disk, bytes} = diskOf(areas);
	const {path, file} = openTarget(t, Buffer.alloc(bytes.length, 'old'));
	const error = t.throws(() => writeDisk(disk, file, [], NOTHING, state()));
	t.like(error, {code: 'disk/unreadable'});
	const outcome = writeDisk(disk, file, [], {...NOTHING, zeroUnreadable: true}, state());
	t.is(outcome.damagedBytes, 0);
	t.true(readFileSync(path).equals(bytes));
});

test('verify tells what the target did not keep', t => {
	const {disk, bytes} = diskOf([{kind: SpanKind.stored, length: 8 * MIB}]);
	const {file, path} = openTarget(t, bytes.length);
	const other = openSync(path, 'r+');
	t.teardown(() => closeSync(other));
	let reads = 0;
	const flips: Disk = {
		...disk,
		readAt(position, target) {
			disk.readAt(position, target);
			// What is read the second time, to compare, is what the target should have kept.
			if (position === 3 * MIB && ++reads === 2) target[70 * KIB] ^= 1;
		},
	};
	const outcome = writeDisk(flips, file, [], {...NOTHING, verify: true}, state());
	t.deepEqual(outcome.wrong, [{position: 3 * MIB + 64 * KIB, length: 64 * KIB}]);
	t.is(outcome.wrongBytes, 64 * KIB);
});

test('patches take the place of what the disk has, also beyond its end', t => {
	const {disk, bytes} = diskOf([{kind: SpanKind.stored, length: 4 * MIB}]);
	const size = 9 * MIB;
	const patches = [
		{position: 446, bytes: Buffer.from('front')},
		{position: 7 * MIB + 100, bytes: Buffer.alloc(MIB, 'array')},
		{position: size - 512, bytes: Buffer.alloc(512, 'end')},
	];
	const {path, file} = openTarget(t, Buffer.alloc(size, 'old'));
	const outcome = writeDisk(disk, file, patches, {...NOTHING, verify: true}, state());
	t.deepEqual(outcome.wrong, []);
	const want = Buffer.alloc(size, 'old');
	bytes.copy(want);
	want.fill(0, 7 * MIB);
	for (const patch of patches) want.set(patch.bytes, patch.position);
	t.true(readFileSync(path).equals(want));
});

test('a new file keeps its holes', t => {
	const {disk, bytes} = diskOf([
		{kind: SpanKind.stored, length: 64 * KIB},
		{kind: SpanKind.zero, length: 20 * MIB},
		{kind: SpanKind.stored, length: 64 * KIB},
	]);
	const {path, file} = openTarget(t, bytes.length, {isNew: true});
	const outcome = writeDisk(disk, file, [], NOTHING, state());
	t.true(readFileSync(path).equals(bytes));
	t.is(outcome.written, 128 * KIB);
	t.true(statSync(path).blocks * 512 < MIB);
});

test('the smallest disks', t => {
	for (const length of [1, 511, 512, 4096, 4097, MIB, MIB + 1, 2 * MIB]) {
		const {disk, bytes} = diskOf([{kind: SpanKind.stored, length}]);
		for (const beyond of [0, 700, 3 * MIB]) {
			const {path, file} = openTarget(t, Buffer.alloc(length + beyond, 'old'));
			t.deepEqual(writeDisk(disk, file, [], {...NOTHING, verify: true}, state()).wrong, []);
			t.true(readFileSync(path).subarray(0, length).equals(bytes), `${length} ${beyond}`);
		}
	}
});
