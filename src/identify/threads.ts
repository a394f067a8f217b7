import {newSharedQueue} from '../convert/queue.ts';
import {CONTENT_TREE_SIZE, contentTree} from '../core/codecs/content-id.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import type {IdentifyDone, IdentifyTask} from './identify.worker.ts';
import {type HashOptions, PIECE} from './piece.ts';
import {runThreads, type ThreadsOptions} from '../work/run-threads.ts';

/** The content root of a disk of `size` bytes, and how many of them were read, by worker threads. */
export async function hashInThreads(
	recipe: ImageRecipe,
	size: number,
	options: ThreadsOptions & HashOptions,
): Promise<{root: Uint8Array; read: number}> {
	const shared = newSharedQueue(size, PIECE, options.workers);
	const tree = new SharedArrayBuffer(CONTENT_TREE_SIZE);
	const task: IdentifyTask = {recipe, queue: shared, tree, zeroUnreadable: options.zeroUnreadable};
	const done = await runThreads<IdentifyDone>('./identify.worker.ts', import.meta.url, task, options);
	return {root: contentTree(new Uint8Array(tree)).finish(size), read: done.reduce((sum, {read}) => sum + read, 0)};
}
