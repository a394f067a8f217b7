import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {vhd} from '../../../formats/vhd/index.ts';
import {newSpan, readsAsZero, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {haveSharedTestdata, sharedImage, sharedManifest} from '../../helpers/shared-testdata.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {makeFixed, makeFooter, makeVhd, MIB, pattern, reseal, TYPE} from '../../helpers/vhd-image.ts';
import {readRange, session} from '../../helpers/vhdx-session.ts';
import {factsOf, hashOf, openBytes, openPath} from './tools.ts';

const GIB = 1024 * MIB;

/** Bytes at the start, around borders of blocks, and at the end. */
function content(size: number): Uint8Array {
	const bytes = new Uint8Array(size);
	for (const [at, length] of [
		[0, 70_000],
		[2 * MIB - 512, 1024],
		[5 * MIB + 123, 300_000],
		[8 * MIB, MIB],
		[size - 700, 700],
	] as const) {
		bytes.set(pattern(length, at + 1), at);
	}
	return bytes;
}

for (const options of [
	'subformat=dynamic',
	'subformat=fixed',
	'subformat=dynamic,force_size=on',
	'subformat=fixed,force_size=on',
]) {
	testWith(test, ['qemu-img'], `reads what qemu-img makes with ${options}`, t => {
		const folder = temporaryFolder(t);
		const raw = join(folder, 'disk.raw');
		const image = join(folder, 'disk.vhd');
		for (const size of [37 * MIB + 512, 10 * MIB, 21_345 * 512]) {
			const bytes = content(size);
			writeFileSync(raw, bytes);
			run('qemu-img', ['convert', '-f', 'raw', '-O', 'vpc', '-o', options, raw, image]);
			const context = session();
			const disk = openPath(t, image, context);
			const info = run('qemu-img', ['info', '-f', 'vpc', '--output=json', image]);
			// Without force_size it makes the disk as large as the next geometry.
			t.is(disk.size, (JSON.parse(info) as {'virtual-size': number})['virtual-size']);
			t.deepEqual(context.findings, []);
			t.is(disk.describe().variant, options.includes('fixed') ? 'fixed' : 'dynamic');
			const expected = new Uint8Array(disk.size);
			expected.set(bytes);
			t.is(hashOf(readRange(disk, 0, disk.size)), hashOf(expected));
			for (let i = 0; i < 50; i++) {
				const position = (i * 7_919_333) % expected.length;
				const length = Math.min((i * 104_729) % (3 * MIB), expected.length - position);
				t.is(Buffer.compare(readRange(disk, position, length), expected.subarray(position, position + length)), 0);
			}
		}
	});
}

testWith(test, ['qemu-img'], 'an empty disk of 2040 GiB opens at once and is one map of nothing', t => {
	const image = join(temporaryFolder(t), 'large.vhd');
	run('qemu-img', ['create', '-q', '-f', 'vpc', '-o', 'force_size=on', image, '2040G']);
	const disk = openPath(t, image);
	t.is(disk.size, 2040 * GIB);
	const span = newSpan();
	let spans = 0;
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		t.is(span.kind, SpanKind.absent);
		spans++;
	}
	t.true(spans <= 1021, `${spans} pages of entries`);
	t.deepEqual(readRange(disk, disk.size - 4096, 4096), new Uint8Array(4096));
});

if (haveSharedTestdata) {
	for (const {path, virtualSha256} of sharedManifest().filter(row => row.container.startsWith('VHD '))) {
		if (virtualSha256 === '') continue;
		test(`${path} holds the disk that the manifest knows`, t => {
			const context = session();
			const disk = openPath(t, sharedImage(path), context);
			t.is(
				createHash('sha256')
					.update(readRange(disk, 0, disk.size))
					.digest('hex'),
				virtualSha256,
			);
			t.deepEqual(context.findings, []);
		});
	}

	testWith(test, ['qemu-img'], 'a disk of Virtual PC is as large as its geometry, as qemu says, too', t => {
		const path = sharedImage('qemu/virtualpc-dynamic.vhd.bz2');
		const context = session();
		const disk = openPath(t, path, context);
		t.is(disk.size, 136_363_130_880);
		t.is(factsOf(disk)['currentSize'], 127 * GIB);
		t.deepEqual(
			context.findings.map(({code, severity}) => [code, severity]),
			[['vhd/geometry-size', 'note']],
		);
		t.true(run('qemu-img', ['info', '-f', 'vpc', '--output=json', path]).includes(`"virtual-size": ${disk.size},`));
	});

	test('a fuzzed image fails in good order', t => {
		const bytes = readFileSync(sharedImage('qemu/afl5.img.bz2'));
		t.throws(() => openBytes(bytes), {instanceOf: DiskError, code: 'vhd/header-beyond-file'});
	});
}

