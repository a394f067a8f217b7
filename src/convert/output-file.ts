import {
	closeSync,
	constants,
	existsSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	lstatSync,
	openSync,
	realpathSync,
	renameSync,
	statSync,
	unlinkSync,
} from 'node:fs';
import process from 'node:process';
import {dirname} from 'node:path';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';
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
}

export interface OutputOptions {
	/** Replaces an existing file. */
	readonly force: boolean;
	/** Files that must not be written: the source's. */
	readonly sources: readonly OpenedFile[];
}

export function createOutput(named: string, {force, sources}: OutputOptions): OutputFile {
	const path = resolveTarget(named);
	checkTarget(path, force, sources);
	const partial = `${path}.partial`;
	const descriptor = openPartial(partial);
	const findings: Finding[] = [];
	try {
		if (!lock(descriptor)) {
			throw new DiskError('refused', 'output/busy', `another tintype is writing ${partial}`, {where: {file: partial}});
		}
		const stat = fstatSync(descriptor);
		if (!stat.isFile()) {
			throw new DiskError('refused', 'output/not-a-file', `${partial} exists and is no regular file`, {
				where: {file: partial},
			});
		}
		if (sources.some(source => source.device === stat.dev && source.inode === stat.ino)) throw isSource(partial);
		if (stat.size > 0) {
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

	function removePartial(): void {
		try {
			unlinkSync(partial);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
		}
	}

	return {
		partial,
		descriptor,
		findings,
		publish() {
			try {
				if (force) renameSync(partial, path);
				else takeName(partial, path);
				syncDirectory(dirname(path));
			} finally {
				closeSync(descriptor);
			}
		},
		discard() {
			removePartial();
			closeSync(descriptor);
		},
	};
}

/** Writing through a link replaces what it points to, not the link. */
function resolveTarget(path: string): string {
	try {
		return lstatSync(path).isSymbolicLink() ? realpathSync(path) : path;
	} catch {
		return path;
	}
}

function checkTarget(path: string, force: boolean, sources: readonly OpenedFile[]): void {
	const stat = statSync(path, {throwIfNoEntry: false});
	if (stat === undefined) return;
	const where = {file: path};
	if (sources.some(source => source.device === stat.dev && source.inode === stat.ino)) throw isSource(path);
	if (stat.isDirectory()) {
		throw new DiskError('invalid', 'output/is-directory', `${path} is a directory`, {
			where,
			hint: 'name the file to be written',
		});
	}
	if (!stat.isFile()) {
		const hint = 'convert writes files; devices are written by restore';
		throw new DiskError('refused', 'output/not-a-file', `${path} is a device or another special file`, {where, hint});
	}
	if (!force) {
		throw new DiskError('refused', 'output/exists', `${path} exists`, {
			where,
			hint: 'choose another name, or replace it with --force',
		});
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
		const {code, message} = error as NodeJS.ErrnoException;
		const folder = dirname(partial);
		const missing = code === 'ENOENT' || code === 'ENOTDIR';
		const text = missing ? `there is no folder ${folder}` : `${partial} cannot be created: ${code ?? message}`;
		throw new DiskError(missing ? 'not-found' : 'io', 'output/create', text, {where: {file: partial}, cause: error});
	}
}

/** Systems without flock go without: there the lock is a courtesy, and the final name is safe all the same. */
function lock(descriptor: number): boolean {
	return process.platform === 'win32' || tryLock(descriptor, 'exclusive');
}

/** A hard link fails where the name has been taken meanwhile; file systems without links get a look and a rename. */
function takeName(partial: string, path: string): void {
	try {
		linkSync(partial, path);
		unlinkSync(partial);
		return;
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code !== 'EEXIST' && !existsSync(path)) {
			renameSync(partial, path);
			return;
		}
		throw new DiskError('refused', 'output/exists', `${path} was created meanwhile; the work is in ${partial}`, {
			where: {file: path},
			cause: error,
		});
	}
}

/** Makes the name itself durable, where the system can. */
function syncDirectory(folder: string): void {
	if (process.platform === 'win32') return;
	const descriptor = openSync(folder, constants.O_RDONLY);
	try {
		fsyncSync(descriptor);
	} finally {
		closeSync(descriptor);
	}
}
