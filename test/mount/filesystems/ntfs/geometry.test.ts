import {mkdirSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {DiskError} from '../../../../src/core/error.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {
	listNames,
	makeVolume,
	nodeAt,
	noise,
	openBytes,
	openImage,
	readAll,
	type Recipe,
	recordPosition,
	TOOLS,
	whileMounted,
	writePieces,
} from './recipes.ts';

function build(folder: string): void {
	mkdirSync(join(folder, 'many'));
	for (let i = 0; i < 1500; i++)
		writeFileSync(join(folder, `many/an entry with number ${i}.txt`), `${i}`.repeat(i % 40));
	mkdirSync(join(folder, 'a/b/c/d'), {recursive: true});
	for (const length of [0, 1, 600, 2000, 3900, 4096, 65_537, 2_097_153]) {
		writeFileSync(join(folder, `a/b/length-${length}`), noise(length, length + 1));
	}
	writeFileSync(join(folder, 'gaps'), '');
	truncateSync(join(folder, 'gaps'), 9_000_000);
	writePieces(join(folder, 'gaps'), [
		[5_000_000, noise(3000)],
		[100, noise(10)],
	]);
	// One by one, so that the runs of both alternate.
	for (let i = 0; i < 12; i++) {
		writePieces(join(folder, 'first'), [[i * 70_000, noise(70_000, i)]]);
		writePieces(join(folder, 'second'), [[i * 30_000, noise(30_000, i + 50)]]);
	}
	run('setfattr', ['-n', 'user.stream', '-v', 's'.repeat(9000), join(folder, 'first')]);
}

const GEOMETRIES = {
	'clusters of 64 KiB': {size: 96, format: ['-c', '65536'], record: 1024, cluster: 65_536},
	'sectors and records of 4096 bytes': {size: 48, format: ['-s', '4096'], record: 4096, cluster: 4096},
	'sectors of 4096 bytes, clusters of 128 KiB': {
		size: 192,
		format: ['-s', '4096', '-c', '131072'],
		record: 4096,
		cluster: 131_072,
	},
} as const;

for (const [title, {size, format, record, cluster}] of Object.entries(GEOMETRIES)) {
	testWith(test, TOOLS, `a tree on ${title} equals what ntfs-3g shows`, t => {
		const image = makeVolume({name: `geometry-${format.join('')}`, size, format, build});
		const {fileSystem, findings} = openImage(image);
		t.deepEqual(findings, []);
		t.is(fileSystem.usage().blockSize, cluster);
		const ours = walkFileSystem(fileSystem).map(entry => ({...entry, mode: 0}));
		t.true(ours.length > 1500);
		whileMounted(image, 'ro', folder => {
			t.deepEqual(
				ours,
				walkFolder(folder).map(entry => ({...entry, mode: 0})),
			);
		});
		const [stream] = fileSystem.streams(nodeAt(fileSystem, 'first'));
		t.is(stream?.size, 9000);
		for (const name of ['many/AN ENTRY with number 77.TXT', 'many/an entry with number 1499.txt']) {
			const [folder = '', file = ''] = name.split('/');
			t.not(fileSystem.lookupAnyCase?.(nodeAt(fileSystem, folder), Buffer.from(file)), undefined);
		}
		// A file of up to about this size lies within its record.
		t.is(
			fileSystem.stat(nodeAt(fileSystem, 'a/b/length-2000')).allocated,
			record === 4096 ? 2000 : Math.max(cluster, 2048),
		);
	});
}

/** Its $MFT is one run. */
const LARGE_RECORDS: Recipe = {
	name: 'large-records',
	size: 24,
	format: ['-s', '4096'],
	build: folder => {
		mkdirSync(join(folder, 'many'));
		for (let i = 0; i < 200; i++) writeFileSync(join(folder, `many/${i}`), `${i}`);
	},
};

testWith(
	test,
	TOOLS,
	'of records of 4096 bytes one that was not written whole costs its file, and $MFTMirr stands in',
	t => {
		const bytes = new Uint8Array(readFileSync(makeVolume(LARGE_RECORDS)));
		const intact = openBytes(bytes).fileSystem;
		const node = nodeAt(intact, 'many/100');
		const neighbour = nodeAt(intact, 'many/101');
		const whole = listNames(intact, nodeAt(intact, 'many')).length;
		const view = new DataView(bytes.buffer);
		const at = recordPosition(bytes, node);
		const stride = 4096 / (view.getUint16(at + 6, true) - 1);
		for (let sector = 1; sector * stride <= 4096; sector++) {
			const copy = bytes.slice();
			copy[at + sector * stride - 1] ^= 0x40;
			const {fileSystem} = openBytes(copy);
			t.throws(() => fileSystem.stat(node), {instanceOf: DiskError, code: 'ntfs/record'});
			t.is(Buffer.from(readAll(fileSystem, neighbour)).toString(), '101');
			t.is(listNames(fileSystem, nodeAt(fileSystem, 'many')).length, whole);
		}
		const first = bytes.slice();
		first.fill(0, recordPosition(first, 0), recordPosition(first, 0) + 100);
		const {fileSystem, findings} = openBytes(first);
		t.deepEqual(
			findings.map(({code}) => code),
			['ntfs/mirror-record'],
		);
		t.is(listNames(fileSystem, nodeAt(fileSystem, 'many')).length, whole);
	},
);
