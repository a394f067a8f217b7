import {type Disk, type Mark, newSpan, readsAsZero} from '../core/disk.ts';
import {isMark} from './read-piece.ts';
import {roundDown, roundUp} from '../core/bytes/u64.ts';

const LOCK = 0;
const TICKETS = 1;
const TURN = 2;
const ABORTED = 3;
const WORKING = 4;
const WRITING = 5;
const BEGUN = 6;
const WORDS = 8;

const CURSOR = 0;
const READ = 1;
const UNREADABLE = 2;
const PLACED = 3;
const UNSAVED = 4;
const SAVED = 5;
const CLONED = 6;
const NUMBERS = 7;

/** Values of ABORTED: all is lost, or what is done may be kept. */
const FAILED = 1;
const STOPPED = 2;

/** Values of BEGUN. */
const BEGINNING = 1;
const DONE = 2;

/** Of the work between two checkpoints, the share that is worth one of its own when it is stopped. */
const WORTH_KEEPING = 1 / 8;

/** How long a waiting thread sleeps before it looks again whether all is lost. */
const NAP_MILLISECONDS = 200;

/** What the threads of one conversion share; plain data that crosses to workers. */
export interface SharedQueue {
	readonly words: SharedArrayBuffer;
	readonly numbers: SharedArrayBuffer;
	readonly size: number;
	readonly pieceSize: number;
	/** Whether marked runs are handed out, too; otherwise those that read as zeros are passed over. */
	readonly keepsMarks: boolean;
	/** Bytes handed out between two checkpoints. */
	readonly checkpointEvery: number;
}

export interface QueueOptions {
	readonly keepsMarks?: boolean;
	/** Where on the disk to begin: a multiple of the piece size, or its end. All below is done. */
	readonly start?: number;
	/** Never when absent. */
	readonly checkpointEvery?: number;
}

export function newSharedQueue(
	size: number,
	pieceSize: number,
	workers: number,
	{keepsMarks = false, start = 0, checkpointEvery = Number.POSITIVE_INFINITY}: QueueOptions = {},
): SharedQueue {
	const shared: SharedQueue = {
		words: new SharedArrayBuffer(WORDS * 4),
		numbers: new SharedArrayBuffer(NUMBERS * 8),
		size,
		pieceSize,
		keepsMarks,
		checkpointEvery,
	};
	new Int32Array(shared.words)[WORKING] = workers;
	const numbers = new Float64Array(shared.numbers);
	for (const place of [CURSOR, PLACED, SAVED]) numbers[place] = start;
	return shared;
}

/** One piece of work, owned by the thread and reused. */
export interface Turn {
	/** Counts turns in their order on the disk. */
	ticket: number;
	position: number;
	/** At most a piece, unless `mark` says that it is a run of that kind: any number of whole pieces. */
	length: number;
	mark?: Mark['kind'] | undefined;
}

/** Thrown into threads that wait when another has failed; its error is the one that is told. */
export class Aborted extends Error {}

/**
 * Hands out the pieces of a disk that may hold data, in their order, and makes the threads take their places in the
 * output in that same order. Ranges that the disk's map calls empty are passed over and cost nothing.
 */
export interface Queue {
	/** The next piece, or false when there is none. */
	take(disk: Disk, turn: Turn): boolean;
	/** Whether all earlier pieces have had their turn. */
	isTurn(ticket: number): boolean;
	/** Runs `action` when all earlier pieces have had their turn. */
	inOrder(ticket: number, action: () => void): void;
	/** Runs `action` in the first thread that comes here; the others wait until it is done. */
	once(action: () => void): void;
	/**
	 * Within a turn, when the piece has its place: it is being written until `written` is called. It stays so for ever
	 * when that fails, and nothing is saved any more.
	 */
	placed(turn: Turn): void;
	written(): void;
	/**
	 * Within a turn, before its piece has a place: when a checkpoint is due, waits until nothing is being written and runs
	 * `save` with the position that it covers.
	 */
	saveWhenDue(turn: Turn, save: (position: number) => void): void;
	/** For the last thread, after a stop: the same, when there is enough that would be lost. */
	saveWhenStopped(save: (position: number) => void): void;
	/** How far on the disk the last checkpoint reaches; 0 when there is none. */
	readonly saved: number;
	/** Says that this thread takes no more. True for the last one. */
	leave(): boolean;
	/** Ends the work in all threads: something failed. */
	abort(): void;
	/** The same, on somebody's wish: what is done may be kept. */
	stop(): void;
	readonly aborted: boolean;
	/** Throws `Aborted` when it is. */
	checkAborted(): void;
	/** How far on the disk the pieces handed out reach. */
	readonly position: number;
	/** Bytes in the pieces handed out. */
	readonly read: number;
	/** Says how many bytes a thread had to give up, and has cloned, before it leaves. */
	addTotals(unreadable: number, cloned: number): void;
	/** Bytes that all threads gave up. */
	readonly unreadable: number;
	/** Bytes that all threads cloned. */
	readonly cloned: number;
}