/** 8 MiB as 240 cylinders of 4 heads and 17 sectors, which leaves 64 sectors over. */
const SIZE = 8 * MIB;
const ROUNDED = 240 * 4 * 17 * 512;

testWith(test, ['qemu-img'], 'creators, geometry and current size: whose disk is how large', t => {
	const path = join(temporaryFolder(t), 'disk.vhd');
	const qemuSays = (bytes: Uint8Array): number => {
		writeFileSync(path, bytes);
		const info = JSON.parse(run('qemu-img', ['info', '-f', 'vpc', '--output=json', path])) as {'virtual-size': number};
		return info['virtual-size'];
	};
	const geometry = [240, 4, 17] as const;
	for (const [creator, size] of [
		['vpc ', ROUNDED],
		['vs  ', ROUNDED],
		['qemu', ROUNDED],
		['qem2', SIZE],
		['win ', SIZE],
		['d2v ', SIZE],
		['tap\0', SIZE],
		['CTXS', SIZE],
	] as const) {
		const {bytes} = makeVhd({size: SIZE, creator, geometry});
		t.is(openBytes(bytes).size, size, creator);
		t.is(qemuSays(bytes), size, `${creator} for qemu`);
		t.is(openBytes(makeFixed(new Uint8Array(SIZE), {creator, geometry})).size, size, `${creator}, fixed`);
	}
	// qemu takes the geometry of everybody else; those who made these files do not.
	for (const creator of ['vbox', 'wa\0\0', 'd2v\0', '\0\0\0\0']) {
		t.is(openBytes(makeVhd({size: SIZE, creator, geometry}).bytes).size, SIZE, creator);
	}
});

test('a geometry that is no rounding of the size says nothing', t => {
	for (const geometry of [
		[0, 0, 0],
		// A disk that was enlarged, and its geometry was not.
		[120, 4, 17],
		// Larger than the disk.
		[300, 4, 17],
		[65_535, 16, 255],
	] as const) {
		t.is(openBytes(makeVhd({size: SIZE, creator: 'vpc ', geometry}).bytes).size, SIZE, geometry.join('/'));
	}
});

test('what lies behind the geometry is shown where it is not empty', t => {
	const geometry = [240, 4, 17] as const;
	const block = new Uint8Array(2 * MIB);
	block.set(pattern(512, 1), 2 * MIB - 512);
	const recipe = {size: SIZE, creator: 'vpc ', geometry};
	const context = session();
	const disk = openBytes(makeVhd({...recipe, blocks: [{block: 3, bytes: block}]}).bytes, context);
	t.is(disk.size, SIZE);
	t.deepEqual(readRange(disk, SIZE - 512, 512), pattern(512, 1));
	t.deepEqual(context.findings, []);
	// What lies there and cannot be read is not empty, either.
	const broken = makeVhd(recipe);
	new DataView(broken.bytes.buffer).setUint32(broken.entryAt(3), 0x00ff_ffff);
	t.is(openBytes(broken.bytes).size, SIZE);
});

test('sizes that are a multiple of nothing', t => {
	const size = 3 * MIB + 333;
	const bytes = pattern(size, 8);
	t.is(Buffer.compare(readRange(openBytes(makeFixed(bytes)), 0, size), bytes), 0);
	const last = new Uint8Array(2 * MIB);
	last.set(bytes.subarray(2 * MIB));
	const blocks = [
		{block: 0, bytes: bytes.subarray(0, 2 * MIB)},
		{block: 1, bytes: last},
	];
	const disk = openBytes(makeVhd({size, blocks}).bytes);
	t.is(disk.size, size);
	t.is(Buffer.compare(readRange(disk, 0, size), bytes), 0);
});

