import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {openImage} from '../../src/image/image.ts';
import {runSeeds} from '../fuzz/run-child.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const SEEDS = Number(process.env['TINTYPE_SEEDS'] ?? 1000);

async function runMutations(t: ExecutionContext, image: string): Promise<void> {
	const found = await runSeeds(t, '../check/mutation-run.ts', [image, join(temporaryFolder(t), 'mutated')], SEEDS);
	t.true(Object.keys(found).length > 5, 'hardly anything was found');
}

/** One volume of the demo disk as an image of its own. */
function volumeOf(t: ExecutionContext, number: number): string {
	const disk = demoDisk();
	const image = openImage(disk);
	const volume = image.volumes.find(candidate => candidate.number === number);
	const {start, length} = volume?.partition ?? {start: 0, length: 0};
	image[Symbol.dispose]();
	const path = join(temporaryFolder(t), 'volume.raw');
	writeFileSync(path, readFileSync(disk).subarray(start, start + length));
	return path;
}

for (const [number, name] of [
	[1, 'FAT16'],
	[2, 'NTFS'],
	[3, 'ext4'],
] as const) {
	test.serial(`mutated: ${name}`, async t => runMutations(t, volumeOf(t, number)));
}

const declare = haveSharedTestdata ? test.serial : test.serial.skip;
declare('mutated: exFAT', async t => runMutations(t, sharedImage('exfatprogs/bad_num_chain.img.tar.xz')));
