import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {fat} from '../../../../mount/filesystems/fat/index.ts';
import {
	BAD,
	directoryEntry,
	END,
	type FatImage,
	fatImage,
	find,
	list,
	openBytes,
	openFat,
	shortEntry,
} from './image.ts';

function code(action: () => unknown): string | undefined {
	try {
		action();
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
	return undefined;
}

const LINKS: Readonly<Record<string, (image: FatImage) => void>> = {
	'fat/chain-free': image => image.link(6, 0),
	'fat/chain-bad': image => image.link(6, BAD),
	'fat/chain-out-of-range': image => image.link(6, 3900),
	'fat/chain-cycle': image => image.link(6, 5),
	'fat/chain-too-short': image => image.link(6, END),
};

for (const bits of [12, 16, 32] as const) {
	const clusters = bits === 16 ? 5000 : 3000;

	for (const [expected, damage] of Object.entries(LINKS)) {
		test(`FAT${bits}: ${expected} is reported where it lies, and what is in front of it is read`, t => {
			const image = fatImage({bits, clusters});
			image.chain(5, 6, 7, 8);
			image.chain(10);
			damage(image);
			if (expected === 'fat/chain-out-of-range') image.link(6, clusters + 2);
			image.put(
				image.root,
				shortEntry('BROKEN', {cluster: 5, size: 2000}),
				shortEntry('WHOLE', {cluster: 10, size: 5}),
			);
			image.bytes.fill(0x61, image.at(5), image.at(7));
			image.bytes.fill(0x62, image.at(10), image.at(11));
			const {fileSystem} = openBytes(image.bytes);
			const node = find(fileSystem, 'broken');
			t.is(fileSystem.stat(node).size, 2000);
			const good = new Uint8Array(1024);
			t.is(fileSystem.read(node, 0, good), 1024);
			t.true(good.every(byte => byte === 0x61));
			t.is(
				code(() => fileSystem.read(node, 1024, good)),
				expected,
			);
			t.is(
				code(() => fileSystem.read(node, 1000, good)),
				expected,
			);
			t.is(
				code(() => fileSystem.locate(node, 1024, newSpan())),
				expected,
			);
			const error = t.throws(() => fileSystem.read(node, 1024, good), {instanceOf: DiskError});
			t.is(error.family, 'corrupt');
			t.is(error.where.node, node);
			t.is(fileSystem.read(find(fileSystem, 'whole'), 0, good), 5);
			t.is(good[4], 0x62);
		});

		// A directory ends where its chain ends.
		if (expected === 'fat/chain-too-short') continue;
		test(`FAT${bits}: a directory with ${expected} lists what is readable, then fails`, t => {
			const image = fatImage({bits, clusters});
			image.chain(5, 6, 7, 8);
			damage(image);
			if (expected === 'fat/chain-out-of-range') image.link(6, clusters + 2);
			image.put(image.root, directoryEntry('DIR', 5));
			const names: string[] = [];
			image.put(image.at(5), directoryEntry('.', 5), directoryEntry('..', 0));
			for (let i = 2; i < 32; i++) {
				image.put(image.at(5) + i * 32, shortEntry(`F${i}`));
				names.push(`F${i}`);
			}
			const {fileSystem} = openBytes(image.bytes);
			const directory = find(fileSystem, 'dir');
			t.deepEqual(list(fileSystem, directory), {names, error: expected});
			t.not(fileSystem.lookup(directory, Buffer.from('f31')), undefined);
			t.is(
				code(() => fileSystem.lookup(directory, Buffer.from('f99'))),
				expected,
			);
			t.is(fileSystem.stat(directory).size, 1024);
		});
	}

	test(`FAT${bits}: what a chain has beyond the file's size does no harm`, t => {
		const image = fatImage({bits, clusters});
		image.chain(5, 6, 7, 8);
		image.put(image.root, shortEntry('LONG', {cluster: 5, size: 600}), shortEntry('CIRCLE', {cluster: 20, size: 1024}));
		image.chain(20, 21, 22);
		image.link(22, 22);
		const {fileSystem} = openBytes(image.bytes);
		t.is(fileSystem.read(find(fileSystem, 'long'), 0, new Uint8Array(2000)), 600);
		t.is(fileSystem.read(find(fileSystem, 'circle'), 0, new Uint8Array(2000)), 1024);
	});

	test(`FAT${bits}: content without a first cluster is damage, no content is none`, t => {
		const image = fatImage({bits, clusters});
		image.put(image.root, shortEntry('LOST', {size: 5}), shortEntry('EMPTY'), directoryEntry('DIR', 0));
		const {fileSystem} = openBytes(image.bytes);
		t.is(
			code(() => fileSystem.read(find(fileSystem, 'lost'), 0, new Uint8Array(1))),
			'fat/chain-free',
		);
		t.is(fileSystem.read(find(fileSystem, 'empty'), 0, new Uint8Array(1)), 0);
		t.deepEqual(list(fileSystem, find(fileSystem, 'dir')), {names: [], error: 'fat/directory-without-cluster'});
	});
}

test('a directory longer than 65,536 entries is damage', t => {
	const image = fatImage({bits: 32, clusters: 5000});
	image.chain(...Array.from({length: 4200}, (_, i) => i + 2));
	for (let at = image.root; at < image.at(4202); at += 32) image.put(at, shortEntry(`F${at}`));
	const {names, error} = list(openBytes(image.bytes).fileSystem);
	t.is(names.length, 65_536);
	t.is(error, 'fat/chain-too-long');
});

test('node ids that no entry has are refused', t => {
	const image = fatImage({bits: 16, clusters: 5000});
	const deleted = shortEntry('GONE');
	deleted[0] = 0xe5;
	image.put(
		image.root,
		shortEntry('FILE'),
		deleted,
		shortEntry('LABEL', {attributes: 8}),
		shortEntry('A', {attributes: 0x0f}),
	);
	const {fileSystem} = openBytes(image.bytes);
	const first = image.root / 32;
	t.is(fileSystem.stat(first).type, 'file');
	const past = image.bytes.length / 32;
	for (const id of [
		-1,
		0.5,
		Number.NaN,
		1,
		first - 1,
		first + 1,
		first + 2,
		first + 3,
		first + 4,
		past,
		2 ** 44,
		2 ** 53,
	]) {
		t.is(
			code(() => fileSystem.stat(id)),
			'fat/no-such-node',
			String(id),
		);
		t.is(
			code(() => fileSystem.read(id, 0, new Uint8Array(1))),
			'fat/no-such-node',
			String(id),
		);
	}
	t.deepEqual(list(fileSystem, first), {names: [], error: 'fat/not-a-directory'});
	t.is(
		code(() => fileSystem.read(0, 0, new Uint8Array(1))),
		'fat/is-a-directory',
	);
	t.is(
		code(() => fileSystem.lookup(first, Buffer.from('x'))),
		'fat/not-a-directory',
	);
	t.is(
		code(() => fileSystem.readLink(first)),
		'fat/no-links',
	);
});

test('parents are found through `..`, and their absence is damage', t => {
	const image = fatImage({bits: 32, clusters: 3000});
	image.put(image.root, shortEntry('FILE'), directoryEntry('A', 10));
	image.put(
		image.at(10),
		directoryEntry('.', 10),
		directoryEntry('..', 0),
		directoryEntry('B', 20),
		directoryEntry('D', 40),
	);
	image.put(image.at(20), directoryEntry('.', 20), directoryEntry('..', 10), directoryEntry('C', 30));
	image.put(image.at(30), directoryEntry('.', 30), directoryEntry('..', 20));
	image.put(image.at(40), shortEntry('X'));
	for (const cluster of [10, 20, 30, 40]) image.chain(cluster);
	const {fileSystem} = openBytes(image.bytes);
	t.is(fileSystem.parent(find(fileSystem, 'a/b/c')), find(fileSystem, 'a/b'));
	t.is(fileSystem.parent(find(fileSystem, 'a/b')), find(fileSystem, 'a'));
	t.is(fileSystem.parent(find(fileSystem, 'a')), fileSystem.root);
	t.is(fileSystem.parent(fileSystem.root), fileSystem.root);
	t.is(
		code(() => fileSystem.parent(find(fileSystem, 'a/d'))),
		'fat/no-parent-entry',
	);
	t.is(
		code(() => fileSystem.parent(find(fileSystem, 'file'))),
		'fat/not-a-directory',
	);
	image.put(image.at(30) + 32, directoryEntry('..', 40));
	t.is(
		code(() => openBytes(image.bytes).fileSystem.parent(find(fileSystem, 'a/b/c'))),
		'fat/no-parent-entry',
	);
});

function volume32(): FatImage {
	const image = fatImage({bits: 32, clusters: 3000});
	image.put(image.root, shortEntry('FILE', {cluster: 5, size: 700}));
	image.chain(5, 6);
	return image;
}

function readsFile(t: ExecutionContext, fileSystem: FileSystem): void {
	t.is(fileSystem.read(find(fileSystem, 'file'), 0, new Uint8Array(1000)), 700);
}

test('the backup boot sector stands in for a damaged one, and this is said', t => {
	for (const damage of [0, 0x5a]) {
		const {bytes} = volume32();
		bytes.fill(damage, 0, 512);
		t.true(fat.probe(memorySource(bytes)));
		const {fileSystem, findings} = openBytes(bytes);
		t.deepEqual(
			findings.map(finding => finding.code),
			['fat/boot-sector-damaged'],
		);
		readsFile(t, fileSystem);
		t.is(fileSystem.identifier, '1234-ABCD');
	}
});

test('a boot sector that differs from its backup is reported', t => {
	const image = volume32();
	image.view.setUint32(6 * 512 + 32, 2900, true);
	t.deepEqual(openBytes(image.bytes).codes, ['fat/boot-sectors-differ']);
});

test('the second FAT stands in for the first where that is damaged at its start', t => {
	const image = volume32();
	image.bytes.fill(0, image.tableStart, image.tableStart + 512);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, ['fat/table-damaged']);
	readsFile(t, fileSystem);
});

