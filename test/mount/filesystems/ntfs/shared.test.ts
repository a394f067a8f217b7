import test from 'ava';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {windowSource} from '../../../../src/core/sources/window.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {haveSharedTestdata, sharedImage, sharedOracle} from '../../../helpers/shared-testdata.ts';
import {hashNode, walkFileSystem} from '../../../helpers/tree.ts';
import {nodeAt, openSource} from './recipes.ts';

const shared = haveSharedTestdata ? test : test.skip;

interface Case {
	readonly image: string;
	readonly oracle: string;
	/** Where the volume starts in the image, in bytes, and its size. */
	readonly start?: number;
	readonly size?: number;
	readonly label: string;
	readonly identifier: string;
	/** In the listing but in no directory's index: Sleuth Kit and 7-Zip look at MFT records instead. */
	readonly unlisted?: Readonly<Record<string, NodeId>>;
	/** A link here, a file with the bytes that stand for it there. */
	readonly links?: readonly string[];
}

const CASES: readonly Case[] = [
	{
		image: 'dfvfs/ntfs.raw',
		oracle: 'dfvfs__ntfs.raw.tsv',
		label: 'ntfs_test',
		identifier: '1870D4A366D67B00',
		links: ['a_link'],
	},
	{
		image: 'dfir/ntfs3.raw.gz',
		oracle: 'dfir__ntfs3.raw.gz.tsv',
		label: '',
		identifier: '26A7A1E93D3A46ED',
		unlisted: {'test/1.txt': 28},
	},
	{
		image: 'ntfs-samples/ntfs-ptrn.raw.gz',
		oracle: 'ntfs-samples__ntfs-ptrn.raw.gz.tsv',
		start: 65_536,
		size: 2_091_008 * 512,
		label: 'Slack',
		identifier: '60563C66563C3F5A',
	},
];

/** Sleuth Kit's hash of an attribute that is no $DATA, such as an index, is left out: only streams are ours to show. */
function isIndexStream(path: string): boolean {
	return /:\$(O|Q|R|SDH|SII)$/.test(path);
}

function streamHash(fileSystem: FileSystem, path: string): {size: number; sha256: string} | undefined {
	const [file = '', name] = path.split(':');
	const stream = [...fileSystem.streams(nodeAt(fileSystem, file))].find(candidate => candidate.name === name);
	if (stream === undefined) return undefined;
	const reader = {read: (_: NodeId, position: number, target: Uint8Array) => stream.read(position, target)};
	return {size: stream.size, sha256: hashNode(reader as FileSystem, 0)};
}

for (const {image, oracle, start = 0, size, label, identifier, unlisted = {}, links = []} of CASES) {
	shared(`${image} as Sleuth Kit and 7-Zip list it`, t => {
		const file = openTestFile(sharedImage(image));
		const {fileSystem, findings} = openSource(windowSource(file, start, size ?? file.size - start, image));
		t.deepEqual(findings, []);
		t.is(fileSystem.label, label);
		t.is(fileSystem.identifier, identifier);
		const entries = sharedOracle(oracle)
			.map(entry => ({...entry, path: entry.path.replace(/^\[SYSTEM\]\/?/, '')}))
			.filter(({path, type}) => type !== 'virtual' && !/^\d+:\d+$/.test(path) && path !== '' && !isIndexStream(path));
		const seen = new Set<string>();
		for (const {path, type, size: bytes, sha256} of entries) {
			if (path in unlisted) {
				t.is<unknown, unknown>(hashNode(fileSystem, unlisted[path] ?? 0), sha256, path);
				continue;
			}
			// $BadClus is as large as the volume for us, and all hole.
			if (path === '$BadClus:$Bad') {
				const [stream] = fileSystem.streams(nodeAt(fileSystem, '$BadClus'));
				t.is(stream?.size, fileSystem.usage().totalBlocks * fileSystem.usage().blockSize);
				continue;
			}
			if (path.includes(':')) {
				t.deepEqual(streamHash(fileSystem, path), {size: bytes ?? 0, sha256: sha256 ?? ''}, path);
				continue;
			}
			const node = nodeAt(fileSystem, path);
			seen.add(path);
			const stat = fileSystem.stat(node);
			if (links.includes(path)) {
				t.is(stat.type, 'symlink');
				continue;
			}
			t.is(stat.type, type === 'dir' ? 'directory' : 'file', path);
			if (type === 'file') t.is<unknown, unknown>(hashNode(fileSystem, node), sha256, path);
			if (type === 'file') t.is<unknown, unknown>(stat.size, bytes, path);
		}
		for (const {path} of walkFileSystem(fileSystem)) t.true(seen.has(path), path);
	});
}

shared('a link that ntfs-3g made', t => {
	const {fileSystem} = openSource(openTestFile(sharedImage('dfvfs/ntfs.raw')));
	t.is(Buffer.from(fileSystem.readLink(nodeAt(fileSystem, 'a_link'))).toString(), 'a_directory/another_file');
});
