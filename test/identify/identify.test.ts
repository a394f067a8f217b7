import {closeSync, openSync, readFileSync, truncateSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {raw} from '../../formats/raw/index.ts';
import {convert} from '../../src/convert/convert.ts';
import {type Disk, SpanKind, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {identify} from '../../src/identify/identify.ts';
import {openDisk} from '../../src/image/image.ts';
import {editPage, editRoot} from '../formats/tint/craft.ts';
import {
	creator,
	finish,
	makePlan,
	noiseBytes,
	open,
	openContext,
	sparseFile,
	textBytes,
	writeDisk,
	writeImage,
} from '../formats/tint/tools.ts';
import {plainContentId} from '../helpers/plain-content-id.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const LEAF = 65_536;
const MIB = 1 << 20;

function memoryDisk(content: Uint8Array): Disk {
	return raw.open(memorySource(content), openContext([]));
}

/** A disk with data only where `data` says; everything else is one long hole. */
function holeyDisk(size: number, data: ReadonlyMap<number, Uint8Array> = new Map<number, Uint8Array>()): Disk {
	return mappedDisk({
		format: 'test',
		name: 'test',
		size,
		sectorSize: 512,
		sources: [],
		locate(position, span) {
			let next = size;
			for (const [start, bytes] of data) {
				if (position >= start && position < start + bytes.length) {
					return unstored(span, SpanKind.encoded, start + bytes.length - position);
				}
				if (start > position && start < next) next = start;
			}
			return unstored(span, SpanKind.zero, next - position);
		},
		decode(position, target) {
			for (const [start, bytes] of data) {
				if (position < start || position >= start + bytes.length) continue;
				target.set(bytes.subarray(position - start, position - start + target.length));
			}
		},
		describe: () => ({facts: []}),
	});
}

test('it is the id of an implementation that knows only the specification, at every kind of size', async t => {
	const leaves = [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129];
	const sizes = [
		0,
		1,
		2,
		511,
		512,
		513,
		...leaves.flatMap(count => [count * LEAF - 1, count * LEAF, count * LEAF + 1]),
	];
	const noise = noiseBytes(Math.max(...sizes));
	for (const size of sizes) {
		const content = noise.subarray(0, size);
		const identity = await identify(memoryDisk(content));
		t.is(identity.contentId, plainContentId(content), `${size} bytes`);
		t.is(identity.read, size);
		t.is(identity.origin, 'computed');
	}
});

test('holes count as zeros and are not read', async t => {
	const size = 40 * MIB + 777;
	const content = new Uint8Array(size);
	const data = new Map(
		[0, 9 * MIB - 3000, 21 * MIB + 5, size - 800].map((start, index) => [start, textBytes(700, index + 1)]),
	);
	for (const [start, bytes] of data) content.set(bytes, start);
	const identity = await identify(holeyDisk(size, data));
	t.is(identity.contentId, plainContentId(content));
	t.is(identity.contentId, (await identify(memoryDisk(content))).contentId);
	t.is(identity.read, 4 * 700);
	for (const zeros of [1, LEAF - 1, LEAF, 5 * LEAF + 9]) {
		const empty = await identify(holeyDisk(zeros));
		t.is(empty.contentId, plainContentId(new Uint8Array(zeros)));
		t.is(empty.read, 0);
	}
});

test('64 TiB with a few bytes in them read those only', async t => {
	const size = 64 * 2 ** 40 + 4096;
	const empty = await identify(holeyDisk(size));
	t.is(empty.read, 0);
	const some = await identify(holeyDisk(size, new Map([[60 * 2 ** 40, textBytes(10)]])));
	t.is(some.read, 10);
	t.not(some.contentId, empty.contentId);
});

test('a .tint of 64 TiB of zeros is proven without reading', async t => {
	const size = 64 * 2 ** 40;
	const file = sparseFile();
	finish(creator().open(makePlan(size), file));
	const {disk} = open(file.source());
	const identity = await identify(disk, {trust: false});
	t.is(identity.read, 0);
	t.is(identity.contentId, (await identify(holeyDisk(size))).contentId);
	t.is(identity.recorded, identity.contentId);
});

test('threads find the id that one finds, whatever their number', async t => {
	const path = join(temporaryFolder(t), 'disk.raw');
	const size = 90 * MIB + 12_345;
	const noise = noiseBytes(MIB);
	const descriptor = openSync(path, 'w');
	for (let at = 0; at < 90; at++) {
		if (at < 30 || at > 36) writeSync(descriptor, noise, at, MIB - at, at * MIB);
	}
	closeSync(descriptor);
	truncateSync(path, size);
	const expected = plainContentId(readFileSync(path));
	const opened = openDisk(path);
	t.teardown(() => opened[Symbol.dispose]());
	const {disk, recipe} = opened;
	const positions: number[] = [];
	for (const workers of [1, 2, 5]) {
		const identity = await identify(disk, {recipe, workers, onProgress: ({position}) => positions.push(position)});
		t.is(identity.contentId, expected, `${workers} workers`);
		t.true(identity.read > 80 * MIB && identity.read <= 84 * MIB);
		t.is(positions.at(-1), size);
	}

	const reason = new Error('enough');
	const controller = new AbortController();
	const work = identify(disk, {recipe, workers: 2, signal: controller.signal});
	// Threads need many times as long to start.
	setImmediate(() => controller.abort(reason));
	t.is(await t.throwsAsync(work), reason);
	await t.throwsAsync(identify(disk, {signal: AbortSignal.abort(reason)}), {is: reason});
	await t.throwsAsync(identify(disk, {workers: 0}), {instanceOf: DiskError, code: 'identify/workers'});
});

test('one thread alone stops soon after it is told to', async t => {
	const reason = new Error('enough');
	const controller = new AbortController();
	let reads = 0;
	const inner = memoryDisk(textBytes(20 * MIB));
	const slow: Disk = {
		...inner,
		readAt(position, target) {
			inner.readAt(position, target);
			reads++;
			controller.abort(reason);
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
		},
	};
	t.is(await t.throwsAsync(identify(slow, {signal: controller.signal})), reason);
	t.is(reads, 1);
});

test('an error in a thread is the error of all', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'disk.raw');
	const descriptor = openSync(source, 'w');
	writeSync(descriptor, noiseBytes(70 * MIB));
	closeSync(descriptor);
	const target = join(folder, 'disk.tint');
	await convert(source, target);
	const damaged = openSync(target, 'r+');
	writeSync(damaged, Uint8Array.of(1, 2, 3, 4), 0, 4, 60 * MIB);
	closeSync(damaged);
	const opened = openDisk(target);
	t.teardown(() => opened[Symbol.dispose]());
	const {disk, recipe} = opened;
	const work = identify(disk, {recipe, workers: 2, trust: false});
	await t.throwsAsync(work, {instanceOf: DiskError, code: 'tint/chunk-checksum'});
});

