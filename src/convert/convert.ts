import {randomBytes} from 'node:crypto';
import {fstatSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {extname} from 'node:path';
import type {Worker} from 'node:worker_threads';
import {ALL_FORMATS} from '../../formats/index.ts';
import type {CreateRequest, DiskCreator, DiskFormat, Fact, Finding} from '../core/disk.ts';
import {DiskError, deserializeError, serializeError} from '../core/error.ts';
import {startWorker} from '../core/start-worker.ts';
import {type OpenImageOptions, type OpenedDisk, openDisk} from '../image/image.ts';
import type {ConvertReport, ConvertTask} from './convert.worker.ts';
import {createOutput, type OutputFile} from './output-file.ts';
import {newSharedQueue, openQueue, type SharedQueue} from './queue.ts';

export interface ConvertOptions extends OpenImageOptions {
	/** The target's format by name; by the target's extension when absent. */
	readonly to?: string;
	/** The writer's own options (`DiskCreator.options`); sizes in bytes. */
	readonly writer?: Readonly<Record<string, string | number | boolean>>;
	/** Replaces an existing target. */
	readonly force?: boolean;
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	/** 32 hexadecimal digits from which identifiers in the target derive; random when absent. */
	readonly id?: string;
	/** Seconds since 1970 for times in the target; now when absent. */
	readonly timestamp?: number;
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
	/** Bytes of the target file, and how many of them it occupies. */
	readonly fileSize: number;
	readonly allocated: number;
	readonly seconds: number;
	/** What the writer has to tell. */
	readonly facts: readonly Fact[];
	/** Of opening the source, and of an interrupted conversion that was found and replaced. */
	readonly findings: readonly Finding[];
}

/** Threads beyond this only wait for each other and for the disk. */
const MOST_WORKERS = 64;
const PROGRESS_MILLISECONDS = 100;

/**
 * Converts an image into a new file of another format, or of the same one.
 *
 * The target appears under its name only when all of it is on the medium. Throws DiskError: `refused` where the
 * target exists, is the source or is a device; `invalid` for options that the format does not have; whatever reading
 * the source throws. Rejects with the signal's reason when it is aborted.
 */
export async function convert(source: string, target: string, options: ConvertOptions = {}): Promise<ConvertResult> {
	const start = performance.now();
	options.signal?.throwIfAborted();
	const {format, creator} = writableFormat(target, options.to);
	const writerOptions = options.writer ?? {};
	checkOptions(format, creator, writerOptions);
	const opened = openDisk(source, options);
	try {
		const {disk} = opened;
		const request: CreateRequest = {
			size: disk.size,
			sectorSize: disk.sectorSize,
			options: writerOptions,
			id: parseId(options.id),
			timestamp: options.timestamp ?? Math.floor(Date.now() / 1000),
		};
		const plan = creator.plan(request);
		const output = createOutput(target, {
			force: options.force ?? false,
			sources: [opened.recipe.file, ...opened.recipe.related.map(related => related.file)].flatMap(file => file.parts),
		});
		const workers = Math.max(1, Math.min(options.workers ?? availableParallelism(), MOST_WORKERS));
		const queue = newSharedQueue(disk.size, plan.pieceSize, workers);
		let facts: readonly Fact[];
		let written: {size: number; blocks: number};
		try {
			facts = await runWorkers({opened, format, plan, output, queue}, workers, options);
			written = fstatSync(output.descriptor);
		} catch (error) {
			output.discard();
			throw error;
		}
		output.publish();
		return {
			target,
			format: format.name,
			size: disk.size,
			read: openQueue(queue).read,
			fileSize: written.size,
			allocated: written.blocks * 512,
			seconds: (performance.now() - start) / 1000,
			facts,
			findings: [...opened.findings, ...output.findings],
		};
	} finally {
		opened[Symbol.dispose]();
	}
}

function writableFormat(target: string, name: string | undefined): {format: DiskFormat; creator: DiskCreator} {
	const writable = ALL_FORMATS.filter(format => format.create !== undefined);
	const extension = extname(target).slice(1).toLowerCase();
	const format = writable.find(candidate =>
		name === undefined ? candidate.extensions.includes(extension) : candidate.name === name,
	);
	if (format?.create !== undefined) return {format, creator: format.create};
	const names = writable.map(candidate => candidate.name).join(', ');
	if (name !== undefined) {
		throw new DiskError('invalid', 'convert/format', `${name} is no format that tintype writes`, {
			hint: `it writes ${names}`,
		});
	}
	throw new DiskError('invalid', 'convert/extension', `the name ${target} does not say which format to write`, {
		hint: `name it with --to: ${names}`,
	});
}

function checkOptions(format: DiskFormat, creator: DiskCreator, given: Readonly<Record<string, unknown>>): void {
	for (const name of Object.keys(given)) {
		if (creator.options.some(option => option.name === name)) continue;
		const known = creator.options.map(option => `--${option.name}`).join(', ') || 'none';
		throw new DiskError('invalid', 'convert/option', `${format.name} has no option ${name}`, {
			hint: `its options: ${known}`,
		});
	}
}

function parseId(text: string | undefined): Uint8Array {
	if (text === undefined) return new Uint8Array(randomBytes(16));
	const digits = text.replaceAll('-', '');
	if (!/^[0-9a-fA-F]{32}$/.test(digits)) {
		throw new DiskError('invalid', 'convert/id', `${text} is no id`, {hint: 'an id has 32 hexadecimal digits'});
	}
	return new Uint8Array(Buffer.from(digits, 'hex'));
}

interface Job {
	readonly opened: OpenedDisk;
	readonly format: DiskFormat;
	readonly plan: ConvertTask['plan'];
	readonly output: OutputFile;
	readonly queue: SharedQueue;
}

/** Runs all threads to their end, whatever becomes of any of them: none may still write when the file is discarded. */
async function runWorkers(job: Job, count: number, options: ConvertOptions): Promise<readonly Fact[]> {
	const {opened, format, plan, output, queue: shared} = job;
	const {signal, onProgress} = options;
	const queue = openQueue(shared);
	const task: ConvertTask = {
		recipe: opened.recipe,
		format: format.name,
		plan,
		descriptor: output.descriptor,
		name: output.partial,
		queue: shared,
	};
	const tell = () => onProgress?.({position: queue.position, total: shared.size});
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
	return new Promise(resolve => {
		let report: ConvertReport | undefined;
		function fail(error: unknown): void {
			abort();
			report ??= {kind: 'failed', error: serializeError(error)};
		}
		let worker: Worker;
		try {
			worker = startWorker('./convert.worker.ts', import.meta.url, {workerData: task});
		} catch (error) {
			fail(error);
			resolve(report ?? {kind: 'aborted'});
			return;
		}
		worker.on('message', (message: ConvertReport) => {
			report = message;
		});
		worker.on('error', fail);
		worker.on('exit', () => {
			if (report === undefined) fail(new Error('a conversion thread ended without a word'));
			resolve(report ?? {kind: 'aborted'});
		});
	});
}