test('fixed disks that are shorter or longer than they say', t => {
	const bytes = pattern(2 * MIB, 3);
	const short = session();
	const cut = openBytes(makeFixed(bytes, {size: 3 * MIB}), short);
	t.is(cut.size, 3 * MIB);
	t.deepEqual(
		short.findings.map(({code, severity}) => [code, severity]),
		[['vhd/data-missing', 'damage']],
	);
	t.is(Buffer.compare(readRange(cut, 0, 2 * MIB), bytes), 0);
	// Nothing of the footer is taken for content.
	t.throws(() => readRange(cut, 2 * MIB - 512, 1024), {instanceOf: DiskError, code: 'vhd/block-beyond-file'});
	const long = session();
	const cropped = openBytes(makeFixed(bytes, {size: MIB}), long);
	t.is(Buffer.compare(readRange(cropped, 0, MIB), bytes.subarray(0, MIB)), 0);
	t.deepEqual(
		long.findings.map(({code, severity}) => [code, severity]),
		[['vhd/data-behind', 'note']],
	);
});

test('a footer of 511 bytes, as before 2004', t => {
	const bytes = pattern(MIB, 3);
	const fixed = makeFixed(bytes, {creator: 'vpc '}).subarray(0, MIB + 511);
	t.true(vhd.probe(memorySource(fixed)));
	const disk = openBytes(fixed);
	t.is(disk.size, MIB);
	t.is(Buffer.compare(readRange(disk, 0, MIB), bytes), 0);
	const made = makeVhd({size: 2 * MIB, blocks: [{block: 0, bytes: pattern(2 * MIB, 4)}]});
	const context = session();
	const dynamic = openBytes(made.bytes.subarray(0, made.bytes.length - 1), context);
	t.is(Buffer.compare(readRange(dynamic, 0, 2 * MIB), pattern(2 * MIB, 4)), 0);
	t.deepEqual(context.findings, []);
});

test('of a dynamic disk either footer will do', t => {
	const made = makeVhd({size: 2 * MIB, blocks: [{block: 0, bytes: pattern(2 * MIB, 4)}]});
	const damagedAt = (...places: number[]): Uint8Array => {
		const bytes = made.bytes.slice();
		for (const at of places) bytes[at] = (bytes[at] ?? 0) ^ 0x10;
		return bytes;
	};
	for (const [bytes, code, severity] of [
		[damagedAt(made.end + 50), 'vhd/footer-damaged', 'warning'],
		[damagedAt(made.end), 'vhd/footer-damaged', 'warning'],
		[damagedAt(50), 'vhd/footer-copy-damaged', 'warning'],
		[damagedAt(0), 'vhd/footer-copy-damaged', 'warning'],
		[made.bytes.subarray(0, made.end), 'vhd/footer-damaged', 'warning'],
	] as const) {
		const context = session();
		const disk = openBytes(bytes, context);
		t.is(Buffer.compare(readRange(disk, 0, 2 * MIB), pattern(2 * MIB, 4)), 0);
		t.deepEqual(
			context.findings.map(finding => [finding.code, finding.severity]),
			[[code, severity]],
		);
	}
	t.throws(() => openBytes(damagedAt(50, made.end + 50)), {instanceOf: DiskError, code: 'vhd/footer-checksum'});
	const bytes = made.bytes.slice();
	bytes[84] = 1;
	reseal(bytes, 0, 512);
	const context = session();
	t.false('savedState' in factsOf(openBytes(bytes, context)));
	t.deepEqual(
		context.findings.map(({code}) => code),
		['vhd/footer-copy-differs'],
	);
});

test('a fixed disk whose footer is damaged says how to get at it', t => {
	const bytes = makeFixed(pattern(MIB, 1));
	bytes[MIB + 70] = 0;
	const error = t.throws(() => openBytes(bytes), {instanceOf: DiskError, code: 'vhd/footer-checksum'});
	t.regex(error?.hint ?? '', /--format raw/);
	t.is(error?.where.position, MIB);
});

