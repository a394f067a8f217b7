import {accessSync, constants, statfsSync, statSync} from 'node:fs';
import {dirname} from 'node:path';
import {checkTarget, resolveTarget} from '../convert/output-file.ts';
import {DiskError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';

/** Where the target is to lie, as far as that is known. */
export interface TargetPlace {
	/** The file, or null where only a folder was named. */
	readonly path: string | null;
	readonly folder: string;
	/** The file system's name, where it is known. */
	readonly fileSystem: string | null;
	/** Bytes that may be written there. */
	readonly free: number;
	/** Bytes of the largest file; null where none is known that a disk image could reach. */
	readonly largestFile: number | null;
	/** Whether files can have holes there, as far as that is known. */
	readonly holes: boolean;
	/** Whether the target may share blocks with the source: both lie on one file system that can. */
	readonly clones: boolean;
}

/** What is to be known of a kind of file system: `magic` is what statfs(2) tells. */
interface Kind {
	readonly name: string;
	readonly magic: number;
	/** Bytes of the largest file for a block size; absent where it is above all that a disk image can have (8 EiB). */
	readonly largestFile?: (blockSize: number) => number;
	/** False where every file occupies all of its size. */
	readonly holes?: false;
	/** Whether files can share blocks. */
	readonly clones?: true;
}

/** From the kernel's include/uapi/linux/magic.h and fs/; sizes from the documentation of each file system. */
const KINDS: readonly Kind[] = [
	// Extents count blocks in 32 bits.
	{name: 'ext4', magic: 0xef53, largestFile: blockSize => (2 ** 32 - 1) * blockSize},
	{name: 'XFS', magic: 0x5846_5342, clones: true},
	{name: 'Btrfs', magic: 0x9123_683e, clones: true},
	{name: 'FAT', magic: 0x4d44, largestFile: () => 2 ** 32 - 1, holes: false},
	{name: 'exFAT', magic: 0x2011_bab0, holes: false},
	// Clusters are counted in 32 bits.
	{name: 'NTFS', magic: 0x7366_746e, largestFile: blockSize => (2 ** 32 - 1) * blockSize},
	{
		name: 'F2FS',
		magic: 0xf2f5_2010,
		largestFile: blockSize => (923 + 2 * 1018 + 2 * 1018 ** 2 + 1018 ** 3) * blockSize,
	},
	{name: 'tmpfs', magic: 0x0102_1994},
	{name: 'ZFS', magic: 0x2fc1_2fc1},
	{name: 'NFS', magic: 0x6969},
	{name: 'FUSE', magic: 0x6573_5546},
	{name: 'SMB', magic: 0xff53_4d42},
	{name: 'SMB', magic: 0xfe53_4d42},
	{name: 'overlayfs', magic: 0x794c_7630},
];

/** Looks at where the target is to lie; `problem` is told whatever would keep it from being made there. */
export function lookAtTarget(
	named: string,
	{force, sources}: {readonly force: boolean; readonly sources: readonly OpenedFile[]},
	problem: (error: DiskError) => void,
): TargetPlace | undefined {
	const isFolder = statSync(named, {throwIfNoEntry: false})?.isDirectory() === true;
	try {
		const path = isFolder ? null : resolveTarget(named);
		const folder = path === null ? named : dirname(path);
		if (path !== null) tell(() => checkTarget(path, force, sources), problem);
		tell(() => checkWritable(folder), problem);
		const {type, bsize, bavail} = statfsSync(folder);
		const kind = KINDS.find(({magic}) => magic === type >>> 0);
		return {
			path,
			folder,
			fileSystem: kind?.name ?? null,
			free: bavail * bsize,
			largestFile: kind?.largestFile?.(bsize) ?? null,
			holes: kind?.holes ?? true,
			clones: kind?.clones === true && sources.some(({device}) => device === statSync(folder).dev),
		};
	} catch (error) {
		if (error instanceof DiskError) problem(error);
		else problem(cannotCreate(named, error));
		return undefined;
	}
}

function tell(check: () => void, problem: (error: DiskError) => void): void {
	try {
		check();
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		problem(error);
	}
}

function checkWritable(folder: string): void {
	try {
		accessSync(folder, constants.W_OK | constants.X_OK);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
		throw new DiskError('io', 'output/create', `nothing can be created in ${folder}`, {
			where: {file: folder},
			cause: error,
		});
	}
}

function cannotCreate(path: string, cause: unknown): DiskError {
	const {code, message} = cause as NodeJS.ErrnoException;
	const missing = code === 'ENOENT' || code === 'ENOTDIR';
	const text = missing ? `there is no folder ${dirname(path)}` : `${path} cannot be looked at: ${code ?? message}`;
	return new DiskError(missing ? 'not-found' : 'io', 'output/create', text, {where: {file: path}, cause});
}
