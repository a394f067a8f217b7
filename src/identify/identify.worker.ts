import {parentPort, workerData} from 'node:worker_threads';
import {Aborted, openQueue, type SharedQueue, type Turn} from '../convert/queue.ts';
import {contentTree} from '../core/codecs/content-id.ts';
import {type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipeDisk} from '../image/image.ts';
import {pieceHasher} from './piece.ts';

export interface IdentifyTask {
	readonly recipe: ImageRecipe;
	readonly queue: SharedQueue;
	/** The state of the content tree, in which all threads build. */
	readonly tree: SharedArrayBuffer;
	readonly zeroUnreadable: boolean;
}

export interface IdentifyDone {
	readonly kind: 'done';
	readonly read: number;
}

type IdentifyReport =
	| IdentifyDone
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

/** Hashes piece after piece until there is none; the subtrees enter the tree in their order on the disk. */
function work({recipe, queue: shared, tree: memory, zeroUnreadable}: IdentifyTask): number {
	const disk = openRecipeDisk(recipe);
	const hasher = pieceHasher(disk, {zeroUnreadable});
	const tree = contentTree(new Uint8Array(memory));
	const queue = openQueue(shared);
	const turn: Turn = {ticket: 0, position: 0, length: 0};
	try {
		while (queue.take(disk, turn)) {
			hasher.hash(turn.position);
			queue.inOrder(turn.ticket, () => hasher.addTo(tree));
		}
		return hasher.read;
	} catch (error) {
		queue.abort();
		throw error;
	}
}

function report(): IdentifyReport {
	try {
		return {kind: 'done', read: work(workerData as IdentifyTask)};
	} catch (error) {
		return error instanceof Aborted ? {kind: 'aborted'} : {kind: 'failed', error: serializeError(error)};
	}
}

parentPort?.postMessage(report());
