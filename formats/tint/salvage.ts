import {viewOf} from '../../src/core/bytes/layout.ts';
import type {Disk, OpenContext} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {Salvage} from '../../src/core/upkeep.ts';
import {type ChainFile, openChain} from './chain.ts';
import {mapLength} from './chunk.ts';
import {imageDisk} from './disk.ts';
import {MAX_FILE_TABLE, readFileTable} from './file-table.ts';
import {readFrameHeader, readTable} from './frame.ts';
import {openImage, type TintImage} from './image.ts';
import {
	CHAINED,
	ChunkState,
	FRAME_SIZE,
	FrameType,
	MAX_METADATA,
	REFERENCE_SIZE,
	STATE_COUNT,
	UNFINISHED,
} from './layout.ts';
import {hashKnowledge} from './hash-knowledge.ts';
import {type Metadata, readMetadata} from './metadata.ts';
import {type Page, type PageTree, treeLevels} from './page-tree.ts';
import type {FoundFrames, FoundPage} from './recover.ts';
import {newReference, readReference, type Reference, stateAt, writeReference} from './reference.ts';

/** An image of which parts are lost: what cannot be had is `unreadable` in its map. */
export function openSalvaged(source: ByteSource, context: OpenContext, {found}: Salvage): Disk {
	const frames = found as FoundFrames | undefined;
	let image: TintImage | undefined;
	try {
		image = openImage(source, context, UNFINISHED);
	} catch (error) {
		if (frames === undefined || !(error instanceof DiskError) || error.family !== 'corrupt') throw error;
	}
	if (image === undefined && frames === undefined) throw new Error('there is an image or what was found of one');
	const base = image ?? imageFrom(source, context, frames as FoundFrames);
	// What is recorded of the whole is not true of a part.
	const root = {...base.root, autoclear: 0n};
	return imageDisk({...base, root, index: salvagedIndex(base, image?.index, frames)});
}

/** The newest tables that were found, but for the index. */
function imageFrom(source: ByteSource, context: OpenContext, found: FoundFrames): TintImage {
	const {geometry} = found;
	const {chunkSize, size} = geometry;
	const metadata = metadataAt(source, found, context);
	const files = filesAt(source, found, metadata, context);
	const none = newReference();
	return {
		source,
		geometry,
		root: {
			sequence: 1,
			run: 0,
			incompatible: files.length > 1 ? CHAINED : 0n,
			compatible: 0n,
			autoclear: 0n,
			keyTable: none,
			runSalt: new Uint8Array(HASH_SIZE),
			geometry,
			size: 0,
			index: none,
			hashes: none,
			metadata: none,
			fileTable: none,
			contentId: new Uint8Array(HASH_SIZE),
			contentRoot: new Uint8Array(HASH_SIZE),
			fileSize: source.size,
			chunksDone: Math.ceil(size / chunkSize),
			finished: 0,
			storedBytes: 0,
			nextFrame: 0,
			states: Array.from({length: STATE_COUNT}, () => 0),
		},
		metadata,
		files,
		cipher: undefined,
		pageOpener: undefined,
		chunks: Math.ceil(size / chunkSize),
		index: nothing,
		hashes: nothing,
	};
}

function filesAt(
	source: ByteSource,
	{geometry, fileTable}: FoundFrames,
	metadata: Metadata,
	context: OpenContext,
): readonly ChainFile[] {
	const {imageId, chunkSize} = geometry;
	const bytes = tableAt(source, imageId, fileTable, FrameType.fileTable, MAX_FILE_TABLE);
	if (bytes === undefined) return [{entry: undefined, source, opener: undefined, error: undefined}];
	return openChain(readFileTable(bytes), {source, imageId, chunkSize, metadata, masterKey: undefined}, context);
}

function metadataAt(source: ByteSource, {geometry, metadata}: FoundFrames, context: OpenContext): Metadata {
	const bytes = tableAt(source, geometry.imageId, metadata, FrameType.metadata, MAX_METADATA);
	try {
		return bytes === undefined ? {} : readMetadata(bytes);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		context.warn({code: error.code, severity: 'damage', message: error.message});
		return {};
	}
}

/** Stands where no tree is left. */
const nothing: PageTree = {leaf: () => undefined, uniform: newReference(), uniformEnd: () => 0};

