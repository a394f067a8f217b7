import {createHash} from 'node:crypto';
import {closeSync, openSync, readFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../../../src/core/disk.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {openTestFile} from '../../helpers/file-source.ts';
import {haveSharedTestdata, sharedImage, sharedManifest} from '../../helpers/shared-testdata.ts';
import {cachedFile, temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {BLOCK, makeVhdx, MIB, pattern} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

function openPath(path: string, context = session()): Disk {
	return checked(vhdx.open(checked(openTestFile(path)), context));
}

/** sha256 of the whole disk, through the map for what reads as zeros. */
function hashDisk(disk: Disk): string {
	const hash = createHash('sha256');
	const zeros = new Uint8Array(4 * MIB);
	const buffer = new Uint8Array(4 * MIB);
	const span = newSpan();
	for (let position = 0; position < disk.size; ) {
		disk.locate(position, span);
		const length = Math.min(span.length, buffer.length);
		const target = readsAsZero(span.kind) ? zeros.subarray(0, length) : buffer.subarray(0, length);
		if (!readsAsZero(span.kind)) disk.readAt(position, target);
		hash.update(target);
		position += length;
	}
	return hash.digest('hex');
}

/** A sparse raw disk of an odd size, with data around the borders of blocks of every size. */
function rawDisk(path: string, size: number): Uint8Array {
	const descriptor = openSync(path, 'w');
	const content = new Uint8Array(size);
	for (const [at, length] of [
		[0, 70_000],
		[MIB - 512, 1024],
		[5 * MIB + 123, 300_000],
		[8 * MIB, MIB],
		[size - 700, 700],
	] as const) {
		const bytes = pattern(length, at + 1);
		content.set(bytes, at);
		writeSync(descriptor, bytes, 0, length, at);
	}
	closeSync(descriptor);
	return content;
}

const OPTIONS = [
	'block_size=1M',
	'block_size=2M',
	'block_size=8M,log_size=4M',
	'block_size=64M',
	'block_size=256M',
	'block_size=1M,block_state_zero=off',
	'subformat=fixed,block_size=1M',
	'subformat=fixed,block_size=16M,log_size=2M',
];

for (const options of OPTIONS) {
	testWith(test, ['qemu-img'], `reads what qemu-img makes with ${options}`, t => {
		const folder = temporaryFolder(t);
		const raw = join(folder, 'disk.raw');
		const image = join(folder, 'disk.vhdx');
		const content = rawDisk(raw, 37 * MIB + 512);
		run('qemu-img', ['convert', '-f', 'raw', '-O', 'vhdx', '-o', options, raw, image]);
		const context = session();
		const disk = openPath(image, context);
		t.teardown(() => disk[Symbol.dispose]());
		t.is(disk.size, content.length);
		t.is(disk.sectorSize, 512);
		t.is(disk.describe().variant, options.includes('fixed') ? 'fixed' : 'dynamic');
		t.deepEqual(context.findings, []);
		t.is(hashDisk(disk), createHash('sha256').update(content).digest('hex'));
		// Reads that start and end anywhere, over the borders of blocks.
		for (let i = 0; i < 50; i++) {
			const position = (i * 7_919_333) % content.length;
			const length = Math.min((i * 104_729) % (3 * MIB), content.length - position);
			t.true(Buffer.compare(readRange(disk, position, length), content.subarray(position, position + length)) === 0);
		}
	});
}

testWith(test, ['qemu-img'], 'an empty disk of 64 TiB opens at once and is one map of nothing', t => {
	const image = join(temporaryFolder(t), 'large.vhdx');
	run('qemu-img', ['create', '-f', 'vhdx', '-o', 'block_size=256M', image, '64T']);
	const disk = openPath(image);
	t.teardown(() => disk[Symbol.dispose]());
	t.is(disk.size, 64 * 2 ** 40);
	const span = newSpan();
	let spans = 0;
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		t.true(readsAsZero(span.kind));
		spans++;
	}
	t.true(spans < 1000);
	t.deepEqual(readRange(disk, disk.size - 4096, 4096), new Uint8Array(4096));
});

if (haveSharedTestdata) {
	const rows = sharedManifest().filter(row => row.container.startsWith('VHDX') && row.virtualSha256.length === 64);
	for (const {path, virtualSha256} of rows) {
		test(`${path} holds the disk that the manifest knows`, t => {
			const disk = openPath(sharedImage(path));
			t.teardown(() => disk[Symbol.dispose]());
			t.is(hashDisk(disk), virtualSha256);
		});
	}

	testWith(test, ['qemu-img'], 'a large image of Windows is what qemu-img reads', t => {
		const path = sharedImage('discutils/xfs.vhdx.gz');
		const disk = openPath(path);
		t.teardown(() => disk[Symbol.dispose]());
		const raw = cachedFile('xfs.raw', 'qemu-img convert discutils/xfs.vhdx', out =>
			run('qemu-img', ['convert', '-f', 'vhdx', '-O', 'raw', path, out]),
		);
		const source = openTestFile(raw);
		t.teardown(() => source[Symbol.dispose]());
		t.is(disk.size, source.size);
		const span = newSpan();
		const ours = new Uint8Array(4 * MIB);
		const theirs = new Uint8Array(4 * MIB);
		let compared = 0;
		for (let position = 0; position < disk.size; ) {
			disk.locate(position, span);
			const length = Math.min(span.length, ours.length);
			// Holes are sampled by their first bytes: reading 10 GiB of zeros proves little.
			const wanted = readsAsZero(span.kind) ? Math.min(length, 4096) : length;
			disk.readAt(position, ours.subarray(0, wanted));
			source.readAt(position, theirs.subarray(0, wanted));
			if (Buffer.compare(ours.subarray(0, wanted), theirs.subarray(0, wanted)) !== 0) {
				t.fail(`differs in the 4 MiB at ${position}`);
				return;
			}
			compared += wanted;
			position += length;
		}
		t.true(compared > 100 * MIB);
	});
}

test('every block state reads as it should, and the map says why', t => {
	const {bytes, places} = makeVhdx({
		size: 6 * MIB,
		blocks: [
			{block: 1, state: BLOCK.full, bytes: pattern(MIB, 1)},
			{block: 2, state: BLOCK.full, bytes: pattern(MIB, 2)},
			{block: 3, state: BLOCK.zero},
			{block: 4, state: BLOCK.unmapped},
			{block: 5, state: BLOCK.undefined},
		],
	});
	const disk = openBytes(bytes);
	const span = newSpan();
	const seen: (readonly [number, number])[] = [];
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		seen.push([span.kind, span.length]);
	}
	t.deepEqual(seen, [
		[SpanKind.absent, MIB],
		[SpanKind.stored, MIB],
		[SpanKind.stored, MIB],
		[SpanKind.zero, MIB],
		[SpanKind.zero, MIB],
		[SpanKind.zero, MIB],
	]);
	disk.locate(MIB + 5, span);
	t.deepEqual({...span}, {kind: SpanKind.stored, length: MIB - 5, source: 0, at: (places.get(1) ?? 0) + 5});
	const all = readRange(disk, 0, disk.size);
	t.deepEqual(all.subarray(MIB, 2 * MIB), pattern(MIB, 1));
	t.deepEqual(all.subarray(2 * MIB, 3 * MIB), pattern(MIB, 2));
	t.true(all.subarray(3 * MIB).every(byte => byte === 0));
	t.true(all.subarray(0, MIB).every(byte => byte === 0));
});