test('with mirroring off the active FAT is read', t => {
	const image = volume32();
	image.bytes.fill(0, image.tableStart + 8, image.tableStart + image.tableSize);
	image.view.setUint16(40, 0x81, true);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, []);
	readsFile(t, fileSystem);
	image.view.setUint16(40, 0x87, true);
	t.deepEqual(openBytes(image.bytes).codes, ['fat/active-table']);
});

test('a volume that was not closed cleanly is read and reported, and its free count is not trusted', t => {
	const image = volume32();
	image.view.setUint32(512 + 488, 17, true);
	t.is(openBytes(image.bytes).fileSystem.usage().freeBlocks, 17);
	image.link(1, 0x07ff_ffff);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, ['fat/not-clean']);
	t.is(fileSystem.usage().freeBlocks, 3000 - 3);
	image.link(1, END);
	image.bytes[65] = 1;
	t.deepEqual(openBytes(image.bytes).codes, ['fat/not-clean']);
	image.bytes[65] = 0;
	image.view.setUint32(512 + 488, 3001, true);
	t.is(openBytes(image.bytes).fileSystem.usage().freeBlocks, 3000 - 3);
});

test('what Windows shows of a BitLocker To Go drive is read, and said to be only that', t => {
	const image = volume32();
	image.bytes.set(Buffer.from('3bd66749292ed84a8399f6a339e3d001', 'hex'), 424);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, ['fat/bitlocker-to-go']);
	readsFile(t, fileSystem);
});