function tableAt(
	source: ByteSource,
	imageId: Uint8Array,
	position: number,
	type: FrameType,
	maximum: number,
	level = 0,
	subject = 0,
): Uint8Array | undefined {
	if (position < 0) return undefined;
	const reference = frameReference(source, imageId, position);
	return readTable(source, imageId, reference, {type, level, subject, maximum, structure: 'table that was found'});
}

/** A reference to a frame, as the frame itself says it. */
function frameReference(source: ByteSource, imageId: Uint8Array, position: number): Reference & {plainLength: number} {
	const header = new Uint8Array(FRAME_SIZE);
	source.readAt(position, header);
	const {codec, storedLength, payloadChecksum, plainLength} = readFrameHeader(header, position, imageId);
	return {state: ChunkState.data, codec, length: storedLength, file: 0, position, check: payloadChecksum, plainLength};
}

const UNREADABLE: Reference = {...newReference(), state: ChunkState.unreadable};

/** The index of `base` as far as it can be had; `tree` is its own, where there is a root. */
function salvagedIndex(base: TintImage, tree: PageTree | undefined, found: FoundFrames | undefined): PageTree {
	const {source, geometry, root, files, chunks} = base;
	const {pageEntries, imageId, chunkSize, size} = geometry;
	const levels = treeLevels(chunks, pageEntries);
	const pages = new Map((found?.pages ?? []).map(page => [`${page.level}/${page.number}`, page]));
	const unfinished = (root.incompatible & UNFINISHED) !== 0n;
	/** Chunks from this one on are not in the tree. */
	const captured = unfinished ? root.chunksDone : chunks;
	const known = tree === undefined ? undefined : hashKnowledge(base, found?.chunks);
	const uniform = newReference();
	const entry = newReference();
	let end = 0;
	let lastNumber = -1;
	let last: Page | undefined;

	/** Whether the frame of an entry is known to be lost. */
	function isLost({state, file, position, length}: Reference): boolean {
		if (state !== ChunkState.data && state !== ChunkState.mixed) return false;
		const held = files[file]?.source;
		if (held === undefined || position + FRAME_SIZE + length > held.size) return true;
		return held === source && found !== undefined && indexOf(found.bad, position) >= 0;
	}

	/** A frame that says itself that it is of this chunk. */
	function ownFrame(chunk: number, into: Reference): boolean {
		const at = found === undefined ? -1 : indexOf(found.chunks, chunk);
		if (found === undefined || at < 0) return false;
		const {plainLength, ...reference} = frameReference(source, imageId, found.positions[at]);
		const content = Math.min(chunkSize, size - chunk * chunkSize);
		if (plainLength !== content && plainLength !== content + mapLength(content)) return false;
		Object.assign(into, reference, {state: plainLength === content ? ChunkState.data : ChunkState.mixed});
		return true;
	}

	/** What the hash on record says of a chunk: that it is zeros or another byte, or the content of another one. */
	function byHash(chunk: number, into: Reference): boolean {
		const answer = known?.look(chunk);
		if (answer === undefined) return false;
		if ('chunk' in answer) return ownFrame(answer.chunk, into) && into.state === ChunkState.data;
		Object.assign(into, newReference());
		if (answer.byte !== 0) Object.assign(into, {state: ChunkState.fill, check: answer.byte});
		return true;
	}

	/** A whole page; `listed` fills in its entries and says whether they can be believed. */
	function makePage(number: number, listed: (chunk: number, into: Reference) => boolean): Page {
		const bytes = new Uint8Array(pageEntries * REFERENCE_SIZE);
		const view = viewOf(bytes);
		for (let within = 0; within < pageEntries; within++) {
			const chunk = number * pageEntries + within;
			if (chunk >= chunks) break;
			let had = (listed(chunk, entry) || ownFrame(chunk, entry)) && !isLost(entry);
			if (!had && chunk < captured) had = byHash(chunk, entry) && !isLost(entry);
			writeReference(view, within * REFERENCE_SIZE, had ? entry : UNREADABLE);
		}
		return {bytes, view};
	}

	function entryOf({view, bytes}: Page, chunk: number, into: Reference): void {
		const at = (chunk % pageEntries) * REFERENCE_SIZE;
		if (at < bytes.length) readReference(view, at, into);
		else Object.assign(into, newReference());
	}

	/** The content of a page that was found; undefined where there is none. */
	function load(level: number, number: number): {page: Page; done: number} | undefined {
		const place: FoundPage | undefined = pages.get(`${level}/${number}`);
		if (place === undefined) return undefined;
		const maximum = pageEntries * REFERENCE_SIZE;
		const bytes = tableAt(source, imageId, place.position, FrameType.indexPage, maximum, level, number);
		if (bytes === undefined || bytes.length % REFERENCE_SIZE !== 0) return undefined;
		const view = viewOf(bytes);
		// What is not zero is certain, and so is all before it.
		const reach = pageEntries ** level;
		let used = bytes.length / REFERENCE_SIZE;
		while (used > 0 && stateAt(view, (used - 1) * REFERENCE_SIZE) === ChunkState.zero) used--;
		const certain = level === 0 ? number * pageEntries + used : (number * pageEntries + used - 1) * reach;
		return {page: {bytes, view}, done: Math.max(place.done, certain)};
	}

	/** From pages that were found, and the frames of chunks where no page tells of them. */
	function rebuilt(chunk: number): Page | undefined {
		const number = Math.floor(chunk / pageEntries);
		const leaf = load(0, number);
		if (leaf !== undefined) {
			return makePage(number, (each, into) => {
				entryOf(leaf.page, each, into);
				return into.state !== ChunkState.zero || each < leaf.done;
			});
		}
		for (let level = 1, reach = pageEntries; level < levels; level++, reach *= pageEntries) {
			const above = load(level, Math.floor(chunk / reach / pageEntries));
			if (above === undefined) continue;
			const index = Math.floor(chunk / reach);
			entryOf(above.page, index, entry);
			const whole = (index + 1) * reach <= above.done;
			if (entry.state === ChunkState.data || (entry.state === ChunkState.zero && !whole)) break;
			Object.assign(uniform, entry);
			end = Math.min((index + 1) * reach, chunks);
			return undefined;
		}
		if (known !== undefined || (found !== undefined && hasFrames(found, number))) return makePage(number, () => false);
		Object.assign(uniform, UNREADABLE);
		end = Math.min((number + 1) * pageEntries, chunks);
		return undefined;
	}

	function hasFrames({chunks: framed}: FoundFrames, number: number): boolean {
		const at = firstFrom(framed, number * pageEntries);
		return at < framed.length && framed[at] < (number + 1) * pageEntries;
	}

	/** From the tree, cut where nothing was captured yet. */
	function fromTree(own: PageTree, chunk: number): Page | undefined {
		const number = Math.floor(chunk / pageEntries);
		if (number * pageEntries >= captured) return rebuilt(chunk);
		const page = own.leaf(chunk);
		if (page !== undefined) {
			return makePage(number, (each, into) => {
				entryOf(page, each, into);
				return each < captured;
			});
		}
		if (own.uniform.state >= ChunkState.inherited) return rebuilt(chunk);
		const limit = captured - (captured % pageEntries);
		if (own.uniformEnd() > limit && captured < chunks && number * pageEntries >= limit) {
			Object.assign(entry, own.uniform);
			const kept = {...entry};
			return makePage(number, (each, into) => {
				Object.assign(into, kept);
				return each < captured;
			});
		}
		Object.assign(uniform, own.uniform);
		end = captured < chunks ? Math.min(own.uniformEnd(), limit) : own.uniformEnd();
		return undefined;
	}

	return {
		uniform,
		uniformEnd: () => end,
		leaf(chunk) {
			const number = Math.floor(chunk / pageEntries);
			if (number === lastNumber) return last;
			end = 0;
			let page: Page | undefined;
			try {
				page = tree === undefined ? rebuilt(chunk) : fromTree(tree, chunk);
			} catch (error) {
				if (!(error instanceof DiskError) || error.family === 'io') throw error;
				page = rebuilt(chunk);
			}
			if (page === undefined) return undefined;
			lastNumber = number;
			last = page;
			return page;
		},
	};
}

/** The first index whose value is at least `wanted`. */
function firstFrom(sorted: Float64Array, wanted: number): number {
	let low = 0;
	let high = sorted.length;
	while (low < high) {
		const middle = Math.floor((low + high) / 2);
		if (sorted[middle] < wanted) low = middle + 1;
		else high = middle;
	}
	return low;
}

function indexOf(sorted: Float64Array, wanted: number): number {
	const at = firstFrom(sorted, wanted);
	return at < sorted.length && sorted[at] === wanted ? at : -1;
}
