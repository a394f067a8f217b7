import {
	closeSync,
	constants,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	lstatSync,
	openSync,
	realpathSync,
	renameSync,
	type Stats,
	statSync,
	unlinkSync,
} from 'node:fs';
import process from 'node:process';
import {dirname} from 'node:path';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {FileRecipe, OpenedFile} from '../core/recipe.ts';
import {tryLock} from '../core/system/lock.ts';

/**
 * A file under construction. The work goes to `NAME.partial`, locked, and gets its name only when it is whole, so
 * that whatever happens the final name holds the old file, the new one, or nothing.
 */
export interface OutputFile {
	/** Where the work goes. */
	readonly partial: string;
	readonly descriptor: number;
	readonly findings: readonly Finding[];
	/** Gives the whole, synced file its name, durably. */
	publish(): void;
	/** Removes the work. */
	discard(): void;
	/** Leaves the work where it is, for a run that goes on with it. */
	keep(): void;
}

/** What an interrupted run left. */
export interface Leftover {
	readonly file: FileRecipe;
}

export interface OutputOptions {
	/** Replaces an existing file. */
	readonly force: boolean;
	/** Files that must not be written: the source's. */
	readonly sources: readonly OpenedFile[];
	/** Looks at what an interrupted run left, and says whether to go on with it. May throw: then it stays as it is. */
	readonly takeUp?: (left: Leftover) => boolean;
}

/** How often an output that another run is just finishing or giving up is looked for anew. */
const MOST_ATTEMPTS = 10;

export function createOutput(named: string, {force, sources, takeUp}: OutputOptions): OutputFile {
	if (named === '') throw new DiskError('invalid', 'output/no-name', 'the target has no name');
	const path = resolveTarget(named);
	checkTarget(path, force, sources);
	const partial = `${path}.partial`;
	const descriptor = lockPartial(partial, sources);
	const findings: Finding[] = [];
	try {
		const stat = fstatSync(descriptor);
		if (stat.size > 0 && takeUp?.({file: fileOf(partial, descriptor, stat)}) !== true) {
			findings.push({
				code: 'output/interrupted',
				severity: 'note',
				message: `${partial} was left by an interrupted run and was replaced`,
			});
			ftruncateSync(descriptor, 0);
		}
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}

	return {
		partial,
		descriptor,
		findings,
		publish() {
			try {
				if (!isStillThere(partial, descriptor)) throw vanished(path, partial);
				if (force) rename(partial, path);
				else takeName(partial, path);
				syncDirectory(dirname(path));
			} finally {
				closeSync(descriptor);
			}
		},
		discard() {
			try {
				if (isStillThere(partial, descriptor)) unlinkSync(partial);
			} catch {
				// What stays is named and replaced by the next run; why this one failed is the better news.
			} finally {
				closeSync(descriptor);
			}
		},
		keep: () => closeSync(descriptor),
	};
}

function fileOf(path: string, descriptor: number, {dev, ino, size, mtimeMs}: Stats): FileRecipe {
	const part: OpenedFile = {path, descriptor, size, device: dev, inode: ino, modified: mtimeMs, sparse: false};
	return {name: path, parts: [part]};
}

/**
 * Opens the partial file and locks it. The run that had it before may have given it its final name, or removed it,
 * between the two: only a file that still has this name, and no other, is ours.
 */
function lockPartial(partial: string, sources: readonly OpenedFile[]): number {
	for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
		const descriptor = openPartial(partial);
		let ours = false;
		try {
			checkPartial(partial, fstatSync(descriptor), sources);
			if (!lock(descriptor)) break;
			const stat = fstatSync(descriptor);
			const there = lstatSync(partial, {throwIfNoEntry: false});
			if (there === undefined || !isSameFile(there, stat)) continue;
			ours = stat.nlink <= 1;
			if (ours) return descriptor;
			// Killed just after it was whole, a run leaves two names; the file belongs to the other one.
			unlinkSync(partial);
		} finally {
			if (!ours) closeSync(descriptor);
		}
	}
	throw new DiskError('refused', 'output/busy', `another tintype is writing ${partial}`, {where: {file: partial}});
}

function checkPartial(partial: string, stat: Stats, sources: readonly OpenedFile[]): void {
	if (isAnyOf(sources, stat)) throw isSource(partial);
	if (stat.isFile()) return;
	throw new DiskError('refused', 'output/not-a-file', `${partial} exists and is no regular file`, {
		where: {file: partial},
	});
}

function isSameFile(a: Stats, b: Stats): boolean {
	return a.dev === b.dev && a.ino === b.ino;
}

