import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {check, damageOf} from './checking.ts';

const TOOLS = ['mkfs.fat', 'mcopy', 'mmd', 'fsck.fat'];
const CLUSTER = 2048;
const SIZE = 4 * CLUSTER;

/** 16 MiB of FAT16 with files A.BIN, B.BIN, FOLDER/C.BIN of four clusters each, and FOLDER/INNER. */
function image(): string {
	return cachedFile('check.fat16', readFileSync(import.meta.filename, 'utf8'), path => {
		run('mkfs.fat', ['-C', '-F', '16', '-s', String(CLUSTER / 512), path, String(16 << 10)]);
		run('mmd', ['-i', path, '::FOLDER', '::FOLDER/INNER']);
		for (const name of ['A.BIN', 'B.BIN', 'FOLDER/C.BIN']) {
			const file = join(path, '..', 'file');
			writeFileSync(file, name.repeat(SIZE).slice(0, SIZE));
			run('mcopy', ['-i', path, file, `::${name}`]);
		}
	});
}

/** The image as bytes, with what the tests change. */
interface Fat {
	readonly bytes: DataView;
	/** Where the entry of a short name lies; the first of them. */
	entry(name: string): number;
	firstCluster(entry: number): number;
	setFirstCluster(entry: number, cluster: number): void;
	/** Sets an entry in both tables. */
	link(cluster: number, next: number): void;
	positionOf(cluster: number): number;
}

function openFat(path: string): Fat & {readonly file: Buffer} {
	const file = readFileSync(path);
	const bytes = new DataView(file.buffer, file.byteOffset, file.length);
	const reserved = bytes.getUint16(14, true);
	const tables = bytes.getUint8(16);
	const rootEntries = bytes.getUint16(17, true);
	const tableSectors = bytes.getUint16(22, true);
	const rootStart = (reserved + tables * tableSectors) * 512;
	return {
		file,
		bytes,
		entry(name) {
			const at = file.indexOf(name.padEnd(11), rootStart, 'latin1');
			if (at < 0) throw new Error(`there is no ${name}`);
			return at;
		},
		firstCluster: entry => bytes.getUint16(entry + 26, true),
		setFirstCluster: (entry, cluster) => bytes.setUint16(entry + 26, cluster, true),
		link(cluster, next) {
			for (let table = 0; table < tables; table++) {
				bytes.setUint16((reserved + table * tableSectors) * 512 + cluster * 2, next, true);
			}
		},
		positionOf: cluster => rootStart + rootEntries * 32 + (cluster - 2) * CLUSTER,
	};
}

interface Damage {
	readonly title: string;
	readonly harm: (fat: Fat) => void;
	readonly finds: readonly string[];
}

const A = 'A       BIN';
const B = 'B       BIN';
const C = 'C       BIN';

const DAMAGES: readonly Damage[] = [
	{
		title: 'a chain leads into a free cluster',
		harm: fat => fat.link(fat.firstCluster(fat.entry(A)), 3000),
		finds: ['fat/chain-free /A.BIN'],
	},
	{
		title: 'a chain ends too early',
		harm: fat => fat.link(fat.firstCluster(fat.entry(A)) + 1, 0xffff),
		finds: ['fat/chain-too-short /A.BIN'],
	},
	{
		title: 'two files start in one cluster',
		harm: fat => fat.setFirstCluster(fat.entry(B), fat.firstCluster(fat.entry(A))),
		finds: ['check/cross-linked /A.BIN', 'check/cross-linked /B.BIN'],
	},
	{
		title: 'a chain goes over into that of another file',
		harm: fat => fat.link(fat.firstCluster(fat.entry(A)), fat.firstCluster(fat.entry(C)) + 1),
		finds: ['check/cross-linked /A.BIN', 'check/cross-linked /FOLDER/C.BIN'],
	},
	{
		title: 'two entries have one name',
		harm: fat => new Uint8Array(fat.bytes.buffer).set(new TextEncoder().encode(A), fat.bytes.byteOffset + fat.entry(B)),
		finds: ['check/same-name /A.BIN'],
	},
	{
		title: 'two dots lead to the root instead of the parent',
		harm: fat => fat.setFirstCluster(fat.positionOf(fat.firstCluster(fat.entry('INNER'))) + 32, 0),
		finds: ['check/parent /FOLDER/INNER'],
	},
	{
		title: 'a directory lies in its own child',
		harm: fat => fat.setFirstCluster(fat.entry('INNER'), fat.firstCluster(fat.entry('FOLDER'))),
		finds: ['check/parent /FOLDER/INNER'],
	},
];

function copyOf(t: ExecutionContext, harm: (fat: Fat) => void): string {
	const path = join(temporaryFolder(t), 'image');
	const fat = openFat(image());
	harm(fat);
	writeFileSync(path, fat.file);
	return path;
}

testWith(test, TOOLS, 'FAT: an image that fsck calls clean has no damage', async t => {
	run('fsck.fat', ['-n', image()]);
	const report = await check(t, image(), {content: true});
	t.deepEqual(report.findings, []);
	t.like(report.volumes, [{fileSystem: 'fat16', directories: 3, files: 3, damage: 0, read: 3 * SIZE}]);
});

for (const {title, harm, finds} of DAMAGES) {
	testWith(test, TOOLS, `FAT: ${title}`, async t => {
		const path = copyOf(t, harm);
		run('fsck.fat', ['-n', path], {codes: [1]});
		const report = await check(t, path);
		const found = damageOf(report);
		for (const one of finds) t.true(found.includes(one), `${one} is not among ${found.join(', ')}`);
		t.false(report.good);
	});
}
