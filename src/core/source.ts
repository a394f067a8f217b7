/**
 * Random-access bytes. Synchronous on purpose: every caller lives in a worker thread, and parallelism comes from
 * several threads that each build their own sources over the same descriptors.
 *
 * What implementers may assume: `position` is a safe integer, `position >= 0` and
 * `position + target.length <= size`. `checked()` in sources/checked.ts guarantees it; whoever opens an image wraps
 * its outermost source and disk with it, once.
 */
export interface ByteSource extends Disposable {
	/** What a person would call it, for messages: a path, or a description such as `partition 2 of disk.raw`. */
	readonly name: string;
	/** Bytes; always a safe integer. */
	readonly size: number;
	/** Fills all of `target` from `position`, or throws; it never reads short and never allocates. */
	readAt(position: number, target: Uint8Array): void;
	/**
	 * The first position at or after `position` that may hold data, or `size` when only holes follow (SEEK_DATA).
	 * Absent where the source cannot tell: then everything may be data.
	 */
	readonly seekData?: (position: number) => number;
	/** The first position at or after `position` that is known to be a hole, or `size` (SEEK_HOLE). */
	readonly seekHole?: (position: number) => number;
	/** Of a file as it is: the descriptor, for calls that share its blocks with another file. */
	readonly descriptor?: number;
}

/** Random-access output, owned by one conversion. Synchronous, like `ByteSource`; several threads may write disjoint ranges. */
export interface ByteSink extends Disposable {
	readonly name: string;
	/** Writes all of `bytes` at `position`, or throws. The file grows as needed; gaps read as zeros. */
	writeAt(position: number, bytes: Uint8Array): void;
	/** Present where blocks can be shared: what lies at `from` in a source with a descriptor then lies at `position`, too. */
	readonly cloneAt?: (position: number, source: ByteSource, from: number, length: number) => void;
	/** Reads back what was written, for writers that page their tables. */
	readAt(position: number, target: Uint8Array): void;
	/** Sets the exact size in bytes. */
	truncate(size: number): void;
	/** Returns when all that was written is on the medium (fdatasync). */
	sync(): void;
}
