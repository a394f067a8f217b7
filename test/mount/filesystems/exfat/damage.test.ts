import test from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {exfat} from '../../../../mount/filesystems/exfat/index.ts';
import {BAD, codeOf, END, type ExfatImage, exfatImage, fileSet, find, list, openBytes, secondary} from './image.ts';

const LINKS: Readonly<Record<string, (image: ExfatImage, cluster: number) => void>> = {
	'exfat/chain-free': (image, cluster) => image.link(cluster, 0),
	'exfat/chain-bad': (image, cluster) => image.link(cluster, BAD),
	'exfat/chain-out-of-range': (image, cluster) => image.link(cluster, 202),
	'exfat/chain-cycle': (image, cluster) => image.link(cluster, cluster - 1),
	'exfat/chain-too-short': (image, cluster) => image.link(cluster, END),
};

for (const [expected, damage] of Object.entries(LINKS)) {
	test(`${expected} is reported where it lies, and what is in front of it is read`, t => {
		const image = exfatImage();
		const {free} = image;
		image.chain(free, free + 1, free + 2, free + 3);
		image.chain(free + 10);
		damage(image, free + 1);
		image.put(
			image.root,
			fileSet('broken', {cluster: free, size: 2000}),
			fileSet('whole', {cluster: free + 10, size: 5}),
			fileSet('dir', {cluster: free, size: 2048, directory: true}),
		);
		image.bytes.fill(0x61, image.at(free), image.at(free + 2));
		image.bytes.fill(0x62, image.at(free + 10), image.at(free + 11));
		const {fileSystem} = openBytes(image.bytes);
		const node = find(fileSystem, 'broken');
		t.is(fileSystem.stat(node).size, 2000);
		const good = new Uint8Array(1024);
		t.is(fileSystem.read(node, 0, good), 1024);
		t.true(good.every(byte => byte === 0x61));
		for (const from of [1024, 1000])
			t.is(
				codeOf(() => fileSystem.read(node, from, good)),
				expected,
			);
		t.is(
			codeOf(() => fileSystem.locate(node, 1024, newSpan())),
			expected,
		);
		const error = t.throws(() => fileSystem.read(node, 1024, good), {instanceOf: DiskError});
		t.is(error.family, 'corrupt');
		t.is(error.where.node, node);
		t.is(fileSystem.read(find(fileSystem, 'whole'), 0, good), 5);
		t.is(good[4], 0x62);
		image.bytes.fill(0x05, image.at(free), image.at(free + 2));
		image.put(image.at(free), fileSet('readable'));
		const again = openBytes(image.bytes).fileSystem;
		t.deepEqual(list(again, find(again, 'dir')), {names: ['readable'], fault: expected});
		t.false(Number.isNaN(find(again, 'dir/readable')));
		t.is(
			codeOf(() => find(again, 'dir/missing')),
			expected,
		);
	});
}

test('clusters in a row that leave the volume are reported where they do', t => {
	const image = exfatImage();
	image.put(
		image.root,
		fileSet('late', {cluster: 200, size: 2000, contiguous: true}),
		fileSet('nowhere', {cluster: 1, size: 10, contiguous: true}),
		fileSet('none', {cluster: 0, size: 10}),
		fileSet('huge', {cluster: 10, size: 2 ** 52, contiguous: true}),
	);
	const {fileSystem} = openBytes(image.bytes);
	const target = new Uint8Array(2000);
	t.is(fileSystem.read(find(fileSystem, 'late'), 0, target.subarray(0, 1024)), 1024);
	t.is(
		codeOf(() => fileSystem.read(find(fileSystem, 'late'), 1000, target)),
		'exfat/clusters-out-of-range',
	);
	t.is(
		codeOf(() => fileSystem.read(find(fileSystem, 'nowhere'), 0, target)),
		'exfat/clusters-out-of-range',
	);
	t.is(
		codeOf(() => fileSystem.read(find(fileSystem, 'none'), 0, target)),
		'exfat/chain-free',
	);
	t.is(
		codeOf(() => fileSystem.read(find(fileSystem, 'huge'), 2 ** 51, target)),
		'exfat/clusters-out-of-range',
	);
	t.is(fileSystem.read(find(fileSystem, 'huge'), 0, target), 2000);
});