/** Whether the work still has its name: who takes it away makes room for the work of another run. */
function isStillThere(partial: string, descriptor: number): boolean {
	const there = lstatSync(partial, {throwIfNoEntry: false});
	return there !== undefined && isSameFile(there, fstatSync(descriptor));
}

function vanished(path: string, partial: string): DiskError {
	const text = `${path} could not get its name: the work is gone, ${partial} was removed or replaced meanwhile`;
	return new DiskError('io', 'output/rename', text, {where: {file: path}, hint: 'run it again'});
}

function isAnyOf(files: readonly OpenedFile[], stat: Stats): boolean {
	return files.some(({device, inode}) => device === stat.dev && inode === stat.ino);
}

/** Writing through a link replaces what it points to, not the link. */
export function resolveTarget(path: string): string {
	try {
		if (!lstatSync(path).isSymbolicLink()) return path;
	} catch {
		// What is wrong with it is said when it is looked at or created.
		return path;
	}
	try {
		return realpathSync(path);
	} catch (error) {
		throw new DiskError('refused', 'output/dangling-link', `${path} is a link that leads nowhere`, {
			where: {file: path},
			hint: 'remove the link, or name the file itself',
			cause: error,
		});
	}
}

/** Throws where a file is not to be written, or not unless it may be replaced. */
export function checkTarget(path: string, force: boolean, sources: readonly OpenedFile[]): void {
	const stat = lookAt(path);
	if (stat === undefined) return;
	const where = {file: path};
	if (isAnyOf(sources, stat)) throw isSource(path);
	if (stat.isDirectory()) {
		throw new DiskError('invalid', 'output/is-directory', `${path} is a directory`, {
			where,
			hint: 'name the file to be written',
		});
	}
	if (!stat.isFile()) {
		const hint = 'only tintype restore writes devices';
		throw new DiskError('refused', 'output/not-a-file', `${path} is a device or another special file`, {where, hint});
	}
	if (!force) {
		throw new DiskError('refused', 'output/exists', `${path} exists`, {
			where,
			hint: 'choose another name, or replace it with --force',
		});
	}
}

function lookAt(path: string): Stats | undefined {
	try {
		return statSync(path, {throwIfNoEntry: false});
	} catch (error) {
		throw cannotCreate(path, error);
	}
}

function isSource(path: string): DiskError {
	return new DiskError('refused', 'output/is-source', `${path} is the source itself`, {
		where: {file: path},
		hint: 'choose another target; sources are never written',
	});
}

function openPartial(partial: string): number {
	try {
		return openSync(partial, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o666);
	} catch (error) {
		throw cannotCreate(partial, error);
	}
}

function cannotCreate(path: string, cause: unknown): DiskError {
	const {code, message} = cause as NodeJS.ErrnoException;
	const missing = code === 'ENOENT' || code === 'ENOTDIR';
	const text = missing ? `there is no folder ${dirname(path)}` : `${path} cannot be created: ${code ?? message}`;
	return new DiskError(missing ? 'not-found' : 'io', 'output/create', text, {where: {file: path}, cause});
}

/** Systems without flock go without: there the lock is a courtesy, and the final name is safe all the same. */
function lock(descriptor: number): boolean {
	return process.platform === 'win32' || tryLock(descriptor, 'exclusive');
}

/** A hard link fails where the name has been taken meanwhile; file systems without links get a look and a rename. */
function takeName(partial: string, path: string): void {
	try {
		linkSync(partial, path);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code !== 'EEXIST' && lstatSync(path, {throwIfNoEntry: false}) === undefined) return rename(partial, path);
		throw new DiskError('refused', 'output/exists', `${path} was created meanwhile; the work is in ${partial}`, {
			where: {file: path},
			hint: 'rename one of the two',
			cause: error,
		});
	}
	try {
		unlinkSync(partial);
	} catch {
		// It is only a second name by now.
	}
}

function rename(partial: string, path: string): void {
	try {
		renameSync(partial, path);
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		const text = `${path} could not get its name: ${code ?? message}; the work is in ${partial}`;
		throw new DiskError('io', 'output/rename', text, {where: {file: path}, cause: error});
	}
}

/** Makes the name itself durable, where the system can: a folder that may not be read cannot be synced. */
function syncDirectory(folder: string): void {
	if (process.platform === 'win32') return;
	let descriptor: number;
	try {
		descriptor = openSync(folder, constants.O_RDONLY);
	} catch {
		return;
	}
	try {
		fsyncSync(descriptor);
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		// Some file systems know no such thing.
		if (code === 'EINVAL' || code === 'ENOTSUP') return;
		throw new DiskError('io', 'output/sync', `sync of ${folder} failed: ${code ?? message}`, {
			where: {file: folder},
			cause: error,
		});
	} finally {
		closeSync(descriptor);
	}
}
