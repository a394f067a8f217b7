import {parentPort, workerData} from 'node:worker_threads';
import {ALL_FORMATS} from '../../formats/index.ts';
import {captureView, type CaptureView} from './capture-view.ts';
import type {Disk, DiskWriter, Fact, Mark, WriterPlan} from '../core/disk.ts';
import {DiskError, type SerializedError, serializeError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import type {ByteSink} from '../core/source.ts';
import {giveUpPipe} from '../core/sources/pipe.ts';
import {openRecipe, openRecipeDisk} from '../image/image.ts';
import {type Cloning, type RunFinder, runFinder} from './clone-runs.ts';
import {type FileSink, fileSink} from './file-sink.ts';
import {fillHoles} from './fill-holes.ts';
import {pipeSink, type SharedPipe} from './pipe-sink.ts';
import {type PieceReader, pieceReader} from './read-piece.ts';
import {Aborted, openQueue, type Queue, type SharedQueue, type Turn} from './queue.ts';

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
	/** Of output that goes to a pipe. */
	readonly pipe?: SharedPipe;
	/** False: all of the file is given blocks. */
	readonly holes?: boolean;
	/** What may be shared with the source instead of copied. */
	readonly cloning?: Cloning;
}

export type ConvertReport =
	| {readonly kind: 'done'; readonly facts: readonly Fact[] | undefined}
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

function openSource({recipe, view}: ConvertTask): Disk {
	return view === undefined ? openRecipeDisk(recipe) : captureView(openRecipe(recipe), view);
}

/**
 * Pieces that a thread may have encoded before it waits for the turn of the first: pieces differ in what they cost, and
 * with one each the threads wait for each other 7 % of the time (2 of them, LZ4), with three not at all.
 */
const PIECES_AHEAD = 3;

interface Tools {
	readonly disk: Disk;
	readonly reader: PieceReader;
	/** One for each piece that waits for its turn. */
	readonly writers: readonly DiskWriter[];
	readonly sink: ByteSink & Partial<Pick<FileSink, 'cloned'>>;
	readonly runsOf: RunFinder | undefined;
	readonly queue: Queue;
}

function openTools(task: ConvertTask): Tools {
	const {format, plan, descriptor, name, pipe, cloning} = task;
	const creator = ALL_FORMATS.find(candidate => candidate.name === format)?.create;
	if (creator === undefined) throw new Error(`${format} has no writer`);
	const disk = openSource(task);
	const sink = pipe === undefined ? fileSink(descriptor, name) : pipeSink(descriptor, name, pipe);
	const parent = task.parent === undefined ? undefined : openRecipeDisk(task.parent);
	const keepsMarks = creator.keepsMarks ?? false;
	return {
		disk,
		reader: pieceReader(disk, {keepsMarks, tolerant: keepsMarks && task.tolerant}),
		writers: Array.from({length: PIECES_AHEAD}, () => creator.open(plan, sink, parent)),
		sink,
		runsOf: cloning === undefined ? undefined : runFinder(disk, cloning),
		queue: openQueue(task.queue),
	};
}

/** A piece from when it is taken until it is written. */
interface Slot {
	readonly writer: DiskWriter;
	readonly turn: Turn;
	readonly buffer: Uint8Array;
}

const NO_MARKS: readonly Mark[] = [];
const NO_BYTES = new Uint8Array(0);

/** Takes piece after piece until there is none. Those that are encoded wait in a ring until it is their turn. */
function writePieces({plan, pipe}: ConvertTask, {disk, reader, writers, sink, runsOf, queue}: Tools): void {
	const ring = writers.map(
		(writer): Slot => ({writer, turn: {ticket: 0, position: 0, length: 0}, buffer: new Uint8Array(plan.pieceSize)}),
	);
	let oldest = 0;
	let waiting = 0;
	let more = true;

	function encodeNext({writer, turn, buffer}: Slot): boolean {
		if (!queue.take(disk, turn)) return false;
		const {position, length, mark} = turn;
		if (mark !== undefined) return true;
		const runs = runsOf?.(position, length);
		if (runs !== undefined) {
			writer.encode({position, bytes: NO_BYTES, runs});
			return true;
		}
		const bytes = length === buffer.length ? buffer : buffer.subarray(0, length);
		const marks = reader.read(position, bytes);
		// The reader uses its list again, before the piece has its turn.
		writer.encode({position, bytes, marks: marks.length === 0 ? NO_MARKS : [...marks]});
		return true;
	}

	function place({writer, turn}: Slot): void {
		const {position, length, mark} = turn;
		if (writer.checkpoint !== undefined) queue.saveWhenDue(turn, writer.checkpoint);
		if (mark === undefined) writer.reserve();
		else writer.mark?.(position, length, mark);
		queue.placed(turn);
		// What goes to a pipe goes there in the same turn.
		if (pipe !== undefined) writer.write();
	}

	function finishOldest(slot: Slot): void {
		queue.inOrder(slot.turn.ticket, () => place(slot));
		if (pipe === undefined) slot.writer.write();
		queue.written();
	}

	if (pipe !== undefined) queue.once(() => writers[0].begin?.());
	while (more || waiting > 0) {
		const due = waiting > 0 && (!more || waiting === ring.length || queue.isTurn(ring[oldest].turn.ticket));
		if (due) {
			finishOldest(ring[oldest]);
			oldest = (oldest + 1) % ring.length;
			waiting--;
		} else {
			more = encodeNext(ring[(oldest + waiting) % ring.length]);
			if (more) waiting++;
		}
	}
	queue.addTotals(reader.unreadable, sink.cloned ?? 0);
}

/** Writes the tables, then the root: the file is whole with it. */
function finish({descriptor, name, holes}: ConvertTask, {writers: [writer], sink, queue}: Tools): readonly Fact[] {
	const sync = (): void => {
		if (holes === false) fillHoles(descriptor, name, () => queue.checkAborted());
		sink.sync();
	};
	writer.writeTables();
	sync();
	queue.checkAborted();
	writer.writeRoot();
	sync();
	return writer.describe();
}

/** The last thread to end finishes the output, or saves what is done when the work was stopped. */
function work(task: ConvertTask): readonly Fact[] | undefined {
	const queue = openQueue(task.queue);
	let left = false;
	try {
		const tools = openTools(task);
		try {
			writePieces(task, tools);
			left = true;
			if (!queue.leave()) return undefined;
			queue.checkAborted();
		} catch (error) {
			const {
				writers: [writer],
			} = tools;
			if (error instanceof Aborted && writer.checkpoint !== undefined && (left || queue.leave())) {
				queue.saveWhenStopped(position => writer.checkpoint?.(position));
			}
			throw error;
		}
		return finish(task, tools);
	} catch (error) {
		// A thread that waits for a pipe is told in the words of the pipe.
		if (error instanceof DiskError && error.code === 'file/given-up') throw new Aborted();
		if (!(error instanceof Aborted)) {
			queue.abort();
			if (task.recipe.file.pipe !== undefined) giveUpPipe(task.recipe.file.pipe);
		}
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
