import {newSharedQueue, openQueue} from '../convert/queue.ts';
import {CONTENT_TREE_SIZE, contentTree} from '../core/codecs/content-id.ts';
import {deserializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import type {IdentifyReport, IdentifyTask} from './identify.worker.ts';
import {type HashOptions, PIECE} from './piece.ts';
import {runWorker} from '../work/run-worker.ts';

const PROGRESS_MILLISECONDS = 100;

export interface ThreadsOptions extends HashOptions {
	readonly workers: number;
	/** Called with the position reached, a few times a second. */
	readonly onPosition: (position: number) => void;
	readonly signal: AbortSignal | undefined;
}

/** The content root of a disk of `size` bytes, and how many of them were read, by worker threads. */
export async function hashInThreads(
	recipe: ImageRecipe,
	size: number,
	{workers, zeroUnreadable, onPosition, signal}: ThreadsOptions,
): Promise<{root: Uint8Array; read: number}> {
	const shared = newSharedQueue(size, PIECE, workers);
	const queue = openQueue(shared);
	const tree = new SharedArrayBuffer(CONTENT_TREE_SIZE);
	const task: IdentifyTask = {recipe, queue: shared, tree, zeroUnreadable};
	const abort = () => queue.abort();
	const timer = setInterval(() => onPosition(queue.position), PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', abort);
	try {
		const reports = await Promise.all(
			Array.from({length: workers}, () =>
				runWorker<IdentifyReport>('./identify.worker.ts', import.meta.url, task, abort),
			),
		);
		const failed = reports.find(report => report.kind === 'failed');
		if (failed !== undefined) throw deserializeError(failed.error);
		signal?.throwIfAborted();
		const read = reports.reduce((sum, report) => sum + (report.kind === 'done' ? report.read : 0), 0);
		return {root: contentTree(new Uint8Array(tree)).finish(size), read};
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', abort);
	}
}
