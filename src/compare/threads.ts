import {newSharedQueue} from '../convert/queue.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {type DamagedRun, joinRuns} from '../verify/damage-list.ts';
import {runThreads, type ThreadsOptions} from '../work/run-threads.ts';
import type {CompareTask, CompareThreadDone} from './compare.worker.ts';
import {PIECE} from './piece.ts';

/** What comparing came to, beside the differences. */
export interface Compared {
	/** Bytes read of both disks together. */
	readonly read: number;
	/** What cannot be read of the first disk and of the second. */
	readonly unreadable: readonly [readonly DamagedRun[], readonly DamagedRun[]];
	/** Unreadable bytes beyond what these lists hold. */
	readonly forgotten: readonly [number, number];
}

export interface CompareOptions extends ThreadsOptions {
	readonly size: number;
	readonly differences: SharedArrayBuffer;
	readonly trust: boolean;
}

export async function compareInThreads(
	recipes: readonly [ImageRecipe, ImageRecipe],
	{size, differences, trust, ...options}: CompareOptions,
): Promise<Compared> {
	const shared = newSharedQueue(size, PIECE, options.workers);
	const task: CompareTask = {recipes, queue: shared, differences, trust};
	const done = await runThreads<CompareThreadDone>('./compare.worker.ts', import.meta.url, task, options);
	const sideOf = (side: 0 | 1) => joinRuns(done.map(({unreadable}) => unreadable[side]));
	const forgottenOf = (side: 0 | 1) => done.reduce((sum, {forgotten}) => sum + forgotten[side], 0);
	return {
		read: done.reduce((sum, {read}) => sum + read, 0),
		unreadable: [sideOf(0), sideOf(1)],
		forgotten: [forgottenOf(0), forgottenOf(1)],
	};
}
