import {readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {geometryOf} from '../../../formats/vhd/geometry.ts';
import {vhd} from '../../../formats/vhd/index.ts';
import type {CreateRequest} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {openTestFile} from '../../helpers/file-source.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {makeFooter, MIB, pattern, TYPE} from '../../helpers/vhd-image.ts';
import {openSink, readRange, request} from '../../helpers/vhdx-session.ts';
import {
	creator,
	hashOf,
	occupied,
	openPath,
	piecesOf,
	readByLibvhdi,
	readBySevenZip,
	writeImage,
	writePieces,
} from './tools.ts';

const KIB = 1024;
const GIB = 1024 * MIB;
const LARGEST = 2040 * GIB;

/** Data at the start, around block borders, in single grains, and in the last bytes; holes between. */
function holes(size: number): Uint8Array {
	const content = new Uint8Array(size);
	const random = seededRandom(size);
	const runs: [number, number][] = [
		[0, 100_000],
		[MIB - 3, 7],
		[4 * MIB, MIB],
		[6 * MIB + 128 * KIB, 64 * KIB],
		[size - 3, 3],
		...Array.from({length: 6}, (): [number, number] => [random.below(size), random.below(100_000)]),
	];
	for (const [at, length] of runs) {
		if (at >= 0 && at + length <= size) content.set(pattern(length, at + 1), at);
	}
	return content;
}

/** Our own reader, qemu-img, 7-Zip and libvhdi, all against the content. */
function confirm(t: ExecutionContext, image: string, content: Uint8Array, libvhdi: boolean): void {
	const disk = openPath(t, image);
	const padded = new Uint8Array(Math.ceil(content.length / 512) * 512);
	padded.set(content);
	t.is(disk.size, padded.length);
	t.is(Buffer.compare(readRange(disk, 0, disk.size), padded), 0, 'read back');
	const raw = join(temporaryFolder(t), 'expected.raw');
	writeFileSync(raw, padded);
	run('qemu-img', ['compare', '-f', 'vpc', '-F', 'raw', image, raw]);
	t.true(run('qemu-img', ['info', '-f', 'vpc', '--output=json', image]).includes(`"virtual-size": ${disk.size},`));
	t.is(Buffer.compare(readBySevenZip(t, image), padded), 0, '7-Zip');
	// Its mounting takes longest by far.
	if (libvhdi) t.is(Buffer.compare(readByLibvhdi(t, image, [[0, disk.size]])[0], padded), 0, 'libvhdi');
}

const ORACLES = ['qemu-img', '7z', 'vhdimount', 'fusermount'];
const FORMS: CreateRequest['options'][] = [
	{},
	{'block-size': 512 * KIB},
	{'block-size': 4 * MIB},
	{'block-size': 16 * MIB},
	{subformat: 'fixed'},
];
/** Tiny ones, multiples of nothing, whole blocks. */
const SIZES = [1, 512, 513, 64 * KIB, 2 * MIB, 5 * MIB + 12_345, 20 * MIB - 512];

for (const options of FORMS) {
	testWith(test, ORACLES, `others read what is written: ${JSON.stringify(options)}`, t => {
		for (const [index, size] of SIZES.entries()) {
			const contents = [holes(size), index % 2 === 0 ? pattern(size, 3) : new Uint8Array(size)];
			for (const content of contents) {
				const image = join(temporaryFolder(t), 'disk.vhd');
				const facts = writeImage(image, request(size, options), content);
				confirm(t, image, content, index > 3 && content === contents[0]);
				t.is(facts.find(({key}) => key === 'padding')?.value ?? 0, (512 - (size % 512)) % 512);
				t.is(facts.find(({key}) => key === 'fileSize')?.value, statSync(image).size);
				if (options['subformat'] === 'fixed') t.is(statSync(image).size, Math.ceil(size / 512) * 512 + 512);
			}
		}
	});
}

testWith(test, ['qemu-img', 'qemu-io', 'vhdimount', 'fusermount'], 'the largest disks there are', t => {
	const cases: [number, CreateRequest['options']][] = [
		[LARGEST, {}],
		[LARGEST - 512, {'block-size': 512 * KIB}],
		[LARGEST, {subformat: 'fixed'}],
		[127 * GIB + 1, {'block-size': 16 * MIB}],
	];
	for (const [size, options] of cases) {
		const image = join(temporaryFolder(t), 'disk.vhd');
		const plan = creator.plan(request(size, options));
		const last = Math.floor((size - 1) / plan.pieceSize) * plan.pieceSize;
		const positions = [0, 2 * GIB, 4 * GIB - plan.pieceSize, 100 * GIB, last];
		const pieces = positions.map((position, index) => ({
			position,
			bytes: new Uint8Array(Math.min(plan.pieceSize, size - position)).fill(0x41 + index),
		}));
		writePieces(image, plan, pieces);
		t.true(occupied(image) < 40 * MIB, 'the file is sparse');
		const rounded = Math.ceil(size / 512) * 512;
		t.true(run('qemu-img', ['info', '-f', 'vpc', '--output=json', image]).includes(`"virtual-size": ${rounded},`));
		const places = pieces.map(({position, bytes}) => [position, bytes.length] as const);
		const parts = readByLibvhdi(t, image, places);
		const disk = openPath(t, image);
		t.is(disk.size, rounded);
		for (const [index, {position, bytes}] of pieces.entries()) {
			const length = Math.floor(bytes.length / 512) * 512;
			const command = `read -P ${0x41 + index} ${position} ${length}`;
			if (length > 0) t.notRegex(run('qemu-io', ['-r', '-f', 'vpc', '-c', command, image]), /failed/, command);
			t.is(Buffer.compare(parts[index], bytes), 0, `libvhdi at ${position}`);
			t.is(Buffer.compare(readRange(disk, position, bytes.length), bytes), 0, `at ${position}`);
		}
		t.true(readRange(disk, 5 * GIB, MIB).every(byte => byte === 0));
	}
});

test('a table that reaches 2 TiB leaves no gaps, and no entry is the one for nothing', t => {
	const plan = creator.plan(request(LARGEST, {'block-size': 512 * KIB})) as unknown as Record<string, number>;
	const {firstData = 0, stride = 0, blocks = 0, bitmapSize = 0} = plan;
	t.is(stride, 512 * KIB + 512);
	t.true((firstData + (blocks - 1) * stride - bitmapSize) / 512 < 0xffff_ffff);
	const roomy = creator.plan(request(LARGEST)) as unknown as Record<string, number>;
	t.is((roomy['firstData'] ?? 0) % 4096, 0);
	t.is((roomy['stride'] ?? 0) % 4096, 0);
});

test('two writers over one plan make the same file as one, whoever writes first', t => {
	const folder = temporaryFolder(t);
	const size = 40 * MIB + 512;
	const content = holes(size);
	content.set(pattern(8 * MIB, 5), 20 * MIB);
	for (const options of FORMS) {
		const alone = join(folder, 'alone.vhd');
		const shared = join(folder, 'shared.vhd');
		writeImage(alone, request(size, options), content);
		const plan = structuredClone(creator.plan(request(size, options)));
		const sinks = [openSink(shared), openSink(shared)];
		const writers = sinks.map(sink => creator.open(plan, sink));
		const pieces = piecesOf(plan, content);
		// Both encode, both reserve in order of position, and then the later one writes before the earlier one.
		for (let first = 0; first < pieces.length; first += 2) {
			const pair = pieces.slice(first, first + 2);
			for (const [index, piece] of [...pair.entries()].toReversed()) writers[index]?.encode({...piece});
			for (const index of pair.keys()) writers[index]?.reserve();
			for (const index of [...pair.keys()].toReversed()) writers[index]?.write();
		}
		writers[1].writeTables();
		writers[1].writeRoot();
		for (const sink of sinks) sink[Symbol.dispose]();
		t.is(hashOf(readFileSync(shared)), hashOf(readFileSync(alone)), JSON.stringify(options));
	}
});

test('zeros take no room: none for empty blocks, none within blocks', t => {
	const image = join(temporaryFolder(t), 'disk.vhd');
	const plan = creator.plan(request(256 * MIB));
	const bytes = new Uint8Array(plan.pieceSize);
	bytes.fill(1, 600_000, 600_001);
	const facts = writePieces(image, plan, [
		{position: 0, bytes: new Uint8Array(plan.pieceSize)},
		{position: 101 * MIB, bytes},
	]);
	const values = Object.fromEntries(facts.map(({key, value}) => [key, value]));
	t.like(values, {blocks: 1, stored: 64 * KIB});
	t.true(statSync(image).size < 2 * MIB + 16 * KIB);
	t.true(occupied(image) < 128 * KIB);
	// Of the block's 4096 sectors those of the one grain are marked: the second MiB, from its tenth 64 KiB on.
	const file = readFileSync(image);
	const place = file.readUInt32BE(1536 + 50 * 4) * 512;
	const bitmap = new Uint8Array(512);
	bitmap.fill(0xff, 256 + 9 * 16, 256 + 10 * 16);
	t.deepEqual(new Uint8Array(file.subarray(place, place + 512)), bitmap);
	t.is((place + 512) % 4096, 0, 'data is aligned');
	t.is(file.readUInt32BE(1536 + 49 * 4), 0xffff_ffff);
	t.is(Buffer.compare(readRange(openPath(t, image), 101 * MIB, plan.pieceSize), bytes), 0);
});

test('the bits of the last sectors end with the disk', t => {
	const image = join(temporaryFolder(t), 'disk.vhd');
	writeImage(image, request(2 * MIB + 5 * 512 + 1), new Uint8Array(2 * MIB + 5 * 512 + 1).fill(7));
	const file = readFileSync(image);
	const place = file.readUInt32BE(1536 + 4) * 512;
	t.deepEqual([...file.subarray(place, place + 3)], [0b1111_1100, 0, 0]);
});

test('without its root the file is not taken for a VHD', t => {
	for (const options of FORMS) {
		const image = join(temporaryFolder(t), 'disk.vhd');
		const sink = openSink(image);
		const plan = creator.plan(request(MIB, options));
		const writer = creator.open(plan, sink);
		for (const piece of piecesOf(plan, pattern(MIB, 1))) {
			writer.encode({...piece});
			writer.reserve();
			writer.write();
		}
		writer.writeTables();
		const before = statSync(image).size;
		const source = openTestFile(image);
		t.teardown(() => source[Symbol.dispose]());
		t.false(vhd.probe(source));
		writer.writeRoot();
		sink[Symbol.dispose]();
		t.is(statSync(image).size, before, 'the size was settled before the root');
	}
});

test('the footer is what the specification says, byte for byte', t => {
	const image = join(temporaryFolder(t), 'disk.vhd');
	const order = request(4 * MIB, {subformat: 'fixed'});
	writeImage(image, order, new Uint8Array(4 * MIB));
	const id = Buffer.from(order.id)
		.toString('hex')
		.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
	// The geometry of a disk of 4 MiB made by Windows 10.
	const expected = makeFooter({size: 4 * MIB, type: TYPE.fixed, id, geometry: [120, 4, 17]});
	new DataView(expected.buffer).setUint32(24, order.timestamp - Date.UTC(2000, 0, 1) / 1000);
	expected.fill(0, 64, 68);
	const footer = new Uint8Array(readFileSync(image).subarray(4 * MIB));
	const sum = footer.reduce((total, byte, at) => (at >= 64 && at < 68 ? total : total + byte), 0);
	t.is(new DataView(footer.buffer).getUint32(64), 0xffff_ffff - sum);
	footer.fill(0, 64, 68);
	t.deepEqual(footer, expected);
	// Times before 2000 and after 2136 do not fit.
	for (const [timestamp, stored] of [
		[0, 0],
		[2 ** 40, 0xffff_ffff],
	] as const) {
		writeImage(image, {...order, timestamp}, new Uint8Array(4 * MIB));
		t.is(readFileSync(image).readUInt32BE(4 * MIB + 24), stored);
	}
});

test('geometries as the specification calculates them, at the borders of its cases', t => {
	const cases: [number, number, number, number][] = [
		// Sectors, cylinders, heads, sectors per track.
		[1, 0, 4, 17],
		[68, 1, 4, 17],
		[8192, 120, 4, 17],
		[4 * 1024 * 17 - 1, 1023, 4, 17],
		// Exactly 1024 tracks for each head is one too many.
		[4 * 1024 * 17, 140, 16, 31],
		[4 * 1024 * 17 + 17, 819, 5, 17],
		[16 * 1024 * 17 - 1, 1023, 16, 17],
		[16 * 1024 * 17 + 17, 561, 16, 31],
		[16 * 1024 * 31 - 1, 1023, 16, 31],
		[16 * 1024 * 31, 503, 16, 63],
		[65_535 * 16 * 63 - 1, 65_534, 16, 63],
		[65_535 * 16 * 63, 16_191, 16, 255],
		[266_338_304, 65_278, 16, 255],
		[65_535 * 16 * 255, 65_535, 16, 255],
		[2 ** 32 - 1, 65_535, 16, 255],
	];
	for (const [sectors, cylinders, heads, sectorsPerTrack] of cases) {
		t.deepEqual(geometryOf(sectors * 512), {cylinders, heads, sectorsPerTrack}, `${sectors}`);
	}
});

test('requests that make no VHD', t => {
	const cases: [CreateRequest, string, RegExp?][] = [
		[request(0), 'vhd/disk-size'],
		[request(LARGEST + 1), 'vhd/disk-size', /vhdx/],
		[request(MIB, {'block-size': 3 * MIB}), 'vhd/block-size'],
		[request(MIB, {'block-size': 32 * MIB}), 'vhd/block-size'],
		[request(MIB, {'block-size': 256 * KIB}), 'vhd/block-size'],
		[request(MIB, {'block-size': '1M'}), 'vhd/block-size'],
		[request(MIB, {subformat: 'differencing'}), 'vhd/subformat'],
		[request(MIB, {}, 4096), 'vhd/sector-size', /vhdx/],
	];
	for (const [order, code, hint] of cases) {
		const error = t.throws(() => creator.plan(order), {instanceOf: DiskError});
		t.is(error?.code, code);
		if (hint !== undefined) t.regex(error?.hint ?? '', hint);
	}
});
