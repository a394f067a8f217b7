import {createHash} from 'node:crypto';
import {copyFileSync, mkdirSync, openSync, closeSync, statSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import {newSpan, SpanKind} from '../../src/core/disk.ts';
import {openImage} from '../../src/image/image.ts';
import {FULL_DISK_TOOLS, fullDisk} from '../helpers/full-disk.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {type TreeEntry, walkFileSystem} from '../helpers/tree.ts';

const MIB = 1 << 20;
const FIXED = {id: '5a'.repeat(16), timestamp: 1_700_000_000};

/** Every file of every volume. */
function treesOf(t: ExecutionContext, path: string, options: {parent?: string} = {}): Record<string, TreeEntry[]> {
	const image = openImage(path, options);
	t.teardown(() => image[Symbol.dispose]());
	return Object.fromEntries(
		image.volumes.map(({name, fileSystem}) => [name, fileSystem === undefined ? [] : walkFileSystem(fileSystem)]),
	);
}

/** Bytes of each kind of span on a disk. */
function kindsOf(t: ExecutionContext, path: string): Map<SpanKind, number> {
	const {disk, ...image} = openImage(path);
	t.teardown(() => image[Symbol.dispose]());
	const span = newSpan();
	const kinds = new Map<SpanKind, number>();
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		kinds.set(span.kind, (kinds.get(span.kind) ?? 0) + span.length);
	}
	return kinds;
}

const declare: typeof testWith = isRoot
	? testWith
	: (runner, _tools, title, implementation) => runner.skip(`${title} (making the disk needs root)`, implementation);

declare(test, FULL_DISK_TOOLS, 'a capture skips free space, says so, and keeps every file', async t => {
	t.timeout(120_000);
	const folder = temporaryFolder(t);
	const {path} = fullDisk();
	// What was deleted lies in free space: it need not be kept, and must not come back as anything else.
	const dirty = join(folder, 'dirty.raw');
	copyFileSync(path, dirty);
	const result = await capture(dirty, join(folder, 'a.tint'), FIXED);
	t.deepEqual(
		result.freeSpace.map(({volume, skipped}) => [volume, skipped]),
		[
			[1, true],
			[2, true],
			[3, true],
		],
	);
	t.is(result.unreadable, 0);
	t.deepEqual(treesOf(t, join(folder, 'a.tint')), treesOf(t, dirty));
	const all = await capture(dirty, join(folder, 'all.tint'), {...FIXED, allBlocks: true});
	t.true(all.read >= result.read);
	await convert(join(folder, 'all.tint'), join(folder, 'all.raw'));
	t.is(sha256(join(folder, 'all.raw')), sha256(dirty));
});

function sha256(path: string): string {
	return createHash('sha256')
		.update(run('sha256sum', [path]).split(' ')[0])
		.digest('hex');
}

declare(test, FULL_DISK_TOOLS, 'free space with old content in it is marked, and reads as zeros', async t => {
	t.timeout(120_000);
	const folder = temporaryFolder(t);
	const {path, volumes} = fullDisk();
	const dirty = join(folder, 'dirty.raw');
	copyFileSync(path, dirty);
	// The last third of the FAT volume is free.
	const {start, length} = volumes[1];
	const position = start + length - 20 * MIB;
	const descriptor = openSync(dirty, 'r+');
	writeSync(descriptor, Buffer.alloc(16 * MIB, 'deleted'), 0, 16 * MIB, position);
	closeSync(descriptor);
	await capture(dirty, join(folder, 'a.tint'), FIXED);
	const kinds = kindsOf(t, join(folder, 'a.tint'));
	t.true((kinds.get(SpanKind.free) ?? 0) >= 15 * MIB, `${kinds.get(SpanKind.free)} bytes are free`);
	const image = openImage(join(folder, 'a.tint'));
	t.teardown(() => image[Symbol.dispose]());
	const bytes = new Uint8Array(8 * MIB);
	image.disk.readAt(position + 4 * MIB, bytes);
	t.true(bytes.every(byte => byte === 0));
	t.deepEqual(treesOf(t, join(folder, 'a.tint')), treesOf(t, path));
});

declare(test, FULL_DISK_TOOLS, 'chosen volumes are kept with the partition table, the others are marked', async t => {
	t.timeout(120_000);
	const folder = temporaryFolder(t);
	const {path, volumes} = fullDisk();
	const result = await capture(path, join(folder, 'a.tint'), {...FIXED, volumes: [3]});
	t.deepEqual(
		result.exclusions.map(({volume, reason}) => [volume, reason]),
		[
			[1, 'volume not chosen'],
			[2, 'volume not chosen'],
		],
	);
	const kinds = kindsOf(t, join(folder, 'a.tint'));
	t.true((kinds.get(SpanKind.excluded) ?? 0) > volumes[1].length / 4);
	const trees = treesOf(t, join(folder, 'a.tint'));
	t.deepEqual(trees['3-Linux'], treesOf(t, path)['3-Linux']);
	const {table, ...image} = openImage(join(folder, 'a.tint'));
	t.teardown(() => image[Symbol.dispose]());
	t.is(table.partitions.length, 3);
	await t.throwsAsync(capture(path, join(folder, 'b.tint'), {volumes: [7]}), {code: 'capture/no-volume'});
	await t.throwsAsync(capture(path, join(folder, 'b.raw')), {code: 'capture/format'});
});

