/** Fills `into` with the whole plain content of a chunk. */
export type LoadChunk = (chunk: number, into: Uint8Array) => void;

/** Keeps decoded chunks. The seam for a cache that all threads of a process share. */
export interface ChunkCache {
	/** Copies from `within` a chunk of `length` bytes to `target`; the chunk is loaded when it is not held. */
	read(chunk: number, length: number, within: number, target: Uint8Array): void;
}

export type ChunkCacheFactory = (chunkSize: number, load: LoadChunk) => ChunkCache;

/** Per thread: enough for a few files that are read side by side. */
const PRIVATE_BYTES = 8 * 1024 * 1024;

/** A cache of one thread: the chunks used last. Memory is taken when it is first needed. */
export const privateChunkCache: ChunkCacheFactory = (chunkSize, load) => {
	const limit = PRIVATE_BYTES / chunkSize;
	/** In order of use: the first is the one to give up. */
	const slots = new Map<number, Uint8Array>();
	let lastChunk = -1;
	let last: Uint8Array = new Uint8Array(0);

	function fetch(chunk: number, length: number): Uint8Array {
		let slot = slots.get(chunk);
		if (slot !== undefined) {
			slots.delete(chunk);
			slots.set(chunk, slot);
			return slot;
		}
		if (slots.size >= limit) {
			const [[oldest, freed]] = slots as unknown as [[number, Uint8Array]];
			slots.delete(oldest);
			slot = freed;
		} else {
			slot = new Uint8Array(chunkSize);
		}
		// Until it is loaded nothing may find it; a slot lost to an error is made anew.
		lastChunk = -1;
		load(chunk, slot.subarray(0, length));
		slots.set(chunk, slot);
		return slot;
	}

	return {
		read(chunk, length, within, target) {
			if (chunk !== lastChunk) {
				last = fetch(chunk, length);
				lastChunk = chunk;
			}
			target.set(last.subarray(within, within + target.length));
		},
	};
};
