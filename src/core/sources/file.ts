import {closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../error.ts';
import type {FileRecipe, OpenedFile} from '../recipe.ts';
import type {ByteSource} from '../source.ts';
import {seekData, seekEnd, seekHole} from '../system/seek.ts';
import {concatSource} from './concat.ts';
import {pipeSource} from './pipe.ts';

/** Bytes of one read(2): the kernel gives at most 0x7ffff000. */
const LONGEST_READ = 1 << 30;

/** What may be opened. A device is only right where a person named it. */
export type FileKind = 'file' | 'file-or-device';

/**
 * Opens a regular file or a block device for reading, and nothing else: opening a FIFO or a terminal could wait for
 * ever, and other devices do things when they are opened. So it looks before, and again at what it got.
 */
export function openFile(path: string, kind: FileKind = 'file-or-device'): OpenedFile {
	let descriptor: number;
	try {
		checkKind(path, statSync(path), kind);
		descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
	} catch (error) {
		throw error instanceof DiskError ? error : openFailed(path, error);
	}
	try {
		const stat = fstatSync(descriptor);
		checkKind(path, stat, kind);
		const size = stat.isBlockDevice() ? seekEnd(descriptor) : stat.size;
		// st_blocks counts 512 bytes each; a file with all its blocks has no holes worth asking for.
		const sparse = process.platform === 'linux' && stat.isFile() && stat.blocks * 512 < stat.size;
		return {path, descriptor, size, device: stat.dev, inode: stat.ino, modified: stat.mtimeMs, sparse};
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
}

function checkKind(path: string, stat: Stats, kind: FileKind): void {
	if (stat.isFile() || (kind === 'file-or-device' && stat.isBlockDevice())) return;
	const wanted = kind === 'file' ? 'a regular file' : 'a file or a block device';
	throw new DiskError('invalid', 'file/wrong-type', `${path} is ${kindOf(stat)}, not ${wanted}`, {
		where: {file: path},
		...(stat.isDirectory() && {hint: 'name the image file itself'}),
	});
}

function kindOf(stat: Stats): string {
	if (stat.isDirectory()) return 'a directory';
	if (stat.isFIFO()) return 'a FIFO';
	if (stat.isSocket()) return 'a socket';
	if (stat.isBlockDevice()) return 'a block device';
	return 'a character device';
}

function openFailed(path: string, cause: unknown): DiskError {
	const {code, message} = cause as NodeJS.ErrnoException;
	const options = {where: {file: path}, cause};
	if (code === 'ENOENT' || code === 'ENOTDIR') {
		return new DiskError('not-found', 'file/not-found', `there is no file ${path}`, options);
	}
	if (code === 'EACCES' || code === 'EPERM') {
		const hint = 'ask its owner, or run as a user who may read it';
		return new DiskError('io', 'file/no-permission', `no permission to read ${path}`, {...options, hint});
	}
	return new DiskError('io', 'file/open', `${path} cannot be opened: ${code ?? message}`, options);
}

/** A source over an opened file. Closing the source leaves the descriptor open: it may be shared with other threads. */
function descriptorSource(file: OpenedFile): ByteSource {
	const {path, descriptor, size} = file;

	function readAt(position: number, target: Uint8Array): void {
		let done = 0;
		while (done < target.length) {
			let count: number;
			try {
				count = readSync(descriptor, target, done, Math.min(target.length - done, LONGEST_READ), position + done);
			} catch (error) {
				const {code, message} = error as NodeJS.ErrnoException;
				if (code === 'EINTR') continue;
				const where = {file: path, position: position + done};
				throw new DiskError('io', 'file/read', `reading ${path} failed: ${code ?? message}`, {where, cause: error});
			}
			if (count === 0) {
				throw shrunk(position + done);
			}
			done += count;
		}
	}

	function shrunk(position: number): DiskError {
		return new DiskError('io', 'file/shrunk', `${path} became shorter while it was read`, {
			where: {file: path, position},
		});
	}

	/** Where the system knows of nothing more, only holes follow, or the file no longer reaches that far. */
	function toEnd(position: number): number {
		if (fstatSync(descriptor).size < size) throw shrunk(position);
		return size;
	}

	return {
		name: path,
		size,
		descriptor,
		readAt,
		...(file.sparse && {
			seekData: (position: number) => Math.min(seekData(descriptor, position) ?? toEnd(position), size),
			seekHole: (position: number) => Math.min(seekHole(descriptor, position) ?? toEnd(position), size),
		}),
		[Symbol.dispose]() {},
	};
}

/** Whether the descriptor still is the file that was opened; a worker asks before it trusts a number. */
function isSameFile({descriptor, device, inode}: OpenedFile): boolean {
	try {
		const stat = fstatSync(descriptor);
		return stat.dev === device && stat.ino === inode;
	} catch {
		return false;
	}
}

/** A source over the descriptors of a recipe, in any thread of the process that opened them. */
export function fileSource(recipe: FileRecipe): ByteSource {
	for (const part of recipe.parts) {
		if (!isSameFile(part))
			throw new DiskError('io', 'file/changed', `${part.path} is no longer the file that was opened`);
	}
	if (recipe.pipe !== undefined) return pipeSource(recipe.parts[0], recipe.pipe);
	const sources = recipe.parts.map(part => descriptorSource(part));
	const [only] = sources;
	return sources.length === 1 && only !== undefined ? only : concatSource(sources, recipe.name);
}

/** Closes what `openFile` opened: the thread that opened does it, when all others are done. */
export function closeFiles(recipe: FileRecipe): void {
	for (const {descriptor} of recipe.parts) closeSync(descriptor);
}
