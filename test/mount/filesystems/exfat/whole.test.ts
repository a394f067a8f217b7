import {createHash} from 'node:crypto';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {mountImage} from '../../../../mount/mount-image.ts';
import {convert} from '../../../../src/convert/convert.ts';
import {openImage} from '../../../../src/image/image.ts';
import {checkMount} from '../../../helpers/mount-conformance.ts';
import {isRoot, testMounting} from '../../../helpers/mounting.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {exfatImage, fileSet} from './image.ts';
import {content, makeVolume, TOOLS} from './made.ts';

const MANY = 1000;
const BIG = content((3 << 20) + 12_345, 7);

const declare: typeof testMounting = isRoot
	? testMounting
	: (runner, _tools, title, implementation) => runner.skip(`${title} (making the volume needs root)`, implementation);

declare(test, [...TOOLS, 'python3', 'dd'], 'a mounted volume behaves as a read-only mount does', async t => {
	t.timeout(120_000);
	const path = join(temporaryFolder(t), 'volume');
	const volume = {format: ['-c', '4K', '-n', 'EXFAT']};
	await makeVolume(t, path, 40 << 20, volume, folder => {
		mkdirSync(join(folder, 'many'));
		for (let i = 0; i < MANY; i++) writeFileSync(join(folder, 'many', `file-${i}.txt`), `file ${i}\n`);
		writeFileSync(join(folder, 'big.bin'), BIG);
		writeFileSync(join(folder, 'Größe 😀.txt'), 'name');
	});
	const folder = temporaryFolder(t);
	const image = openImage(path);
	t.teardown(() => image[Symbol.dispose]());
	const mounted = await mountImage(image, folder);
	t.teardown(() => mounted.unmount());
	const [{name, fileSystem}] = image.volumes;
	t.is(name, '1-EXFAT');
	await checkMount(t, join(folder, name), {
		files: [{path: 'big.bin', size: BIG.length, sha256: createHash('sha256').update(BIG).digest('hex')}],
		directory: {path: 'many', count: MANY},
	});
	const withoutMode = (entries: readonly TreeEntry[]): TreeEntry[] => entries.map(entry => ({...entry, mode: 0}));
	t.deepEqual(
		withoutMode(walkFolder(join(folder, name))),
		fileSystem === undefined ? undefined : withoutMode(walkFileSystem(fileSystem)),
	);
});

/** A volume with something in every cluster, written to a file. */
function fullVolume(
	t: ExecutionContext,
	flags: number,
): {path: string; used: Set<number>; bytes: Uint8Array; heap: number} {
	const image = exfatImage({clusters: 2000});
	const {free, bytes, heapStart} = image;
	bytes.fill(0x66, image.at(free), image.at(2002));
	image.chain(free + 3, free + 9);
	image.put(image.root, fileSet('file', {cluster: free + 3, size: 700}));
	bytes[106] = flags;
	const path = join(temporaryFolder(t), 'volume.raw');
	writeFileSync(path, bytes);
	const used = new Set([free + 3, free + 9]);
	for (let cluster = 2; cluster < free; cluster++) used.add(cluster);
	return {path, used, bytes, heap: heapStart};
}

test('conversion leaves out what the bitmap calls free', async t => {
	const {path, used, bytes, heap} = fullVolume(t, 0);
	const target = join(temporaryFolder(t), 'target.raw');
	const {freeSpace = []} = await convert(path, target, {usedOnly: true});
	t.deepEqual(
		freeSpace.map(({volume, skipped, bytes: left}) => [volume, skipped, left]),
		[[1, true, (2000 - used.size) * 512]],
	);
	const expected = bytes.slice();
	for (let cluster = 2; cluster < 2002; cluster++) {
		if (!used.has(cluster)) expected.fill(0, heap + (cluster - 2) * 512, heap + (cluster - 1) * 512);
	}
	t.is(Buffer.compare(readFileSync(target), expected), 0);
});

for (const [title, flags, reason] of [
	['dirty', 2, /not closed cleanly/],
	['on a failed medium', 4, /medium has failed/],
] as const) {
	test(`a volume that is ${title} is converted whole`, async t => {
		const {path, bytes} = fullVolume(t, flags);
		const target = join(temporaryFolder(t), 'target.raw');
		const {freeSpace = []} = await convert(path, target, {usedOnly: true});
		t.false(freeSpace[0]?.skipped);
		t.regex(freeSpace[0]?.reason ?? '', reason);
		t.is(Buffer.compare(readFileSync(target), bytes), 0);
	});
}
