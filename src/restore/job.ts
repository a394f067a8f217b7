import type {SerializedError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import type {Patch} from '../partitions/gpt/relocate.ts';

/** What is written to, as it crosses to the worker. */
export interface TargetFile {
	readonly name: string;
	readonly descriptor: number;
	/** Bytes; at least those of the disk. */
	readonly size: number;
	readonly isDevice: boolean;
	/** Whether it is a new file that is all hole. Everything else holds something, and that is never taken for zeros. */
	readonly isNew: boolean;
}

export interface WriteOptions {
	/** Reads the target and writes only blocks that differ. */
	readonly differences: boolean;
	/** Zeros what was free space when the image was taken, also on devices. */
	readonly zeroFree: boolean;
	/** Zeros what could not be read when the image was taken. */
	readonly zeroUnreadable: boolean;
	/** Zeros what the image cannot give, and goes on. */
	readonly keepGoing: boolean;
	/** Reads everything back and compares. */
	readonly verify: boolean;
}

/** Everything that the worker needs; plain data. */
export interface RestoreTask {
	readonly recipe: ImageRecipe;
	readonly target: TargetFile;
	readonly options: WriteOptions;
	readonly patches: readonly Patch[];
	readonly shared: SharedState;
}

export interface BadRange {
	readonly position: number;
	readonly length: number;
}

/** A range of the disk, and the numbers of the volumes that it touches. */
export interface RestoreRange extends BadRange {
	readonly volumes: readonly number[];
}

export interface DamagedRange extends BadRange {
	readonly error: SerializedError;
}

/** What became of the bytes. */
export interface WriteOutcome {
	/** Bytes of content written. */
	readonly written: number;
	/** Bytes made zeros, be it by writing or by telling the device or file system. Those of a new file are all holes. */
	readonly zeroed: number;
	/** Bytes of free space left as they were. */
	readonly left: number;
	/** Bytes that were right already; only with `differences`. */
	readonly unchanged: number;
	/** What the image could not give, in steps of 64 KiB; the target has zeros there. The first 1000. */
	readonly damaged: readonly DamagedRange[];
	readonly damagedBytes: number;
	/** What came back other than it was written, in blocks of 64 KiB; undefined where it was not asked. The first 1000. */
	readonly wrong: readonly BadRange[] | undefined;
	readonly wrongBytes: number;
	/** Whether the system could be told to forget what it had cached, so that `verify` read from the medium. */
	readonly uncached: boolean;
}

export type RestoreReport =
	| {readonly kind: 'done'; readonly outcome: WriteOutcome}
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'aborted'};

const ABORTED = 0;
const TOUCHED = 1;
const SEALED = 2;

/** What both threads look at while the work goes on. */
export interface SharedState {
	readonly words: SharedArrayBuffer;
	readonly numbers: SharedArrayBuffer;
}

export function newSharedState(): SharedState {
	return {words: new SharedArrayBuffer(12), numbers: new SharedArrayBuffer(8)};
}

/** Thrown in the worker when the main thread wants it to end. */
export class Aborted extends Error {}

export interface State {
	/** Bytes dealt with. */
	position: number;
	/** Whether the target no longer is what it was. */
	readonly touched: boolean;
	touch(): void;
	/** Whether the target is whole, and on the medium. */
	readonly sealed: boolean;
	seal(): void;
	abort(): void;
	throwIfAborted(): void;
}

export function openState({words, numbers}: SharedState): State {
	const flags = new Int32Array(words);
	const positions = new Float64Array(numbers);
	return {
		get position() {
			return positions[0];
		},
		set position(value) {
			positions[0] = value;
		},
		get touched() {
			return Atomics.load(flags, TOUCHED) !== 0;
		},
		touch: () => void Atomics.store(flags, TOUCHED, 1),
		get sealed() {
			return Atomics.load(flags, SEALED) !== 0;
		},
		seal: () => void Atomics.store(flags, SEALED, 1),
		abort: () => void Atomics.store(flags, ABORTED, 1),
		throwIfAborted() {
			if (Atomics.load(flags, ABORTED) !== 0) throw new Aborted();
		},
	};
}
