import {viewOf} from '../../src/core/bytes/layout.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {MAX_DEDUP_BYTES, REFERENCE_SIZE} from './layout.ts';
import {readReference, type Reference, writeReference} from './reference.ts';

/** The whole hash, then the reference: equal hashes need no second thought about whether the content is equal. */
const SLOT_SIZE = HASH_SIZE + REFERENCE_SIZE;

/** Slots that one look goes through at most; at half load, runs of so many do not happen. */
const WINDOW = 64;

/**
 * Finds the frame that holds some content. Its state lies in the memory given, which may be shared: threads may take
 * turns, and what it answers depends on the order of the calls alone.
 */
export interface DedupTable {
	/** Fills `into` and returns true where the content is known. */
	find(hash: Uint8Array, into: Reference): boolean;
	/** Adds what is not known yet. When there is no room, something else is forgotten; returns whether that was so. */
	insert(hash: Uint8Array, reference: Reference): boolean;
}

/** Bytes for so many chunks at half load, up to the cap. */
export function dedupMemory(chunks: number): number {
	return Math.min(Math.floor(MAX_DEDUP_BYTES / SLOT_SIZE), Math.max(2 * chunks, WINDOW)) * SLOT_SIZE;
}

/** How many chunks a table of so many bytes holds at half load. */
export function dedupRoom(bytes: number): number {
	return Math.floor(bytes / SLOT_SIZE / 2);
}

export function dedupTable(memory: Uint8Array): DedupTable {
	const view = viewOf(memory);
	const slots = Math.floor(memory.length / SLOT_SIZE);

	/** Hashes are spread evenly as they are. Content made to collide here costs its own deduplication only. */
	function home(wanted: DataView): number {
		return wanted.getUint32(0, true) % slots;
	}

	function holds(at: number, wanted: DataView): boolean {
		for (let word = 0; word < HASH_SIZE; word += 4) {
			if (view.getUint32(at + word, true) !== wanted.getUint32(word, true)) return false;
		}
		return true;
	}

	const isFree = (at: number): boolean => view.getUint8(at + HASH_SIZE) === 0;

	function put(at: number, hash: Uint8Array, reference: Reference): void {
		memory.set(hash, at);
		writeReference(view, at + HASH_SIZE, reference);
	}

	return {
		find(hash, into) {
			const wanted = viewOf(hash);
			let slot = home(wanted);
			for (let step = 0; step < WINDOW; step++) {
				const at = slot * SLOT_SIZE;
				if (isFree(at)) return false;
				if (holds(at, wanted)) {
					readReference(view, at + HASH_SIZE, into);
					return true;
				}
				slot = slot + 1 === slots ? 0 : slot + 1;
			}
			return false;
		},
		insert(hash, reference) {
			const wanted = viewOf(hash);
			const first = home(wanted);
			for (let step = 0; step < WINDOW; step++) {
				const at = ((first + step) % slots) * SLOT_SIZE;
				if (isFree(at)) {
					put(at, hash, reference);
					return false;
				}
				if (holds(at, wanted)) return false;
			}
			// Another part of the hash chooses, so that what is forgotten is spread evenly.
			const victim = (first + (wanted.getUint32(4, true) % WINDOW)) % slots;
			put(victim * SLOT_SIZE, hash, reference);
			return true;
		},
	};
}
