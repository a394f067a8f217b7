import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {exfat} from '../../../../mount/filesystems/exfat/index.ts';
import {defaultUpcase} from '../../../../mount/filesystems/exfat/upcase.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, runBytes, testWith} from '../../../helpers/tools.ts';
import {
	codeOf,
	exfatImage,
	fileSet,
	find,
	guidEntry,
	labelEntry,
	list,
	openBytes,
	secondary,
	USUAL_TIME,
} from './image.ts';

const SHAPES = [
	{sectorShift: 9, clusterShift: 0},
	{sectorShift: 9, clusterShift: 3},
	{sectorShift: 12, clusterShift: 0},
	{sectorShift: 12, clusterShift: 4},
	{sectorShift: 9, clusterShift: 0, fats: 2 as const},
	{sectorShift: 9, clusterShift: 0, fats: 2 as const, second: true},
];

for (const shape of SHAPES) {
	const {sectorShift, clusterShift, fats = 1, second = false} = shape;
	const title = `sectors of ${2 ** sectorShift}, clusters of ${2 ** (sectorShift + clusterShift)}, ${fats} FATs${second ? ', second in use' : ''}`;

	test(`${title}: chains, contiguous files and directories are read`, t => {
		const image = exfatImage(shape);
		const {clusterSize: size, free} = image;
		const [a, b, c, d, directory, e] = [free, free + 1, free + 2, free + 3, free + 4, free + 6];
		image.chain(a, c, b);
		image.use(d, e, e + 1, e + 2);
		image.chain(directory);
		image.put(
			image.root,
			fileSet('chain', {cluster: a, size: size * 2 + 10}),
			fileSet('Row', {cluster: e, size: size * 3, contiguous: true}),
			fileSet('sub', {cluster: directory, size, directory: true}),
		);
		image.put(image.at(directory), fileSet('within', {cluster: d, size: 5, contiguous: true}));
		for (const [i, cluster] of [a, b, c, d, e, e + 1, e + 2].entries()) {
			image.bytes.fill(0x41 + i, image.at(cluster), image.at(cluster) + size);
		}
		const {fileSystem, codes} = openBytes(image.bytes);
		t.deepEqual(codes, []);
		t.is(fileSystem.label, 'Label');
		t.is(fileSystem.identifier, '1234-ABCD');
		t.deepEqual(list(fileSystem), {names: ['chain', 'Row', 'sub'], fault: undefined});
		const target = Buffer.alloc(size * 3 + 7);
		t.is(fileSystem.read(find(fileSystem, 'CHAIN'), 0, target), size * 2 + 10);
		const chained = 'A'.repeat(size) + 'C'.repeat(size) + 'B'.repeat(10);
		t.true(target.toString('latin1', 0, size * 2 + 10) === chained);
		t.is(fileSystem.read(find(fileSystem, 'row'), 0, target), size * 3);
		t.true(target.toString('latin1', 0, size * 3) === 'E'.repeat(size) + 'F'.repeat(size) + 'G'.repeat(size));
		t.is(fileSystem.read(find(fileSystem, 'sub/within'), 1, target), 4);
		t.is(target.toString('latin1', 0, 4), 'DDDD');
		t.is(fileSystem.parent(find(fileSystem, 'sub')), fileSystem.root);
		const used = image.rootCluster - 1 + 3 + 1 + 1 + 3;
		t.deepEqual(fileSystem.usage(), {
			blockSize: size,
			totalBlocks: 200,
			freeBlocks: 200 - used,
			volumeSize: image.bytes.length,
		});
		const span = newSpan();
		let stored = 0;
		for (let at = 0; at < image.bytes.length; at += span.length) {
			fileSystem.allocated?.(at, span);
			if (span.kind === SpanKind.stored) stored += span.length;
			else t.is(span.kind, SpanKind.free);
		}
		t.is(stored, image.bytes.length - (200 - used) * size);
		fileSystem.locate(find(fileSystem, 'row'), size + 3, span);
		t.deepEqual(span, {kind: SpanKind.stored, length: size * 2 - 3, source: 0, at: image.at(e + 1) + 3});
	});
}

