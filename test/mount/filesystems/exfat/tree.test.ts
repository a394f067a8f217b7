import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {isRoot} from '../../../helpers/mounting.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {fill, type MadeOptions, makeVolume, TOOLS} from './made.ts';
import {find, openExfat} from './image.ts';

const serial: typeof test = test.serial as typeof test;
const MIB = 1 << 20;

interface Recipe extends MadeOptions {
	readonly size: number;
	readonly clusterSize: number;
	/** Of the largest files. */
	readonly largest: number;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
	'512-byte clusters': {size: 4 * MIB, format: ['-c', '512'], clusterSize: 512, largest: 700_001},
	'4 KiB clusters': {size: 20 * MIB, format: ['-c', '4K'], clusterSize: 4096, largest: 1_300_001},
	'a packed bitmap': {size: 20 * MIB, format: ['-c', '8K', '--pack-bitmap'], clusterSize: 8192, largest: 300_001},
	'4096-byte sectors': {
		size: 64 * MIB,
		format: ['-c', '32K'],
		sectorSize: 4096,
		clusterSize: 32_768,
		largest: 300_001,
	},
	'32 MiB clusters': {size: 8192 * MIB, format: ['-c', '32M'], clusterSize: 32 * MIB, largest: 300_001},
};

/** Not for a folder: exfat-fuse keeps the times of those that it changes in memory only. */
const comparable = (entries: readonly TreeEntry[]): unknown[] =>
	entries.map(entry => ({...entry, mode: 0, ...(entry.type === 'directory' && {modified: ''})}));

for (const [title, recipe] of Object.entries(RECIPES)) {
	const body = async (t: ExecutionContext): Promise<void> => {
		const path = join(temporaryFolder(t), 'volume');
		const theirs = await makeVolume(t, path, recipe.size, recipe, folder => {
			// exfat-fuse writes all of each directory's cluster.
			fill(folder, recipe.largest, recipe.clusterSize < MIB);
			return walkFolder(folder);
		});
		t.regex(run('fsck.exfat', ['-n', path]), /clean/);
		const source = openTestFile(path);
		t.teardown(() => source[Symbol.dispose]());
		const {fileSystem, codes} = openExfat(source);
		t.deepEqual(codes, []);
		const ours = walkFileSystem(fileSystem);
		t.true(ours.length > 90);
		t.deepEqual(comparable(ours), comparable(theirs));
		const {blockSize, freeBlocks, totalBlocks} = fileSystem.usage();
		t.is(blockSize, recipe.clusterSize);
		let used = 0;
		const span = newSpan();
		for (let at = 0; at < source.size; at += span.length) {
			fileSystem.allocated?.(at, span);
			if (span.kind === SpanKind.free) used -= span.length;
		}
		t.is(-used, freeBlocks * blockSize);
		t.true(freeBlocks < totalBlocks);
		// What has not been written is not stored.
		fileSystem.locate(find(fileSystem, 'unwritten.bin'), 0, span);
		t.is(span.length > 0, true);
	};
	if (isRoot) testWith(serial, TOOLS, `${title}: a tree that exfat-fuse wrote is read whole`, body);
	else test.skip(`${title} (needs root)`, body);
}