/** What one damaged set between two sound ones does. */
const SETS: Readonly<Record<string, {readonly set: () => Uint8Array; readonly fault: string}>> = {
	'a wrong checksum': {
		set() {
			const set = fileSet('damaged');
			set[70] ^= 1;
			return set;
		},
		fault: 'exfat/set-checksum',
	},
	'too large a count': {set: () => fileSet('damaged', {change: set => (set[1] = 9)}), fault: 'exfat/entry-set'},
	'too small a count': {set: () => fileSet('damaged', {change: set => (set[1] = 1)}), fault: 'exfat/set-checksum'},
	'no further entries': {set: () => fileSet('damaged', {change: set => (set[1] = 0)}), fault: 'exfat/entry-set'},
	'no stream extension': {
		set: () => fileSet('damaged', {change: set => (set[32] = 0xc1)}),
		fault: 'exfat/entry-set',
	},
	'no name': {
		set: () => fileSet('damaged', {change: set => set.fill(0, 35, 36).fill(0, 66, 96)}),
		fault: 'exfat/entry-set',
	},
	'a name longer than its entries': {
		set: () => fileSet('fifteen letters', {change: set => (set[35] = 16)}),
		fault: 'exfat/entry-set',
	},
	'a second name': {
		set: () => fileSet('damaged', {more: [secondary(0xe0), secondary(0xc1)]}),
		fault: 'exfat/entry-set',
	},
	'clusters that are impossible': {
		set: () => fileSet('damaged', {size: 10, change: set => (set[33] = 0)}),
		fault: 'exfat/entry-set',
	},
	'a size beyond all numbers': {
		set: () => fileSet('damaged', {change: set => set.fill(0xff, 56, 64)}),
		fault: 'exfat/entry-set',
	},
	'a critical entry of an unknown type': {
		set: () => fileSet('damaged', {more: [secondary(0xc5)]}),
		fault: 'exfat/unknown-entry',
	},
	'a primary entry of an unknown type': {set: () => secondary(0x8d).fill(0, 1, 3), fault: 'exfat/unknown-entry'},
	'an entry that belongs to nothing': {set: () => secondary(0xc0), fault: 'exfat/orphan-entry'},
	'the type that is invalid': {set: () => secondary(0x80), fault: 'exfat/unknown-entry'},
};