testWith(test, ['fsck.exfat', 'fls'], 'volumes made by the tests are what other tools take for exFAT', t => {
	const folder = temporaryFolder(t);
	const image = exfatImage({clusters: 400, clusterShift: 3});
	const {free, clusterSize} = image;
	image.chain(free, free + 2);
	image.use(free + 1);
	image.put(
		image.root,
		fileSet('chained file with a long name.txt', {cluster: free, size: clusterSize + 1}),
		fileSet('row', {cluster: free + 1, size: 9, contiguous: true}),
	);
	const path = join(folder, 'volume');
	writeFileSync(path, image.bytes);
	t.regex(run('fsck.exfat', ['-n', path]), /clean\. directories 1, files 2/);
	t.regex(run('fls', ['-f', 'exfat', path]), /chained file with a long name\.txt/);
	const inode = /(\d+):\s+row/.exec(run('fls', ['-f', 'exfat', path]))?.[1] ?? '';
	image.bytes.fill(0x6e, image.at(free + 1), image.at(free + 2));
	writeFileSync(path, image.bytes);
	t.is(runBytes('icat', ['-f', 'exfat', path, inode]).toString(), 'n'.repeat(9));
});

test('what has not been written reads as zeros, though the clusters hold something', t => {
	const image = exfatImage();
	const {free} = image;
	image.chain(free, free + 1, free + 2);
	image.bytes.fill(0x77, image.at(free), image.at(free + 3));
	image.put(
		image.root,
		fileSet('part', {cluster: free, size: 1400, validSize: 600}),
		fileSet('none', {cluster: free, size: 100, validSize: 0}),
		fileSet('more', {cluster: free, size: 100, validSize: 900}),
	);
	const {fileSystem} = openBytes(image.bytes);
	const node = find(fileSystem, 'part');
	const target = new Uint8Array(2000).fill(1);
	t.is(fileSystem.read(node, 0, target), 1400);
	t.true(target.subarray(0, 600).every(byte => byte === 0x77));
	t.true(target.subarray(600, 1400).every(byte => byte === 0));
	t.true(target.subarray(1400).every(byte => byte === 1));
	const span = newSpan();
	fileSystem.locate(node, 0, span);
	t.deepEqual([span.kind, span.length], [SpanKind.stored, 600]);
	fileSystem.locate(node, 700, span);
	t.deepEqual([span.kind, span.length], [SpanKind.zero, 700]);
	t.is(fileSystem.read(find(fileSystem, 'none'), 10, target.fill(1)), 90);
	t.true(target.subarray(0, 90).every(byte => byte === 0));
	t.is(fileSystem.read(find(fileSystem, 'more'), 0, target), 100);
	t.is(target[99], 0x77);
});

test('times have hundredths and the offset from UTC', t => {
	const image = exfatImage({clusterShift: 3});
	const times = (offset: number, tens: number): Uint8Array =>
		fileSet(`time${offset}`, {
			change(set) {
				set.set([tens, tens, offset, offset, offset], 20);
			},
		});
	image.put(image.root, times(0x80, 0), times(0x84, 199), times(0xfc, 50), times(0x40, 0), times(0xc0, 0));
	const {fileSystem} = openBytes(image.bytes);
	const at = (offset: number): unknown => {
		const {modified, created, accessed} = fileSystem.stat(find(fileSystem, `time${offset}`));
		t.deepEqual(created, modified);
		return [modified.seconds - USUAL_TIME, modified.nanoseconds, (accessed?.seconds ?? 0) - USUAL_TIME];
	};
	t.deepEqual(at(0x80), [0, 0, 0]);
	t.deepEqual(at(0x84), [-3600 + 1, 990_000_000, -3600], 'an hour ahead of UTC');
	t.deepEqual(at(0xfc), [3600, 500_000_000, 3600], 'an hour behind UTC');
	t.deepEqual(at(0x40), [0, 0, 0], 'not known, and so taken for UTC');
	t.deepEqual(at(0xc0), [16 * 3600, 0, 16 * 3600], '16 hours behind');
});

