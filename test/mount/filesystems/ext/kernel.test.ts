import {lstatSync, readFileSync, statfsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {printable} from '../../../../src/core/bytes/text.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run} from '../../../helpers/tools.ts';
import {walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {fillEverything, filledImage, openImage, testWithMount, withMount} from './images.ts';

const TOOLS = ['mkfs.ext4', 'setfattr', 'getfattr', 'dumpe2fs'];

/** Options of mkfs by what they are about. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
	'ext2 with 1 KiB blocks and 128-byte inodes': ['mkfs.ext2', '-b', '1024', '-I', '128'],
	'ext2 of revision 0': ['mkfs.ext2', '-r', '0', '-b', '1024', '-I', '128', '-O', 'none'],
	'ext3 with 2 KiB blocks': ['mkfs.ext3', '-b', '2048', '-I', '256'],
	'ext4 as it comes': ['mkfs.ext4'],
	'ext4 with 1 KiB blocks': ['mkfs.ext4', '-b', '1024'],
	'ext4 without extents': ['mkfs.ext4', '-b', '2048', '-O', '^extents,^64bit'],
	'ext4 with meta_bg': ['mkfs.ext4', '-b', '1024', '-O', 'meta_bg,^resize_inode,^flex_bg'],
	'ext4 with inline data': ['mkfs.ext4', '-I', '512', '-O', 'inline_data'],
	'ext4 with uninit_bg': ['mkfs.ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg'],
	'ext4 without checksums and journal': ['mkfs.ext4', '-O', '^metadata_csum,^has_journal,^dir_index'],
	'ext4 with bigalloc': ['mkfs.ext4', '-O', 'bigalloc', '-C', '16384'],
	'ext4 with large_dir, ea_inode and csum_seed': ['mkfs.ext4', '-O', 'large_dir,ea_inode,metadata_csum_seed'],
	'ext4 with sparse_super2': ['mkfs.ext4', '-b', '1024', '-O', 'sparse_super2,^resize_inode', '-E', 'num_backup_sb=2'],
};

/** The fields that a tree does not compare. */
function stats(node: NodeId, fileSystem: FileSystem): unknown {
	const stat = fileSystem.stat(node);
	const {links, uid, gid, allocated, accessed, changed, created, device} = stat;
	return {node, links, uid, gid, allocated, accessed, changed, created, device};
}

function toTimestamp(nanoseconds: bigint): {seconds: number; nanoseconds: number} {
	const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
	return {seconds: Number((nanoseconds - rest) / 1_000_000_000n), nanoseconds: Number(rest)};
}

function kernelStats(path: string, hasCreation: boolean): unknown {
	const stat = lstatSync(path, {bigint: true});
	const device = Number(stat.rdev);
	const isDevice = stat.isCharacterDevice() || stat.isBlockDevice();
	return {
		node: Number(stat.ino),
		links: Number(stat.nlink),
		uid: Number(stat.uid),
		gid: Number(stat.gid),
		allocated: Number(stat.blocks) * 512,
		accessed: toTimestamp(stat.atimeNs),
		changed: toTimestamp(stat.ctimeNs),
		created: hasCreation ? toTimestamp(stat.birthtimeNs) : undefined,
		device: isDevice
			? {major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00)}
			: undefined,
	};
}

function find(fileSystem: FileSystem, path: string): NodeId {
	let node: NodeId | undefined = fileSystem.root;
	for (const name of path.split('/')) {
		node = node === undefined ? undefined : fileSystem.lookup(node, Buffer.from(name));
	}
	if (node === undefined) throw new Error(`${path} is not there`);
	return node;
}

/** What getfattr says of a path: name to value in hexadecimal. */
function kernelAttributes(path: string): Record<string, string> {
	const lines = run('getfattr', ['-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', path]).split('\n');
	const pairs = lines
		.filter(line => line !== '' && !line.startsWith('#'))
		.map(
			line =>
				[line.split('=')[0].replaceAll('\\040', ' '), line.includes('=') ? line.split('=')[1].slice(2) : ''] as const,
		);
	return Object.fromEntries(pairs);
}

function attributes(fileSystem: FileSystem, node: NodeId): Record<string, string> {
	const pairs = [...fileSystem.attributes(node)].map(
		({name, value}) => [name, Buffer.from(value).toString('hex')] as const,
	);
	return Object.fromEntries(pairs);
}

/** Every name is looked up, in the directory that lists it, and every directory knows its parent. */
function checkLookups(t: ExecutionContext, fileSystem: FileSystem): void {
	const pending = [fileSystem.root];
	for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
		const names: {name: Uint8Array; node: NodeId}[] = [];
		fileSystem.readDirectory(directory, 0, ({name, node}) => names.push({name: name.slice(), node}) > 0);
		for (const {name, node} of names) {
			if (fileSystem.lookup(directory, name) !== node) t.fail(`${printable(name)} is not found`);
			if (fileSystem.stat(node).type !== 'directory') continue;
			t.is(fileSystem.parent(node), directory);
			pending.push(node);
		}
		t.is(fileSystem.lookup(directory, Buffer.from('no such name')), undefined);
	}
}

