import {newSharedQueue} from '../convert/queue.ts';
import {CONTENT_TREE_SIZE, contentTree} from '../core/codecs/content-id.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {PIECE} from './content.ts';
import type {ContentDone, ContentTask} from './content.worker.ts';
import {type DamagedRun, joinRuns} from './damage-list.ts';
import {runThreads, type ThreadsOptions} from '../work/run-threads.ts';

/** What verifying all content came to. */
export interface VerifiedContent {
	/** Of the content tree; of no meaning where anything is damaged. */
	readonly root: Uint8Array;
	readonly read: number;
	readonly damage: readonly DamagedRun[];
	/** Damaged bytes beyond what the list holds. */
	readonly forgotten: number;
}

export async function verifyInThreads(
	recipe: ImageRecipe,
	size: number,
	options: ThreadsOptions,
): Promise<VerifiedContent> {
	const shared = newSharedQueue(size, PIECE, options.workers);
	const tree = new SharedArrayBuffer(CONTENT_TREE_SIZE);
	const task: ContentTask = {recipe, queue: shared, tree};
	const done = await runThreads<ContentDone>('./content.worker.ts', import.meta.url, task, options);
	return {
		root: contentTree(new Uint8Array(tree)).finish(size),
		read: done.reduce((sum, {read}) => sum + read, 0),
		damage: joinRuns(done.map(({damage}) => damage)),
		forgotten: done.reduce((sum, {forgotten}) => sum + forgotten, 0),
	};
}
