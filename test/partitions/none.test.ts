import {copyFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {ALL_SCHEMES} from '../../src/partitions/index.ts';
import {type SparseSource, sparseCopyOf, sparseSource} from '../helpers/sparse-source.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {openDisk, places, probeFileSystem, rawDisk, read, rows, writeBootSector} from './disks.ts';
import {writeGpt} from './gpt-writer.ts';

const MIB = 1 << 20;
const SIZE = 64 * MIB;

/** A bare file system on a whole disk, and the tools and arguments that make it. */
const FILE_SYSTEMS = [
	['ext', 'mkfs.ext4', '-q -F'],
	['fat', 'mkfs.fat', ''],
	['fat', 'mkfs.fat', '--mbr=yes'],
	['fat', 'mkfs.fat', '-F 32'],
	['ntfs', 'mkntfs', '-q -F -Q -s 512 -p 0 -H 0 -S 0'],
	['exfat', 'mkfs.exfat', ''],
] as const;

function make(tool: string, options: string, size = SIZE): string {
	return cachedFile('volume.raw', `${tool} ${options} ${size}`, path => {
		writeFileSync(path, '');
		truncateSync(path, size);
		run(tool, [...options.split(' ').filter(Boolean), path]);
	});
}

function assertWhole(t: ExecutionContext, table: ReturnType<typeof read>, size: number, codes: string[] = []): void {
	t.is(table.scheme, 'none');
	t.is(table.identifier, '');
	t.deepEqual(table.partitions, [
		{number: 1, start: 0, length: size, type: '', typeName: '', name: '', identifier: '', bootable: false},
	]);
	t.deepEqual(table.codes, codes);
}

/** Puts a table's 66 bytes into sector 0 and leaves the rest of it. */
function writeStaleTable(source: SparseSource, entries: Parameters<typeof writeBootSector>[2]): void {
	const sector = new Uint8Array(512);
	source.readAt(0, sector);
	writeBootSector(source, 0, entries, {diskSignature: 0x1234_5678});
	source.write(0, sector.subarray(0, 440));
}

for (const [name, tool, options] of FILE_SYSTEMS) {
	testWith(test, [tool], `a bare file system: ${tool} ${options}`, t => {
		const disk = openDisk(t, make(tool, options));
		t.is(probeFileSystem(disk), name);
		// mkfs.fat can make a table of one partition, which begins at its own sector.
		const codes = options === '--mbr=yes' ? ['partitions/stale-table'] : [];
		assertWhole(t, read(disk), SIZE, codes);
	});

	testWith(test, [tool], `a stale MBR in the first sector of a file system: ${tool} ${options}`, t => {
		const source = sparseCopyOf(make(tool, options));
		writeStaleTable(source, [
			{type: 0x07, start: 2048, sectors: 4096, status: 0x80},
			{type: 0x83, start: 10_000, sectors: 50_000},
		]);
		assertWhole(t, read(rawDisk(source)), SIZE, ['partitions/stale-table']);

		// Without the file system it would count.
		t.is(read(rawDisk(source), () => undefined).scheme, 'mbr');
	});

	testWith(test, [tool, 'sfdisk'], `made over a partitioned disk: ${tool} ${options}`, t => {
		for (const label of ['dos', 'gpt']) {
			const path = join(temporaryFolder(t), 'disk.raw');
			writeFileSync(path, '');
			truncateSync(path, SIZE);
			run('sfdisk', ['-q', path], {input: `label: ${label}\nsize=20000\nsize=30000\n`});
			t.is(read(openDisk(t, path)).partitions.length, 2);
			run(tool, [...options.split(' ').filter(Boolean), path], {codes: [0, 1]});
			if (probeFileSystem(openDisk(t, path)) !== name) {
				// mkfs.fat does not format what is partitioned; it says so.
				t.is(tool, 'mkfs.fat');
				continue;
			}
			const table = read(openDisk(t, path));
			assertWhole(t, table, SIZE, table.codes.length > 0 ? ['partitions/stale-table'] : []);
		}
	});
}

testWith(test, ['mkfs.ext4', 'mkntfs'], 'a stale superblock before the partitions of a disk in use', t => {
	const source = sparseSource(2 * SIZE);
	const volume = sparseCopyOf(make('mkntfs', '-q -F -Q -s 512 -p 0 -H 0 -S 0'));
	const block = new Uint8Array(MIB);
	for (let at = 0; at < SIZE; at += MIB) {
		volume.readAt(at, block);
		source.write(10 * MIB + at, block);
	}
	const partitions = [
		{type: 0x83, start: 2048, sectors: 1000},
		{type: 0x07, start: 10 * 2048, sectors: 64 * 2048},
	];
	source.write(1080, Uint8Array.of(0x53, 0xef));
	writeStaleTable(source, partitions);
	const table = read(rawDisk(source));
	t.is(table.scheme, 'mbr');
	t.deepEqual(places(rows(table)), [
		{number: 1, start: 2048, sectors: 1000},
		{number: 2, start: 20_480, sectors: 131_072},
	]);
	t.deepEqual(table.codes, ['partitions/stale-file-system']);

	for (const [title, entries] of [
		['an entry that begins at the table itself', [...partitions, {type: 0x83, start: 0, sectors: 10}]],
		['an entry that ends beyond the disk', [...partitions, {type: 0x83, start: 200_000, sectors: 1_000_000}]],
		['entries that overlap', [...partitions, {type: 0x83, start: 2050, sectors: 10}]],
	] as const) {
		writeStaleTable(source, entries);
		t.is(read(rawDisk(source)).scheme, 'none', title);
	}
	writeStaleTable(source, [{...partitions[1], status: 0x81}]);
	assertWhole(t, read(rawDisk(source)), 2 * SIZE);
});

testWith(test, ['mkfs.ext4'], 'a file system over a GPT of which the backup is left', t => {
	const path = join(temporaryFolder(t), 'disk.raw');
	copyFileSync(make('mkfs.ext4', '-q -F'), path);
	const source = sparseSource(SIZE);
	writeGpt(source, [{first: 4096, last: 8191}]);
	const ext = sparseCopyOf(path);
	const block = new Uint8Array(MIB);
	ext.readAt(0, block);
	source.write(1024, block.subarray(1024));
	assertWhole(t, read(rawDisk(source)), SIZE, ['partitions/stale-table']);
	t.is(read(rawDisk(source), () => undefined).scheme, 'gpt');
});

test('a disk that holds nothing known is one partition', t => {
	assertWhole(t, read(rawDisk(sparseSource(SIZE))), SIZE);
	const noise = sparseSource(MIB);
	noise.write(
		0,
		Uint8Array.from({length: 4096}, (_, index) => (index * 197) & 0xff),
	);
	assertWhole(t, read(rawDisk(noise)), MIB);
	for (const size of [1, 511, 512, 513, 1023, 1024, 4095, 5000]) {
		assertWhole(t, read(rawDisk(sparseSource(size))), size);
		assertWhole(t, read(rawDisk(sparseSource(size), 4096)), size);
	}
});

test('an empty disk has no partition', t => {
	const table = read(rawDisk(sparseSource(0)));
	t.is(table.scheme, 'none');
	t.deepEqual(table.partitions, []);
});

test('a boot sector without partitions: with a disk signature it is an empty table', t => {
	const source = sparseSource(MIB);
	writeBootSector(source, 0, []);
	assertWhole(t, read(rawDisk(source)), MIB);
	writeBootSector(source, 0, [], {diskSignature: 0xcafe_f00d});
	const table = read(rawDisk(source));
	t.is(table.scheme, 'mbr');
	t.is(table.identifier, 'cafef00d');
	t.deepEqual(table.partitions, []);
});

test('every scheme has what the documentation shows, and none is called none', t => {
	t.deepEqual(
		ALL_SCHEMES.map(({name}) => name),
		['gpt', 'mbr'],
	);
	for (const {title, specification} of ALL_SCHEMES) t.true(title.length > 0 && specification.length > 0);
});