test('neighbouring blocks are read in one go', t => {
	const {bytes} = makeVhdx({
		size: 4 * MIB,
		blocks: [0, 1, 2, 3].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, block)})),
	});
	const reads: number[] = [];
	const disk = vhdx.open(
		{
			name: 'counted',
			size: bytes.length,
			readAt(position, target) {
				reads.push(target.length);
				target.set(bytes.subarray(position, position + target.length));
			},
			[Symbol.dispose]() {},
		},
		session(),
	);
	readRange(disk, 0, 512);
	reads.length = 0;
	readRange(disk, 0, 4 * MIB);
	t.deepEqual(reads, [4 * MIB]);
});

test('sectors of 4096 bytes', t => {
	const content = pattern(MIB, 9);
	// A chunk is 32 GiB here: 32768 blocks of 1 MiB, so block 32768 lies behind the first sector bitmap entry.
	const {bytes} = makeVhdx({
		size: 32 * 2 ** 30 + 2 * MIB,
		sectorSize: 4096,
		blocks: [{block: 32_768, state: BLOCK.full, bytes: content}],
	});
	const disk = openBytes(bytes);
	t.is(disk.sectorSize, 4096);
	t.deepEqual(readRange(disk, 32 * 2 ** 30, MIB), content);
	t.true(readRange(disk, 32 * 2 ** 30 - MIB, MIB).every(byte => byte === 0));
});

test('the sector bitmap entry between two chunks is stepped over', t => {
	// 256 MiB blocks and 512-byte sectors: 16 blocks to a chunk. The file is all header; blocks are states only.
	const blocks = Array.from({length: 40}, (_, block) => ({block, state: BLOCK.zero}));
	const {bytes} = makeVhdx({size: 40 * 256 * MIB, blockSize: 256 * MIB, blocks});
	const disk = openBytes(bytes);
	const span = newSpan();
	disk.locate(0, span);
	t.deepEqual({kind: span.kind, length: span.length}, {kind: SpanKind.zero, length: disk.size});
});

test('tells what it is', t => {
	const {bytes} = makeVhdx({size: MIB, flags: 1});
	const facts = openBytes(bytes).describe();
	t.is(facts.variant, 'fixed');
	const values = Object.fromEntries(facts.facts.map(({key, value}) => [key, value]));
	t.like(values, {
		blockSize: MIB,
		physicalSectorSize: 4096,
		diskId: 'd15c0000-0001-4002-8003-00000000000d',
		dataWriteGuid: 'aaaaaaaa-0001-4002-8003-000000000001',
		log: 'clean',
	});
});

test('probe knows its own and leaves others alone', t => {
	const {bytes} = makeVhdx({size: MIB});
	t.true(vhdx.probe(memorySource(bytes)));
	t.false(vhdx.probe(memorySource(new Uint8Array(0))));
	t.false(vhdx.probe(memorySource(new Uint8Array(7))));
	t.false(vhdx.probe(memorySource(readFileSync(import.meta.filename))));
});
