import {fstatSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import type {CreateRequest, DiskCreator, DiskFormat, Fact, Finding, ResumedPlan, WriterPlan} from '../core/disk.ts';
import {DiskError, deserializeError} from '../core/error.ts';
import type {FileRecipe, OpenedFile} from '../core/recipe.ts';
import {giveUpPipe, hasMore} from '../core/sources/pipe.ts';
import type {OpenedDisk} from '../image/image.ts';
import type {CaptureView} from './capture-view.ts';
import type {Cloning} from './clone-runs.ts';
import {type DataPath, findCloning} from './data-path.ts';
import {compareIds, type ContentIds} from './compare-ids.ts';
import type {ConvertReport, ConvertTask} from './convert.worker.ts';
import {fileSink} from './file-sink.ts';
import {fileOutput, type Output, streamOutput} from './output.ts';
import {createOutput} from './output-file.ts';
import {newSharedQueue, openQueue} from './queue.ts';
import {filesOf} from './source-facts.ts';
import {takeUp, unreadableIn} from './take-up.ts';
import {runWorker} from '../work/run-worker.ts';

/** How a conversion runs, whatever it converts. */
export interface ConversionOptions {
	/** Replaces an existing target, and what an interrupted run left of one. */
	readonly force?: boolean;
	/** Goes on with what an interrupted run left; begins anew where there is nothing. */
	readonly resume?: boolean;
	/** Writes to this descriptor, a pipe for example, from the beginning to the end; `target` is then its name in messages. */
	readonly stream?: number;
	/** Reads source and target again, and compares their content ids. */
	readonly verify?: boolean;
	/** Bytes of the disk that are read between two checkpoints; by the size of the disk when absent. */
	readonly checkpointEvery?: number;
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	/** How content comes into the target; `auto` when absent. */
	readonly dataPath?: DataPath;
	/** Called a few times a second, and once at the end. */
	readonly onProgress?: (progress: ConvertProgress) => void;
	/** Called before it fails or is aborted, when what is done is kept for a run with `resume`. */
	readonly onKept?: (kept: KeptWork) => void;
	/** Ends the conversion early; nothing is left behind but what `onKept` tells. */
	readonly signal?: AbortSignal;
}

/** What a conversion that did not come to its end leaves. */
export interface KeptWork {
	readonly partial: string;
	/** Bytes of the disk that need not be read again, and all of them. */
	readonly position: number;
	readonly total: number;
}

export interface ConvertProgress {
	/** Bytes of the disk dealt with, holes included. */
	readonly position: number;
	/** Virtual size of the disk in bytes; with `verify` three times that. */
	readonly total: number;
}

export interface ConvertResult {
	readonly target: string;
	readonly format: string;
	/** Bytes of the disk. */
	readonly size: number;
	/** Where on the disk it went on with what an interrupted run had done; 0 when it did not. */
	readonly resumedAt: number;
	/** Bytes of pieces that may hold data, and were not skipped as holes. */
	readonly read: number;
	/** How content came into the target. */
	readonly dataPath: 'clone' | 'copy';
	/** Of these the bytes that were not copied: the target shares their blocks with the source. */
	readonly cloned: number;
	/** Bytes that could not be read and are recorded as such; 0 unless that was asked for. */
	readonly unreadable: number;
	/** Bytes of the target file, and how many of them it occupies. */
	readonly fileSize: number;
	readonly allocated: number;
	readonly seconds: number;
	/** With `verify`. */
	readonly ids?: ContentIds;
	/** What the writer has to tell. */
	readonly facts: readonly Fact[];
	/** Of opening the source, of what an interrupted run left, of a source that changed meanwhile. */
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
	/**
	 * Looks at a finished file before it gets its name, in which so many bytes are recorded as unreadable; throws where it
	 * must not have it, and then it is removed.
	 */
	readonly accept?: (partial: string, unreadable: number) => void;
	/** What the target leaves out of the source on purpose, for people. */
	readonly leavesOut?: readonly string[];
	/** False: the file gets all its blocks, for those who refuse sparse files. */
	readonly holes?: boolean;
}

/** Threads beyond this only wait for each other and for the disk. */
const MOST_WORKERS = 64;
const PROGRESS_MILLISECONDS = 100;

/** What may have to be read again after an interruption. See README.md for what a checkpoint costs. */
const CHECKPOINT_EVERY = 8 * 2 ** 30;
/** On large disks, so that all checkpoints together stay small: each holds the metadata, and a page of each level. */
const MOST_CHECKPOINTS = 256;

/** Plans the output, fills it by worker threads and gives it its name. See README.md in this folder. */
export async function runConversion(conversion: Conversion, options: ConversionOptions): Promise<ConvertResult> {
	const start = performance.now();
	const {opened, target, format, creator, parent} = conversion;
	const {disk} = opened;
	checkOptions(conversion, options);
	const sources = [opened, ...(parent === undefined ? [] : [parent])].flatMap(filesOf);
	const {output, plan, resumed, findings, cloning} = prepareOutput(conversion, options, sources);
	const workers = Math.min(options.workers ?? availableParallelism(), MOST_WORKERS);
	const resumedAt = resumed?.position ?? 0;
	const {pipe: input} = opened.recipe.file;
	const canResume = output.pipe === undefined && input === undefined;
	const shared = newSharedQueue(disk.size, plan.pieceSize, workers, {
		keepsMarks: creator.keepsMarks ?? false,
		start: resumedAt,
		...(canResume && {checkpointEvery: checkpointEvery(disk.size, options)}),
	});
	const queue = openQueue(shared);
	const {view, tolerant = false} = conversion;
	const task: ConvertTask = {
		recipe: opened.recipe,
		format: format.name,
		plan,
		descriptor: output.descriptor,
		name: output.partial,
		queue: shared,
		tolerant,
		...(view !== undefined && {view}),
		...(parent !== undefined && {parent: parent.recipe}),
		...(output.pipe !== undefined && {pipe: output.pipe}),
		...(conversion.holes === false && {holes: false}),
		...(cloning !== undefined && {cloning}),
	};
	let facts: readonly Fact[];
	let written: {size: number; allocated: number};
	try {
		facts = await runWorkers(task, workers, options);
		if (input !== undefined) checkEnd(opened.recipe.file, disk.size);
		written = output.written();
	} catch (error) {
		if (queue.saved > 0 && canGoOn(error)) {
			output.keep();
			options.onKept?.({partial: output.partial, position: queue.saved, total: disk.size});
		} else output.discard();
		throw error;
	}
	try {
		if (output.pipe === undefined) conversion.accept?.(output.partial, queue.unreadable);
	} catch (error) {
		output.discard();
		throw error;
	}
	output.publish();
	const result: ConvertResult = {
		target,
		format: format.name,
		size: disk.size,
		resumedAt,
		read: queue.read,
		dataPath: queue.cloned > 0 ? 'clone' : 'copy',
		cloned: queue.cloned,
		unreadable: queue.unreadable + unreadableIn(resumed?.metadata),
		fileSize: written.size,
		allocated: written.allocated,
		seconds: (performance.now() - start) / 1000,
		facts,
		findings: [...opened.findings, ...findings, ...changes(sources)],
	};
	if (options.verify !== true) return result;
	return {...result, ids: await compareIds(conversion, result, options)};
}

function invalid(name: string, message: string): DiskError {
	return new DiskError('invalid', `convert/${name}`, message);
}

function checkOptions({opened, format, creator}: Conversion, options: ConversionOptions): void {
	checkNumber('workers', options.workers, 1);
	checkNumber('checkpointEvery', options.checkpointEvery, 1);
	if (options.resume === true && creator.resume === undefined) {
		throw invalid('resume', `a ${format.name} file that was not finished cannot be gone on with`);
	}
	if (opened.recipe.file.pipe !== undefined) {
		if (options.resume === true) throw invalid('resume', 'what came through a pipe cannot be gone on with');
		if (options.verify === true) throw invalid('verify', 'what came through a pipe cannot be read again');
	}
	if (options.stream === undefined) return;
	if (creator.streams !== true) {
		throw invalid('stream', `${format.name} cannot be written to a pipe: its beginning is known last`);
	}
	if (options.resume === true) throw invalid('resume', 'what went to a pipe cannot be gone on with');
	if (options.verify === true) throw invalid('verify', 'what went to a pipe cannot be read back');
}

/** What comes through a pipe must end where it was said to: its size was told by somebody who may be wrong. */
function checkEnd({name, parts: [part]}: FileRecipe, size: number): void {
	if (!hasMore(part)) return;
	throw new DiskError('invalid', 'convert/input-size', `more than ${size} bytes come through ${name}`, {
		hint: 'give the true size of the disk',
	});
}

/** Where the bytes go, the plan for them, and what was found there. */
interface Prepared {
	readonly output: Output;
	readonly plan: WriterPlan;
	readonly resumed: ResumedPlan | undefined;
	readonly findings: readonly Finding[];
	readonly cloning?: Cloning | undefined;
}

function prepareOutput(
	conversion: Conversion,
	{resume = false, force = false, stream, dataPath = 'auto'}: ConversionOptions,
	sources: readonly OpenedFile[],
): Prepared {
	const {target, creator, request, parent} = conversion;
	// What is wrong with the request is told before anything is touched.
	const plan = resume ? undefined : creator.plan(request, parent?.disk);
	if (plan !== undefined && stream !== undefined) {
		const output = streamOutput(target, stream);
		return {
			output,
			plan,
			resumed: undefined,
			findings: [],
			cloning: findCloning(dataPath, plan, output, conversion.opened.disk, []),
		};
	}
	const findings: Finding[] = [];
	let resumed: ResumedPlan | undefined;
	const output = createOutput(target, {
		force,
		sources,
		takeUp(left) {
			resumed = takeUp(left, conversion, {resume, force, warn: finding => findings.push(finding)});
			return resumed !== undefined;
		},
	});
	try {
		const used = resumed?.plan ?? plan ?? creator.plan(request, parent?.disk);
		const file = fileOutput(output);
		if (used.fileSize !== undefined) tryFileSize(file, used.fileSize);
		const cloning = findCloning(dataPath, used, file, conversion.opened.disk, filesOf(conversion.opened));
		return {output: file, plan: used, resumed, findings: [...output.findings, ...findings], cloning};
	} catch (error) {
		output.discard();
		throw error;
	}
}

/** Hours of work need not end at the size that the target's file system does not allow. The output is empty. */
function tryFileSize({descriptor, partial}: Output, size: number): void {
	const sink = fileSink(descriptor, partial);
	sink.truncate(size);
	sink.truncate(0);
}

function checkpointEvery(size: number, options: ConversionOptions): number {
	return options.checkpointEvery ?? Math.max(CHECKPOINT_EVERY, size / MOST_CHECKPOINTS);
}

/** Whether a run that goes on can come further than this one. What the source holds does not change by itself. */
function canGoOn(error: unknown): boolean {
	return !(error instanceof DiskError) || (error.family === 'io' && error.code !== 'file/shrunk');
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
	{signal, onProgress, verify}: ConversionOptions,
): Promise<readonly Fact[]> {
	const queue = openQueue(task.queue);
	const total = task.queue.size * (verify === true ? 3 : 1);
	const tell = () => onProgress?.({position: queue.position, total});
	const {pipe} = task.recipe.file;
	const giveUp = () => pipe !== undefined && giveUpPipe(pipe);
	const onAbort = () => {
		queue.abort();
		giveUp();
	};
	const onStop = () => {
		queue.stop();
		giveUp();
	};
	const timer = setInterval(tell, PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', onStop);
	try {
		signal?.throwIfAborted();
		const reports = await Promise.all(
			Array.from({length: count}, () =>
				runWorker<ConvertReport>('./convert.worker.ts', import.meta.url, task, onAbort),
			),
		);
		const failed = reports.find(report => report.kind === 'failed');
		if (pipe !== undefined) signal?.throwIfAborted();
		if (failed !== undefined) throw deserializeError(failed.error);
		const done = reports.find(report => report.kind === 'done' && report.facts !== undefined);
		// One that was whole when the wish to end it came is whole.
		if (done?.kind !== 'done' || done.facts === undefined) {
			signal?.throwIfAborted();
			throw new Error('no worker finished the output');
		}
		tell();
		return done.facts;
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', onStop);
	}
}
