import {truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {DiskError} from '../../src/core/error.ts';
import {mbr} from '../../src/partitions/mbr/index.ts';
import {MAX_EXTENDED_BOOT_RECORDS} from '../../src/partitions/mbr/layout.ts';
import {type SparseSource, sparseSource} from '../helpers/sparse-source.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {
	assertInvariants,
	attachLoop,
	byPlace,
	mmlsPlaces,
	openDisk,
	partxRows,
	places,
	rawDisk,
	read,
	rows,
	sfdiskTable,
	writeBootSector,
} from './disks.ts';

const MIB = 1 << 20;
/** Sectors per MiB. */
const M = 2048;

function emptyFile(t: Parameters<typeof temporaryFolder>[0], size: number): string {
	const path = join(temporaryFolder(t), 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

testWith(test, ['sfdisk', 'partx', 'mmls'], 'primary partitions with gaps, an empty slot and an active flag', t => {
	const path = emptyFile(t, 64 * MIB);
	const script = ['label: dos', '1: start=2048, size=4096, type=7, bootable', '2: start=8192, size=1000, type=c'];
	run('sfdisk', ['-q', path], {input: [...script, '4: start=20480, size=30000, type=83'].join('\n')});
	const table = read(openDisk(t, path));
	const oracle = sfdiskTable(path);
	t.is(table.scheme, oracle.scheme);
	t.is(table.identifier, oracle.identifier);
	t.deepEqual(rows(table), oracle.rows);
	t.deepEqual(byPlace(rows(table)), mmlsPlaces(path, 'dos'));
	t.deepEqual(
		rows(table).map(({number, start, sectors, type}) => ({number, start, sectors, type})),
		partxRows(path),
	);
	t.deepEqual(
		table.partitions.map(({number, typeName, bootable}) => [number, typeName, bootable]),
		[
			[1, 'NTFS, exFAT or HPFS', true],
			[2, 'FAT32 (LBA)', false],
			[4, 'Linux filesystem', false],
		],
	);
	t.deepEqual(table.codes, []);
});

testWith(test, ['sfdisk', 'partx', 'mmls'], 'as many logical partitions as sfdisk makes, with gaps between them', t => {
	const path = emptyFile(t, 128 * MIB);
	const script = ['label: dos', `start=${M}, size=${M}, type=83`, `start=${2 * M}, type=f`];
	for (let index = 0; index < 56; index++) {
		const start = 3 * M + index * 2 * M;
		script.push(`start=${start}, size=${index % 3 === 0 ? M : M / 2}, type=${index % 2 === 0 ? 83 : 7}`);
	}
	run('sfdisk', ['-q', path], {input: script.join('\n')});
	const table = read(openDisk(t, path));
	t.is(table.partitions.length, 57);
	t.deepEqual(rows(table), sfdiskTable(path).rows);
	t.deepEqual(byPlace(rows(table)), mmlsPlaces(path, 'dos'));
	t.deepEqual(places(rows(table)), places(partxRows(path)));
	t.is(table.partitions.at(-1)?.number, 60);
	t.true(table.partitions.at(-1)?.identifier.endsWith('-3c'));
	t.deepEqual(table.codes, []);
});

testWith(test, ['parted', 'partx'], 'a table made by parted', t => {
	const path = emptyFile(t, 64 * MIB);
	const commands = 'mklabel msdos mkpart primary fat32 1MiB 8MiB set 1 boot on mkpart extended 8MiB 60MiB';
	run('parted', ['-m', '-s', path, ...commands.split(' '), ...'mkpart logical ext4 9MiB 20MiB'.split(' ')]);
	run('parted', ['-m', '-s', path, ...'mkpart logical ntfs 30MiB 40MiB'.split(' ')]);
	const lines = run('parted', ['-m', '-s', path, 'unit', 'B', 'print']).trim().split('\n').slice(2);
	const expected = lines
		.map(line => line.split(':'))
		.filter(([number]) => number !== '2')
		.map(([number, start, , size]) => [Number(number), Number.parseInt(start, 10), Number.parseInt(size, 10)]);
	const table = read(openDisk(t, path));
	t.deepEqual(
		table.partitions.map(({number, start, length}) => [number, start, length]),
		expected,
	);
	t.deepEqual(
		rows(table).map(({number, start, sectors, type}) => ({number, start, sectors, type})),
		partxRows(path),
	);
});

testWith(test, ['sfdisk', 'losetup', 'mmls'], 'a disk with 4096-byte sectors', async t => {
	const path = emptyFile(t, 256 * MIB);
	const device = await attachLoop(t, path, 4096);
	const script = ['label: dos', 'size=2048, type=7', 'type=5', 'size=1024, type=83', 'size=4096, type=82'];
	run('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', device], {input: script.join('\n')});
	const oracle = sfdiskTable(device);
	t.is(oracle.sectorSize, 4096);
	const table = read(openDisk(t, path, 4096));
	t.is(table.partitions.length, 3);
	t.deepEqual(rows(table, 4096), oracle.rows);
	t.deepEqual(byPlace(rows(table, 4096)), mmlsPlaces(path, 'dos', 4096));
});

test('every kind of extended partition is entered, and each goes on counting', t => {
	const source = sparseSource(64 * MIB);
	const kinds = [0x05, 0x0f, 0x85].map((type, index) => ({type, start: (index + 1) * 10_000, sectors: 10_000}));
	writeBootSector(source, 0, kinds, {diskSignature: 0x00ab_cdef});
	for (const {start} of kinds) writeBootSector(source, start, [{type: 0x83, start: 63, sectors: 100}]);
	const table = read(rawDisk(source));
	t.deepEqual(places(rows(table)), [
		{number: 5, start: 10_063, sectors: 100},
		{number: 6, start: 20_063, sectors: 100},
		{number: 7, start: 30_063, sectors: 100},
	]);
	t.is(table.identifier, '00abcdef');
	t.is(table.partitions[2]?.identifier, '00abcdef-07');
	t.deepEqual(table.codes, []);
});

test('a disk without a signature has no identifiers', t => {
	const source = sparseSource(MIB);
	writeBootSector(source, 0, [{type: 0x83, start: 1, sectors: 10}]);
	const table = read(rawDisk(source));
	t.is(table.scheme, 'mbr');
	t.is(table.identifier, '');
	t.is(table.partitions[0]?.identifier, '');
});

testWith(test, ['partx'], 'odd boot records are read as libblkid reads them', t => {
	const source = sparseSource(64 * MIB);
	const [primary, extended] = [
		{type: 0x00, start: 63, sectors: 100},
		{type: 0x05, start: 1000, sectors: 50_000},
	];
	writeBootSector(source, 0, [primary, {type: 0x83, start: 70, sectors: 0}, extended], {diskSignature: 1});
	// DR-DOS: the link comes first and there is no partition.
	writeBootSector(source, 1000, [{type: 0x05, start: 2000, sectors: 9000}]);
	// OS/2: four entries, all good; the types say nothing.
	writeBootSector(source, 3000, [
		{type: 0x83, start: 1, sectors: 10},
		{type: 0x0f, start: 20_000, sectors: 20_000},
		{type: 0x06, start: 20, sectors: 10},
		{type: 0x07, start: 40, sectors: 8960},
	]);
	// Garbage in the last two slots, and two links, of which the first counts.
	writeBootSector(source, 21_000, [
		{type: 0x05, start: 40_000, sectors: 10},
		{type: 0x05, start: 41_000, sectors: 10},
		{type: 0x83, start: 0xffff_0000, sectors: 0xff_ffff},
		{type: 0x83, start: 1, sectors: 20_000},
	]);
	writeBootSector(source, 41_000, [{type: 0x83, start: 2, sectors: 5}]);
	const path = join(temporaryFolder(t), 'disk.raw');
	const content = new Uint8Array(42_000 * 512);
	source.readAt(0, content);
	writeFileSync(path, content);
	truncateSync(path, source.size);
	const table = read(rawDisk(source));
	t.deepEqual(
		rows(table).map(({number, start, sectors, type}) => ({number, start, sectors, type})),
		partxRows(path),
	);
	t.deepEqual(
		table.partitions.map(({number}) => number),
		[1, 5, 6, 7, 8],
	);
	t.deepEqual(table.codes, []);
});

test('a chain that comes back to itself ends there', t => {
	const source = sparseSource(64 * MIB);
	writeBootSector(source, 0, [{type: 0x05, start: 1000, sectors: 50_000}]);
	writeBootSector(source, 1000, [
		{type: 0x83, start: 1, sectors: 10},
		{type: 0x05, start: 2000, sectors: 100},
	]);
	writeBootSector(source, 3000, [
		{type: 0x83, start: 1, sectors: 10},
		{type: 0x05, start: 0, sectors: 100},
	]);
	const table = read(rawDisk(source));
	t.deepEqual(places(rows(table)), [
		{number: 5, start: 1001, sectors: 10},
		{number: 6, start: 3001, sectors: 10},
	]);
	t.deepEqual(table.codes, ['mbr/chain-cycle']);
	t.is(table.findings[0]?.severity, 'damage');
});

test('two extended partitions at one place do not give the same partitions twice', t => {
	const source = sparseSource(64 * MIB);
	const extended = {type: 0x05, start: 1000, sectors: 50_000};
	writeBootSector(source, 0, [extended, extended]);
	writeBootSector(source, 1000, [{type: 0x83, start: 1, sectors: 10}]);
	const table = read(rawDisk(source));
	t.deepEqual(places(rows(table)), [{number: 5, start: 1001, sectors: 10}]);
	t.deepEqual(table.codes, ['mbr/chain-cycle']);
});

test('a chain longer than the cap is cut, and said so', t => {
	const source = sparseSource(64 * MIB);
	const count = MAX_EXTENDED_BOOT_RECORDS + 50;
	writeBootSector(source, 0, [{type: 0x05, start: 100, sectors: 100_000}]);
	for (let index = 0; index < count; index++) {
		const link = {type: 0x05, start: (index + 1) * 100, sectors: 100};
		writeBootSector(source, 100 + index * 100, [{type: 0x83, start: 1, sectors: 99}, link]);
	}
	const table = read(rawDisk(source));
	t.is(table.partitions.length, MAX_EXTENDED_BOOT_RECORDS);
	t.deepEqual(table.codes, ['mbr/chain-too-long']);
	t.true(source.read.calls < MAX_EXTENDED_BOOT_RECORDS + 20);
});

for (const [title, second, code, severity] of [
	['behind the disk', 200_000, 'mbr/chain-outside-disk', 'damage'],
	['to a sector that is no boot record', 3000, 'mbr/chain-broken', 'damage'],
] as const) {
	test(`a link ${title} ends the chain`, t => {
		const source = sparseSource(64 * MIB);
		writeBootSector(source, 0, [{type: 0x05, start: 1000, sectors: 0xffff_ffff}]);
		writeBootSector(source, 1000, [
			{type: 0x83, start: 1, sectors: 10},
			{type: 0x05, start: second, sectors: 100},
		]);
		const table = read(rawDisk(source));
		t.deepEqual(places(rows(table)), [{number: 5, start: 1001, sectors: 10}]);
		t.deepEqual(table.codes, [code]);
		t.is(table.findings[0]?.severity, severity);
	});
}

test('a link out of the extended partition is followed, with a warning', t => {
	const source = sparseSource(64 * MIB);
	writeBootSector(source, 0, [{type: 0x05, start: 1000, sectors: 1000}]);
	writeBootSector(source, 1000, [
		{type: 0x83, start: 1, sectors: 10},
		{type: 0x05, start: 5000, sectors: 100},
	]);
	writeBootSector(source, 6000, [{type: 0x83, start: 1, sectors: 10}]);
	const table = read(rawDisk(source));
	t.deepEqual(
		places(rows(table)).map(({start}) => start),
		[1001, 6001],
	);
	t.deepEqual(table.codes, ['mbr/chain-leaves-extended']);
	t.is(table.findings[0]?.severity, 'warning');
});

test('a boot record that cannot be read ends the chain', t => {
	const source = sparseSource(64 * MIB);
	writeBootSector(source, 0, [
		{type: 0x83, start: 10, sectors: 10},
		{type: 0x05, start: 1000, sectors: 1000},
	]);
	const failing = {
		...source,
		readAt(position: number, target: Uint8Array) {
			if (position === 1000 * 512) throw new DiskError('io', 'test/bad-sector', 'bad sector');
			source.readAt(position, target);
		},
	};
	const table = read(rawDisk(failing));
	t.deepEqual(places(rows(table)), [{number: 1, start: 10, sectors: 10}]);
	t.deepEqual(table.codes, ['mbr/chain-unreadable']);
});

test('on a truncated disk the last partition is cut and those behind it are left out', t => {
	const source = sparseSource(10_000 * 512);
	writeBootSector(source, 0, [
		{type: 0x83, start: 2048, sectors: 2048},
		{type: 0x83, start: 9000, sectors: 2000},
		{type: 0x83, start: 10_000, sectors: 2000},
		{type: 0x83, start: 0xffff_ffff, sectors: 0xffff_ffff},
	]);
	const disk = rawDisk(source);
	const table = read(disk);
	t.deepEqual(places(rows(table)), [
		{number: 1, start: 2048, sectors: 2048},
		{number: 2, start: 9000, sectors: 1000},
	]);
	assertInvariants(t, disk, table);
	t.deepEqual(table.codes, ['mbr/partition-outside-disk', 'mbr/partition-cut-short']);
	t.true(table.findings[0]?.message.startsWith('partitions 3, 4 lie'));
	t.true(table.findings[1]?.message.startsWith('partition 2 reaches'));
});

test('overlapping partitions are all shown, with a warning', t => {
	const source = sparseSource(64 * MIB);
	writeBootSector(source, 0, [
		{type: 0x83, start: 1000, sectors: 5000},
		{type: 0x83, start: 2000, sectors: 10},
		{type: 0x83, start: 5999, sectors: 10},
		{type: 0x83, start: 6009, sectors: 10},
	]);
	const table = read(rawDisk(source));
	t.is(table.partitions.length, 4);
	t.deepEqual(table.codes, ['mbr/partitions-overlap']);
	t.regex(table.findings[0]?.message ?? '', /: 1 and 2, 1 and 3$/);
});

function probe(make: (source: SparseSource) => void, size = MIB): boolean {
	const source = sparseSource(size);
	make(source);
	return mbr.probe(rawDisk(source));
}

test('probe refuses what is no table', t => {
	const linux = {type: 0x83, start: 1, sectors: 10};
	t.true(probe(source => writeBootSector(source, 0, [linux])));
	t.true(
		probe(source => writeBootSector(source, 0, [], {diskSignature: 1})),
		'initialised, but not partitioned',
	);
	t.false(
		probe(source => writeBootSector(source, 0, [])),
		'nothing but 55 AA',
	);
	t.false(
		probe(source => writeBootSector(source, 0, [linux, {...linux, status: 0x20}])),
		'boot code',
	);
	t.false(
		probe(source => writeBootSector(source, 0, [linux, {...linux, type: 0xee}])),
		'the protective MBR of a GPT',
	);
	t.false(probe(() => {}));
	t.false(probe(() => {}, 0));
	t.false(probe(() => {}, 511));
});
