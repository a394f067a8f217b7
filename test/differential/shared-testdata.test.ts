import {createHash} from 'node:crypto';
import test from 'ava';
import {DiskError} from '../../src/core/error.ts';
import {type Image, openImage, type Volume} from '../../src/image/image.ts';
import {
	haveSharedTestdata,
	type ManifestRow,
	sharedImage,
	sharedManifest,
	sharedTrees,
} from '../helpers/shared-testdata.ts';
import {walkFileSystem} from '../helpers/tree.ts';
import {EXPECTATIONS} from './shared-expectations.ts';

const CHUNK = 1 << 20;

function hashDisk({disk}: Image): string {
	const hash = createHash('sha256');
	const buffer = new Uint8Array(CHUNK);
	for (let position = 0; position < disk.size; position += CHUNK) {
		const part = buffer.subarray(0, Math.min(CHUNK, disk.size - position));
		disk.readAt(position, part);
		hash.update(part);
	}
	return hash.digest('hex');
}

function contentOf({fileSystem, error}: Volume): string {
	return fileSystem?.type ?? error?.code ?? 'unknown';
}

function open(path: string, expectation: (typeof EXPECTATIONS)[string]): Image {
	const parent = expectation.parent === undefined ? {} : {parent: sharedImage(expectation.parent)};
	return openImage(sharedImage(path), parent);
}

function declare(row: ManifestRow): void {
	const {path} = row;
	const expectation = EXPECTATIONS[path];
	test(`${path}: ${row.container}, ${row.partitionTable}, ${row.fileSystem}`, t => {
		if (expectation === undefined) {
			t.fail('this image has no row in shared-expectations.ts');
			return;
		}
		if (expectation.refused !== undefined) {
			t.throws(() => open(path, expectation), {instanceOf: DiskError, code: expectation.refused});
			return;
		}
		const image = open(path, expectation);
		t.teardown(() => image[Symbol.dispose]());
		t.is(image.disk.format, expectation.format ?? '');
		t.is(image.table.scheme, expectation.table ?? '');
		t.deepEqual(
			Object.fromEntries(image.volumes.map(volume => [volume.number, contentOf(volume)])),
			expectation.volumes,
		);
		if (row.virtualSha256 !== '') t.is(hashDisk(image), row.virtualSha256);
	});
}

/**
 * Images whose trees the drivers' own tests compare, since the oracle shows damage in its own way or needs its own rules:
 * damaged on purpose, or with a journal to replay.
 */
const COMPARED_ELSEWHERE = /^(e2fs|dosfstools)\//;

/** Names that Sleuth Kit and 7-Zip find in MFT records, but that no directory lists any more; ntfs-3g shows none either. */
const UNLISTED: Readonly<Record<string, readonly string[]>> = {'dfir/ntfs3.raw.gz': ['test/1.txt']};

/** Encrypted files: others hash their ciphertext, and write their names, which are no text, in ways of their own. */
const ENCRYPTED = '!ext/encrypted';

function declareTrees(row: ManifestRow): void {
	const {path, oracles} = row;
	const expectation = EXPECTATIONS[path];
	if (expectation?.volumes === undefined || COMPARED_ELSEWHERE.test(path)) return;
	const readable = Object.values(expectation.volumes).some(
		content => /^(fat|ntfs|ext)/.test(content) && !content.includes('/'),
	);
	const trees = oracles.flatMap(sharedTrees);
	if (!readable || trees.length === 0) return;
	test(`${path}: every file is what others find`, t => {
		const image = open(path, expectation);
		t.teardown(() => image[Symbol.dispose]());
		for (const {partition, fileSystem} of image.volumes) {
			const here = trees.filter(tree => tree.start === partition.start);
			if (fileSystem === undefined || here.length === 0) continue;
			const ours = new Map(walkFileSystem(fileSystem).map(entry => [entry.path, entry]));
			for (const {entries, tool} of here) {
				for (const entry of entries) {
					if (UNLISTED[path]?.includes(entry.path)) continue;
					const mine = ours.get(entry.path);
					t.truthy(mine, `${entry.path}, which ${tool} lists`);
					// Others show the content of a link, or what it points to, in their own ways.
					if (mine?.type !== 'file' || entry.sha256 === undefined) continue;
					if (mine.sha256 === ENCRYPTED) continue;
					t.is(mine.sha256, entry.sha256, `${entry.path}, by ${tool}`);
					t.is(mine.size, entry.size ?? -1, entry.path);
				}
			}
			const known = new Set(here.flatMap(tree => tree.entries.map(entry => entry.path)));
			t.deepEqual(
				[...ours.values()]
					.filter(entry => !known.has(entry.path) && entry.sha256 !== ENCRYPTED)
					.map(entry => entry.path),
				[],
				'names that no other tool lists',
			);
		}
	});
}

if (haveSharedTestdata) {
	for (const row of sharedManifest()) {
		declare(row);
		declareTrees(row);
	}
} else {
	test.skip('the shared images are not on this machine', t => t.pass());
}