test('names are found in any case that the volume knows, and twins by their exact name', t => {
	const image = exfatImage({clusterShift: 3});
	const long = 'n'.repeat(254);
	image.put(
		image.root,
		fileSet('Readme.TXT'),
		fileSet('readme.txt'),
		fileSet(`${long}x`),
		fileSet('groß'),
		fileSet('äÄ'),
		fileSet('\ud800 lone'),
		fileSet('read only', {attributes: 0x21}),
	);
	const {fileSystem, codes} = openBytes(image.bytes);
	t.deepEqual(codes, []);
	const {names} = list(fileSystem);
	t.is(names.length, 7);
	const [first, second] = [find(fileSystem, 'Readme.TXT'), find(fileSystem, 'readme.txt')];
	t.not(first, second);
	t.is(find(fileSystem, 'README.txt'), first);
	t.is(fileSystem.stat(find(fileSystem, `${long.toUpperCase()}X`)).size, 0);
	t.is(find(fileSystem, 'GROß'), find(fileSystem, 'groß'));
	t.true(Number.isNaN(find(fileSystem, 'ÄÄ')), 'the table of this volume knows ASCII alone');
	t.is(fileSystem.stat(find(fileSystem, 'read only')).mode, 0o444);
	t.is(fileSystem.lookup(fileSystem.root, Uint8Array.of(0xff)), undefined);
	fileSystem.readDirectory(fileSystem.root, 0, entry => {
		t.is(fileSystem.lookup(fileSystem.root, entry.name), entry.node);
		return true;
	});
});

test('deleted entries, padding, vendor entries and unknown benign ones are passed over', t => {
	const image = exfatImage({clusterShift: 3});
	const deleted = fileSet('deleted');
	for (let at = 0; at < deleted.length; at += 32) deleted[at] &= 0x7f;
	const benign = secondary(0xb1);
	benign[1] = 2;
	image.put(
		image.root,
		deleted,
		fileSet('vendor', {more: [secondary(0xe0), secondary(0xe1), secondary(0xf9)]}),
		benign,
		secondary(0xc7),
		secondary(0xe5),
		guidEntry(),
		fileSet('last'),
	);
	const {fileSystem, findings} = openBytes(image.bytes);
	t.deepEqual(list(fileSystem), {names: ['vendor', 'last'], fault: undefined});
	t.deepEqual(
		findings.map(({code, severity, message}) => [code, severity, message]),
		[['exfat/volume-guid', 'note', 'the volume has the GUID 03020100-0504-0706-0809-0a0b0c0d0e0f']],
	);
});

for (const contiguous of [true, false]) {
	test(`a set that goes on in another cluster is found from its first entry, ${contiguous ? 'in a row' : 'in a chain'}`, t => {
		const image = exfatImage();
		const {free, clusterSize} = image;
		const clusters = contiguous ? [free, free + 1, free + 2] : [free, free + 7, free + 4];
		if (contiguous) image.use(...clusters);
		else image.chain(...clusters);
		// What the FAT says of clusters in a row is left over from other files.
		if (contiguous) image.link(free, free + 20);
		const names = Array.from({length: 8}, (_, i) => `${i} ${'x'.repeat(20 + i * 5)}`);
		const sets = Buffer.concat(names.map((name, i) => fileSet(name, {size: 0, attributes: i})));
		t.true(sets.length > clusterSize && sets.length < clusterSize * 3);
		for (const [i, cluster] of clusters.entries()) {
			image.put(image.at(cluster), sets.subarray(i * clusterSize, (i + 1) * clusterSize));
		}
		image.put(image.root, fileSet('dir', {cluster: free, size: clusterSize * 3, directory: true, contiguous}));
		const {fileSystem} = openBytes(image.bytes);
		const directory = find(fileSystem, 'dir');
		for (const most of [1, 3, 100]) t.deepEqual(list(fileSystem, directory, most), {names, fault: undefined});
		// Another thread, which has listed nothing.
		const nodes = names.map(name => find(fileSystem, `dir/${name}`));
		const fresh = openBytes(image.bytes).fileSystem;
		for (const [i, node] of nodes.entries()) t.is(fresh.stat(node).mode, i % 2 === 0 ? 0o644 : 0o444);
		t.is(
			codeOf(() => fresh.stat(image.at(clusters[1] ?? 0) / 32 + 1)),
			'exfat/no-such-node',
		);
		t.is(fresh.parent(directory), fresh.root);
	});
}

