import {parentPort, workerData} from 'node:worker_threads';
import {ALL_FORMATS} from '../../formats/index.ts';
import type {Fact, WriterPlan} from '../core/disk.ts';
import {type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipeDisk} from '../image/image.ts';
import {fileSink} from './file-sink.ts';
import {Aborted, openQueue, type SharedQueue, type Turn} from './queue.ts';

export interface ConvertTask {
	readonly recipe: ImageRecipe;
	readonly format: string;
	readonly plan: WriterPlan;
	readonly descriptor: number;
	/** The output's name in messages. */
	readonly name: string;
	readonly queue: SharedQueue;
}

export type ConvertReport =
	| {readonly kind: 'done'; readonly facts: readonly Fact[] | undefined}
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

/** Takes piece after piece until there is none. The last thread to end writes the tables, then the root. */
function work(task: ConvertTask): readonly Fact[] | undefined {
	const creator = ALL_FORMATS.find(format => format.name === task.format)?.create;
	if (creator === undefined) throw new Error(`${task.format} has no writer`);
	const disk = openRecipeDisk(task.recipe);
	const sink = fileSink(task.descriptor, task.name);
	const writer = creator.open(task.plan, sink);
	const queue = openQueue(task.queue);
	const turn: Turn = {ticket: 0, position: 0, length: 0};
	const buffer = new Uint8Array(task.plan.pieceSize);
	try {
		while (queue.take(disk, turn)) {
			const bytes = turn.length === buffer.length ? buffer : buffer.subarray(0, turn.length);
			disk.readAt(turn.position, bytes);
			writer.encode({position: turn.position, bytes});
			queue.inOrder(turn.ticket, () => writer.reserve());
			writer.write();
		}
		if (!queue.leave()) return undefined;
		writer.writeTables();
		sink.sync();
		writer.writeRoot();
		sink.sync();
		return writer.describe();
	} catch (error) {
		queue.abort();
		throw error;
	}
}

function report(): ConvertReport {
	try {
		return {kind: 'done', facts: work(workerData as ConvertTask)};
	} catch (error) {
		return error instanceof Aborted ? {kind: 'aborted'} : {kind: 'failed', error: serializeError(error)};
	}
}

parentPort?.postMessage(report());