test('a truncated volume is reported, and only what is missing is missing', t => {
	const image = volume32();
	const {fileSystem, codes} = openBytes(image.bytes.slice(0, image.at(6)));
	t.deepEqual(codes, ['fat/truncated']);
	const node = find(fileSystem, 'file');
	t.is(fileSystem.read(node, 0, new Uint8Array(512)), 512);
	t.is(
		code(() => fileSystem.read(node, 0, new Uint8Array(513))),
		'fat/beyond-volume',
	);
});

test('errors of the source come through, and do not stick', t => {
	const image = volume32();
	let broken = false;
	const memory = memorySource(image.bytes);
	const {fileSystem} = openFat({
		...memory,
		readAt(position, target) {
			if (broken) throw new DiskError('io', 'test/broken', 'the cable is out');
			memory.readAt(position, target);
		},
	});
	const node = find(fileSystem, 'file');
	broken = true;
	t.is(
		code(() => fileSystem.read(node, 0, new Uint8Array(700))),
		'test/broken',
	);
	broken = false;
	readsFile(t, fileSystem);
});

test('a bad parameter block is refused with the field that is wrong', t => {
	const cases: [string, (image: FatImage) => void][] = [
		['fat/sector-size', image => image.view.setUint16(11, 513, true)],
		['fat/cluster-size', image => image.bytes.set([3], 13)],
		['fat/reserved-sectors', image => image.view.setUint16(14, 0, true)],
		['fat/table-count', image => image.bytes.set([0], 16)],
		['fat/root-entries', image => image.view.setUint16(17, 0, true)],
		['fat/media', image => image.bytes.set([0x12], 21)],
		['fat/total-sectors', image => image.view.setUint32(32, 30, true)],
		['fat/foreign', image => image.bytes.set(Buffer.from('NTFS    '), 3)],
	];
	for (const [expected, damage] of cases) {
		const image = fatImage({bits: 16, clusters: 5000});
		damage(image);
		t.is(
			code(() => openBytes(image.bytes)),
			expected,
		);
		// The sector still says that it is FAT, so the error is the user's answer.
		t.is(fat.probe(memorySource(image.bytes)), expected !== 'fat/foreign', expected);
	}
	const image = fatImage({bits: 32, clusters: 3000});
	image.bytes.fill(0, 6 * 512, 7 * 512);
	image.view.setUint32(44, 3002, true);
	t.is(
		code(() => openBytes(image.bytes)),
		'fat/root-cluster',
	);
	image.view.setUint32(36, 0, true);
	t.is(
		code(() => openBytes(image.bytes)),
		'fat/table-size',
	);
});

