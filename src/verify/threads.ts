import {newSharedQueue, openQueue} from '../convert/queue.ts';
import {CONTENT_TREE_SIZE, contentTree} from '../core/codecs/content-id.ts';
import {deserializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {PIECE} from './content.ts';
import type {ContentReport, ContentTask} from './content.worker.ts';
import {type DamagedRun, joinRuns} from './damage-list.ts';
import {runWorker} from '../work/run-worker.ts';

const PROGRESS_MILLISECONDS = 100;

export interface ThreadsOptions {
	readonly workers: number;
	/** Called with the position reached, a few times a second. */
	readonly onPosition: (position: number) => void;
	readonly signal: AbortSignal | undefined;
}

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
	{workers, onPosition, signal}: ThreadsOptions,
): Promise<VerifiedContent> {
	const shared = newSharedQueue(size, PIECE, workers);
	const queue = openQueue(shared);
	const tree = new SharedArrayBuffer(CONTENT_TREE_SIZE);
	const task: ContentTask = {recipe, queue: shared, tree};
	const abort = () => queue.abort();
	const timer = setInterval(() => onPosition(queue.position), PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', abort);
	try {
		signal?.throwIfAborted();
		const reports = await Promise.all(
			Array.from({length: workers}, () =>
				runWorker<ContentReport>('./content.worker.ts', import.meta.url, task, abort),
			),
		);
		const failed = reports.find(report => report.kind === 'failed');
		if (failed !== undefined) throw deserializeError(failed.error);
		signal?.throwIfAborted();
		const done = reports.filter(report => report.kind === 'done');
		return {
			root: contentTree(new Uint8Array(tree)).finish(size),
			read: done.reduce((sum, {read}) => sum + read, 0),
			damage: joinRuns(done.map(({damage}) => damage)),
			forgotten: done.reduce((sum, {forgotten}) => sum + forgotten, 0),
		};
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', abort);
	}
}
