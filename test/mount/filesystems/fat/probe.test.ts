import {closeSync, ftruncateSync, openSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {fat} from '../../../../mount/filesystems/fat/index.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {fatImage} from './image.ts';

const MEGABYTE = 1 << 20;

function blank(t: ExecutionContext, size: number): string {
	const path = join(temporaryFolder(t), 'image');
	const descriptor = openSync(path, 'w');
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
	return path;
}

/** A file whose start held a FAT32 volume before. */
function former(t: ExecutionContext, size: number): string {
	const path = blank(t, size);
	run('mkfs.fat', ['-F', '32', '-s', '1', path]);
	return path;
}

const probes = (path: string): boolean => fat.probe(memorySource(readFileSync(path)));

testWith(test, ['mkfs.fat', 'mkntfs'], 'NTFS made over a FAT volume is not FAT', t => {
	const path = former(t, 16 * MEGABYTE);
	t.true(probes(path));
	run('mkntfs', ['-F', '-f', '-q', path]);
	t.false(probes(path));
});

testWith(test, ['mkfs.fat', 'mkfs.ext4'], 'ext4 made over a FAT volume is not FAT', t => {
	const path = former(t, 16 * MEGABYTE);
	run('mkfs.ext4', ['-F', '-q', path]);
	t.false(probes(path));
});

testWith(test, ['mkfs.fat', 'sfdisk', 'sgdisk'], 'a partitioned disk is not FAT, even where it was one before', t => {
	for (const label of ['dos', 'gpt']) {
		const path = former(t, 16 * MEGABYTE);
		const bytes = readFileSync(path);
		bytes.fill(0, 0, 512);
		writeFileSync(path, bytes);
		t.true(probes(path), 'only the backup is left');
		run('sfdisk', ['--wipe', 'never', path], {input: `label: ${label}\n2048,8192\n`});
		t.false(probes(path), label);
	}
});

test('an MBR whose boot code looks like a parameter block is not FAT', t => {
	const image = fatImage({bits: 16, clusters: 5000});
	image.bytes.fill(0, 512);
	t.true(fat.probe(memorySource(image.bytes)), 'a boot sector without its table');
	image.bytes.set([0x80, 1, 1, 0, 0x0c, 254, 255, 255, 0, 8, 0, 0, 0, 8, 0, 0], 446);
	t.false(fat.probe(memorySource(image.bytes)));
});

test('nothing, little and noise are not FAT', t => {
	for (const size of [0, 1, 511, 512, 513, 3000, 163_840]) {
		t.false(fat.probe(memorySource(new Uint8Array(size))), String(size));
		t.false(fat.probe(memorySource(new Uint8Array(size).fill(0xff))), String(size));
	}
	const text = new Uint8Array(8192);
	text.set([0xeb, 0x3c, 0x90]);
	text.set([0x55, 0xaa], 510);
	t.false(fat.probe(memorySource(text)), 'jump and signature alone');
});
