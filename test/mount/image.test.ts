import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {mountImage} from '../../mount/mount-image.ts';
import {convert} from '../../src/convert/convert.ts';
import {openImage} from '../../src/image/image.ts';
import {imageTree} from '../../src/image/tree.ts';
import {BIG_FILE_SIZE, FULL_DISK_TOOLS, fullDisk, MANY_FILES, SPARSE_DATA, SPARSE_SIZE} from '../helpers/full-disk.ts';
import {checkMount, type MountExpectations} from '../helpers/mount-conformance.ts';
import {isRoot, testMounting} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../helpers/tree.ts';

/** Mounts an image as the command line does, until the test ends. */
async function mounted(t: ExecutionContext, path: string): Promise<string> {
	const folder = temporaryFolder(t);
	const image = openImage(path);
	t.teardown(() => image[Symbol.dispose]());
	const mount = await mountImage(image, folder);
	t.teardown(() => mount.unmount());
	return folder;
}

async function hashFile(path: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const part of createReadStream(path, {highWaterMark: 1 << 20})) hash.update(part as Buffer);
	return hash.digest('hex');
}

/** The mount shows files as readable by their new owner, whatever their mode. */
function withoutMode(entry: TreeEntry): TreeEntry {
	return {...entry, mode: 0};
}

function lines(entries: readonly TreeEntry[], below = ''): string[] {
	return entries.map(({path, ...entry}) => `${below}${path} ${JSON.stringify(entry)}`);
}

const declare: typeof testMounting = isRoot
	? testMounting
	: (runner, _tools, title, implementation) => runner.skip(`${title} (making the disk needs root)`, implementation);

for (const format of ['raw', 'vhdx', 'tint']) {
	declare(
		test,
		FULL_DISK_TOOLS,
		`a mounted ${format} shows all volumes, the disk, and what the drivers read`,
		async t => {
			t.timeout(120_000);
			const disk = fullDisk();
			const path = format === 'raw' ? disk.path : join(temporaryFolder(t), `disk.${format}`);
			if (format !== 'raw') await convert(disk.path, path);
			const folder = await mounted(t, path);
			t.is(await hashFile(join(folder, 'disk.raw')), await hashFile(disk.path));
			const image = openImage(disk.path);
			t.teardown(() => image[Symbol.dispose]());
			t.deepEqual(
				image.volumes.map(({name}) => name),
				['1-FATVOLUME', '2-Windows', '3-Linux'],
			);
			for (const {name, fileSystem} of image.volumes) {
				if (fileSystem === undefined) {
					t.fail(`${name} was not recognised`);
					return;
				}
				t.deepEqual(walkFolder(join(folder, name)).map(withoutMode), walkFileSystem(fileSystem).map(withoutMode), name);
			}
		},
	);
}

const VOLUMES: readonly {readonly name: string; readonly expected: Partial<MountExpectations>}[] = [
	{name: '1-FATVOLUME', expected: {}},
	{
		name: '2-Windows',
		expected: {
			symlink: {path: 'link', target: 'a/deep/path'},
			sparse: {path: 'sparse.bin', size: SPARSE_SIZE, data: SPARSE_DATA},
		},
	},
	{
		name: '3-Linux',
		expected: {
			symlink: {path: 'link', target: 'a/deep/path'},
			sparse: {path: 'sparse.bin', size: SPARSE_SIZE, data: SPARSE_DATA},
		},
	},
];
for (const {name, expected} of VOLUMES) {
	declare(test, [...FULL_DISK_TOOLS, 'python3', 'dd'], `${name} behaves as a read-only mount does`, async t => {
		t.timeout(120_000);
		const disk = fullDisk();
		const folder = await mounted(t, disk.path);
		await checkMount(t, join(folder, name), {
			files: [{path: 'big.bin', size: BIG_FILE_SIZE, sha256: disk.bigSha256}],
			directory: {path: 'many', count: MANY_FILES},
			...expected,
		});
	});
}

declare(test, FULL_DISK_TOOLS, 'the whole image as one tree agrees with its volumes', t => {
	const image = openImage(fullDisk().path);
	t.teardown(() => image[Symbol.dispose]());
	const tree = imageTree(image);
	const parts = image.volumes.flatMap(({name, fileSystem}) =>
		fileSystem === undefined ? [] : lines(walkFileSystem(fileSystem), `${name}/`),
	);
	const whole = lines(walkFileSystem(tree).filter(entry => entry.path.includes('/')));
	t.deepEqual(whole.sort(), parts.sort());
});
