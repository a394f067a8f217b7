import {createHash} from 'node:crypto';
import {
	accessSync,
	chmodSync,
	chownSync,
	closeSync,
	constants,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	readSync,
	renameSync,
	rmdirSync,
	statfsSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import {open, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import process from 'node:process';
import type {ExecutionContext} from 'ava';
import {errnoName} from '../../src/core/system/libc.ts';
import {seekData, seekHole} from '../../src/core/system/seek.ts';
import {run, runBytes} from './tools.ts';

/** What a mounted folder must show. Paths are relative to it. */
export interface MountExpectations {
	/** At least one; the first is large enough for several reads (1 MiB and more). */
	readonly files: readonly {readonly path: string; readonly size: number; readonly sha256: string}[];
	/** A directory of files alone that takes several READDIRs, and how many entries it has. */
	readonly directory: {readonly path: string; readonly count: number};
	readonly symlink?: {readonly path: string; readonly target: string};
	/** A file with holes, and where its data lies. */
	readonly sparse?: {
		readonly path: string;
		readonly size: number;
		readonly data: readonly {readonly from: number; readonly to: number}[];
	};
	readonly attributes?: {readonly path: string; readonly values: Readonly<Record<string, string>>};
}

const CALLS = join(import.meta.dirname, 'posix-calls.py');

function posix(name: string, ...args: string[]): unknown {
	return JSON.parse(run('python3', [CALLS, name, ...args]));
}

function errorOf(call: () => unknown): string {
	try {
		call();
		return 'none';
	} catch (error) {
		return errnoName(error) ?? String(error);
	}
}

/** All that a read-only mount owes its users, whatever the file system behind it. Needs python3. */
export async function checkMount(t: ExecutionContext, folder: string, expected: MountExpectations): Promise<void> {
	checkWritesRefused(t, folder, expected);
	checkContent(t, folder, expected);
	checkDirectory(t, folder, expected);
	checkUsage(t, folder);
	await checkHandles(t, folder, expected);
	if (expected.symlink) t.is(readlinkSync(join(folder, expected.symlink.path)), expected.symlink.target);
	if (expected.sparse) checkHoles(t, join(folder, expected.sparse.path), expected.sparse);
	if (expected.attributes) checkAttributes(t, join(folder, expected.attributes.path), expected.attributes.values);
}

function checkWritesRefused(t: ExecutionContext, folder: string, {files, directory}: MountExpectations): void {
	const file = join(folder, files[0].path);
	const sub = join(folder, directory.path);
	const fresh = join(folder, 'fresh');
	const calls: Record<string, () => unknown> = {
		create: () => writeFileSync(fresh, 'x'),
		mkdir: () => mkdirSync(fresh),
		symlink: () => symlinkSync('x', fresh),
		link: () => linkSync(file, fresh),
		mkfifo: () => run('mkfifo', [fresh]),
		rename: () => renameSync(file, fresh),
		unlink: () => unlinkSync(file),
		rmdir: () => rmdirSync(sub),
		truncate: () => truncateSync(file, 0),
		chmod: () => chmodSync(file, 0o777),
		chown: () => chownSync(file, 1, 1),
		utimes: () => utimesSync(file, 1, 1),
		'open for writing': () => openSync(file, 'r+'),
		'open for appending': () => openSync(file, 'a'),
		'access for writing': () => accessSync(file, constants.W_OK),
	};
	for (const [name, call] of Object.entries(calls)) {
		const found = name === 'mkfifo' ? mkfifoError(call) : errorOf(call);
		t.is(found, 'EROFS', `${name} gives ${found}`);
	}
	t.deepEqual(posix('write_attributes', file, 'user.fresh'), {set: 'EROFS', remove: 'EROFS'});
}

function mkfifoError(call: () => unknown): string {
	try {
		call();
		return 'none';
	} catch (error) {
		return String(error).includes('Read-only file system') ? 'EROFS' : String(error);
	}
}

function checkContent(t: ExecutionContext, folder: string, {files}: MountExpectations): void {
	for (const {path, size, sha256} of files) {
		const full = join(folder, path);
		const content = readFileSync(full);
		t.is(content.length, size, path);
		t.is(createHash('sha256').update(content).digest('hex'), sha256, path);
		t.is(lstatSync(full).size, size, path);
		if (size > 0) t.is(posix('mapped_hash', full), sha256, `${path}, mapped`);
		const descriptor = openSync(full, 'r');
		t.is(readSync(descriptor, Buffer.alloc(10), 0, 10, size), 0, 'nothing at the end');
		t.is(readSync(descriptor, Buffer.alloc(10), 0, 10, size + 100_000), 0, 'nothing beyond the end');
		if (size > 3) {
			const tail = Buffer.alloc(10);
			t.is(readSync(descriptor, tail, 0, 10, size - 3), 3, 'a short read at the end');
			t.deepEqual(tail.subarray(0, 3), content.subarray(size - 3));
		}
		closeSync(descriptor);
	}
	// Past the page cache, so that the requests are as long as they can get.
	const [{path, sha256}] = files;
	const direct = runBytes('dd', [`if=${join(folder, path)}`, 'iflag=direct', 'bs=4M', 'status=none']);
	t.is(createHash('sha256').update(direct).digest('hex'), sha256, `${path}, O_DIRECT`);
}

function checkDirectory(t: ExecutionContext, folder: string, {directory}: MountExpectations): void {
	const full = join(folder, directory.path);
	t.is(readdirSync(full).length, directory.count);
	const step = Math.max(1, Math.floor(directory.count / 8));
	t.deepEqual(posix('seekdir', full, String(step)), {
		count: directory.count + 2,
		distinct: directory.count + 2,
		wrong: [],
	});
	t.is(lstatSync(join(full, '..')).ino, lstatSync(join(full, '..', '.')).ino);
	t.is(
		errorOf(() => lstatSync(join(full, 'no such name'))),
		'ENOENT',
	);
	t.is(
		errorOf(() => lstatSync(join(full, 'x'.repeat(300)))),
		'ENOENT',
	);
	t.is(
		errorOf(() => lstatSync(join(full, 'x'.repeat(2000)))),
		'ENAMETOOLONG',
	);
	const [first] = readdirSync(full);
	t.is(
		errorOf(() => lstatSync(join(full, first, 'below a file'))),
		'ENOTDIR',
	);
	t.is(
		errorOf(() => readFileSync(full)),
		'EISDIR',
	);
}

function checkUsage(t: ExecutionContext, folder: string): void {
	const usage = statfsSync(folder);
	t.true(usage.bsize >= 512, `block size ${usage.bsize}`);
	t.true(usage.blocks > 0 && usage.bfree <= usage.blocks, `${usage.bfree} of ${usage.blocks} blocks are free`);
}

async function checkHandles(t: ExecutionContext, folder: string, {files, directory}: MountExpectations): Promise<void> {
	const [{path, size, sha256}] = files;
	const handle = await open(join(folder, path));
	dropCaches();
	const content = await handle.readFile();
	t.is(createHash('sha256').update(content).digest('hex'), sha256, 'a handle outlives FORGET');
	t.is((await handle.stat()).size, size);
	await handle.close();

	const full = join(folder, directory.path);
	const names = readdirSync(full).slice(0, 1000);
	const handles = await Promise.all(names.map(name => open(join(full, name))));
	const sizes = await Promise.all(handles.map(async each => (await each.readFile()).length));
	await Promise.all(handles.map(each => each.close()));
	t.deepEqual(
		sizes,
		names.map(name => lstatSync(join(full, name)).size),
		'many handles at once',
	);
	const copies = await Promise.all(Array.from({length: 8}, () => readFile(join(folder, path))));
	t.true(
		copies.every(copy => copy.equals(content)),
		'many readers of one file',
	);
}

/** Makes the kernel forget what nothing holds; only root may. */
function dropCaches(): void {
	if (process.getuid?.() === 0) writeFileSync('/proc/sys/vm/drop_caches', '2');
}

function checkHoles(t: ExecutionContext, path: string, sparse: NonNullable<MountExpectations['sparse']>): void {
	const descriptor = openSync(path, 'r');
	const found: {from: number; to: number}[] = [];
	for (let at = seekData(descriptor, 0); at !== undefined; ) {
		const to = seekHole(descriptor, at) ?? sparse.size;
		found.push({from: at, to});
		at = seekData(descriptor, to);
	}
	t.deepEqual(found, sparse.data, 'SEEK_DATA and SEEK_HOLE');
	const [first] = sparse.data;
	if (first && first.from > 0) t.is(seekHole(descriptor, 0), 0);
	t.is(seekData(descriptor, sparse.size), undefined, 'ENXIO at the end');
	t.is(seekHole(descriptor, sparse.size + 1), undefined, 'ENXIO beyond the end');
	closeSync(descriptor);
}

function checkAttributes(t: ExecutionContext, path: string, values: Readonly<Record<string, string>>): void {
	t.deepEqual(posix('attributes', path), values);
	const names = Object.keys(values);
	const listSize = names.reduce((sum, name) => sum + name.length + 1, 0);
	const [name = ''] = names;
	const size = values[name].length;
	t.deepEqual(posix('attribute_sizes', path, name), {
		get: [size, 'ERANGE', size],
		list: [listSize, 'ERANGE', listSize],
		missing: 'ENODATA',
	});
}
