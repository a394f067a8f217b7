import {viewOf} from '../../src/core/bytes/layout.ts';
import {REFERENCE_SIZE} from './layout.ts';
import {treeLevels} from './page-tree.ts';
import {newReference, readReference, type Reference, writeReference} from './reference.ts';

/**
 * Builds a page tree from left to right with one page per level in memory, however large the disk. All state lies in
 * the memory given, which may be shared: threads may take turns.
 */
export interface PageWriter {
	/** Completes pages that end before `chunk`. */
	enter(chunk: number): void;
	/** The bytes of a chunk's entry, to be filled in. Needs `enter` for the chunk. */
	entry(chunk: number): Uint8Array;
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
		const length = pageEntries * (level === 0 ? leafSize : REFERENCE_SIZE);
		pages.push(memory.subarray(at, at + length));
		at += length;
	}

	function flush(level: number): void {
		const current = view.getFloat64(level * CURRENT_SIZE, true);
		if (current === 0) return;
		const page = pages[level];
		const size = level === 0 ? leafSize : REFERENCE_SIZE;
		const reference = place(page.subarray(0, usedLength(page, size)), level, current - 1);
		page.fill(0);
		view.setFloat64(level * CURRENT_SIZE, 0, true);
		if (level + 1 === levels) {
			writeReference(view, topAt, reference);
			return;
		}
		enterLevel(level + 1, current - 1);
		const slot = topAtOf(level + 1, current - 1);
		writeReference(view, slot, reference);
	}

	/** Where an entry of a page above level 0 lies in the memory. */
	function topAtOf(level: number, index: number): number {
		return pages[level].byteOffset - memory.byteOffset + (index % pageEntries) * REFERENCE_SIZE;
	}

	function enterLevel(level: number, index: number): void {
		const number = Math.floor(index / pageEntries) + 1;
		if (view.getFloat64(level * CURRENT_SIZE, true) === number) return;
		flush(level);
		view.setFloat64(level * CURRENT_SIZE, number, true);
	}

	return {
		enter: chunk => enterLevel(0, chunk),
		entry(chunk) {
			const start = (chunk % pageEntries) * leafSize;
			return pages[0].subarray(start, start + leafSize);
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
