import type {ByteSource} from '../source.ts';

export interface CacheOptions {
	/** Bytes per block: a power of two. */
	readonly blockSize?: number;
	/** How many blocks are kept. */
	readonly blocks?: number;
}

/**
 * Keeps the blocks read last, for metadata that is read in small pieces again and again. Reads of a block or more go
 * past it, and so do those in a block that cannot be read whole: what is asked for may be beside what is lost. All memory
 * is taken at the start; a read allocates nothing.
 */
export function cachedSource(source: ByteSource, options: CacheOptions = {}): ByteSource {
	const {blockSize = 4096, blocks = 256} = options;
	const memory = new Uint8Array(blockSize * blocks);
	/** Slot of each block held, in order of use: the first is the one to give up. */
	const slots = new Map<number, number>();

	/** The slot of a block, which is read where it is not held; undefined where it cannot be read whole. */
	function load(block: number): number | undefined {
		let slot = slots.get(block);
		if (slot !== undefined) {
			slots.delete(block);
			slots.set(block, slot);
			return slot;
		}
		if (slots.size < blocks) {
			slot = slots.size;
		} else {
			const [[oldest, freed]] = slots as unknown as [[number, number]];
			slots.delete(oldest);
			slot = freed;
		}
		const start = block * blockSize;
		const length = Math.min(blockSize, source.size - start);
		try {
			source.readAt(start, memory.subarray(slot * blockSize, slot * blockSize + length));
		} catch {
			// The slot holds nothing now. Slots are handed out by count, so the numbering must stay without gaps.
			slots.clear();
			return undefined;
		}
		slots.set(block, slot);
		return slot;
	}

	return {
		name: source.name,
		size: source.size,
		readAt(position, target) {
			if (target.length >= blockSize) return source.readAt(position, target);
			let done = 0;
			while (done < target.length) {
				const block = Math.floor((position + done) / blockSize);
				const within = position + done - block * blockSize;
				const length = Math.min(blockSize - within, target.length - done);
				const slot = load(block);
				if (slot === undefined) source.readAt(position + done, target.subarray(done, done + length));
				else {
					const from = slot * blockSize + within;
					target.set(memory.subarray(from, from + length), done);
				}
				done += length;
			}
		},
		...(source.seekData && {seekData: source.seekData}),
		...(source.seekHole && {seekHole: source.seekHole}),
		[Symbol.dispose]: () => source[Symbol.dispose](),
	};
}
