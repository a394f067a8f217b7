import {newSharedQueue, openQueue} from '../convert/queue.ts';
import {deserializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {type DamagedRun, joinRuns} from '../verify/damage-list.ts';
import {runWorker} from '../work/run-worker.ts';
import type {CompareTask, CompareThreadReport} from './compare.worker.ts';
import {PIECE} from './piece.ts';

const PROGRESS_MILLISECONDS = 100;

/** What comparing came to, beside the differences. */
export interface Compared {
	/** Bytes read of both disks together. */
	readonly read: number;
	/** What cannot be read of the first disk and of the second. */
	readonly unreadable: readonly [readonly DamagedRun[], readonly DamagedRun[]];
	/** Unreadable bytes beyond what these lists hold. */
	readonly forgotten: readonly [number, number];
}

export interface ThreadsOptions {
	readonly workers: number;
	readonly size: number;
	readonly differences: SharedArrayBuffer;
	readonly trust: boolean;
	/** Called with the position reached, a few times a second. */
	readonly onPosition: (position: number) => void;
	readonly signal: AbortSignal | undefined;
}

export async function compareInThreads(
	recipes: readonly [ImageRecipe, ImageRecipe],
	{workers, size, differences, trust, onPosition, signal}: ThreadsOptions,
): Promise<Compared> {
	const shared = newSharedQueue(size, PIECE, workers);
	const queue = openQueue(shared);
	const task: CompareTask = {recipes, queue: shared, differences, trust};
	const abort = () => queue.abort();
	const timer = setInterval(() => onPosition(queue.position), PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', abort);
	try {
		signal?.throwIfAborted();
		const reports = await Promise.all(
			Array.from({length: workers}, () =>
				runWorker<CompareThreadReport>('./compare.worker.ts', import.meta.url, task, abort),
			),
		);
		const failed = reports.find(report => report.kind === 'failed');
		if (failed !== undefined) throw deserializeError(failed.error);
		signal?.throwIfAborted();
		const done = reports.filter(report => report.kind === 'done');
		const sideOf = (side: 0 | 1) => joinRuns(done.map(({unreadable}) => unreadable[side]));
		const forgottenOf = (side: 0 | 1) => done.reduce((sum, {forgotten}) => sum + forgotten[side], 0);
		return {
			read: done.reduce((sum, {read}) => sum + read, 0),
			unreadable: [sideOf(0), sideOf(1)],
			forgotten: [forgottenOf(0), forgottenOf(1)],
		};
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', abort);
	}
}
