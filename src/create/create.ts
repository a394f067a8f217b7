import {fstatSync} from 'node:fs';
import {childOptions} from '../core/child-options.ts';
import type {CreateRequest, DiskCreator, DiskFormat, Fact, Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {checked} from '../core/sources/checked.ts';
import {fileSource} from '../core/sources/file.ts';
import {createRequest, type TargetOptions, writableFormat} from '../convert/convert.ts';
import {fileSink} from '../convert/file-sink.ts';
import {createOutput, type Leftover} from '../convert/output-file.ts';
import {filesOf} from '../convert/source-facts.ts';
import {type OpenedDisk, openDisk, type OpenImageOptions} from '../image/image.ts';
import {outsideOf, parentPaths} from './parent-paths.ts';

export interface CreateOptions extends Pick<TargetOptions, 'to' | 'writer' | 'id' | 'timestamp' | 'force'> {
	/** Bytes of the disk; of a child those of its parent. */
	readonly size?: number;
	/** Logical sector size in bytes, 512 when absent; of a child that of its parent. */
	readonly sectorSize?: number;
	/** Makes an empty child of this image. */
	readonly parent?: string;
	/** How the parent is opened: where its own parents may lie. */
	readonly opening?: Pick<OpenImageOptions, 'allowedFolders'>;
}

export interface CreateResult {
	readonly target: string;
	readonly format: string;
	/** Bytes of the disk. */
	readonly size: number;
	readonly sectorSize: number;
	/** The image that it is a child of. */
	readonly parent: string | undefined;
	/** Bytes of the file, and how many of them it occupies. */
	readonly fileSize: number;
	readonly allocated: number;
	/** What the writer has to tell. */
	readonly facts: readonly Fact[];
	readonly findings: readonly Finding[];
}

const DEFAULT_SECTOR_SIZE = 512;

/**
 * Makes a new disk that is empty: all zeros, or an empty child that reads as its parent.
 *
 * The target appears under its name only when all of it is on the medium. Throws DiskError: `refused` where the target
 * exists, is the parent or a device; `invalid` for what the format cannot be or have; whatever opening the parent throws.
 */
export function create(target: string, options: CreateOptions): CreateResult {
	const kind = writableFormat(target, options);
	if (options.parent === undefined) {
		const {size, sectorSize = DEFAULT_SECTOR_SIZE} = options;
		return write(target, kind, createRequest({size: checkSize(size), sectorSize}, options), options);
	}
	if (options.size !== undefined || options.sectorSize !== undefined) {
		throw invalid('parent-size', 'a child has the size and the sector size of its parent: leave them away');
	}
	requireChildren(target, kind);
	const parent = openDisk(options.parent, options.opening);
	try {
		return createChild(target, kind, parent, options);
	} finally {
		parent[Symbol.dispose]();
	}
}

interface Kind {
	readonly format: DiskFormat;
	readonly creator: DiskCreator;
}

function createChild(target: string, kind: Kind, parent: OpenedDisk, options: CreateOptions): CreateResult {
	const {disk, recipe} = parent;
	if (disk.format !== kind.format.name) {
		const message = `${target} would be a ${kind.format.name}, and ${disk.name} is a ${disk.format}: a child has the format of its parent`;
		throw invalid('parent-format', message, `name it with --to ${disk.format}, or convert the parent`);
	}
	const [{path, modified}] = recipe.file.parts;
	const paths = parentPaths(path, target);
	const outside = outsideOf(
		target,
		filesOf(parent).map(file => file.path),
	);
	const request = createRequest(disk, options);
	// Who gives the time wants the same file twice, and a file's own time does not survive copying.
	const changed = options.timestamp === undefined ? Math.floor(modified / 1000) : undefined;
	const full = {...request, options: {...request.options, ...childOptions(paths, changed)}};
	const result = write(target, kind, full, options, parent);
	return {...result, findings: [...parent.findings, ...result.findings, ...outside]};
}

function write(
	target: string,
	{format, creator}: Kind,
	request: CreateRequest,
	{force = false}: CreateOptions,
	parent?: OpenedDisk,
): CreateResult {
	// What is wrong with the request is told before anything is touched.
	const plan = creator.plan(request, parent?.disk);
	const output = createOutput(target, {
		force,
		sources: parent === undefined ? [] : filesOf(parent),
		takeUp(left) {
			if (!force) refuseWork(left, format);
			return false;
		},
	});
	let facts: readonly Fact[];
	let stat: {readonly size: number; readonly blocks: number};
	try {
		const sink = fileSink(output.descriptor, output.partial);
		const writer = creator.open(plan, sink, parent?.disk);
		writer.writeTables();
		sink.sync();
		writer.writeRoot();
		sink.sync();
		facts = writer.describe();
		stat = fstatSync(output.descriptor);
	} catch (error) {
		output.discard();
		throw error;
	}
	output.publish();
	const {size, sectorSize} = request;
	return {
		target,
		format: format.name,
		size,
		sectorSize,
		parent: parent?.disk.name,
		fileSize: stat.size,
		allocated: stat.blocks * 512,
		facts,
		findings: output.findings,
	};
}

function invalid(code: string, message: string, hint?: string): DiskError {
	return new DiskError('invalid', `create/${code}`, message, hint === undefined ? {} : {hint});
}

function checkSize(size: number | undefined): number {
	if (size !== undefined && Number.isSafeInteger(size) && size > 0) return size;
	const message = size === undefined ? 'nothing says how large the disk is to be' : `no disk has ${size} bytes`;
	throw invalid(
		'size',
		message,
		'name its size, as in --size 10G, or the image that it is to be a child of with --parent',
	);
}

function requireChildren(target: string, {format, creator}: Kind): void {
	if (creator.children === true) return;
	const message = `${target} would be a ${format.name}, of which there are no empty children`;
	const hint =
		creator.keepsMarks === true
			? 'tintype capture DISK TARGET --parent PARENT stores what differs from the parent'
			: 'vhdx and vhd have them';
	throw invalid('no-children', message, hint);
}

/** Hours of work that an interrupted run left under this name are not thrown away unasked. */
function refuseWork({file}: Leftover, format: DiskFormat): void {
	const source = checked(fileSource(file));
	let holds: boolean;
	try {
		holds = format.upkeep?.checkpoint?.(source, {openRelated: nothingRelated, warn() {}}) !== undefined;
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		// Damage is nothing to go on with; what cannot be looked into for another reason may be work.
		holds = error.family !== 'corrupt';
	}
	if (!holds) return;
	throw new DiskError('refused', 'output/resumable', `${file.name} holds what an interrupted run had done`, {
		where: {file: file.name},
		hint: 'finish it with --resume of the command that began it, or replace it with --force',
	});
}

function nothingRelated(): never {
	throw new DiskError('not-found', 'create/related', 'no other file is looked at');
}
