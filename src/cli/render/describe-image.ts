import {ALL_FORMATS} from '../../../formats/index.ts';
import type {Fact, Finding} from '../../core/disk.ts';
import {DiskError, serializeError, type SerializedError} from '../../core/error.ts';
import type {Image, LockedImage, Volume} from '../../image/image.ts';

/** What `tintype info --json` prints; the shape is promised in docs/json.md. */
export interface ImageDescription {
	readonly image: string;
	readonly format: {readonly name: string; readonly title: string; readonly variant?: string};
	readonly size: number;
	readonly sectorSize: number;
	/** The files it was read from: the image itself or its parts, then parents and extents. */
	readonly files: readonly {readonly path: string; readonly size: number}[];
	readonly facts: readonly Fact[];
	readonly partitionTable: {readonly scheme: string; readonly identifier: string};
	readonly volumes: readonly VolumeDescription[];
	readonly findings: readonly Finding[];
}

/** What `tintype info --without-key --json` prints. */
export type LockedDescription = Pick<ImageDescription, 'image' | 'format' | 'files' | 'facts' | 'findings'>;

export interface VolumeDescription {
	readonly number: number;
	readonly name: string;
	readonly start: number;
	readonly length: number;
	readonly type: string;
	readonly typeName: string;
	readonly partitionName: string;
	readonly identifier: string;
	readonly bootable: boolean;
	/** Null where no file system was recognised or it did not open. */
	readonly fileSystem: {
		readonly type: string;
		readonly label: string;
		readonly identifier: string;
		/** Bytes; null where the allocation map is damaged. */
		readonly usage: {readonly size: number; readonly used: number; readonly free: number} | null;
	} | null;
	/** The driver that recognised it, also when it could not open it. */
	readonly recognised: string | null;
	readonly error: SerializedError | null;
	readonly findings: readonly Finding[];
}

export function describeImage(path: string, image: Image, details: readonly Fact[] = []): ImageDescription {
	const {disk, table, recipe} = image;
	const {variant, facts} = disk.describe();
	const title = ALL_FORMATS.find(format => format.name === disk.format)?.title ?? disk.format;
	const files = [recipe.file, ...recipe.related.map(related => related.file)].flatMap(file => file.parts);
	return {
		image: path,
		format: {name: disk.format, title, ...(variant !== undefined && {variant})},
		size: disk.size,
		sectorSize: disk.sectorSize,
		files: files.map(({path: name, size}) => ({path: name, size})),
		facts: [...facts, ...details],
		partitionTable: {scheme: table.scheme, identifier: table.identifier},
		volumes: image.volumes.map(describeVolume),
		findings: image.findings,
	};
}

export function describeLocked(path: string, locked: LockedImage): LockedDescription {
	const {format, file} = locked;
	const described = locked.describe();
	if (described === undefined) {
		throw new DiskError('unsupported', 'info/locked', `${format.title} has no encrypted images`, {where: {file: path}});
	}
	const {variant, facts} = described;
	return {
		image: path,
		format: {name: format.name, title: format.title, ...(variant !== undefined && {variant})},
		files: file.parts.map(({path: name, size}) => ({path: name, size})),
		facts,
		findings: locked.findings,
	};
}

function describeVolume(volume: Volume): VolumeDescription {
	const {number, name, partition, driver, findings} = volume;
	const {start, length, type, typeName, identifier, bootable} = partition;
	const {fileSystem, error} = describeFileSystem(volume);
	return {
		number,
		name,
		start,
		length,
		type,
		typeName,
		partitionName: partition.name,
		identifier,
		bootable,
		fileSystem,
		recognised: driver ?? null,
		error: error === undefined ? null : serializeError(error),
		findings,
	};
}

function describeFileSystem({
	fileSystem,
	error,
}: Volume): Pick<VolumeDescription, 'fileSystem'> & {error: DiskError | undefined} {
	if (fileSystem === undefined) return {fileSystem: null, error};
	const {type, label, identifier} = fileSystem;
	try {
		const {blockSize, totalBlocks, freeBlocks} = fileSystem.usage();
		const size = blockSize * totalBlocks;
		const free = blockSize * freeBlocks;
		return {fileSystem: {type, label, identifier, usage: {size, used: size - free, free}}, error};
	} catch (thrown) {
		if (!(thrown instanceof DiskError)) throw thrown;
		// The allocation map is damaged; files may be readable all the same.
		return {fileSystem: {type, label, identifier, usage: null}, error: thrown};
	}
}
