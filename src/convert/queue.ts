import {type Disk, type Mark, newSpan, readsAsZero} from '../core/disk.ts';
import {isMark} from './read-piece.ts';
import {roundDown} from '../core/bytes/u64.ts';

const LOCK = 0;
const TICKETS = 1;
const TURN = 2;
const ABORTED = 3;
const WORKING = 4;
const WORDS = 6;

const CURSOR = 0;
const READ = 1;
const UNREADABLE = 2;
const NUMBERS = 3;

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
}

export function newSharedQueue(size: number, pieceSize: number, workers: number, keepsMarks = false): SharedQueue {
	const shared: SharedQueue = {
		words: new SharedArrayBuffer(WORDS * 4),
		numbers: new SharedArrayBuffer(NUMBERS * 8),
		size,
		pieceSize,
		keepsMarks,
	};
	new Int32Array(shared.words)[WORKING] = workers;
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
	/** Runs `action` when all earlier pieces have had their turn. */
	inOrder(ticket: number, action: () => void): void;
	/** Says that this thread takes no more. True for the last one. */
	leave(): boolean;
	abort(): void;
	readonly aborted: boolean;
	/** How far on the disk the pieces handed out reach. */
	readonly position: number;
	/** Bytes in the pieces handed out. */
	readonly read: number;
	/** Says how much a thread had to give up, before it leaves. */
	addUnreadable(count: number): void;
	/** Bytes that all threads gave up. */
	readonly unreadable: number;
}

export function openQueue(shared: SharedQueue): Queue {
	const words = new Int32Array(shared.words);
	const numbers = new Float64Array(shared.numbers);
	const {size, pieceSize, keepsMarks} = shared;
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
		inOrder(ticket, action) {
			for (let turn = Atomics.load(words, TURN); turn !== ticket; turn = Atomics.load(words, TURN)) {
				checkAborted();
				Atomics.wait(words, TURN, turn, NAP_MILLISECONDS);
			}
			checkAborted();
			action();
			Atomics.add(words, TURN, 1);
			Atomics.notify(words, TURN);
		},
		leave: () => Atomics.sub(words, WORKING, 1) === 1,
		abort() {
			Atomics.store(words, ABORTED, 1);
			Atomics.notify(words, TURN);
			Atomics.notify(words, LOCK);
		},
		get aborted() {
			return Atomics.load(words, ABORTED) !== 0;
		},
		get position() {
			return numbers[CURSOR];
		},
		get read() {
			return numbers[READ];
		},
		addUnreadable(count) {
			lock();
			numbers[UNREADABLE] += count;
			unlock();
		},
		get unreadable() {
			return numbers[UNREADABLE];
		},
	};
}