export function openQueue(shared: SharedQueue): Queue {
	const words = new Int32Array(shared.words);
	const numbers = new Float64Array(shared.numbers);
	const {size, pieceSize, keepsMarks, checkpointEvery} = shared;
	const span = newSpan();

	function checkAborted(): void {
		if (Atomics.load(words, ABORTED) !== 0) throw new Aborted();
	}

	function lock(): void {
		while (Atomics.compareExchange(words, LOCK, 0, 1) !== 0) {
			Atomics.wait(words, LOCK, 1, NAP_MILLISECONDS);
			checkAborted();
		}
	}

	function unlock(): void {
		Atomics.store(words, LOCK, 0);
		Atomics.notify(words, LOCK, 1);
	}

	/** The first word counts: a failure is not undone by a stop that comes later. */
	function endAll(reason: number): void {
		if (reason === FAILED) Atomics.store(words, ABORTED, FAILED);
		else Atomics.compareExchange(words, ABORTED, 0, reason);
		for (const word of [TURN, LOCK, WRITING, BEGUN]) Atomics.notify(words, word);
	}

	function waitWhile(word: number, isBusy: (value: number) => boolean): void {
		for (let value = Atomics.load(words, word); isBusy(value); value = Atomics.load(words, word)) {
			checkAborted();
			Atomics.wait(words, word, value, NAP_MILLISECONDS);
		}
		checkAborted();
	}

	function save(position: number, action: (position: number) => void): void {
		action(position);
		numbers[SAVED] = position;
		numbers[UNSAVED] = 0;
	}

	/** Takes the marked run in `span`, when it starts with a piece and fills it. */
	function takeMark(position: number, turn: Turn): boolean {
		const end = position + span.length;
		const length = end >= size ? size - position : roundDown(span.length, pieceSize);
		if (position % pieceSize !== 0 || length === 0 || !isMark(span.kind)) return false;
		turn.position = position;
		turn.length = length;
		turn.mark = span.kind;
		turn.ticket = Atomics.add(words, TICKETS, 1);
		numbers[CURSOR] = position + length;
		return true;
	}

	return {
		take(disk, turn) {
			lock();
			try {
				checkAborted();
				let position = numbers[CURSOR];
				turn.mark = undefined;
				while (position < size) {
					disk.locate(position, span);
					if (keepsMarks && isMark(span.kind)) {
						if (takeMark(position, turn)) return true;
						break;
					}
					if (!readsAsZero(span.kind)) break;
					position += span.length;
					// A map can be cut into any number of empty pieces: it must stay possible to stop, and to see the way.
					numbers[CURSOR] = roundDown(position, pieceSize);
					checkAborted();
				}
				if (position >= size) {
					numbers[CURSOR] = size;
					return false;
				}
				turn.position = roundDown(position, pieceSize);
				turn.length = Math.min(pieceSize, size - turn.position);
				turn.ticket = Atomics.add(words, TICKETS, 1);
				numbers[CURSOR] = turn.position + turn.length;
				numbers[READ] += turn.length;
				return true;
			} finally {
				unlock();
			}
		},
		isTurn: ticket => Atomics.load(words, TURN) === ticket,
		inOrder(ticket, action) {
			waitWhile(TURN, value => value !== ticket);
			action();
			Atomics.add(words, TURN, 1);
			Atomics.notify(words, TURN);
		},
		once(action) {
			if (Atomics.compareExchange(words, BEGUN, 0, BEGINNING) !== 0) return waitWhile(BEGUN, value => value !== DONE);
			action();
			Atomics.store(words, BEGUN, DONE);
			Atomics.notify(words, BEGUN);
		},
		placed({position, length, mark}) {
			Atomics.add(words, WRITING, 1);
			numbers[PLACED] = Math.min(roundUp(position + length, pieceSize), size);
			// Marks of any length cost nothing, so nothing is lost with them.
			if (mark === undefined) numbers[UNSAVED] += length;
		},
		written() {
			Atomics.sub(words, WRITING, 1);
			Atomics.notify(words, WRITING);
		},
		saveWhenDue({position}, action) {
			if (numbers[UNSAVED] < checkpointEvery) return;
			waitWhile(WRITING, value => value > 0);
			save(position, action);
		},
		saveWhenStopped(action) {
			if (Atomics.load(words, ABORTED) !== STOPPED || Atomics.load(words, WRITING) > 0) return;
			const enough = numbers[SAVED] > 0 ? 1 : checkpointEvery * WORTH_KEEPING;
			if (numbers[UNSAVED] >= enough) save(numbers[PLACED], action);
		},
		get saved() {
			return numbers[SAVED];
		},
		leave: () => Atomics.sub(words, WORKING, 1) === 1,
		abort: () => endAll(FAILED),
		stop: () => endAll(STOPPED),
		get aborted() {
			return Atomics.load(words, ABORTED) !== 0;
		},
		checkAborted,
		get position() {
			return numbers[CURSOR];
		},
		get read() {
			return numbers[READ];
		},
		addTotals(unreadable, cloned) {
			lock();
			numbers[UNREADABLE] += unreadable;
			numbers[CLONED] += cloned;
			unlock();
		},
		get unreadable() {
			return numbers[UNREADABLE];
		},
		get cloned() {
			return numbers[CLONED];
		},
	};
}
