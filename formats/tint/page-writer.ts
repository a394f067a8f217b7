import {viewOf} from '../../src/core/bytes/layout.ts';
import {ChunkState, REFERENCE_SIZE} from './layout.ts';
import {treeLevels} from './page-tree.ts';
import {newReference, readReference, type Reference, stateAt, writeReference} from './reference.ts';

/**
 * Builds a page tree from left to right with one page per level in memory, however large the disk. All state lies in
 * the memory given, which may be shared: threads may take turns. Pages whose entries are all the same and refer to no
 * frame are not stored: the entry above says what they are.
 */
export interface PageWriter {
	/** Completes pages that end before `chunk`. */
	enter(chunk: number): void;
	/** The bytes of a chunk's entry, to be filled in. Needs `enter` for the chunk. */
	entry(chunk: number): Uint8Array;
	/** Gives chunks `from` to `to` - 1, which no call has reached yet, the same entry: one that refers to no frame. */
	fill(from: number, to: number, reference: Reference): void;
	/** Takes up a tree of which chunks below `done` were written; `load` gives the content of a page. */
	resume(top: Reference, done: number, load: (reference: Reference, level: number, number: number) => Uint8Array): void;
	/** Completes all pages; returns the reference to the top one, zero where there is none. */
	finish(): Reference;
}

export interface PageWriterShape {
	readonly chunks: number;
	readonly pageEntries: number;
	readonly leafSize: number;
	/** Gives a page its place in the file; the payload must be copied. */
	readonly place: (payload: Uint8Array, level: number, number: number) => Reference;
}

/** Per level: number of the current page + 1, or 0 for none. */
const CURRENT_SIZE = 8;

/** States that an entry above level 0 can give to all that is under it. */
const UNIFORM: ReadonlySet<number> = new Set([
	ChunkState.zero,
	ChunkState.fill,
	ChunkState.free,
	ChunkState.excluded,
	ChunkState.unreadable,
]);

export function pageWriterMemory({chunks, pageEntries, leafSize}: Omit<PageWriterShape, 'place'>): number {
	const levels = treeLevels(chunks, pageEntries);
	return levels * CURRENT_SIZE + REFERENCE_SIZE + pageEntries * (leafSize + (levels - 1) * REFERENCE_SIZE);
}

export function pageWriter(memory: Uint8Array, shape: PageWriterShape): PageWriter {
	const {chunks, pageEntries, leafSize, place} = shape;
	const levels = treeLevels(chunks, pageEntries);
	const view = viewOf(memory);
	const topAt = levels * CURRENT_SIZE;
	const pages: Uint8Array[] = [];
	let at = topAt + REFERENCE_SIZE;
	for (let level = 0; level < levels; level++) {
		const length = pageEntries * entrySize(level);
		pages.push(memory.subarray(at, at + length));
		at += length;
	}

	function entrySize(level: number): number {
		return level === 0 ? leafSize : REFERENCE_SIZE;
	}

	/** Entries that a level has over all its pages. */
	function entriesOf(level: number): number {
		return Math.ceil(chunks / pageEntries ** level);
	}

	/** What a whole page comes to when it need not be stored. Hashes have no such entries but zero. */
	function uniformEntry(level: number, number: number): Reference | undefined {
		const page = pages[level];
		const size = entrySize(level);
		const count = Math.min(pageEntries, entriesOf(level) - number * pageEntries);
		const start = page.byteOffset - memory.byteOffset;
		if (size === REFERENCE_SIZE ? !UNIFORM.has(stateAt(view, start)) : page[0] !== 0) return undefined;
		for (let byte = size; byte < count * size; byte++) if (page[byte] !== page[byte - size]) return undefined;
		if (size !== REFERENCE_SIZE && page.some(byte => byte !== 0)) return undefined;
		const reference = newReference();
		if (size === REFERENCE_SIZE) readReference(view, start, reference);
		return reference;
	}

	function flush(level: number): void {
		const current = view.getFloat64(level * CURRENT_SIZE, true);
		if (current === 0) return;
		const page = pages[level];
		const top = level + 1 === levels;
		let reference = uniformEntry(level, current - 1);
		// The root refers to a page or to nothing.
		if (reference === undefined || (top && reference.state !== ChunkState.zero)) {
			reference = place(page.subarray(0, usedLength(page, entrySize(level))), level, current - 1);
		}
		page.fill(0);
		view.setFloat64(level * CURRENT_SIZE, 0, true);
		if (top) {
			writeReference(view, topAt, reference);
			return;
		}
		enterLevel(level + 1, current - 1);
		writeReference(view, entryAt(level + 1, current - 1), reference);
	}

	/** Where an entry lies in the memory; its page is the current one of its level. */
	function entryAt(level: number, index: number): number {
		return pages[level].byteOffset - memory.byteOffset + (index % pageEntries) * entrySize(level);
	}

	function enterLevel(level: number, index: number): void {
		const number = Math.floor(index / pageEntries) + 1;
		if (view.getFloat64(level * CURRENT_SIZE, true) === number) return;
		flush(level);
		view.setFloat64(level * CURRENT_SIZE, number, true);
	}

	/** Whole pages are filled by one entry of the level above; what is left at both ends entry by entry. */
	function fillLevel(level: number, from: number, to: number, reference: Reference): void {
		const last = to === entriesOf(level);
		for (let index = from; index < to; ) {
			const page = Math.floor(index / pageEntries);
			const endPage = last ? Math.ceil(to / pageEntries) : Math.floor(to / pageEntries);
			if (level + 1 < levels && index % pageEntries === 0 && endPage > page) {
				flush(level);
				fillLevel(level + 1, page, endPage, reference);
				index = endPage * pageEntries;
				continue;
			}
			enterLevel(level, index);
			const end = Math.min(to, (page + 1) * pageEntries);
			for (; index < end; index++) writeReference(view, entryAt(level, index), reference);
		}
	}

	return {
		enter: chunk => enterLevel(0, chunk),
		entry(chunk) {
			const start = (chunk % pageEntries) * leafSize;
			return pages[0].subarray(start, start + leafSize);
		},
		fill: (from, to, reference) => fillLevel(0, from, to, reference),
		resume(top, done, load) {
			if (done === 0) return;
			const reference = {...top};
			// Where there is no page, what comes next starts one.
			for (let level = levels - 1; level >= 0 && reference.state === ChunkState.data; level--) {
				const index = Math.floor((done - 1) / pageEntries ** level);
				const number = Math.floor(index / pageEntries);
				pages[level].set(load(reference, level, number));
				view.setFloat64(level * CURRENT_SIZE, number + 1, true);
				if (level > 0) readReference(view, entryAt(level, index), reference);
			}
		},
		finish() {
			for (let level = 0; level < levels; level++) flush(level);
			const reference = newReference();
			readReference(view, topAt, reference);
			return reference;
		},
	};
}

/** Entries at the end that are zero need not be stored. */
function usedLength(page: Uint8Array, entrySize: number): number {
	let length = page.length;
	while (length > 0 && page[length - 1] === 0) length--;
	return Math.ceil(length / entrySize) * entrySize;
}
