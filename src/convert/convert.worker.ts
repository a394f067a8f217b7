import {parentPort, workerData} from 'node:worker_threads';
import {ALL_FORMATS} from '../../formats/index.ts';
import {captureView, type CaptureView} from './capture-view.ts';
import type {Disk, Fact, WriterPlan} from '../core/disk.ts';
import {type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipe, openRecipeDisk} from '../image/image.ts';
import {fileSink} from './file-sink.ts';
import {pieceReader} from './read-piece.ts';
import {Aborted, openQueue, type SharedQueue, type Turn} from './queue.ts';

export interface ConvertTask {
	readonly recipe: ImageRecipe;
	readonly format: string;
	readonly plan: WriterPlan;
	readonly descriptor: number;
	/** The output's name in messages. */
	readonly name: string;
	readonly queue: SharedQueue;
	/** What a capture leaves out. */
	readonly view?: CaptureView;
	/** The image that only differences to it are stored of. */
	readonly parent?: ImageRecipe;
	/** Whether unreadable parts of the source are recorded as such, where the format can. */
	readonly tolerant: boolean;
}

export type ConvertReport =
	| {readonly kind: 'done'; readonly facts: readonly Fact[] | undefined}
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

function openSource({recipe, view}: ConvertTask): Disk {
	return view === undefined ? openRecipeDisk(recipe) : captureView(openRecipe(recipe), view);
}

/** Takes piece after piece until there is none. The last thread to end writes the tables, then the root. */
function work(task: ConvertTask): readonly Fact[] | undefined {
	const creator = ALL_FORMATS.find(format => format.name === task.format)?.create;
	if (creator === undefined) throw new Error(`${task.format} has no writer`);
	const disk = openSource(task);
	const sink = fileSink(task.descriptor, task.name);
	const parent = task.parent === undefined ? undefined : openRecipeDisk(task.parent);
	const writer = creator.open(task.plan, sink, parent);
	const keepsMarks = creator.keepsMarks ?? false;
	const reader = pieceReader(disk, {keepsMarks, tolerant: keepsMarks && task.tolerant});
	const queue = openQueue(task.queue);
	const turn: Turn = {ticket: 0, position: 0, length: 0};
	const buffer = new Uint8Array(task.plan.pieceSize);
	try {
		while (queue.take(disk, turn)) {
			const {position, length, mark} = turn;
			if (mark !== undefined) {
				queue.inOrder(turn.ticket, () => writer.mark?.(position, length, mark));
			} else {
				const bytes = length === buffer.length ? buffer : buffer.subarray(0, length);
				writer.encode({position, bytes, marks: reader.read(position, bytes)});
				queue.inOrder(turn.ticket, () => writer.reserve());
			}
			writer.write();
		}
		queue.addUnreadable(reader.unreadable);
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