test('a floppy of DOS 1 is known by its size and media byte', t => {
	const image = new Uint8Array(163_840);
	image.set([0xeb, 0x27, 0x90, 1, 2, 3]);
	image.set([0xfe, 0xff, 0xff, 0xff, 0x0f, 0], 512);
	image.set([0xfe, 0xff, 0xff, 0xff, 0x0f, 0], 1024);
	image.set(shortEntry('COMMAND COM', {cluster: 2, size: 20}), 3 * 512);
	image.fill(0x43, 7 * 512, 7 * 512 + 20);
	t.true(fat.probe(memorySource(image)));
	const {fileSystem} = openBytes(image);
	t.is(fileSystem.type, 'fat12');
	const target = new Uint8Array(30);
	t.is(fileSystem.read(find(fileSystem, 'command.com'), 0, target), 20);
	t.is(target[19], 0x43);
	image[512] = 0;
	t.false(fat.probe(memorySource(image)));
});

test('a floppy without the 55 AA signature is FAT', t => {
	const image = fatImage({bits: 12, clusters: 300});
	image.bytes.fill(0, 36, 512);
	t.true(fat.probe(memorySource(image.bytes)));
	const {fileSystem} = openBytes(image.bytes);
	t.is(fileSystem.identifier, '');
	t.is(fileSystem.label, '');
});

test('what is in use can be asked for', t => {
	const image = fatImage({bits: 32, clusters: 3000});
	image.chain(5, 6);
	image.link(7, BAD);
	image.link(3001, END);
	const {fileSystem} = openBytes(image.bytes);
	const spans: [number, number, number][] = [];
	const span = newSpan();
	for (let position = 0; position < image.bytes.length; position += span.length) {
		fileSystem.allocated?.(position, span);
		spans.push([position, span.length, span.kind]);
	}
	t.deepEqual(spans, [
		[0, image.dataStart, SpanKind.stored],
		[image.at(2), 512, SpanKind.stored],
		[image.at(3), 1024, SpanKind.free],
		[image.at(5), 1536, SpanKind.stored],
		[image.at(8), 2993 * 512, SpanKind.free],
		[image.at(3001), 512, SpanKind.stored],
	]);
	t.is(fileSystem.usage().freeBlocks, 2 + 2993);
});
