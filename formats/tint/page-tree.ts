import {viewOf} from '../../src/core/bytes/layout.ts';
import {corrupt} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {readTable} from './frame.ts';
import type {FrameOpener} from './frame-cipher.ts';
import {ChunkState, type FrameType, REFERENCE_SIZE} from './layout.ts';
import {newReference, readReference, type Reference, stateAt} from './reference.ts';

/** What a thread keeps of one tree: at 128 KiB chunks the index of 64 GiB. */
const CACHE_BYTES = 8 * 1024 * 1024;

/** SPEC.md section 6: the shape of a page tree. */
export interface TreeShape {
	readonly type: FrameType;
	readonly structure: string;
	readonly pageEntries: number;
	/** Bytes of an entry in pages of level 0; references elsewhere. */
	readonly leafSize: number;
	readonly chunks: number;
}

export interface Page {
	readonly bytes: Uint8Array;
	readonly view: DataView;
}

export interface PageTree {
	/**
	 * The page of level 0 that holds a chunk's entry, or undefined where a whole subtree has no pages: then `uniform`
	 * says what it is, and `uniformEnd` is the first chunk after it. Entries beyond a page's end are zero.
	 */
	leaf(chunk: number): Page | undefined;
	readonly uniform: Reference;
	uniformEnd(): number;
}

/** Pages needed from top to bottom: the least number of levels that reach every chunk. */
export function treeLevels(chunks: number, pageEntries: number): number {
	let levels = 1;
	for (let reach = pageEntries; reach < chunks; reach *= pageEntries) levels++;
	return levels;
}

/** Of an encrypted image: decrypts pages of the file number in a reference, which means nothing in the root's own. */
export type PageOpener = (file: number, root: boolean) => FrameOpener;

export function pageTree(
	source: ByteSource,
	imageId: Uint8Array,
	top: Reference,
	shape: TreeShape,
	openerOf?: PageOpener,
): PageTree {
	const {type, structure, pageEntries, leafSize, chunks} = shape;
	const levels = treeLevels(chunks, pageEntries);
	const limit = Math.max(16, Math.floor(CACHE_BYTES / (pageEntries * leafSize)));
	/** By number of the page among all pages, level by level; in order of use. */
	const pages = new Map<number, Page>();
	const uniform = newReference();
	let end = 0;
	let lastNumber = -1;
	let lastPage: Page | undefined;

	function load(reference: Reference, level: number, number: number): Page {
		const key = number * levels + level;
		const known = pages.get(key);
		if (known !== undefined) {
			pages.delete(key);
			pages.set(key, known);
			return known;
		}
		const entrySize = level === 0 ? leafSize : REFERENCE_SIZE;
		const expected = {type, level, subject: number, maximum: pageEntries * entrySize, structure};
		const opener = openerOf?.(reference.file, level + 1 === levels);
		const bytes = readTable(source, imageId, reference, expected, opener);
		if (bytes.length % entrySize !== 0) {
			throw corrupt('tint/page-length', `a page of the ${structure} holds a broken entry`, {
				structure,
				position: reference.position,
			});
		}
		const page = {bytes, view: viewOf(bytes)};
		if (pages.size >= limit) {
			const [oldest] = pages.keys();
			pages.delete(oldest);
		}
		pages.set(key, page);
		return page;
	}

	/** How many entries from this one on stand for subtrees of the state in `uniform`, so that holes come in few spans. */
	function neighbours(page: Page, from: number): number {
		const {state} = uniform;
		if (state === ChunkState.data || state === ChunkState.fill) return 1;
		let next = from + 1;
		for (; next < pageEntries; next++) {
			const at = next * REFERENCE_SIZE;
			if ((at < page.bytes.length ? stateAt(page.view, at) : ChunkState.zero) !== state) break;
		}
		return next - from;
	}

	return {
		uniform,
		uniformEnd: () => end,
		leaf(chunk) {
			const number = Math.floor(chunk / pageEntries);
			if (number === lastNumber) return lastPage;
			Object.assign(uniform, top);
			end = 0;
			let reach = pageEntries ** levels;
			for (let level = levels - 1; level >= 0; level--) {
				const start = chunk - (chunk % reach);
				if (uniform.state !== ChunkState.data) {
					end = Math.min(Math.max(end, start + reach), chunks);
					return undefined;
				}
				const page = load(uniform, level, start / reach);
				if (level === 0) {
					lastNumber = number;
					lastPage = page;
					return page;
				}
				reach /= pageEntries;
				const within = Math.floor((chunk - start) / reach);
				if (within * REFERENCE_SIZE < page.bytes.length) readReference(page.view, within * REFERENCE_SIZE, uniform);
				else uniform.state = ChunkState.zero;
				end = start + (within + neighbours(page, within)) * reach;
			}
			return undefined;
		},
	};
}
