import {fstatSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import type {Worker} from 'node:worker_threads';
import type {CreateRequest, DiskCreator, DiskFormat, Fact, Finding} from '../core/disk.ts';
import {DiskError, deserializeError, serializeError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';
import {startWorker} from '../core/start-worker.ts';
import type {OpenedDisk} from '../image/image.ts';
import type {CaptureView} from './capture-view.ts';
import type {ConvertReport, ConvertTask} from './convert.worker.ts';
import {createOutput} from './output-file.ts';
import {newSharedQueue, openQueue} from './queue.ts';

/** How a conversion runs, whatever it converts. */
export interface ConversionOptions {
	/** Replaces an existing target. */
	readonly force?: boolean;
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	/** Called a few times a second, and once at the end. */
	readonly onProgress?: (progress: ConvertProgress) => void;
	/** Ends the conversion early; nothing is left behind. */
	readonly signal?: AbortSignal;
}

export interface ConvertProgress {
	/** Bytes of the disk dealt with, holes included. */
	readonly position: number;
	/** Virtual size of the disk in bytes. */
	readonly total: number;
}

export interface ConvertResult {
	readonly target: string;
	readonly format: string;
	/** Bytes of the disk. */
	readonly size: number;
	/** Bytes that were read and not skipped as holes. */
	readonly read: number;
	/** Bytes that could not be read and are recorded as such; 0 unless that was asked for. */
	readonly unreadable: number;
	/** Bytes of the target file, and how many of them it occupies. */
	readonly fileSize: number;
	readonly allocated: number;
	readonly seconds: number;
	/** What the writer has to tell. */
	readonly facts: readonly Fact[];
	/** Of opening the source, of an interrupted conversion that was replaced, of a source that changed meanwhile. */
	readonly findings: readonly Finding[];
}

/** What is converted into what. */
export interface Conversion {
	readonly opened: OpenedDisk;
	readonly target: string;
	readonly format: DiskFormat;
	readonly creator: DiskCreator;
	readonly request: CreateRequest;
	/** What is left out of the disk. */
	readonly view?: CaptureView;
	/** The image that only the differences to are stored of. */
	readonly parent?: OpenedDisk;
	/** Whether unreadable parts of the source are recorded as such, where the format can. */
	readonly tolerant?: boolean;
}

/** Threads beyond this only wait for each other and for the disk. */
const MOST_WORKERS = 64;
const PROGRESS_MILLISECONDS = 100;

/** Plans the output, fills it by worker threads and gives it its name. See README.md in this folder. */
export async function runConversion(conversion: Conversion, options: ConversionOptions): Promise<ConvertResult> {
	const start = performance.now();
	const {opened, target, format, creator, request, parent} = conversion;
	const {disk} = opened;
	checkNumber('workers', options.workers, 1);
	const plan = creator.plan(request, parent?.disk);
	const sources = [opened, ...(parent === undefined ? [] : [parent])].flatMap(filesOf);
	const output = createOutput(target, {force: options.force ?? false, sources});
	const workers = Math.min(options.workers ?? availableParallelism(), MOST_WORKERS);
	const queue = newSharedQueue(disk.size, plan.pieceSize, workers, creator.keepsMarks);
	const {view, tolerant = false} = conversion;
	const task: ConvertTask = {
		recipe: opened.recipe,
		format: format.name,
		plan,
		descriptor: output.descriptor,
		name: output.partial,
		queue,
		tolerant,
		...(view !== undefined && {view}),
		...(parent !== undefined && {parent: parent.recipe}),
	};
	let facts: readonly Fact[];
	let written: {size: number; blocks: number};
	try {
		facts = await runWorkers(task, workers, options);
		written = fstatSync(output.descriptor);
	} catch (error) {
		output.discard();
		throw error;
	}
	output.publish();
	const {read, unreadable} = openQueue(queue);
	return {
		target,
		format: format.name,
		size: disk.size,
		read,
		unreadable,
		fileSize: written.size,
		allocated: written.blocks * 512,
		seconds: (performance.now() - start) / 1000,
		facts,
		findings: [...opened.findings, ...output.findings, ...changes(sources)],
	};
}

function filesOf({recipe}: OpenedDisk): OpenedFile[] {
	return [recipe.file, ...recipe.related.map(({file}) => file)].flatMap(file => file.parts);
}

export function checkNumber(name: string, value: number | undefined, least: number): void {
	if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
	throw new DiskError('invalid', `convert/${name}`, `${name} is a whole number from ${least}, not ${value}`);
}

/** Sources that were written to since they were opened: the copy may mix what they were and what they became. */
function changes(sources: readonly OpenedFile[]): Finding[] {
	const changed = sources.filter(({descriptor, size, modified}) => {
		const stat = fstatSync(descriptor);
		return stat.isFile() && (stat.size !== size || stat.mtimeMs !== modified);
	});
	return changed.map(({path}) => ({
		code: 'convert/source-changed',
		severity: 'damage',
		message: `${path} was written to while it was converted: the copy may be of no one moment`,
	}));
}

/** Runs all threads to their end, whatever becomes of any of them: none may still write when the file is discarded. */
async function runWorkers(
	task: ConvertTask,
	count: number,
	{signal, onProgress}: ConversionOptions,
): Promise<readonly Fact[]> {
	const queue = openQueue(task.queue);
	const tell = () => onProgress?.({position: queue.position, total: task.queue.size});
	const onAbort = () => queue.abort();
	const timer = setInterval(tell, PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', onAbort);
	try {
		signal?.throwIfAborted();
		const reports = await Promise.all(Array.from({length: count}, () => run(task, onAbort)));
		const failed = reports.find(report => report.kind === 'failed');
		if (failed !== undefined) throw deserializeError(failed.error);
		signal?.throwIfAborted();
		const done = reports.find(report => report.kind === 'done' && report.facts !== undefined);
		if (done?.kind !== 'done' || done.facts === undefined) throw new Error('no worker finished the output');
		tell();
		return done.facts;
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', onAbort);
	}
}

/** Resolves when the thread has ended. One that dies, or cannot be started, takes the others with it. */
async function run(task: ConvertTask, abort: () => void): Promise<ConvertReport> {
	function failed(error: unknown): ConvertReport {
		abort();
		return {kind: 'failed', error: serializeError(error)};
	}
	return new Promise(resolve => {
		let report: ConvertReport | undefined;
		let worker: Worker;
		try {
			worker = startWorker('./convert.worker.ts', import.meta.url, {workerData: task});
		} catch (error) {
			resolve(failed(error));
			return;
		}
		worker.on('message', (message: ConvertReport) => {
			report = message;
		});
		worker.on('error', error => {
			report ??= failed(error);
		});
		worker.on('exit', () => resolve(report ?? failed(new Error('a conversion thread ended without a word'))));
	});
}
