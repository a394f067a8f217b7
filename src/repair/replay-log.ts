import {closeSync, fstatSync, statSync} from 'node:fs';
import {performance} from 'node:perf_hooks';
import {createRequest} from '../convert/convert.ts';
import {fileSink} from '../convert/file-sink.ts';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {type OpenedLog, openLog, type OpenImageOptions} from '../image/image.ts';
import {newPace} from '../work/pace.ts';
import {runSteps} from '../work/upkeep.ts';
import {openInPlace} from './in-place.ts';

export interface ReplayLogOptions extends Pick<OpenImageOptions, 'format'> {
	/** 32 hexadecimal digits from which new identifiers derive; random when absent. */
	readonly id?: string;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

export interface ReplayLogResult {
	/** `none`: the file had been closed cleanly, and nothing was written. */
	readonly method: 'none' | 'replayed';
	/** Of the log. */
	readonly entries: number;
	/** Of the file, that they wrote. */
	readonly bytes: number;
	/** Of the file, now. */
	readonly fileSize: number;
	readonly findings: readonly Finding[];
	readonly seconds: number;
}

const NOTHING_DONE = {method: 'none', entries: 0, bytes: 0, findings: []} as const;

const INSTEAD = 'converting it to a new file needs no change: reading replays the log in memory';

/**
 * Writes the log of an image that was not closed cleanly into its file. What is read of the image is the same before,
 * meanwhile, and afterwards, and so it is when this is cut short at any moment. Throws `unsupported` for formats
 * without a log; `refused` where the file is no regular file, cannot be written, or is being written by somebody else.
 */
export async function replayLog(path: string, options: ReplayLogOptions = {}): Promise<ReplayLogResult> {
	const {onProgress, signal} = options;
	const started = performance.now();
	// Random where no id is given, and checked before anything is opened.
	const {id} = createRequest({size: 0, sectorSize: 0}, options);
	const done = (result: Omit<ReplayLogResult, 'seconds'>): ReplayLogResult => ({
		...result,
		seconds: (performance.now() - started) / 1000,
	});
	const before = lookAt(path, options);
	if (!before.pending) return done({...NOTHING_DONE, fileSize: before.fileSize});
	const descriptor = openInPlace(path, INSTEAD);
	try {
		// What was found before the lock may be out of date.
		const opened = openLog(path, options);
		try {
			checkSame(path, opened, descriptor);
			const pending = opened.pendingLog?.();
			if (pending === undefined) return done({...NOTHING_DONE, fileSize: fstatSync(descriptor).size});
			const progress = {position: 0, total: 0};
			const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
			await runSteps(pending.replay(fileSink(descriptor, path), id), pace, (position, total) =>
				Object.assign(progress, {position, total}),
			);
			const {entries, bytes, size: fileSize} = pending;
			// That it was not clean is what this is about.
			const findings = opened.findings.filter(({severity}) => severity !== 'note');
			return done({method: 'replayed', entries, bytes, fileSize, findings});
		} finally {
			opened[Symbol.dispose]();
		}
	} finally {
		closeSync(descriptor);
	}
}

/** Looks without changing anything, and checks that the file is one that may be changed. */
function lookAt(path: string, options: ReplayLogOptions): {readonly pending: boolean; readonly fileSize: number} {
	const opened = openLog(path, options);
	try {
		const {format, pendingLog, file} = opened;
		if (pendingLog === undefined) {
			throw new DiskError('unsupported', 'repair/no-log', `images of the format ${format.name} have no log`, {
				where: {file: path},
			});
		}
		const fileSize = file.parts.reduce((total, {size}) => total + size, 0);
		if (pendingLog() === undefined) return {pending: false, fileSize};
		if (file.parts.length > 1) {
			throw new DiskError('refused', 'repair/split', `${path} is one of ${file.parts.length} parts`, {
				where: {file: path},
				hint: INSTEAD,
			});
		}
		checkWritable(path);
		return {pending: true, fileSize};
	} finally {
		opened[Symbol.dispose]();
	}
}

/** Before it is opened for writing: opening a device can do things, and to root nothing is read-only. */
function checkWritable(path: string): void {
	const stat = statSync(path);
	const where = {file: path};
	if (!stat.isFile()) {
		throw new DiskError('refused', 'repair/not-a-file', `${path} is no regular file`, {where, hint: INSTEAD});
	}
	if ((stat.mode & 0o222) === 0) {
		const hint = `make it writable, or leave it: ${INSTEAD}`;
		throw new DiskError('refused', 'repair/read-only', `${path} is read-only`, {where, hint});
	}
}

function checkSame(path: string, {file}: OpenedLog, descriptor: number): void {
	const {dev, ino} = fstatSync(descriptor);
	if (file.parts.some(({device, inode}) => device !== dev || inode !== ino)) {
		throw new DiskError('io', 'file/changed', `${path} is no longer the file that was opened`, {where: {file: path}});
	}
}
