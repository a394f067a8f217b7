import {closeSync, constants, existsSync, lstatSync, mkdirSync, openSync, type Stats} from 'node:fs';
import process from 'node:process';
import {printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';

/**
 * A directory that files are written into. On Linux it is held open and its entries are named through
 * /proc/self/fd, so that no write can be led elsewhere by a symbolic link, whoever made it and whenever.
 */
export interface TargetDirectory {
	/** For messages, and for hard links. */
	readonly path: Buffer;
	/** The descriptor, where it is held open. */
	readonly descriptor: number | undefined;
	/** What system calls take to name an entry. */
	entry(name: Uint8Array): Buffer;
	close(): void;
}

const DIRECTORY_FLAGS = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);
const canHold = process.platform === 'linux' && existsSync('/proc/self/fd');

/** The directory that the user named; as the only one, it may be named through a symbolic link. */
export function openTarget(path: Buffer): TargetDirectory {
	const descriptor = canHold ? openSync(path, constants.O_RDONLY | constants.O_DIRECTORY) : undefined;
	return targetDirectory(path, descriptor);
}

/** Makes or enters a directory within another; refuses whatever is no real directory. */
export function enterDirectory(parent: TargetDirectory, name: Uint8Array): TargetDirectory & {made: boolean} {
	const place = parent.entry(name);
	const path = joinBytes(parent.path, name);
	const made = makeDirectory(place);
	if (!made && !lstatSync(place).isDirectory()) throw notADirectory(path);
	const descriptor = canHold ? openSync(place, DIRECTORY_FLAGS) : undefined;
	return {...targetDirectory(path, descriptor), made};
}

/** The owner's own bits only: what it is to have comes when it is full. */
const WHILE_FILLED = 0o700;

function makeDirectory(place: Buffer): boolean {
	try {
		mkdirSync(place, WHILE_FILLED);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
		throw error;
	}
}

function targetDirectory(path: Buffer, descriptor: number | undefined): TargetDirectory {
	const base = descriptor === undefined ? path : Buffer.from(`/proc/self/fd/${descriptor}`);
	return {
		path,
		descriptor,
		entry: name => joinBytes(base, name),
		close() {
			if (descriptor !== undefined) closeSync(descriptor);
		},
	};
}

export function joinBytes(directory: Buffer, name: Uint8Array): Buffer {
	const slash = directory.at(-1) === 0x2f ? '' : '/';
	return Buffer.concat([directory, Buffer.from(slash), name]);
}

/** What is there, symbolic links not followed; undefined where nothing is. */
export function lookAt(place: Buffer): Stats | undefined {
	return lstatSync(place, {throwIfNoEntry: false});
}

function notADirectory(path: Buffer): DiskError {
	return new DiskError('refused', 'extract/not-a-directory', `${printable(path)} exists and is no directory`, {
		hint: 'remove it, or copy to another place',
	});
}
