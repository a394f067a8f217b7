import {isZero} from '../core/bytes/zeros.ts';

/** Differences are told apart at this distance: the smallest sector. */
export const SECTOR = 512;

/** Places in the shared numbers; the listed ranges follow, as position and length. */
const FIRST = 0;
const COUNT = 1;
const BYTES = 2;
const END = 3;
const REST_DATA = 4;
const LIST = 8;
/** In `FIRST` and `END` while there is none. */
const NONE = -1;

/** Whole sectors of 512 bytes in which the disks differ. */
export interface DifferentRange {
	readonly position: number;
	readonly length: number;
}

/** What all threads found, in the order of the disk. */
export interface Differences {
	/** The first byte that differs. */
	readonly first: number | undefined;
	readonly count: number;
	readonly bytes: number;
	/** Whether the longer disk has data beyond the end of the shorter one. */
	readonly restHasData: boolean;
	/** The first ones, as many as there is room for. */
	list(): readonly DifferentRange[];
}

/** Memory for the differences that several threads find; `most` ranges are listed. */
export function newDifferences(most: number): SharedArrayBuffer {
	const shared = new SharedArrayBuffer((LIST + 2 * most) * 8);
	const numbers = new Float64Array(shared);
	numbers[FIRST] = NONE;
	numbers[END] = NONE;
	return shared;
}

export function readDifferences(shared: SharedArrayBuffer): Differences {
	const numbers = new Float64Array(shared);
	return {
		first: numbers[FIRST] === NONE ? undefined : numbers[FIRST],
		count: numbers[COUNT],
		bytes: numbers[BYTES],
		restHasData: numbers[REST_DATA] !== 0,
		list() {
			const listed = Math.min(numbers[COUNT], (numbers.length - LIST) / 2);
			return Array.from({length: listed}, (_, index) => ({
				position: numbers[LIST + 2 * index],
				length: numbers[LIST + 2 * index + 1],
			}));
		},
	};
}

/** The differences of one piece, until it is its turn to add them. Owned by one thread and reused. */
export interface PieceDifferences {
	clear(): void;
	/** Notes the bytes of one side where the other one has zeros. */
	addNonZero(position: number, bytes: Buffer): void;
	/** Notes where bytes of equal length differ. */
	addDifferent(position: number, a: Buffer, b: Buffer): void;
	/** The same beyond the end of the shorter disk, where no ranges are told. */
	addRest(position: number): void;
	/** Adds them to those of all pieces before: called by one thread at a time, in the order of the disk. */
	addTo(numbers: Float64Array): void;
}

export function pieceDifferences(pieceSize: number): PieceDifferences {
	/** Starts and ends. Spans may begin anywhere, so a sector can be told in two parts. */
	const runs = new Float64Array(4 * (pieceSize / SECTOR + 1));
	let used = 0;
	let first = NONE;
	let rest = false;

	function note(position: number): void {
		if (first === NONE) first = position;
	}

	function addSectors(position: number, length: number, differs: (from: number, to: number) => boolean): void {
		for (let from = 0; from < length; ) {
			const to = Math.min(length, from + SECTOR - ((position + from) % SECTOR));
			if (differs(from, to)) addRun(position + from, position + to);
			from = to;
		}
	}

	function addRun(start: number, end: number): void {
		if (used > 0 && runs[used - 1] === start) {
			runs[used - 1] = end;
			return;
		}
		runs[used++] = start;
		runs[used++] = end;
	}

	return {
		clear() {
			used = 0;
			first = NONE;
			rest = false;
		},
		addNonZero(position, bytes) {
			note(position + bytes.findIndex(byte => byte !== 0));
			addSectors(position, bytes.length, (from, to) => !isZero(bytes.subarray(from, to)));
		},
		addDifferent(position, a, b) {
			note(position + a.findIndex((byte, index) => byte !== b[index]));
			addSectors(position, a.length, (from, to) => a.compare(b, from, to, from, to) !== 0);
		},
		addRest(position) {
			note(position);
			rest = true;
		},
		addTo(numbers) {
			if (numbers[FIRST] === NONE) numbers[FIRST] = first;
			if (rest) numbers[REST_DATA] = 1;
			for (let at = 0; at < used; at += 2) join(numbers, runs[at], runs[at + 1]);
		},
	};
}

/** Whether some thread has found data beyond the end of the shorter disk: then no more is looked for. */
export function restIsKnown(numbers: Float64Array): boolean {
	return numbers[REST_DATA] !== 0;
}

/** Ranges grow over the borders of pieces. */
function join(numbers: Float64Array, start: number, end: number): void {
	const most = (numbers.length - LIST) / 2;
	numbers[BYTES] += end - start;
	if (numbers[END] !== start) numbers[COUNT]++;
	const index = LIST + 2 * (numbers[COUNT] - 1);
	if (numbers[COUNT] <= most) {
		if (numbers[END] !== start) numbers[index] = start;
		numbers[index + 1] = end - numbers[index];
	}
	numbers[END] = end;
}