for (const [title, {set, fault}] of Object.entries(SETS)) {
	test(`${title}: costs that entry alone, and the listing fails at its end`, t => {
		const image = exfatImage();
		const {free} = image;
		image.chain(free, free + 1);
		image.put(image.at(free), fileSet('first'), set(), fileSet('second'), fileSet('third'));
		image.put(image.root, fileSet('dir', {cluster: free, size: 1024, directory: true}), fileSet('other'));
		const {fileSystem} = openBytes(image.bytes);
		const directory = find(fileSystem, 'dir');
		const names = ['first', 'second', 'third'];
		t.deepEqual(list(fileSystem, directory), {names, fault});
		const pieces = list(fileSystem, directory, 1);
		t.deepEqual(pieces.names, names);
		t.true(pieces.fault === fault || pieces.fault === 'exfat/directory');
		for (const name of names) t.false(Number.isNaN(find(fileSystem, `dir/${name}`)));
		t.is(
			codeOf(() => find(fileSystem, 'dir/damaged')),
			fault,
		);
		t.deepEqual(list(fileSystem), {names: ['dir', 'other'], fault: undefined});
		const place = image.at(free) / 32 + 3;
		t.regex(codeOf(() => fileSystem.stat(place)) ?? '', /^exfat\//);
	});
}

test('a volume entry outside the root is damage, and so is an unknown one in it', t => {
	const image = exfatImage();
	image.chain(image.free);
	image.put(image.at(image.free), image.bytes.slice(image.at(image.rootCluster), image.at(image.rootCluster) + 32));
	image.put(image.root, fileSet('dir', {cluster: image.free, size: 512, directory: true}), secondary(0x9f));
	const {fileSystem} = openBytes(image.bytes);
	t.is(list(fileSystem, find(fileSystem, 'dir')).fault, 'exfat/unknown-entry');
	t.deepEqual(list(fileSystem), {names: ['dir'], fault: 'exfat/unknown-entry'});
});

test('names whose recorded length or hash is wrong are shown, and told once', t => {
	const image = exfatImage({clusterShift: 3});
	const wrongHash = {change: (set: Uint8Array) => (set[36] ^= 1)};
	image.put(
		image.root,
		fileSet('hash 1', wrongHash),
		fileSet('hash 2', wrongHash),
		fileSet('a name of two entries', {change: set => (set[35] = 4)}),
		fileSet('x'.repeat(30), {change: set => (set[35] = 0)}),
	);
	const {fileSystem, findings} = openBytes(image.bytes);
	t.deepEqual(list(fileSystem), {
		names: ['hash 1', 'hash 2', 'a name of two entries', 'x'.repeat(30)],
		fault: undefined,
	});
	t.deepEqual(
		findings.map(({code, message}) => [code, message.split(' is wrong')[0]]),
		[
			['exfat/name-hash', 'the name hash of hash 1'],
			['exfat/name-length', 'the name length of a name of two entries'],
		],
	);
	t.false(Number.isNaN(find(fileSystem, 'HASH 1')));
});

interface Odd {
	readonly change: (image: ExfatImage) => void;
	readonly codes: readonly string[];
	/** Whether the checksums are made anew. */
	readonly sealed?: boolean;
}

const ODD: Readonly<Record<string, Odd>> = {
	'a dirty volume': {change: image => (image.bytes[106] = 2), codes: ['exfat/not-clean']},
	'another media type': {change: image => (image.bytes[image.tableStart] = 0xf0), codes: []},
	'a lost revision': {change: image => (image.bytes[105] = 7), codes: ['exfat/boot-region-damaged']},
	'a failed medium': {change: image => (image.bytes[106] = 4), codes: ['exfat/media-failure']},
	'a second FAT that is not there': {change: image => (image.bytes[106] = 1), codes: ['exfat/active-table']},
	'a later minor revision': {change: image => (image.bytes[104] = 3), codes: ['exfat/revision'], sealed: true},
	'a damaged boot sector': {
		change: image => image.bytes.fill(0xff, 0, 512),
		codes: ['exfat/boot-region-damaged'],
	},
	'a damaged boot checksum': {
		change: image => (image.bytes[11 * 512 + 40] ^= 1),
		codes: ['exfat/boot-region-damaged'],
	},
	'a damaged OEM sector': {change: image => (image.bytes[9 * 512] ^= 1), codes: ['exfat/boot-region-damaged']},
	'a changed root cluster': {change: image => (image.bytes[96] ^= 1), codes: ['exfat/boot-region-damaged']},
	'a damaged backup': {change: image => (image.bytes[12 * 512 + 96] ^= 1), codes: ['exfat/backup-boot-region']},
	'a lost backup': {change: image => image.bytes.fill(0, 12 * 512, 24 * 512), codes: ['exfat/backup-boot-region']},
	'both damaged, the main one legible': {
		change(image) {
			image.bytes[9 * 512] ^= 1;
			image.bytes[21 * 512] ^= 1;
		},
		codes: ['exfat/boot-region-damaged'],
	},
	'no main boot sector, and a backup with a wrong checksum': {
		change(image) {
			image.bytes.fill(0, 0, 512);
			image.bytes.set(Buffer.from('EXFAT   '), 3);
			image.bytes[21 * 512] ^= 1;
		},
		codes: ['exfat/boot-region-damaged'],
	},
	'a FAT without its start': {change: image => (image.bytes[image.tableStart + 1] = 0), codes: ['exfat/table-start']},
	'a changed up-case table': {
		change: image => (image.bytes[image.at(image.upcaseCluster) + 2] ^= 1),
		codes: ['exfat/upcase'],
	},
	'an up-case table without clusters': {
		change: image => image.link(image.upcaseCluster, 0),
		codes: [],
	},
	'no up-case table': {
		change: image => (image.bytes[image.root - 32] = 0x02),
		codes: ['exfat/upcase'],
	},
	'a huge up-case table': {
		change: image => image.view.setUint32(image.root - 8, 0x7fff_ffff, true),
		codes: ['exfat/upcase'],
	},
	'no bitmap': {change: image => (image.bytes[image.root - 64] = 0x01), codes: ['exfat/bitmap']},
	'a short bitmap': {change: image => (image.bytes[image.root - 40] = 4), codes: ['exfat/bitmap']},
	'a bitmap outside the volume': {
		change: image => image.view.setUint32(image.root - 44, 9999, true),
		codes: ['exfat/bitmap'],
	},
};

for (const [title, {change, codes, sealed}] of Object.entries(ODD)) {
	test(`${title} is told, and the files are read`, t => {
		const image = exfatImage();
		image.chain(image.free);
		image.put(image.root, fileSet('file', {cluster: image.free, size: 100}));
		image.bytes.fill(0x64, image.at(image.free), image.at(image.free) + 100);
		change(image);
		if (sealed === true) image.seal();
		t.true(exfat.probe(memorySource(image.bytes)));
		const opened = openBytes(image.bytes);
		t.deepEqual(opened.codes, codes);
		t.deepEqual(list(opened.fileSystem), {names: ['file'], fault: undefined});
		const target = new Uint8Array(100);
		t.is(opened.fileSystem.read(find(opened.fileSystem, 'FILE'), 0, target), 100);
		t.true(target.every(byte => byte === 0x64));
	});
}

test('flags of the main boot sector count though its region is damaged', t => {
	const image = exfatImage({fats: 2, second: true});
	image.bytes[106] |= 2;
	image.bytes[11 * 512] ^= 1;
	image.put(image.root, fileSet('file'));
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, ['exfat/boot-region-damaged', 'exfat/not-clean']);
	t.deepEqual(list(fileSystem).names, ['file']);
});

