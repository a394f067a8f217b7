import {
	closeSync,
	copyFileSync,
	openSync,
	readFileSync,
	statfsSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {findSuperblock} from '../../../../mount/filesystems/ext/find-superblock.ts';
import {openFileSystem} from '../../../../mount/filesystems/ext/file-system.ts';
import {applyFastChanges} from '../../../../mount/filesystems/ext/journal/fast-changes.ts';
import {openVolume} from '../../../../mount/filesystems/ext/volume.ts';
import {recover} from '../../../../mount/filesystems/ext/journal/recover.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {dirtyImage, quickWork, work} from './dirty.ts';
import {exercise, guard, limited, MAX_READS, random} from './exercise.ts';
import {openImage, pattern, testWithMount, withMount} from './images.ts';

const REPLAYED = 'ext/journal-replayed';

/** How a file system is made and mounted, by what its journal is like. */
const VARIANTS: Readonly<Record<string, {readonly mkfs: readonly string[]; readonly options: string}>> = {
	'as it comes': {mkfs: ['mkfs.ext4'], options: 'rw'},
	'of ext3': {mkfs: ['mkfs.ext3'], options: 'rw'},
	'with file content in it': {mkfs: ['mkfs.ext4', '-b', '1024'], options: 'rw,data=journal'},
	'with checksums of version 1': {
		mkfs: ['mkfs.ext4', '-O', '^metadata_csum'],
		options: 'rw,journal_checksum',
	},
	'without 64bit and with commits that do not wait': {
		mkfs: ['mkfs.ext4', '-O', '^metadata_csum,^64bit'],
		options: 'rw,journal_async_commit,data=writeback',
	},
	'with clusters and inline data': {
		mkfs: ['mkfs.ext4', '-I', '512', '-O', 'bigalloc,inline_data', '-C', '16384'],
		options: 'rw',
	},
	'that goes round': {mkfs: ['mkfs.ext4', '-b', '1024', '-J', 'size=1'], options: 'rw'},
};

testWithMount(['mkfs.ext4'], 'fast commits are replayed as the kernel does', t => {
	const image = join(temporaryFolder(t), 'image');
	dirtyImage(image, ['mkfs.ext4', '-O', 'fast_commit'], 'rw', quickWork);
	const {fileSystem, findings} = openImage(image);
	t.deepEqual(
		findings.map(({code}) => code),
		[REPLAYED],
	);
	t.log(findings[0]?.message);
	t.regex(findings[0]?.message ?? '', /\d+ fast commits$/);
	// The kernel gives directories the time at which it replays.
	const comparable = (entries: readonly TreeEntry[]): unknown[] =>
		entries.map(entry => ({...entry, modified: entry.type === 'directory' ? '' : entry.modified}));
	const tree = walkFileSystem(fileSystem);
	withMount(image, 'rw', folder => {
		t.deepEqual(comparable(tree), comparable(walkFolder(folder)));
	});
	for (const {path} of tree) checkParts(t, fileSystem, path);
	const span = newSpan();
	fileSystem.allocated?.(0, span);
	t.is(span.length, 48 << 20, 'nothing is called free');
});

/** Every part of a path is found, and a listing in pieces is that in one. */
function checkParts(t: ExecutionContext, fileSystem: FileSystem, path: string): void {
	let node = fileSystem.root;
	for (const part of path.split('/')) {
		const next = fileSystem.lookup(node, Buffer.from(part));
		if (next === undefined) return t.fail(`${path} is not found`);
		if (fileSystem.stat(next).type === 'directory') t.is(fileSystem.parent(next), node);
		node = next;
	}
	if (fileSystem.stat(node).type !== 'directory') return undefined;
	const whole: string[] = [];
	const pieces: string[] = [];
	fileSystem.readDirectory(node, 0, ({name}) => whole.push(Buffer.from(name).toString()) > 0);
	for (let cursor = 0, before = -1; pieces.length !== before; ) {
		before = pieces.length;
		fileSystem.readDirectory(node, cursor, entry => {
			pieces.push(Buffer.from(entry.name).toString());
			cursor = entry.cursor;
			return false;
		});
	}
	return void t.deepEqual(pieces, whole);
}

/** Superblocks say when and how they were written last. */
const SUPERBLOCK_END = 2048;
const JOURNAL_MAGIC = 0xc03b_3998;

/** Compares what the driver reads with an image whose journal debugfs has replayed, byte by byte. */
function checkReplayed(t: ExecutionContext, image: string): void {
	const replayed = `${image}.replayed`;
	copyFileSync(image, replayed);
	run('debugfs', ['-w', '-R', 'jr', replayed]);
	const expected = readFileSync(replayed);
	const source = openTestFile(image);
	const {replayed: overlay, superblock} = recover(source, findSuperblock(source, {warn: () => {}}), {warn: () => {}});
	const actual = new Uint8Array(source.size);
	(overlay ?? source).readAt(0, actual);
	const {blockSize} = superblock;
	const different: number[] = [];
	for (let at = SUPERBLOCK_END; at < actual.length; at += blockSize - (at % blockSize)) {
		const end = at + blockSize - (at % blockSize);
		if (expected.subarray(at, end).equals(actual.subarray(at, end))) continue;
		// The journal is empty afterwards, as its superblock says.
		if (expected.readUInt32BE(at) !== JOURNAL_MAGIC) different.push(at / blockSize);
	}
	t.deepEqual(different, []);
	// Pieces of every size at every place give the same.
	for (let at = 0, seed = 1; at < actual.length; seed++) {
		const piece = new Uint8Array(Math.min((seed * 7919) % 9000, actual.length - at));
		(overlay ?? source).readAt(at, piece);
		if (!Buffer.from(piece).equals(actual.subarray(at, at + piece.length))) t.fail(`${piece.length} bytes at ${at}`);
		at += piece.length + ((seed * 104_729) % 60_000);
	}
}

for (const [title, {mkfs, options}] of Object.entries(VARIANTS)) {
	testWithMount(['mkfs.ext4', 'setfattr', 'debugfs'], `a journal ${title} is replayed as the kernel does`, t => {
		const image = join(temporaryFolder(t), 'image');
		dirtyImage(image, mkfs, options, folder => work(folder, 20));
		const {fileSystem, findings} = openImage(image);
		t.deepEqual(
			findings.map(({code}) => code),
			[REPLAYED, 'ext/orphans'],
		);
		checkReplayed(t, image);
		const tree = walkFileSystem(fileSystem);
		withMount(image, 'rw', folder => {
			t.deepEqual(tree, walkFolder(folder));
		});
	});
}

/** What debugfs is told: each line is a transaction of its own. */
const TRANSACTIONS = [
	'jw -b 9000,9001,9002,9003 data',
	'jw -b 9001,9100,9200 other',
	'jw -r 9000,9100',
	'jw -b 9100 data',
	'jw -b 9300,9301 magic',
	'jw -r 9002',
	'jw -b 9400 data',
	'jw -c -b 9400,9401 other',
];

for (const [title, features, open, ...codes] of [
	['without checksums', '^metadata_csum,^64bit', 'jo', REPLAYED],
	['without checksums with 64bit', '^metadata_csum,64bit', 'jo', REPLAYED],
	// debugfs gets the checksum of a transaction of revocations wrong, and does not replay it itself.
	['with checksums of version 1', '^metadata_csum,64bit', 'jo -c', REPLAYED, 'ext/journal-incomplete'],
	['with checksums of version 2', 'metadata_csum,^64bit', 'jo -c -v 2', REPLAYED],
	['with checksums of version 2 and 64bit', 'metadata_csum,64bit', 'jo -c -v 2', REPLAYED],
	['with checksums of version 3', 'metadata_csum,64bit', 'jo -c -v 3', REPLAYED],
] as const) {
	testWith(test, ['mkfs.ext4', 'debugfs'], `transactions that debugfs writes ${title}`, t => {
		const folder = temporaryFolder(t);
		const image = join(folder, 'image');
		writeFileSync(image, '');
		truncateSync(image, 16 << 20);
		run('mkfs.ext4', ['-q', '-F', '-b', '1024', '-O', features, image]);
		const magic = new Uint8Array(2048);
		new DataView(magic.buffer).setUint32(1024, JOURNAL_MAGIC);
		writeFileSync(join(folder, 'magic'), magic);
		writeFileSync(join(folder, 'data'), pattern(4096, 1));
		writeFileSync(join(folder, 'other'), pattern(4096, 2));
		writeFileSync(join(folder, 'commands'), [open, ...TRANSACTIONS, 'jc', ''].join('\n'));
		run('debugfs', ['-w', '-f', 'commands', image], {cwd: folder});
		t.deepEqual(
			openImage(image).findings.map(({code}) => code),
			codes,
		);
		checkReplayed(t, image);
	});
}

testWithMount(['mkfs.ext4'], '300 mutations of fast commits', t => {
	const image = join(temporaryFolder(t), 'image');
	dirtyImage(image, ['mkfs.ext4', '-O', 'fast_commit'], 'rw', quickWork);
	const source = openTestFile(image);
	const quiet = {warn: (): void => {}};
	const {superblock, replayed, fastCommits} = recover(source, findSuperblock(source, quiet), quiet);
	t.true(fastCommits.changes.length > 100);
	const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
	t.log(`seed ${seed}`);
	for (let index = 0; index < 300; index++) {
		const next = random(seed + index);
		const changes = fastCommits.changes.map(({tag, value}) => ({tag, value: value.slice()}));
		for (let change = 0; change <= next(6); change++) {
			const {value} = changes[next(changes.length)];
			const at = next(Math.min(value.length, 40));
			if (next(2) === 0) value[at] ^= 1 << next(8);
			else value.fill(next(2) * 255, at, at + 1 + next(4));
		}
		const volume = openVolume(limited(source, MAX_READS), superblock, quiet, replayed);
		guard(() => exercise(openFileSystem({...volume, changes: applyFastChanges(volume, changes)}), 0));
	}
});

testWithMount(['mkfs.ext4'], 'deleted files that were open are counted', t => {
	for (const features of ['^orphan_file', 'orphan_file']) {
		const image = join(temporaryFolder(t), 'image');
		const open: number[] = [];
		dirtyImage(
			image,
			['mkfs.ext4', '-O', features],
			'rw',
			folder => {
				for (let i = 0; i < 3; i++) {
					writeFileSync(join(folder, `file ${i}`), pattern(5000));
					open.push(openSync(join(folder, `file ${i}`), 'r'));
					unlinkSync(join(folder, `file ${i}`));
				}
				run('sync', ['-f', folder]);
			},
			16,
			() => open.splice(0).forEach(closeSync),
		);
		const {findings} = openImage(image);
		t.deepEqual(
			findings.map(({code}) => code),
			[REPLAYED, 'ext/orphans'],
		);
		t.regex(findings[1]?.message ?? '', /^3 files /);
	}
});

/** Runs of the volume that are free: start and length in turn. */
function freeRuns(image: string): number[] {
	const {fileSystem} = openImage(image);
	const span = newSpan();
	const runs: number[] = [];
	for (let position = 0; position < 48 << 20; position += span.length) {
		fileSystem.allocated?.(position, span);
		if (span.kind === SpanKind.free) runs.push(position, span.length);
	}
	return runs;
}

testWithMount(['mkfs.ext4', 'debugfs'], 'what is free after a replay is what the kernel calls free', t => {
	const image = join(temporaryFolder(t), 'image');
	dirtyImage(image, ['mkfs.ext4', '-b', '1024'], 'rw', folder => {
		for (let i = 0; i < 40; i++) writeFileSync(join(folder, `file ${i}`), pattern(70_000, i));
		run('sync', ['-f', folder]);
		for (let i = 0; i < 40; i += 3) unlinkSync(join(folder, `file ${i}`));
		run('sync', ['-f', folder]);
	});
	const replayed = `${image}.replayed`;
	copyFileSync(image, replayed);
	run('debugfs', ['-w', '-R', 'jr', replayed]);
	const runs = freeRuns(image);
	t.true(runs.length > 10);
	t.deepEqual(runs, freeRuns(replayed));
	const {freeBlocks, freeNodes} = openImage(image).fileSystem.usage();
	const kernel = withMount(image, 'rw', folder => statfsSync(folder));
	t.deepEqual([freeBlocks, freeNodes], [kernel.bfree, kernel.ffree]);
});

testWithMount(['mkfs.ext4'], 'a span of a file lies in the volume itself, where it can be read', t => {
	const image = join(temporaryFolder(t), 'image');
	dirtyImage(image, ['mkfs.ext4', '-b', '1024'], 'rw,data=journal', folder => work(folder, 4));
	const {fileSystem} = openImage(image);
	const source = openTestFile(image);
	const span = newSpan();
	let moved = 0;
	const directory = fileSystem.lookup(fileSystem.root, Buffer.from('stay')) ?? 0;
	fileSystem.readDirectory(directory, 0, ({node}) => {
		const {size} = fileSystem.stat(node);
		for (let position = 0; position < size; position += span.length) {
			fileSystem.locate(node, position, span);
			const expected = new Uint8Array(span.length);
			fileSystem.read(node, position, expected);
			const actual = new Uint8Array(span.length);
			if (span.kind === SpanKind.encoded) moved++;
			if (span.kind !== SpanKind.stored) continue;
			source.readAt(span.at, actual);
			t.deepEqual(actual, expected);
		}
		return true;
	});
	t.true(moved > 0, 'blocks that begin with the magic of the journal are not verbatim in it');
});

testWith(test, ['mkfs.ext4', 'debugfs'], 'a journal that cannot be replayed is told', t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'image');
	const make = (): Buffer => {
		writeFileSync(image, '');
		run('mkfs.ext4', ['-q', '-F', '-b', '1024', '-O', 'metadata_csum,64bit', image, '16M']);
		writeFileSync(join(folder, 'data'), pattern(4096, 1));
		const commands = ['jo -c -v 3', 'jw -b 9000,9001 data', 'jw -b 9002,9003 data', 'jc', ''];
		writeFileSync(join(folder, 'commands'), commands.join('\n'));
		run('debugfs', ['-w', '-f', 'commands', image], {cwd: folder});
		return readFileSync(image);
	};
	const bytes = make();
	const journal = 1024 * Number(run('debugfs', ['-R', 'bmap <8> 0', image]));
	const codes = (change: (copy: Buffer) => void): string[] => {
		const copy = Buffer.from(bytes);
		change(copy);
		writeFileSync(image, copy);
		return openImage(image).findings.map(({code}) => code);
	};
	/** Of the n-th block of the journal: superblock, descriptor, two of data, commit, and the next transaction. */
	const flip =
		(block: number, at: number) =>
		(copy: Buffer): void => {
			copy[journal + block * 1024 + at] ^= 1;
		};
	t.deepEqual(
		codes(() => {}),
		[REPLAYED],
	);
	t.deepEqual(codes(flip(0, 0)), ['ext/journal-not-replayed']);
	t.deepEqual(codes(flip(0, 0x14)), ['ext/journal-not-replayed']);
	t.deepEqual(codes(flip(1, 20)), ['ext/journal-not-replayed']);
	t.deepEqual(codes(flip(2, 100)), [REPLAYED, 'ext/journal-blocks-lost']);
	t.deepEqual(codes(flip(4, 0x60)), ['ext/journal-not-replayed']);
	t.deepEqual(codes(flip(5, 20)), [REPLAYED, 'ext/journal-incomplete']);
	t.deepEqual(codes(flip(8, 0x60)), [REPLAYED, 'ext/journal-incomplete']);
	t.deepEqual(codes(flip(8, 0)), [REPLAYED], 'a commit block that was not written yet');
	// The journal's own inode is gone: the superblock has a copy of what is needed of it.
	const inode = Number(/located at block (\d+)/.exec(run('debugfs', ['-R', 'imap <8>', image]))?.[1]) * 1024;
	t.deepEqual(codes(copy => copy.fill(0, inode, inode + 1024 * 4)).slice(0, 1), [REPLAYED]);
	t.deepEqual(
		codes(copy => copy.writeUInt32LE(0, 1024 + 0xe0)),
		['ext/superblock-backup', REPLAYED],
	);
});

testWith(test, ['mkfs.ext4', 'debugfs'], 'an external journal is told', t => {
	const image = join(temporaryFolder(t), 'image');
	writeFileSync(image, '');
	run('mkfs.ext4', ['-q', '-F', '-O', '^metadata_csum', image, '16M']);
	run('debugfs', ['-w', '-R', 'feature needs_recovery', image]);
	const bytes = readFileSync(image);
	bytes.writeUInt32LE(0, 1024 + 0xe0);
	bytes.fill(0xab, 1024 + 0xd0, 1024 + 0xe0);
	writeFileSync(image, bytes);
	const {findings} = openImage(image);
	t.deepEqual(
		findings.map(({code}) => code),
		['ext/external-journal'],
	);
	t.regex(findings[0]?.message ?? '', /abababab-abab/);
});