test('what an image records is taken unless it is to be proven', async t => {
	const content = textBytes(5 * LEAF + 100);
	const file = writeImage(content);
	const {disk} = open(file.source());
	const expected = plainContentId(content);
	const trusted = await identify(disk);
	t.is(trusted.contentId, expected);
	t.is(trusted.origin, 'recorded');
	t.is(trusted.read, 0);
	const proven = await identify(disk, {trust: false});
	t.is(proven.contentId, expected);
	t.is(proven.recorded, expected);
	t.is(proven.origin, 'computed');

	const lying = file.bytes();
	editRoot(lying, root => root.setUint8(512, root.getUint8(512) ^ 1));
	const liar = await identify(open(memorySource(lying)).disk, {trust: false});
	t.is(liar.contentId, expected);
	t.not(liar.recorded, expected);
});

test('what was unreadable is an error unless it may count as zeros', async t => {
	const content = textBytes(4 * LEAF);
	const bytes = writeImage(content, {'chunk-size': LEAF}).bytes();
	editPage(bytes, page => {
		for (let at = 16; at < 32; at++) page.setUint8(at, 0);
		page.setUint8(16, 5);
	});
	const zeroed = content.slice().fill(0, LEAF, 2 * LEAF);
	editRoot(bytes, root => {
		new Uint8Array(root.buffer, root.byteOffset + 512, 32).set(Buffer.from(plainContentId(zeroed), 'hex'));
		root.setUint8(640 + 5 * 8, 1);
	});
	const {disk} = open(memorySource(bytes));
	for (const trust of [true, false]) {
		await t.throwsAsync(identify(disk, {trust}), {instanceOf: DiskError, code: 'disk/unreadable'});
		const identity = await identify(disk, {trust, zeroUnreadable: true});
		t.is(identity.contentId, plainContentId(zeroed));
		t.is(identity.origin, trust ? 'recorded' : 'computed');
	}
});

test('a chunk that was left out in part is no reason to doubt, one that was unreadable in part is', async t => {
	const content = textBytes(4 * LEAF);
	const marks = [{position: LEAF + 512, length: 1024, kind: SpanKind.free}] as const;
	const zeroed = content.slice().fill(0, LEAF + 512, LEAF + 1536);
	const partly = open(writeDisk(zeroed, {marks}).file.source()).disk;
	t.like(await identify(partly), {contentId: plainContentId(zeroed), origin: 'recorded', read: 0});
	t.like(await identify(partly, {trust: false}), {contentId: plainContentId(zeroed), origin: 'computed'});

	const lost = [{position: LEAF + 512, length: 1024, kind: SpanKind.unreadable}] as const;
	const {disk} = open(writeDisk(zeroed, {marks: lost}).file.source());
	await t.throwsAsync(identify(disk), {instanceOf: DiskError, code: 'disk/unreadable'});
	t.is((await identify(disk, {zeroUnreadable: true})).contentId, plainContentId(zeroed));
	t.is((await identify(disk, {zeroUnreadable: true, trust: false})).contentId, plainContentId(zeroed));
});