test('what a bitmap does not tell of counts as used', t => {
	const image = exfatImage();
	image.bytes[image.root - 40] = 4;
	const {fileSystem} = openBytes(image.bytes);
	const span = newSpan();
	let stored = 0;
	for (let at = 0; at < image.bytes.length; at += span.length) {
		fileSystem.allocated?.(at, span);
		if (span.kind === SpanKind.stored) stored += span.length;
	}
	const used = image.rootCluster - 1;
	t.is(stored, image.bytes.length - (32 - used) * 512);
	t.is(fileSystem.usage().freeBlocks, 32 - used);
});

const REFUSED: Readonly<Record<string, (image: ExfatImage) => void>> = {
	'exfat/revision': image => (image.bytes[105] = 2),
	'exfat/sector-size': image => (image.bytes[108] = 13),
	'exfat/cluster-size': image => (image.bytes[109] = 17),
	'exfat/table-count': image => (image.bytes[110] = 3),
	'exfat/cluster-count': image => image.view.setUint32(92, 0, true),
	'exfat/table-size': image => image.view.setUint32(84, 1, true),
	'exfat/cluster-heap': image => image.view.setUint32(88, 20, true),
	'exfat/volume-length': image => image.view.setUint32(72, 100, true),
	'exfat/root-cluster': image => image.view.setUint32(96, 1, true),
	'exfat/boot-sector': image => (image.bytes[20] = 1),
	'number/too-large': image => image.view.setUint32(76, 0xffff_ffff, true),
};

for (const [expected, change] of Object.entries(REFUSED)) {
	test(`${expected}: refused where the backup says the same`, t => {
		const image = exfatImage();
		change(image);
		image.seal();
		t.true(exfat.probe(memorySource(image.bytes)));
		t.is(
			codeOf(() => openBytes(image.bytes)),
			expected,
		);
	});
}

test('a truncated volume is read as far as it goes', t => {
	const image = exfatImage();
	image.chain(image.free);
	image.put(
		image.root,
		fileSet('here', {cluster: image.free, size: 9}),
		fileSet('gone', {cluster: 150, size: 9, contiguous: true}),
	);
	const {fileSystem, codes} = openBytes(image.bytes.subarray(0, image.at(100)));
	t.deepEqual(codes, ['exfat/truncated']);
	const target = new Uint8Array(9);
	t.is(fileSystem.read(find(fileSystem, 'here'), 0, target), 9);
	t.is(
		codeOf(() => fileSystem.read(find(fileSystem, 'gone'), 0, target)),
		'exfat/beyond-volume',
	);
});

test('zeros that end a directory too early are told', t => {
	const image = exfatImage({clusterShift: 3});
	image.put(image.root, fileSet('first'), fileSet('second'), fileSet('third'));
	image.bytes.fill(0, image.root + 96, image.root + 192);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, ['exfat/behind-end']);
	t.deepEqual(list(fileSystem), {names: ['first'], fault: undefined});
});

test('directories that lead back are listed without end, by ids seen before', t => {
	const image = exfatImage();
	image.put(image.root, fileSet('loop', {cluster: image.rootCluster, size: 512, directory: true}));
	const {fileSystem} = openBytes(image.bytes);
	const loop = find(fileSystem, 'loop');
	t.is(find(fileSystem, 'loop/loop/loop'), loop);
	t.is(openBytes(image.bytes).fileSystem.parent(loop), fileSystem.root);
	t.is(
		codeOf(() => fileSystem.parent(12_345_678)),
		'exfat/no-such-node',
	);
});