declare(
	test,
	[...FULL_DISK_TOOLS, 'debugfs'],
	'increments hold what changed, and each of them is a whole image',
	async t => {
		t.timeout(120_000);
		const folder = temporaryFolder(t);
		const {path, volumes} = fullDisk();
		const disk = join(folder, 'disk.raw');
		copyFileSync(path, disk);
		const {start, length} = volumes[1];
		const trees: Record<string, TreeEntry[]>[] = [];
		const names = ['full.tint', 'first.tint', 'second.tint', 'third.tint'];
		for (const [index, name] of names.entries()) {
			if (index > 0) {
				writeFileSync(join(folder, 'new'), `increment ${index}\n`.repeat(5000));
				run('mcopy', ['-o', '-i', `${disk}@@${start}`, join(folder, 'new'), `::/new-${index}.txt`]);
				if (index === 2) run('mdel', ['-i', `${disk}@@${start}`, '::/big.bin']);
			}
			await capture(disk, join(folder, name), {
				timestamp: 1_700_000_000 + index,
				...(index > 0 && {parent: join(folder, names[index - 1])}),
			});
			trees.push(treesOf(t, disk));
		}
		const sizes = names.map(name => statSync(join(folder, name)).size);
		t.true(
			sizes.slice(1).every(size => size < sizes[0] / 5),
			`sizes ${sizes.join(', ')}`,
		);
		for (const [index, name] of names.entries()) t.deepEqual(treesOf(t, join(folder, name)), trees[index], name);
		t.true(length > 0);

		// In a folder of their own, and under other names, they find each other.
		const moved = join(folder, 'moved');
		mkdirSync(moved);
		for (const [index, name] of names.entries()) copyFileSync(join(folder, name), join(moved, `${index}.tint`));
		t.deepEqual(treesOf(t, join(moved, '3.tint')), trees[3]);
	},
);

declare(
	test,
	[...FULL_DISK_TOOLS, 'mkswap'],
	'page files are left out where that is asked for, but not their header',
	async t => {
		const folder = temporaryFolder(t);
		const content = join(folder, 'content');
		mkdirSync(content);
		const swap = Buffer.alloc(4 * MIB, 'secret');
		writeFileSync(join(content, 'swapfile'), swap);
		run('mkswap', ['-U', '3f0bde1c-5d3c-4c0a-9b5e-74696e740009', join(content, 'swapfile')]);
		writeFileSync(join(content, 'kept.txt'), 'kept');
		const disk = join(folder, 'disk.raw');
		writeFileSync(disk, Buffer.alloc(32 * MIB));
		run('mkfs.ext4', ['-q', '-d', content, disk]);
		const result = await capture(disk, join(folder, 'a.tint'), {exclude: ['pagefile']});
		t.deepEqual(
			result.exclusions.map(({path, reason, bytes}) => [path, reason, bytes]),
			[['/swapfile', 'pagefile', 4 * MIB - 4096]],
		);
		await convert(join(folder, 'a.tint'), join(folder, 'back.raw'));
		const image = openImage(join(folder, 'back.raw'));
		t.teardown(() => image[Symbol.dispose]());
		const [{fileSystem}] = image.volumes;
		if (fileSystem === undefined) throw new Error('no file system');
		const node = fileSystem.lookup(fileSystem.root, Buffer.from('swapfile')) ?? 0;
		const bytes = new Uint8Array(4 * MIB);
		t.is(fileSystem.read(node, 0, bytes), bytes.length);
		t.is(Buffer.from(bytes.subarray(4086, 4096)).toString(), 'SWAPSPACE2');
		t.true(bytes.subarray(4096).every(byte => byte === 0));
		const kept = fileSystem.lookup(fileSystem.root, Buffer.from('kept.txt')) ?? 0;
		t.is(fileSystem.stat(kept).size, 4);
	},
);

declare(
	test,
	['losetup', 'mkfs.ext4', 'mount', 'umount'],
	'a device in use is warned of, and its free space is kept',
	async t => {
		const folder = temporaryFolder(t);
		const disk = join(folder, 'disk.raw');
		writeFileSync(disk, Buffer.alloc(16 * MIB));
		run('mkfs.ext4', ['-q', disk]);
		const device = run('losetup', ['--find', '--show', disk]).trim();
		t.teardown(() => run('losetup', ['--detach', device]));
		const idle = await capture(device, join(folder, 'idle.tint'));
		t.deepEqual(
			idle.freeSpace.map(({skipped}) => skipped),
			[true],
		);
		t.deepEqual(idle.findings, []);
		const mounted = join(folder, 'mounted');
		mkdirSync(mounted);
		run('mount', ['-o', 'ro', device, mounted]);
		try {
			const used = await capture(device, join(folder, 'used.tint'));
			t.deepEqual(
				used.findings.map(({code, severity}) => [code, severity]),
				[['capture/source-in-use', 'warning']],
			);
			t.regex(used.findings[0].message, /mounted on/);
			t.deepEqual(
				used.freeSpace.map(({skipped, reason}) => [skipped, reason]),
				[[false, 'the disk is in use']],
			);
		} finally {
			run('umount', [mounted]);
		}
	},
);