test('a fixed disk that holds a dynamic one is a fixed one', t => {
	const inner = makeVhd({size: 2 * MIB, blocks: [{block: 0, bytes: pattern(2 * MIB, 4)}]}).bytes;
	const disk = openBytes(makeFixed(inner));
	t.is(disk.describe().variant, 'fixed');
	t.is(Buffer.compare(readRange(disk, 0, disk.size), inner), 0);
});

test('sectors that the bitmap does not name are zeros, whatever lies there', t => {
	for (const blockSize of [4096, 512 * 1024, 2 * MIB, 32 * MIB]) {
		const size = Math.max(blockSize * 2, MIB);
		const bytes = pattern(blockSize, blockSize);
		const random = pattern(blockSize / 512, 7);
		// Long runs, and noise.
		const own = (sector: number): boolean => (sector % 5000 < 2000 ? true : ((random[sector] ?? 0) & 1) === 1);
		const made = makeVhd({size, blockSize, blocks: [{block: 1, bytes, own}]});
		const expected = new Uint8Array(size);
		let owned = 0;
		for (let sector = 0; sector < blockSize / 512; sector++) {
			if (!own(sector)) continue;
			expected.set(bytes.subarray(sector * 512, (sector + 1) * 512), blockSize + sector * 512);
			owned++;
		}
		const disk = openBytes(made.bytes);
		t.is(Buffer.compare(readRange(disk, 0, size), expected), 0, `blocks of ${blockSize}`);
		const span = newSpan();
		let stored = 0;
		for (let position = 0; position < size; position += span.length) {
			disk.locate(position, span);
			const part = expected.subarray(position, position + span.length);
			if (span.kind === SpanKind.stored) {
				t.is(Buffer.compare(made.bytes.subarray(span.at, span.at + span.length), part), 0);
				stored += span.length;
			} else {
				t.true(readsAsZero(span.kind) && part.every(byte => byte === 0));
			}
		}
		t.is(stored, owned * 512);
	}
});

test('the smallest blocks', t => {
	const size = 64 * 512;
	const blocks = [0, 3, 4, 63].map(block => ({block, bytes: pattern(512, block)}));
	const disk = openBytes(makeVhd({size, blockSize: 512, blocks}).bytes);
	for (let block = 0; block < 64; block++) {
		const stored = blocks.find(each => each.block === block)?.bytes ?? new Uint8Array(512);
		t.deepEqual(readRange(disk, block * 512, 512), new Uint8Array(stored));
	}
});

test('tells what it is', t => {
	const disk = openBytes(
		makeVhd({size: SIZE, creator: 'vpc ', geometry: [240, 4, 17], savedState: 1, features: 3}).bytes,
	);
	t.is(disk.describe().variant, 'dynamic');
	t.like(factsOf(disk), {
		blockSize: 2 * MIB,
		creator: 'vpc 10.0',
		uniqueId: 'aaaaaaaa-0001-4002-8003-000000000001',
		created: '2015-11-05T00:53:20Z',
		geometry: '240/4/17',
		currentSize: SIZE,
		savedState: true,
		temporary: true,
	});
});

test('probe knows its own and leaves others alone', t => {
	t.true(vhd.probe(memorySource(makeVhd({size: MIB}).bytes)));
	t.true(vhd.probe(memorySource(makeFixed(new Uint8Array(512)))));
	for (const size of [0, 7, 511, 512, 4096]) t.false(vhd.probe(memorySource(new Uint8Array(size))));
	t.false(vhd.probe(memorySource(readFileSync(import.meta.filename))));
	// Neither the first sector nor the last ones can be read.
	const failing = {
		...memorySource(new Uint8Array(4096)),
		readAt() {
			throw new DiskError('io', 'file/read', 'input/output error');
		},
	};
	t.false(vhd.probe(failing));
	// A footer by itself.
	t.is(openBytes(makeFooter({size: MIB, type: TYPE.fixed})).size, MIB);
});
