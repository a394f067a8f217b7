import {parentPort, workerData} from 'node:worker_threads';
import {Aborted, openQueue, type SharedQueue, type Turn} from '../convert/queue.ts';
import {contentTree} from '../core/codecs/content-id.ts';
import {type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipeDisk} from '../image/image.ts';
import {upkeepOf} from '../work/upkeep.ts';
import {contentVerifier, walkable} from './content.ts';
import {type DamagedRun, damageList} from './damage-list.ts';

export interface ContentTask {
	readonly recipe: ImageRecipe;
	readonly queue: SharedQueue;
	/** The state of the content tree, in which all threads build. */
	readonly tree: SharedArrayBuffer;
}

export interface ContentDone {
	readonly kind: 'done';
	readonly read: number;
	readonly damage: readonly DamagedRun[];
	readonly forgotten: number;
}

type ContentReport =
	| ContentDone
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

/** Verifies piece after piece until there is none; the subtrees enter the tree in their order on the disk. */
function work({recipe, queue: shared, tree: memory}: ContentTask): ContentReport {
	const disk = openRecipeDisk(recipe);
	const hashes = upkeepOf(disk)?.hashes?.(disk);
	if (hashes === undefined) throw new Error('the image records hashes in one thread and none in another');
	const list = damageList();
	const verifier = contentVerifier(disk, hashes, list.add);
	const tree = contentTree(new Uint8Array(memory));
	const queue = openQueue(shared);
	const map = walkable(disk);
	const turn: Turn = {ticket: 0, position: 0, length: 0};
	try {
		while (queue.take(map, turn)) {
			verifier.verify(turn.position);
			queue.inOrder(turn.ticket, () => verifier.addTo(tree));
		}
		return {kind: 'done', read: verifier.read, damage: list.runs(), forgotten: list.forgotten()};
	} catch (error) {
		queue.abort();
		throw error;
	}
}

function report(): ContentReport {
	try {
		return work(workerData as ContentTask);
	} catch (error) {
		return error instanceof Aborted ? {kind: 'aborted'} : {kind: 'failed', error: serializeError(error)};
	}
}

parentPort?.postMessage(report());
