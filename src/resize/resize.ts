import {randomBytes} from 'node:crypto';
import {closeSync, fstatSync, type Stats, statSync} from 'node:fs';
import {performance} from 'node:perf_hooks';
import {fileSink} from '../convert/file-sink.ts';
import {roundUp} from '../core/bytes/u64.ts';
import type {Fact, Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';
import type {Resizable, Resizing} from '../core/upkeep.ts';
import {type Image, openForResize, openImage, type OpenImageOptions} from '../image/image.ts';
import {openInPlace} from '../repair/in-place.ts';
import {loopFiles} from '../work/block-device.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {runSteps} from '../work/upkeep.ts';
import {changeTable, type TableChange} from './table.ts';
import {undoable} from './undo.ts';
import {userOf} from './users.ts';

export interface ResizeOptions extends Pick<OpenImageOptions, 'format' | 'sectorSize'> {
	/** A smaller size is only taken with it. */
	readonly shrink?: boolean;
	/** Checks and plans, and writes nothing. */
	readonly dryRun?: boolean;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
}

/** Bytes: those that the disk is to have, or how many more than now. */
export type NewSize = {readonly to: number} | {readonly by: number};

export interface ResizeResult {
	/** `none`: the disk had the size, and a partition table that fits it. */
	readonly method: 'none' | 'grown' | 'shrunk' | 'table-moved';
	readonly format: string;
	readonly dryRun: boolean;
	/** Bytes of the disk and of the file, before and after. */
	readonly oldSize: number;
	readonly size: number;
	readonly oldFileSize: number;
	readonly fileSize: number;
	/** The sectors from which and to which the backup GPT moved. */
	readonly movedBackup: {readonly from: number; readonly to: number; readonly sectorSize: number} | undefined;
	/** Of the file: blocks added or moved, tables moved. */
	readonly facts: readonly Fact[];
	readonly findings: readonly Finding[];
	readonly seconds: number;
}

const INSTEAD = 'convert it to a new file, and resize that: tintype convert IMAGE NEW.vhdx';

/**
 * Gives the disk in an image another size, in its own file: the new part reads as zeros, and a backup GPT moves to the
 * new end. Partitions and file systems stay as they are.
 *
 * Throws DiskError: `refused` where a partition, a file system or data would be cut, where a smaller size was not asked
 * for with `shrink`, and where the file may not be changed: devices, split images, images in use, differencing ones,
 * such as were not closed cleanly; `unsupported` for formats that know no other size; `invalid` for sizes that
 * cannot be. Whatever it throws, the file holds the old disk: what had been changed is undone.
 */
export async function resize(path: string, wanted: NewSize, options: ResizeOptions = {}): Promise<ResizeResult> {
	const started = performance.now();
	const progress = {position: 0, total: 0};
	const pace = newPace({onTurn: () => options.onProgress?.({...progress})});
	checkFile(path);
	const opening = {
		...(options.format !== undefined && {format: options.format}),
		...(options.sectorSize !== undefined && {sectorSize: options.sectorSize}),
	};
	const opened = openForResize(path, opening);
	try {
		const {format} = opened;
		const [file, ...parts] = opened.file.parts;
		if (parts.length > 0) throw refused('split', `${path} is one of ${parts.length + 1} parts`, path, INSTEAD);
		if (opened.resizable === undefined) throw noOtherSize(path, format.name);
		const resizable = opened.resizable();
		const image = openImage(path, {...opening, format: format.name});
		try {
			const {plan, table, size, findings} = await decide(image, resizable, wanted, options, pace);
			const {size: oldSize} = image.disk;
			const oldFileSize = file.size;
			const {move} = table;
			const result: Omit<ResizeResult, 'seconds'> = {
				method: plan === undefined ? 'none' : methodOf(oldSize, size),
				format: format.name,
				dryRun: options.dryRun === true,
				oldSize,
				size,
				oldFileSize,
				fileSize: plan?.fileSize ?? oldFileSize,
				movedBackup: move && {from: move.from, to: move.to, sectorSize: move.sectorSize},
				facts: plan?.facts ?? [],
				findings: [...image.findings.filter(({severity}) => severity !== 'note'), ...findings],
			};
			if (plan !== undefined && options.dryRun !== true) {
				await apply(path, file, plan, pace, (position, total) => Object.assign(progress, {position, total}));
			}
			return {...result, seconds: (performance.now() - started) / 1000};
		} finally {
			image[Symbol.dispose]();
		}
	} finally {
		opened[Symbol.dispose]();
	}
}

function refused(code: string, message: string, file: string, hint: string): DiskError {
	return new DiskError('refused', `resize/${code}`, message, {where: {file}, hint});
}

function methodOf(oldSize: number, size: number): ResizeResult['method'] {
	if (size === oldSize) return 'table-moved';
	return size > oldSize ? 'grown' : 'shrunk';
}

/** Before it is opened: opening a device can do things. What is not there is said by who opens it. */
function checkFile(path: string): void {
	const stat = statSync(path, {throwIfNoEntry: false});
	if (stat === undefined) return;
	if (stat.isBlockDevice() || stat.isCharacterDevice()) {
		throw refused(
			'device',
			`${path} is a device, whose size is not in its content`,
			path,
			'resize the image or volume behind it',
		);
	}
	if (!stat.isFile()) return;
	if ((stat.mode & 0o222) === 0) throw refused('read-only', `${path} is read-only`, path, 'make it writable first');
	checkUnused(path, stat);
}

/** Who reads it meanwhile would see a disk that changes. */
function checkUnused(path: string, stat: Stats): void {
	const loop = [...loopFiles()].find(([, file]) => {
		const other = statSync(file, {throwIfNoEntry: false});
		return other !== undefined && other.dev === stat.dev && other.ino === stat.ino;
	});
	if (loop !== undefined) {
		throw refused(
			'in-use',
			`${path} is behind the loop device ${loop[0]}`,
			path,
			`detach it first: losetup --detach /dev/${loop[0]}`,
		);
	}
	const user = userOf(stat);
	if (user === undefined) return;
	throw refused(
		'in-use',
		`${path} is open in process ${user.process} (${user.name})`,
		path,
		'shut the machine down, or end the mount, and try again',
	);
}

function noOtherSize(path: string, format: string): DiskError {
	if (format !== 'tint') {
		return new DiskError('unsupported', 'resize/format', `images of the format ${format} keep their size`, {
			where: {file: path},
			hint: INSTEAD,
		});
	}
	const message = `${path} is an archive, which keeps a disk as it was when it was taken`;
	return refused('archive', message, path, `restore it to a larger disk with tintype restore, or ${INSTEAD}`);
}

interface Decision {
	/** Undefined where there is nothing to do. */
	readonly plan: Resizing | undefined;
	readonly table: TableChange;
	readonly size: number;
	readonly findings: readonly Finding[];
}

async function decide(
	image: Image,
	resizable: Resizable,
	wanted: NewSize,
	{shrink = false}: ResizeOptions,
	pace: Pace,
): Promise<Decision> {
	const {disk} = image;
	const asked = 'to' in wanted ? wanted.to : disk.size + wanted.by;
	if (!Number.isSafeInteger(asked) || asked <= 0) {
		throw new DiskError('invalid', 'resize/size', `a disk cannot have ${asked} bytes`);
	}
	const findings: Finding[] = [];
	// The size that it has may be an odd one.
	const size = asked === disk.size ? asked : roundUp(asked, disk.sectorSize);
	if (size !== asked) {
		const message = `${asked} bytes are no whole sectors of ${disk.sectorSize}; the disk gets ${size}`;
		findings.push({code: 'resize/rounded', severity: 'note', message});
	}
	if (size > resizable.largest) {
		const message = `the disk would have ${size} bytes; the format ${disk.format} holds at most ${resizable.largest}`;
		throw new DiskError('invalid', 'resize/too-large', message, {
			where: {file: disk.name},
			...(disk.format === 'vhd' && {hint: 'a VHDX holds up to 64 TiB: tintype convert IMAGE NEW.vhdx'}),
		});
	}
	if (size < disk.size && !shrink) {
		const message = `${size} bytes are ${disk.size - size} fewer than the disk has`;
		throw refused('smaller', message, disk.name, 'to make it smaller, say so: --shrink');
	}
	const table = await changeTable(image, size, pace);
	findings.push(...table.findings);
	if (size === disk.size && table.content.length === 0) return {plan: undefined, table, size, findings};
	if (disk.format === 'vhd' || disk.format === 'vhdx') {
		const message =
			'whether other images build on this one cannot be known; if any does, its content is wrong or lost from now on';
		findings.push({code: 'resize/children', severity: 'warning', message});
	}
	const plan = resizable.plan({size, content: table.content, id: randomBytes(16)});
	return {plan, table, size, findings};
}

async function apply(
	path: string,
	file: OpenedFile,
	plan: Resizing,
	pace: Pace,
	onStep: (position: number, total: number) => void,
): Promise<void> {
	const descriptor = openInPlace(path, INSTEAD);
	try {
		const {dev, ino, size, mtimeMs} = fstatSync(descriptor);
		if (dev !== file.device || ino !== file.inode || size !== file.size || mtimeMs !== file.modified) {
			throw new DiskError('io', 'file/changed', `${path} is no longer the file that was opened`, {
				where: {file: path},
			});
		}
		const sink = undoable(fileSink(descriptor, path), size);
		try {
			await runSteps(plan.apply(sink), pace, onStep);
		} catch (error) {
			undo(path, sink, error);
		}
	} finally {
		closeSync(descriptor);
	}
}

/** Puts the old disk back, and throws what went wrong. */
function undo(path: string, sink: ReturnType<typeof undoable>, cause: unknown): never {
	let undone = false;
	try {
		undone = sink.undo();
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
	if (undone || !(cause instanceof DiskError)) throw cause;
	const {family, code, message, where} = cause;
	throw new DiskError(family, code, `${message}; what had been changed could not be undone`, {
		where,
		hint: `the disk is whole, as it was or as it was to be: tintype info ${path}`,
		cause,
	});
}