test('a directory of more names than are kept is searched', t => {
	const count = 131_100;
	const image = exfatImage({clusters: 3200, clusterShift: 3});
	const sets = Buffer.concat(Array.from({length: count}, (_, i) => fileSet(`n${i}`)));
	const size = Math.ceil(sets.length / image.clusterSize) * image.clusterSize;
	image.put(image.root, fileSet('many', {cluster: image.free, size, directory: true, contiguous: true}));
	image.put(image.at(image.free), sets);
	const {fileSystem} = openBytes(image.bytes);
	for (const i of [0, 70_000, count - 1]) {
		t.is(find(fileSystem, `many/N${i}`), image.at(image.free) / 32 + i * 3);
	}
	t.true(Number.isNaN(find(fileSystem, 'many/missing')));
});

test('parents are found from the root by whoever has listed nothing', t => {
	const image = exfatImage();
	const {free} = image;
	let at = image.root;
	for (let depth = 0; depth < 6; depth++) {
		const cluster = free + depth;
		image.chain(cluster);
		image.put(at, fileSet(`d${depth}`, {cluster, size: 512, directory: true}));
		at = image.at(cluster);
	}
	const {fileSystem} = openBytes(image.bytes);
	let node = find(fileSystem, 'd0/d1/d2/d3/d4/d5');
	const fresh = openBytes(image.bytes).fileSystem;
	for (let depth = 4; depth >= 0; depth--) {
		node = fresh.parent(node);
		t.is(node, find(fileSystem, Array.from({length: depth + 1}, (_, i) => `d${i}`).join('/')));
	}
	t.is(fresh.parent(node), fresh.root);
	t.is(fresh.parent(fresh.root), fresh.root);
});

test('a label of up to 15 units, none, and one that was taken away', t => {
	const label = (entry: Uint8Array): string => {
		const image = exfatImage();
		image.put(image.at(image.rootCluster), entry);
		return openBytes(image.bytes).fileSystem.label;
	};
	t.is(label(labelEntry('Grüße')), 'Grüße');
	t.is(label(labelEntry('123456789012345')), '123456789012345');
	const gone = labelEntry('gone');
	gone[0] = 0x03;
	t.is(label(gone), '');
});

test('the default upper case is what the recommended table says of common scripts', t => {
	const table = defaultUpcase();
	for (const [lower, upper] of ['aA', 'zZ', 'äÄ', 'ÿŸ', 'ßß', 'λΛ', 'жЖ', 'յՅ', 'ǆǄ', 'ⅰⅠ']) {
		t.is(table[lower?.charCodeAt(0) ?? 0], upper?.charCodeAt(0), lower);
	}
});

test('FAT, NTFS and others are not taken for exFAT', t => {
	const image = exfatImage();
	t.true(exfat.probe(memorySource(image.bytes)));
	t.false(exfat.probe(memorySource(new Uint8Array(100))));
	t.false(exfat.probe(memorySource(new Uint8Array(1 << 20))));
	image.bytes.set(Buffer.from('NTFS    '), 3);
	t.false(exfat.probe(memorySource(image.bytes)), 'the backup of what was there before NTFS');
	image.bytes.fill(0, 0, 512);
	t.true(exfat.probe(memorySource(image.bytes)), 'only the backup is left');
	image.bytes.set([0x53, 0xef], 0x438);
	t.false(exfat.probe(memorySource(image.bytes)));
	image.bytes.fill(0, 0x438, 0x43a);
	image.bytes.set([0x80, 1, 1, 0, 0x0c, 1, 1, 1, 0, 8, 0, 0, 0, 0, 2, 0], 446);
	image.view.setUint16(510, 0xaa55, true);
	t.false(exfat.probe(memorySource(image.bytes)), 'a partition table');
});
