import {
	closeSync,
	copyFileSync,
	existsSync,
	mkdtempSync,
	openSync,
	rmSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {DiskError} from '../../src/core/error.ts';
import {gpt} from '../../src/partitions/gpt/index.ts';
import {HeaderLayout, MAX_ENTRIES_BYTES} from '../../src/partitions/gpt/layout.ts';
import {type SparseSource, sparseCopyOf, sparseSource} from '../helpers/sparse-source.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {
	assertInvariants,
	attachLoop,
	byPlace,
	mmlsPlaces,
	openDisk,
	partxRows,
	places,
	probeFileSystem,
	rawDisk,
	read,
	rows,
	sfdiskTable,
	writeBootSector,
} from './disks.ts';
import {sealHeader, writeGpt} from './gpt-writer.ts';

const MIB = 1 << 20;
const SIZE = 64 * MIB;
const LAST = SIZE / 512 - 1;

function emptyFile(t: ExecutionContext, size: number): string {
	const path = join(temporaryFolder(t), 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

function overwrite(path: string, position: number, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

const THREE_PARTITIONS = '-n 1:2048:+8M -n 3:32768:+4M -n 2:65536:+16M -c 3:data -t 1:ef00';

/** A disk with three partitions, made by sgdisk (which sleeps for a second on every write, so it is kept). */
function threePartitions(): string {
	return cachedFile('gpt.raw', `${SIZE} sgdisk ${THREE_PARTITIONS}`, path => {
		writeFileSync(path, '');
		truncateSync(path, SIZE);
		run('sgdisk', [...THREE_PARTITIONS.split(' '), path]);
	});
}

/** A copy of it to write to. */
function threePartitionsCopy(t: ExecutionContext): string {
	const path = join(temporaryFolder(t), 'disk.raw');
	copyFileSync(threePartitions(), path);
	return path;
}

/** Flips one bit. */
function flip(source: SparseSource, position: number): void {
	const byte = new Uint8Array(1);
	source.readAt(position, byte);
	byte[0] ^= 1;
	source.write(position, byte);
}

testWith(test, ['sgdisk', 'sfdisk', 'partx', 'mmls'], 'names, types, attributes, gaps and slots out of order', t => {
	const path = emptyFile(t, SIZE);
	const names = ['-c', '1:EFI-System', '-c', '2:Größe 😀 名前', '-c', `7:${'x'.repeat(36)}`];
	const kinds = ['-t', '1:ef00', '-t', '2:0700', '-t', '7:8e00', '-t', '100:8304'];
	const areas = ['-n', '7:2048:+1M', '-n', '1:8192:+3M', '-n', '2:40000:+1M', '-n', '100:100000:+2M'];
	run('sgdisk', [...areas, ...names, ...kinds, '-A', '2:set:2', '-A', '7:set:0', '-A', '7:set:60', path]);
	const table = read(openDisk(t, path));
	const oracle = sfdiskTable(path);
	t.is(table.scheme, 'gpt');
	t.is(table.identifier, oracle.identifier);
	t.deepEqual(rows(table), oracle.rows);
	t.deepEqual(byPlace(rows(table)), mmlsPlaces(path, 'gpt'));
	t.deepEqual(
		rows(table).map(({number, start, sectors, type}) => ({number, start, sectors, type})),
		partxRows(path),
	);
	t.deepEqual(
		table.partitions.map(({number, typeName, bootable}) => [number, typeName, bootable]),
		[
			[1, 'EFI system', false],
			[2, 'Microsoft basic data', true],
			[7, 'Linux LVM', false],
			[100, 'Linux root (x86-64)', false],
		],
	);
	t.deepEqual(table.codes, []);
});

testWith(test, ['parted'], 'a table made by parted', t => {
	const path = emptyFile(t, SIZE);
	run('parted', ['-m', '-s', path, ...'mklabel gpt mkpart one 1MiB 8MiB mkpart two 10MiB 63MiB'.split(' ')]);
	const lines = run('parted', ['-m', '-s', path, 'unit', 'B', 'print']).trim().split('\n').slice(2);
	const expected = lines
		.map(line => line.split(':'))
		.map(([number, start, , size, , name]) => [
			Number(number),
			Number.parseInt(start, 10),
			Number.parseInt(size, 10),
			name,
		]);
	t.is(expected.length, 2);
	t.deepEqual(
		read(openDisk(t, path)).partitions.map(({number, start, length, name}) => [number, start, length, name]),
		expected,
	);
});

testWith(
	test,
	['sgdisk', 'sfdisk', 'losetup', 'mmls'],
	'a disk with 4096-byte sectors, known as such or not',
	async t => {
		const path = emptyFile(t, 256 * MIB);
		const device = await attachLoop(t, path, 4096);
		run('sgdisk', ['-n', '1:0:+4M', '-n', '2:0:+100M', '-c', '2:data', '-t', '1:ef00', device]);
		const oracle = sfdiskTable(device);
		t.is(oracle.sectorSize, 4096);
		const table = read(openDisk(t, path, 4096));
		t.deepEqual(rows(table, 4096), oracle.rows);
		t.deepEqual(byPlace(rows(table, 4096)), mmlsPlaces(path, 'gpt', 4096));
		t.deepEqual(table.codes, []);

		const unknown = read(openDisk(t, path, 512));
		t.deepEqual(unknown.partitions, table.partitions);
		t.deepEqual(unknown.codes, ['gpt/sector-size']);

		const source = sparseCopyOf(path);
		source.write(4096, new Uint8Array(4096));
		const damaged = read(rawDisk(source, 512));
		t.deepEqual(damaged.partitions, table.partitions);
		t.deepEqual(damaged.codes, ['gpt/primary-damaged', 'gpt/sector-size']);
	},
);

testWith(test, ['sgdisk'], 'a disk that claims 4096-byte sectors, with a table in sectors of 512', t => {
	const path = threePartitions();
	const table = read(openDisk(t, path));
	const claimed = read(openDisk(t, path, 4096));
	t.deepEqual(claimed.partitions, table.partitions);
	t.deepEqual(claimed.codes, ['gpt/sector-size']);
});

for (const [title, position, problem] of [
	['signature', 512, 'does not begin with "EFI PART"'],
	['header checksum', 512 + 16, 'has a wrong checksum'],
	['header', 512 + 60, 'has a wrong checksum'],
	['entries', 1024 + 130, 'belongs to entries with another checksum'],
	['entry of an unused slot', 1024 + 127 * 128, 'belongs to entries with another checksum'],
] as const) {
	testWith(test, ['sgdisk'], `one flipped bit in the primary's ${title}: the backup is used`, t => {
		const path = threePartitionsCopy(t);
		const {partitions} = read(openDisk(t, path));
		t.is(partitions.length, 3);
		const source = sparseCopyOf(path);
		flip(source, position);
		const table = read(rawDisk(source));
		t.deepEqual(table.partitions, partitions);
		t.deepEqual(table.codes, ['gpt/primary-damaged']);
		t.true(table.findings[0]?.message.includes(problem), table.findings[0]?.message);
		t.true(table.findings[0]?.message.includes(`the backup at sector ${LAST}`));
		// sgdisk finds the damage too, and the same partitions.
		const byte = new Uint8Array(1);
		source.readAt(position, byte);
		overwrite(path, position, byte);
		const verdict = run('sh', ['-c', 'sgdisk -v "$1" 2>&1 || true', 'sh', path]);
		t.regex(verdict, /invalid main GPT header|CRC for the main partition table is invalid|main partition table CRC/i);
		const listed = run('sh', ['-c', 'sgdisk -p "$1" 2>/dev/null || true', 'sh', path]);
		const found = [...listed.matchAll(/^ +(\d+) +(\d+) +(\d+) /gm)].map(([, ...numbers]) => numbers.map(Number));
		t.deepEqual(
			found,
			places(rows(table)).map(({number, start, sectors}) => [number, start, start + sectors - 1]),
		);
	});
}

for (const [title, position, problem] of [
	['header', LAST * 512 + 60, 'has a wrong checksum'],
	['entries', (LAST - 32) * 512 + 5, 'belongs to entries with another checksum'],
	['signature', LAST * 512, 'does not begin with "EFI PART"'],
] as const) {
	testWith(test, ['sgdisk'], `one flipped bit in the backup's ${title} is reported`, t => {
		const source = sparseCopyOf(threePartitions());
		const {partitions} = read(rawDisk(source));
		flip(source, position);
		const table = read(rawDisk(source));
		t.deepEqual(table.partitions, partitions);
		t.deepEqual(table.codes, ['gpt/backup-damaged']);
		t.is(table.findings[0]?.severity, 'warning');
		t.true(table.findings[0]?.message.includes(problem));
	});
}

testWith(test, ['sgdisk'], 'the primary copy erased, and the whole first MiB erased', t => {
	const source = sparseCopyOf(threePartitions());
	const {partitions} = read(rawDisk(source));
	source.write(512, new Uint8Array(33 * 512));
	const table = read(rawDisk(source));
	t.deepEqual(table.partitions, partitions);
	t.deepEqual(table.codes, ['gpt/primary-damaged']);

	source.write(0, new Uint8Array(MIB));
	const erased = read(rawDisk(source));
	t.is(erased.scheme, 'gpt');
	t.deepEqual(erased.partitions, partitions);
	t.deepEqual(erased.codes, ['gpt/primary-damaged', 'gpt/no-protective-mbr']);
});

testWith(test, ['sgdisk'], 'an unreadable primary copy', t => {
	const source = sparseCopyOf(threePartitions());
	const {partitions} = read(rawDisk(source));
	const failing = {
		...source,
		readAt(position: number, target: Uint8Array) {
			if (position >= 512 && position < MIB) throw new DiskError('io', 'test/bad-sector', 'bad sector');
			source.readAt(position, target);
		},
	};
	const table = read(rawDisk(failing), () => undefined);
	t.deepEqual(table.partitions, partitions);
	t.deepEqual(table.codes, ['gpt/primary-damaged']);
	t.true(table.findings[0]?.message.includes('cannot be read: bad sector'));
});

test('both copies damaged: an error, whatever else the MBR lists', t => {
	for (const others of [[], [{type: 0x83, start: 2048, sectors: 2048}]]) {
		const source = sparseSource(SIZE);
		writeGpt(source, [{first: 2048, last: 4095}]);
		writeBootSector(source, 0, [{type: 0xee, start: 1, sectors: 2047}, ...others]);
		flip(source, 512 + 60);
		flip(source, LAST * 512 + 60);
		const error = t.throws(() => read(rawDisk(source)), {instanceOf: DiskError});
		t.is(error.family, 'corrupt');
		t.is(error.code, 'gpt/no-valid-copy');
		t.true(error.message.includes('sector 1 has a wrong checksum'));
		t.true(error.message.includes(`sector ${LAST} has a wrong checksum`));
	}
});

test('a protective MBR without any GPT is an error', t => {
	const source = sparseSource(SIZE);
	writeBootSector(source, 0, [{type: 0xee, start: 1, sectors: LAST}]);
	t.throws(() => read(rawDisk(source)), {instanceOf: DiskError, code: 'gpt/no-valid-copy'});
	const tiny = sparseSource(512);
	writeBootSector(tiny, 0, [{type: 0xee, start: 1, sectors: LAST}]);
	t.throws(() => read(rawDisk(tiny)), {instanceOf: DiskError, code: 'gpt/no-valid-copy'});
});

testWith(test, ['sgdisk'], 'a disk that has grown, with and without its primary copy', t => {
	const source = sparseCopyOf(threePartitions());
	const {partitions} = read(rawDisk(source));
	const grown = source.clone(SIZE * 2);
	const table = read(rawDisk(grown));
	t.deepEqual(table.partitions, partitions);
	t.deepEqual(table.codes, ['gpt/backup-not-at-end']);
	t.is(table.findings[0]?.severity, 'note');

	// The backup is found by way of the damaged header, and without that by way of the protective MBR.
	const damaged = grown.clone();
	flip(damaged, 512 + 60);
	t.deepEqual(read(rawDisk(damaged)).partitions, partitions);
	grown.write(512, new Uint8Array(33 * 512));
	const lost = read(rawDisk(grown));
	t.deepEqual(lost.partitions, partitions);
	t.deepEqual(lost.codes, ['gpt/primary-damaged']);
});

testWith(test, ['sgdisk'], 'a truncated disk: the last partition is cut, the backup is missing', t => {
	const source = sparseCopyOf(threePartitions());
	const {partitions} = read(rawDisk(source));
	const size = 33 * MIB;
	const disk = rawDisk(source.clone(size));
	const table = read(disk);
	t.deepEqual(table.codes, ['gpt/backup-missing', 'gpt/partition-cut-short']);
	t.deepEqual(table.partitions[0], partitions[0]);
	t.deepEqual(table.partitions[1], {...partitions[1], length: size - partitions[1].start});
	assertInvariants(t, disk, table);
	const shorter = read(rawDisk(source.clone(20 * MIB)));
	t.deepEqual(
		shorter.partitions.map(({number}) => number),
		[1, 3],
	);
	t.deepEqual(shorter.codes, ['gpt/backup-missing', 'gpt/partition-outside-disk']);
});

testWith(test, ['sgdisk', 'sfdisk'], 'a hybrid MBR: the GPT counts', t => {
	const path = threePartitionsCopy(t);
	run('sgdisk', ['--hybrid=1:3', path]);
	const table = read(openDisk(t, path));
	t.is(table.scheme, 'gpt');
	t.deepEqual(rows(table), sfdiskTable(path).rows);
	t.deepEqual(table.codes, ['gpt/hybrid-mbr']);
	t.is(table.findings[0]?.severity, 'note');
	t.true(table.findings[0]?.message.includes('2 partitions'));
});

for (const count of [4, 16, 56, 128, 129, 1024]) {
	testWith(test, ['sfdisk', 'partx'], `an array of ${count} entries, the last one in use`, t => {
		const path = emptyFile(t, SIZE);
		const script = ['label: gpt', `table-length: ${count}`, '1: start=50000, size=2048'];
		run('sfdisk', ['-q', path], {input: [...script, `${count}: start=40960, size=2048`].join('\n')});
		const table = read(openDisk(t, path));
		t.deepEqual(
			table.partitions.map(({number}) => number),
			[1, count],
		);
		t.deepEqual(rows(table), sfdiskTable(path).rows);
		t.deepEqual(places(rows(table)), places(partxRows(path)));
		t.deepEqual(table.codes, []);
	});
}

testWith(test, ['sfdisk'], 'every slot in use', t => {
	const path = emptyFile(t, SIZE);
	const lines = Array.from({length: 128}, (_, index) => `${128 - index}: start=${100 + index * 900}, size=900`);
	run('sfdisk', ['-q', path], {input: ['label: gpt', 'first-lba: 34', ...lines].join('\n')});
	const table = read(openDisk(t, path));
	t.is(table.partitions.length, 128);
	t.deepEqual(rows(table), sfdiskTable(path).rows);
	t.deepEqual(table.codes, []);
});

const SHARED_MEMORY = '/dev/shm';
const tebibytes = existsSync(SHARED_MEMORY) ? test : test.skip;

tebibytes('a disk of 64 TiB, made by sgdisk', t => {
	const folder = mkdtempSync(join(SHARED_MEMORY, 'tintype-test-'));
	t.teardown(() => rmSync(folder, {recursive: true, force: true}));
	const path = join(folder, 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, 64 * 2 ** 40);
	run('sgdisk', ['-n', '1:2048:+60T', '-n', '2:0:0', path]);
	const table = read(openDisk(t, path));
	t.deepEqual(rows(table), sfdiskTable(path).rows);
	t.true((table.partitions[1]?.start ?? 0) > 60 * 2 ** 40);
	t.deepEqual(table.codes, []);
});

test('a disk of 64 TiB in memory, with both sector sizes and either copy', t => {
	for (const sectorSize of [512, 4096]) {
		const source = sparseSource(64 * 2 ** 40);
		const last = source.size / sectorSize - 100;
		writeGpt(
			source,
			[
				{first: 2048, last: last - 5000},
				{first: last - 4999, last},
			],
			{sectorSize},
		);
		const table = read(rawDisk(source, sectorSize));
		t.deepEqual(places(rows(table, sectorSize)), [
			{number: 1, start: 2048, sectors: last - 5000 - 2047},
			{number: 2, start: last - 4999, sectors: 5000},
		]);
		t.deepEqual(table.codes, []);
		source.write(sectorSize, new Uint8Array(sectorSize));
		t.deepEqual(read(rawDisk(source, sectorSize)).partitions, table.partitions);
	}
});

testWith(test, ['sgdisk'], 'what the tests write themselves is a table in the eyes of sgdisk', t => {
	const source = sparseSource(8 * MIB);
	writeGpt(source, [{first: 2048, last: 4095, name: 'one'}]);
	const path = join(temporaryFolder(t), 'disk.raw');
	const content = new Uint8Array(source.size);
	source.readAt(0, content);
	writeFileSync(path, content);
	t.true(run('sgdisk', ['-v', path]).includes('No problems found'));
});

test('entries longer than 128 bytes', t => {
	for (const entrySize of [136, 256, 4096]) {
		const source = sparseSource(SIZE);
		writeGpt(source, [{slot: 2, first: 2048, last: 4095, name: 'data'}], {entrySize, entryCount: 16});
		const table = read(rawDisk(source));
		t.deepEqual(
			table.partitions.map(({number, start, name}) => [number, start, name]),
			[[3, MIB, 'data']],
		);
		t.deepEqual(table.codes, []);
	}
});

for (const [title, header, problem] of [
	['entries of 120 bytes', {sizeOfPartitionEntry: 120}, 'claims entries of 120 bytes'],
	['entries of 132 bytes', {sizeOfPartitionEntry: 132}, 'claims entries of 132 bytes'],
	['entries of 8 KiB', {sizeOfPartitionEntry: 8192}, 'claims entries of 8192 bytes'],
	['four thousand million entries', {numberOfPartitionEntries: 0xffff_ffff}, 'above the limit'],
	['entries beyond the disk', {partitionEntryLba: LAST}, 'beyond the end of the disk'],
	['entries beyond every disk', {partitionEntryLba: 2 ** 63}, 'beyond the end of the disk'],
	['a header of 91 bytes', {headerSize: 91}, 'claims a size of 91 bytes'],
	['a header of 513 bytes', {headerSize: 513}, 'claims a size of 513 bytes'],
	['another place', {myLba: 2}, 'says that it belongs to sector 2'],
] as const) {
	test(`a header with right checksums that claims ${title} is refused`, t => {
		const source = sparseSource(SIZE);
		writeGpt(source, [{first: 2048, last: 4095}], {header});
		const error = t.throws(() => read(rawDisk(source)), {instanceOf: DiskError, code: 'gpt/no-valid-copy'});
		t.true(error.message.includes(problem), error.message);
		t.true(source.read.bytes < MAX_ENTRIES_BYTES);
	});
}

test('the backup of another disk is not mistaken for the same table', t => {
	const source = sparseSource(SIZE);
	writeGpt(source, [{first: 2048, last: 4095}]);
	const block = new Uint8Array(512);
	source.readAt(LAST * 512, block);
	HeaderLayout.fields.diskGuid.write(viewOf(block), 0, '99999999-2222-3333-4444-555555555555');
	sealHeader(block);
	source.write(LAST * 512, block);
	const table = read(rawDisk(source));
	t.is(table.identifier, '11111111-2222-3333-4444-555555555555');
	t.deepEqual(table.codes, ['gpt/backup-differs']);
});

test('entries that make no sense are left out, cut or named', t => {
	const source = sparseSource(SIZE);
	const entries = [
		{first: 4096, last: 8191, name: 'good'},
		{first: 8000, last: 9000, name: 'overlaps 1'},
		{first: 5000, last: 4999, name: 'reversed'},
		{first: 2 ** 63, last: 2 ** 63 + 4096, name: 'beyond every disk'},
		{first: 100_000, last: 2 ** 63, name: 'endless'},
		{first: 1, last: 10, name: 'on the table'},
		{first: LAST, last: LAST, name: 'on the backup'},
		{first: LAST + 1, last: LAST + 1, name: 'just beyond'},
	];
	writeGpt(source, entries);
	const disk = rawDisk(source);
	const table = read(disk);
	assertInvariants(t, disk, table);
	t.deepEqual(
		table.partitions.map(({name, start, length}) => [name, start / 512, length / 512]),
		[
			['good', 4096, 4096],
			['overlaps 1', 8000, 1001],
			['endless', 100_000, LAST + 1 - 100_000],
			['on the table', 1, 10],
			['on the backup', LAST, 1],
		],
	);
	t.deepEqual(table.codes, [
		'gpt/partition-reversed',
		'gpt/partition-outside-usable',
		'gpt/partition-outside-disk',
		'gpt/partition-cut-short',
		'gpt/partitions-overlap',
	]);
	t.true(table.findings[1]?.message.startsWith('partitions 4, 5, 6, 7, 8 reach'));
	t.true(table.findings[4]?.message.endsWith(': 1 and 2, 5 and 7'));
});

test('thousands of senseless entries give few and short findings', t => {
	const source = sparseSource(SIZE);
	const entries = Array.from({length: 30_000}, (_, index) => ({
		first: index % 2 === 0 ? 60_000 : LAST + 10,
		last: LAST + 20,
	}));
	writeGpt(source, entries, {entryCount: MAX_ENTRIES_BYTES / 128});
	const table = read(rawDisk(source));
	t.is(table.partitions.length, 15_000);
	t.is(table.findings.length, 4);
	for (const {message} of table.findings) t.true(message.length < 300, message);
});

test('names end at the first NUL, and may hold anything else', t => {
	const source = sparseSource(SIZE);
	const names = ['a\0b', '\ud800lone', '', 'line\nfeed\0x'];
	writeGpt(
		source,
		names.map((name, index) => ({first: 4096 + index * 8, last: 4097 + index * 8, name})),
	);
	t.deepEqual(
		read(rawDisk(source)).partitions.map(({name}) => name),
		['a', '\ud800lone', '', 'line\nfeed'],
	);
});

test('without a protective MBR an intact GPT counts only where the MBR lists nothing', t => {
	const source = sparseSource(SIZE);
	writeGpt(source, [{first: 4096, last: 8191}], {protectiveMbr: false});
	const table = read(rawDisk(source));
	t.is(table.scheme, 'gpt');
	t.deepEqual(table.codes, ['gpt/no-protective-mbr']);

	writeBootSector(source, 0, []);
	t.is(read(rawDisk(source)).scheme, 'gpt');
	writeBootSector(source, 0, [{type: 0x83, start: 9000, sectors: 10}]);
	t.is(read(rawDisk(source)).scheme, 'mbr');
	t.false(gpt.probe(rawDisk(source)));
});

test('a backup alone does not make a table where the disk begins with something', t => {
	const source = sparseSource(SIZE);
	writeGpt(source, [{first: 4096, last: 8191}], {protectiveMbr: false});
	source.write(512, new Uint8Array(512));
	t.is(read(rawDisk(source)).scheme, 'gpt');
	source.write(0, new TextEncoder().encode('LUKS'));
	t.is(read(rawDisk(source)).scheme, 'none');
});

test('an intact GPT is newer than the file system before it', t => {
	const source = sparseSource(SIZE);
	writeGpt(source, [{first: 64, last: 8191}], {sectorSize: 4096});
	source.write(1080, Uint8Array.of(0x53, 0xef));
	const disk = rawDisk(source, 4096);
	t.is(probeFileSystem(disk), 'ext');
	const table = read(disk);
	t.is(table.scheme, 'gpt');
	t.deepEqual(table.codes, ['partitions/stale-file-system']);

	source.write(4096, new Uint8Array(4096));
	const over = read(rawDisk(source, 4096));
	t.is(over.scheme, 'none');
	t.deepEqual(over.codes, ['partitions/stale-table']);
});
