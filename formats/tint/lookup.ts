import {sameBytes} from '../../src/core/bytes/text.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {corrupt} from '../../src/core/error.ts';
import type {TintImage} from './image.ts';
import {ChunkState, REFERENCE_SIZE} from './layout.ts';
import {newReference, readReference, type Reference, stateAt} from './reference.ts';

/** Entries looked at for one span: longer runs come in several spans, so that a small read stays cheap. */
const MAX_SCAN = 64;

const ZERO_HASH = new Uint8Array(HASH_SIZE);

/** Finds what the tables say of a chunk. */
export interface ChunkLookup {
	/** That of the chunk found last. */
	readonly entry: Reference;
	/** Fills `entry`; returns how many chunks from this one on it stands for at least. */
	find(chunk: number): number;
	/** The hash on record, valid until the next call; undefined for that of zeros. */
	hash(chunk: number): Uint8Array | undefined;
}

export function chunkLookup({geometry, index, hashes}: Pick<TintImage, 'geometry' | 'index' | 'hashes'>): ChunkLookup {
	const {pageEntries} = geometry;
	const entry = newReference();

	return {
		entry,
		find(chunk) {
			const page = index.leaf(chunk);
			if (page === undefined) {
				Object.assign(entry, index.uniform);
				if (entry.state >= ChunkState.inherited) {
					throw corrupt('tint/reference', `a page of the index refers to a subtree of state ${entry.state}`, {
						structure: 'index',
					});
				}
				return index.uniformEnd() - chunk;
			}
			const {view, bytes} = page;
			const within = chunk % pageEntries;
			const at = within * REFERENCE_SIZE;
			if (at >= bytes.length) {
				entry.state = ChunkState.zero;
				return pageEntries - within;
			}
			readReference(view, at, entry);
			if (entry.state === ChunkState.data || entry.state === ChunkState.fill || entry.state >= ChunkState.inherited)
				return 1;
			const end = Math.min(bytes.length, at + MAX_SCAN * REFERENCE_SIZE);
			let next = at + REFERENCE_SIZE;
			while (next < end && stateAt(view, next) === entry.state) next += REFERENCE_SIZE;
			return (next - at) / REFERENCE_SIZE;
		},
		hash(chunk) {
			const page = hashes.leaf(chunk);
			const at = (chunk % pageEntries) * HASH_SIZE;
			if (page === undefined || at >= page.bytes.length) return undefined;
			const hash = page.bytes.subarray(at, at + HASH_SIZE);
			return sameBytes(hash, ZERO_HASH) ? undefined : hash;
		},
	};
}
