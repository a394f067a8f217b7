import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {runSeeds} from './run-child.ts';

const SEEDS = 500;
async function runMutations(t: ExecutionContext, image: string): Promise<void> {
	await runSeeds(t, 'mutation-run.ts', [image, join(temporaryFolder(t), 'mutated')], SEEDS);
}

test.serial('mutated: a disk with GPT, FAT, NTFS and ext4', async t => runMutations(t, demoDisk()));

for (const extension of ['vhdx', 'vhd', 'tint']) {
	test.serial(`mutated: the same disk as ${extension}`, async t => {
		const image = join(temporaryFolder(t), `disk.${extension}`);
		await convert(demoDisk(), image, {id: '00'.repeat(16), timestamp: 0});
		await runMutations(t, image);
	});
}

const SHARED = [
	'dfvfs/fat12.raw',
	'dfir/fat16.raw.gz',
	'utl-fs/small-fat32.img.xz',
	'dfvfs/ntfs.raw',
	'dfir/ntfs3.raw.gz',
	'dfvfs/ext2.raw',
	'dfvfs/ext4.raw',
	'ext4view/test_disk1.bin.zst',
	'e2fs/d_inline_dump.img.gz',
	'dfir/exfat_win.raw.gz',
	'exfatprogs/bad_num_chain.img.tar.xz',
	'dfvfs/mbr.raw',
	'dfvfs/ntfs-dynamic.vhdx.xz',
	'dfvfs/ext2.vhd',
	'dfvfs/ntfs-fixed.vhd',
];
for (const path of SHARED) {
	const declare = haveSharedTestdata ? test.serial : test.serial.skip;
	declare(`mutated: ${path}`, async t => runMutations(t, sharedImage(path)));
}