/** The free blocks by dumpe2fs: `Free blocks: 10-20, 30`; of clusters it gives the first block of each. */
function freeBlocks(image: string): Set<number> {
	const text = run('dumpe2fs', [image]);
	const blockSize = Number(/^Block size: +(\d+)$/m.exec(text)?.[1]);
	const clusterSize = Number(/^Cluster size: +(\d+)$/m.exec(text)?.[1] ?? blockSize);
	const free = new Set<number>();
	for (const [, list] of text.matchAll(/^ {2}Free blocks: (.*)$/gm)) {
		for (const range of list.split(', ').filter(part => part !== '')) {
			const [first, last = first] = range.split('-').map(Number);
			for (let block = first; block < last + clusterSize / blockSize; block++) free.add(block);
		}
	}
	return free;
}

function driverFreeBlocks(fileSystem: FileSystem, size: number): Set<number> {
	const {blockSize} = fileSystem.usage();
	const free = new Set<number>();
	const span = newSpan();
	for (let position = 0; position < size; position += span.length) {
		fileSystem.allocated?.(position, span);
		if (span.kind !== SpanKind.free) continue;
		for (let at = position; at < position + span.length; at += blockSize) free.add(at / blockSize);
	}
	return free;
}

const MEGABYTES = 48;

function variantImage(title: string): string {
	const name = title.replaceAll(/[^a-z0-9]+/g, '-');
	return filledImage(name, VARIANTS[title] ?? [], MEGABYTES, fillEverything);
}

for (const [title, mkfs] of Object.entries(VARIANTS)) {
	testWithMount(TOOLS, `${title} reads as the kernel reads it`, t => {
		const image = variantImage(title);
		const {fileSystem, findings} = openImage(image);
		t.deepEqual(findings, []);
		t.is(fileSystem.type, title.slice(0, 4));
		const tree = walkFileSystem(fileSystem);
		const small = mkfs.includes('128');
		withMount(image, 'ro', folder => {
			const expected = walkFolder(folder);
			t.true(expected.length > 350);
			t.deepEqual(tree, expected);
			// Paths with an escaped name cannot be asked of the kernel as they are printed.
			const paths = expected.map(entry => entry.path).filter(path => !path.includes('\\x'));
			for (const path of paths.filter(name => !name.startsWith('many/') || name.endsWith('0'))) {
				t.deepEqual(stats(find(fileSystem, path), fileSystem), kernelStats(join(folder, path), !small), path);
			}
			for (const path of [
				'attributes/small',
				'attributes/large',
				'attributes/empty',
				'attributes/huge',
				'links/symlink-59',
				'sizes/100',
			]) {
				t.deepEqual(attributes(fileSystem, find(fileSystem, path)), kernelAttributes(join(folder, path)), path);
			}
			const {blocks, bfree, files, ffree, bsize} = statfsSync(folder);
			const usage = fileSystem.usage();
			t.deepEqual(
				{...usage},
				{
					blockSize: bsize,
					totalBlocks: blocks,
					freeBlocks: bfree,
					volumeSize: MEGABYTES << 20,
					totalNodes: files,
					freeNodes: ffree,
				},
			);
		});
		checkLookups(t, fileSystem);
		t.deepEqual(driverFreeBlocks(fileSystem, MEGABYTES << 20), freeBlocks(image));
	});
}

/** s_overhead_clusters */
const OVERHEAD = 1024 + 0x248;

for (const title of ['ext2 of revision 0', 'ext3 with 2 KiB blocks', 'ext4 with uninit_bg']) {
	testWithMount(TOOLS, `${title} has the kernel's sizes where the superblock lacks them`, t => {
		const bytes = readFileSync(variantImage(title));
		t.not(bytes.readUInt32LE(OVERHEAD), 0);
		bytes.writeUInt32LE(0, OVERHEAD);
		const image = join(temporaryFolder(t), 'image');
		writeFileSync(image, bytes);
		const {totalBlocks, freeBlocks: free} = openImage(image).fileSystem.usage();
		const kernel = withMount(image, 'ro', folder => statfsSync(folder));
		t.deepEqual([totalBlocks, free], [kernel.blocks, kernel.bfree]);
	});
}
