import {createHash} from 'node:crypto';
import {closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {vhdx} from '../../../formats/vhdx/index.ts';
import type {CreateRequest} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {openTestFile} from '../../helpers/file-source.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run, testWith} from '../../helpers/tools.ts';
import {MIB, pattern} from '../../helpers/vhdx-image.ts';
import {
	creator,
	openSink,
	pieceAt,
	readRange,
	request,
	session,
	writeImage,
	writePieces,
} from '../../helpers/vhdx-session.ts';

const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

/** Data at the start, around block borders, in single grains, and in the last bytes; holes between. */
function sample(size: number): Uint8Array {
	const content = new Uint8Array(size);
	for (const [at, length] of [
		[0, 100_000],
		[MIB - 3, 7],
		[4 * MIB, MIB],
		[6 * MIB + 128 * 1024, 64 * 1024],
		[9 * MIB + 5, 1],
		[size - 3, 3],
	] as const) {
		if (at + length <= size && at >= 0) content.set(pattern(length, at + 1), at);
	}
	return content;
}

function sha256(path: string): string {
	return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Our own reader, qemu-img check and compare, and 7-Zip, all against the content. */
function confirm(t: ExecutionContext, folder: string, image: string, content: Uint8Array): void {
	const disk = vhdx.open(openTestFile(image), session());
	t.teardown(() => disk[Symbol.dispose]());
	t.is(Buffer.compare(readRange(disk, 0, content.length), content), 0, 'read back');
	t.true(
		readRange(disk, content.length, disk.size - content.length).every(byte => byte === 0),
		'padding',
	);
	const raw = join(folder, 'expected.raw');
	const padded = new Uint8Array(disk.size);
	padded.set(content);
	writeFileSync(raw, padded);
	const check = run('qemu-img', ['check', '-f', 'vhdx', image]);
	t.regex(check, /No errors/);
	run('qemu-img', ['compare', '-f', 'vhdx', '-F', 'raw', image, raw]);
	t.true(run('qemu-img', ['info', '-f', 'vhdx', '--output=json', image]).includes(`"virtual-size": ${disk.size},`));
	// 7-Zip (26.02) refuses disks of an odd number of sectors, qemu's too.
	if ((disk.size / disk.sectorSize) % 2 === 1) return;
	run('7z', ['x', '-y', '-tVHDX', `-o${folder}/seven`, image]);
	const [name = ''] = readdirSync(join(folder, 'seven'));
	t.is(sha256(join(folder, 'seven', name)), sha256(raw), '7-Zip');
}

const SIZES = [1, 512, 64 * 1024, MIB, 10 * MIB, 11 * MIB + 513, 33 * MIB + 4096 + 1];
const FORMS: CreateRequest['options'][] = [
	{},
	{'block-size': MIB},
	{'block-size': 2 * MIB, 'physical-sector-size': 512},
	{'block-size': 256 * MIB},
	{subformat: 'fixed', 'block-size': MIB},
	{subformat: 'fixed', 'block-size': 4 * MIB},
];

for (const [index, options] of FORMS.entries()) {
	testWith(test, ['qemu-img', '7z'], `qemu and 7-Zip read what is written: ${JSON.stringify(options)}`, t => {
		const length = index % 2 === 0 ? 11 * MIB + 513 : 40 * MIB;
		const folder = temporaryFolder(t);
		const image = join(folder, 'disk.vhdx');
		const content = sample(length);
		writeImage(image, request(length, options), content);
		confirm(t, folder, image, content);
		t.is(statSync(image).size % MIB, 0);
	});
}

testWith(test, ['qemu-img', '7z'], 'sizes that are no multiple of anything, empty and full content', t => {
	for (const size of SIZES) {
		const contents = [sample(size), ...(size === 10 * MIB ? [new Uint8Array(size), pattern(size, 3)] : [])];
		for (const content of contents) {
			const folder = temporaryFolder(t);
			const image = join(folder, 'disk.vhdx');
			const facts = writeImage(image, request(size, {'block-size': MIB}), content);
			confirm(t, folder, image, content);
			const padding = facts.find(({key}) => key === 'padding')?.value ?? 0;
			t.is(padding, (512 - (size % 512)) % 512);
		}
	}
});

/** What libvhdi shows of an image, read at the given places. */
function readByLibvhdi(t: ExecutionContext, image: string, places: readonly (readonly [number, number])[]): Buffer[] {
	const mount = join(temporaryFolder(t), 'mount');
	mkdirSync(mount);
	run('vhdimount', [image, mount]);
	try {
		const descriptor = openSync(join(mount, 'vhdi1'), 'r');
		const parts = places.map(([at, length]) => {
			const bytes = Buffer.alloc(length);
			readSync(descriptor, bytes, 0, length, at);
			return bytes;
		});
		closeSync(descriptor);
		return parts;
	} finally {
		run('fusermount', ['-u', mount]);
	}
}

for (const options of [{}, {'block-size': MIB}, {subformat: 'fixed'}] as const) {
	testWith(
		test,
		['vhdimount', 'vhdiinfo', 'fusermount'],
		`libvhdi reads 4096-byte sectors: ${JSON.stringify(options)}`,
		t => {
			const size = 21 * MIB + 12_345;
			const content = sample(size);
			const image = join(temporaryFolder(t), 'disk.vhdx');
			writeImage(image, request(size, options, 4096), content);
			const disk = vhdx.open(openTestFile(image), session());
			t.teardown(() => disk[Symbol.dispose]());
			t.is(disk.sectorSize, 4096);
			t.is(disk.size, 21 * MIB + 16_384);
			const info = run('vhdiinfo', [image]);
			t.regex(info, /Bytes per sector\s*: 4096/);
			t.regex(info, new RegExp(`${disk.size} bytes`));
			const [all] = readByLibvhdi(t, image, [[0, size]]);
			t.is(Buffer.compare(all, content), 0);
		},
	);
}

testWith(test, ['qemu-img', 'qemu-io', 'vhdimount', 'fusermount'], 'disks of 2 TiB + 512 and of 64 TiB', t => {
	for (const [size, blockSize] of [
		[2 * TIB + 512, 32 * MIB],
		[64 * TIB, 32 * MIB],
		[64 * TIB, MIB],
	] as const) {
		const image = join(temporaryFolder(t), 'disk.vhdx');
		const plan = creator.plan(request(size, {'block-size': blockSize}));
		const last = Math.floor((size - 1) / plan.pieceSize) * plan.pieceSize;
		// Around 4 GiB (the first sector bitmap entry), 2 TiB, and the very end.
		const positions = [0, 4 * GIB - MIB, 4 * GIB, 2 * TIB - MIB, last];
		const pieces = positions.map((position, index) => ({
			position,
			bytes: new Uint8Array(Math.min(plan.pieceSize, size - position)).fill(0x41 + index),
		}));
		writePieces(image, plan, pieces);
		t.true(statSync(image).blocks * 512 < 8 * MIB, 'the file is sparse');
		t.regex(run('qemu-img', ['check', '-f', 'vhdx', image]), /No errors/);
		for (const [index, {position, bytes}] of pieces.entries()) {
			const command = `read -P ${0x41 + index} ${position} ${Math.max(512, bytes.length)}`;
			const said = run('qemu-io', ['-r', '-f', 'vhdx', '-c', command, image]);
			t.notRegex(said, /failed/, command);
		}
		t.notRegex(run('qemu-io', ['-r', '-f', 'vhdx', '-c', `read -P 0 ${5 * GIB} 1M`, image]), /failed/);
		const parts = readByLibvhdi(
			t,
			image,
			pieces.map(({position, bytes}) => [position, bytes.length] as const),
		);
		const disk = vhdx.open(openTestFile(image), session());
		t.teardown(() => disk[Symbol.dispose]());
		t.is(disk.size, size);
		for (const [index, {position, bytes}] of pieces.entries()) {
			t.is(Buffer.compare(parts[index], bytes), 0, `libvhdi at ${position}`);
			t.is(Buffer.compare(readRange(disk, position, bytes.length), bytes), 0, `at ${position}`);
		}
		t.true(readRange(disk, 5 * GIB, MIB).every(byte => byte === 0));
	}
});

testWith(test, ['qemu-img'], 'two writers over one plan make the same file as one, whoever writes first', t => {
	const folder = temporaryFolder(t);
	const size = 40 * MIB + 512;
	const content = sample(size);
	content.set(pattern(8 * MIB, 5), 20 * MIB);
	for (const options of [{'block-size': MIB}, {'block-size': 8 * MIB}, {subformat: 'fixed'}] as const) {
		const alone = join(folder, 'alone.vhdx');
		const shared = join(folder, 'shared.vhdx');
		writeImage(alone, request(size, options), content);
		const plan = structuredClone(creator.plan(request(size, options)));
		const sinks = [openSink(shared), openSink(shared)];
		const writers = sinks.map(sink => creator.open(plan, sink));
		// Both encode, both reserve in order of position, and then the later one writes before the earlier one.
		for (let position = 0; position < size; position += 2 * plan.pieceSize) {
			const pair = [position, position + plan.pieceSize].filter(at => at < size);
			for (const [index, at] of [...pair.entries()].toReversed()) writers[index]?.encode(pieceAt(plan, content, at));
			for (const index of pair.keys()) writers[index]?.reserve();
			for (const index of [...pair.keys()].toReversed()) writers[index]?.write();
		}
		writers[1].writeTables();
		writers[1].writeRoot();
		for (const sink of sinks) sink[Symbol.dispose]();
		t.is(sha256(shared), sha256(alone), JSON.stringify(options));
		t.regex(run('qemu-img', ['check', '-f', 'vhdx', shared]), /No errors/);
	}
});

test('zeros take no room: none for empty blocks, none within blocks', t => {
	const folder = temporaryFolder(t);
	const size = 256 * MIB;
	const image = join(folder, 'disk.vhdx');
	const plan = creator.plan(request(size));
	const bytes = new Uint8Array(MIB);
	bytes.fill(1, 600_000, 600_001);
	const facts = writePieces(image, plan, [
		{position: 0, bytes: new Uint8Array(MIB)},
		{position: 100 * MIB, bytes},
	]);
	const values = Object.fromEntries(facts.map(({key, value}) => [key, value]));
	t.like(values, {blocks: 1, stored: 64 * 1024, fileSize: 36 * MIB});
	t.is(statSync(image).size, 36 * MIB);
	t.true(statSync(image).blocks * 512 < 600 * 1024);
	const disk = vhdx.open(openTestFile(image), session());
	t.teardown(() => disk[Symbol.dispose]());
	t.is(Buffer.compare(readRange(disk, 100 * MIB, MIB), bytes), 0);
});

test('without its root the file is not taken for a VHDX', t => {
	const image = join(temporaryFolder(t), 'disk.vhdx');
	const sink = openSink(image);
	const writer = creator.open(creator.plan(request(MIB)), sink);
	writer.encode({position: 0, bytes: pattern(MIB, 1)});
	writer.reserve();
	writer.write();
	writer.writeTables();
	sink[Symbol.dispose]();
	const source = openTestFile(image);
	t.teardown(() => source[Symbol.dispose]());
	t.false(vhdx.probe(source));
});

test('identifiers come from the request and from nothing else', t => {
	const first = creator.plan(request(MIB)) as unknown as Record<string, unknown>;
	const again = creator.plan(request(MIB)) as unknown as Record<string, unknown>;
	const other = creator.plan({...request(MIB), id: new Uint8Array(16)}) as unknown as Record<string, unknown>;
	const keys = ['diskId', 'fileWriteGuid', 'dataWriteGuid'];
	for (const key of keys) {
		t.is(first[key], again[key]);
		t.not(first[key], other[key]);
		t.regex(String(first[key]), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	}
	t.is(new Set(keys.map(key => first[key])).size, 3);
});

test('requests that make no VHDX', t => {
	const cases: [CreateRequest, string][] = [
		[request(0), 'vhdx/disk-size'],
		[request(64 * TIB + 1), 'vhdx/disk-size'],
		[request(MIB, {'block-size': 3 * MIB}), 'vhdx/block-size'],
		[request(MIB, {'block-size': 512 * MIB}), 'vhdx/block-size'],
		[request(MIB, {'block-size': 65_536}), 'vhdx/block-size'],
		[request(MIB, {'block-size': '1M'}), 'vhdx/block-size'],
		[request(MIB, {subformat: 'sparse'}), 'vhdx/subformat'],
		[request(MIB, {'physical-sector-size': 1024}), 'vhdx/sector-size'],
		[request(MIB, {}, 2048), 'vhdx/sector-size'],
		[request(MIB, {'physical-sector-size': 512}, 4096), 'vhdx/sector-size'],
	];
	for (const [order, code] of cases) {
		t.is(t.throws(() => creator.plan(order), {instanceOf: DiskError})?.code, code);
	}
});
