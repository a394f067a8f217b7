import {copyFileSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {openImage as openTint} from '../../formats/tint/image.ts';
import {capture} from '../../src/capture/capture.ts';
import {partitionData} from '../../src/capture/partition-data.ts';
import {openImage} from '../../src/image/image.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {openContext} from '../formats/tint/tools.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';

const KIB = 1024;
const MIB = KIB * KIB;

function dataOf(path: string) {
	const image = openImage(path, {format: 'raw'});
	try {
		return partitionData(image);
	} finally {
		image[Symbol.dispose]();
	}
}

/** What the copies come to when they are written onto an empty disk. */
function rebuilt(size: number, data: readonly {readonly position: number; readonly base64: string}[]): Buffer {
	const disk = Buffer.alloc(size);
	for (const {position, base64} of data) Buffer.from(base64, 'base64').copy(disk, position);
	return disk;
}

test('a capture keeps both copies of a GPT and the gap before the first partition', async t => {
	const folder = temporaryFolder(t);
	const source = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), source);
	const target = join(folder, 'a.tint');
	await capture(source, target, {volumes: [1]});
	const {metadata} = openTint(memorySource(readFileSync(target)), openContext([]));
	const content = readFileSync(source);
	const disk = rebuilt(content.length, metadata.partitionData ?? []);
	t.true(disk.subarray(0, MIB).equals(content.subarray(0, MIB)));
	t.true(disk.subarray(-33 * 512).equals(content.subarray(-33 * 512)));
	t.true(disk.subarray(MIB, -64 * 512).every(byte => byte === 0));
	t.is(metadata.source?.name, 'disk.raw');
	t.is(metadata.source?.format, 'raw');
	t.regex(metadata.source?.modified ?? '', /^\d{4}-.*Z$/);
	t.deepEqual(metadata.freeSpaceSkipped, [1]);
	t.deepEqual(
		metadata.excluded?.map(({volume, reason}) => [volume, reason]),
		[
			[2, 'volume not chosen'],
			[3, 'volume not chosen'],
		],
	);
	writeFileSync(join(folder, 'rebuilt.raw'), disk);
	const image = openImage(join(folder, 'rebuilt.raw'), {format: 'raw'});
	t.teardown(() => image[Symbol.dispose]());
	t.deepEqual(image.findings, []);
	t.is(image.table.partitions.length, 3);
});

testWith(test, ['sfdisk'], 'an MBR is kept with its boot loader, but not what lies beyond 1 MiB', t => {
	const folder = temporaryFolder(t);
	const path = join(folder, 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, 16 * MIB);
	run('sfdisk', ['-q', path], {input: 'label: dos\nstart=8192,type=83\n'});
	const content = readFileSync(path);
	content.write('boot loader', 0);
	content.write('core', 200 * KIB);
	content.write('end', MIB - 3);
	content.write('beyond', 2 * MIB);
	content.write('content', 5 * MIB);
	writeFileSync(path, content);
	const data = dataOf(path);
	const wanted = Buffer.concat([content.subarray(0, MIB), Buffer.alloc(15 * MIB)]);
	t.true(rebuilt(16 * MIB, data).equals(wanted));
	t.deepEqual(
		data.map(({position}) => position),
		[0, 200 * KIB, MIB - 4096],
	);
	t.true(JSON.stringify(data).length < 20 * KIB, 'zeros are left out');
});

testWith(test, ['sfdisk'], 'a backup that is not at the end is found where the table says that it lies', t => {
	const folder = temporaryFolder(t);
	const path = join(folder, 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, 8 * MIB);
	run('sfdisk', ['-q', path], {input: 'label: gpt\nstart=2048,size=2048,type=L\n'});
	const backup = readFileSync(path).subarray(-33 * 512);
	truncateSync(path, 12 * MIB);
	t.true(
		rebuilt(12 * MIB, dataOf(path))
			.subarray(8 * MIB - backup.length, 8 * MIB)
			.equals(backup),
	);
	// With one copy damaged the other one is kept.
	const damaged = readFileSync(path);
	damaged.fill(0xff, 512, 1024);
	writeFileSync(path, damaged.subarray(0, 8 * MIB));
	t.true(
		rebuilt(8 * MIB, dataOf(path))
			.subarray(-33 * 512)
			.equals(backup),
	);
});

test('a disk without a partition table has nothing of that kind', t => {
	const path = join(temporaryFolder(t), 'disk.raw');
	writeFileSync(path, 'x'.repeat(100_000));
	t.deepEqual(dataOf(path), []);
});
