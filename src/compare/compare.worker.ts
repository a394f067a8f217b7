import {parentPort, workerData} from 'node:worker_threads';
import {Aborted, openQueue, type SharedQueue, type Turn} from '../convert/queue.ts';
import {type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipeDisk} from '../image/image.ts';
import {type DamagedRun, damageList} from '../verify/damage-list.ts';
import {pairMap, pieceComparer} from './piece.ts';
import {recordedHashes} from './recorded.ts';

export interface CompareTask {
	readonly recipes: readonly [ImageRecipe, ImageRecipe];
	readonly queue: SharedQueue;
	/** What all threads find: see `newDifferences`. */
	readonly differences: SharedArrayBuffer;
	/** Whether what the images record of their content is believed. */
	readonly trust: boolean;
}

export interface CompareThreadDone {
	readonly kind: 'done';
	readonly read: number;
	/** Of the first disk and of the second. */
	readonly unreadable: readonly [readonly DamagedRun[], readonly DamagedRun[]];
	readonly forgotten: readonly [number, number];
}

type CompareThreadReport =
	| CompareThreadDone
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

/** Compares piece after piece until there is none; what differs is added in the order of the disk. */
function work({recipes, queue: shared, differences, trust}: CompareTask): CompareThreadReport {
	const [first, second] = [openRecipeDisk(recipes[0]), openRecipeDisk(recipes[1])];
	const numbers = new Float64Array(differences);
	const lists = [damageList(), damageList()] as const;
	const comparer = pieceComparer(first, second, {
		recorded: trust ? recordedHashes(first, second) : undefined,
		numbers,
		onUnreadable: (side, position, length, error) => lists[side].add(position, length, error),
	});
	const queue = openQueue(shared);
	const map = pairMap(first, second);
	const turn: Turn = {ticket: 0, position: 0, length: 0};
	try {
		while (queue.take(map, turn)) {
			comparer.compare(turn.position, turn.length);
			queue.inOrder(turn.ticket, () => comparer.differences.addTo(numbers));
		}
		const [a, b] = lists;
		return {
			kind: 'done',
			read: comparer.read,
			unreadable: [a.runs(), b.runs()],
			forgotten: [a.forgotten(), b.forgotten()],
		};
	} catch (error) {
		queue.abort();
		throw error;
	}
}

function report(): CompareThreadReport {
	try {
		return work(workerData as CompareTask);
	} catch (error) {
		return error instanceof Aborted ? {kind: 'aborted'} : {kind: 'failed', error: serializeError(error)};
	}
}

parentPort?.postMessage(report());
