import {
	type Disk,
	type DiskFacts,
	type Fact,
	type OpenContext,
	type Span,
	SpanKind,
	unstored,
} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {chunkReader, mapLength} from './chunk.ts';
import {type ChunkCacheFactory, privateChunkCache} from './chunk-cache.ts';
import {imageIdText} from './header.ts';
import {openImage, type TintImage} from './image.ts';
import {ChunkState, CONTENT_HASHES, MAP_UNIT, REFERENCE_SIZE} from './layout.ts';
import {newReference, readReference, stateAt} from './reference.ts';

/** Entries looked at for one span: longer runs come in several spans, so that a small read stays cheap. */
const MAX_SCAN = 64;

/** Which kind of span a chunk or a sector of a mixed chunk is; -1 for states that need a closer look. */
const KINDS: readonly number[] = [
	SpanKind.zero,
	SpanKind.encoded,
	SpanKind.encoded,
	SpanKind.free,
	SpanKind.excluded,
	SpanKind.unreadable,
	-1,
	-1,
];

export function openDisk(
	source: ByteSource,
	context: OpenContext,
	cacheFactory: ChunkCacheFactory = privateChunkCache,
): Disk {
	return imageDisk(openImage(source, context), cacheFactory);
}

/** The disk in an opened image. */
export function imageDisk(image: TintImage, cacheFactory: ChunkCacheFactory = privateChunkCache): Disk {
	const {source, geometry, index} = image;
	const {size, chunkSize} = geometry;
	const reader = chunkReader(source, chunkSize);
	const entry = newReference();
	const mixed = {chunk: -1, bytes: new Uint8Array(0)};
	const cache = cacheFactory(chunkSize, (chunk, into) => {
		lookUp(chunk);
		reader.read(chunk, entry, into);
	});

	const contentLength = (chunk: number): number => Math.min(chunkSize, size - chunk * chunkSize);

	/** Fills `entry`; returns how many chunks from this one on it stands for at least. */
	function lookUp(chunk: number): number {
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
		const {pageEntries} = geometry;
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
	}

	function locate(position: number, span: Span): void {
		const chunk = Math.floor(position / chunkSize);
		const within = position - chunk * chunkSize;
		const count = lookUp(chunk);
		const kind = KINDS[entry.state] ?? -1;
		if (kind !== -1) unstored(span, kind as SpanKind, count * chunkSize - within);
		else if (entry.state === ChunkState.mixed) locateMixed(chunk, within, span);
		else {
			throw unsupported('tint/chunk-state', `chunk ${chunk} has state ${entry.state}, which is not known`, {
				structure: `chunk ${chunk}`,
			});
		}
	}

	/** Content and map of a mixed chunk, whose entry was looked up last. */
	function loadMixed(chunk: number): void {
		if (mixed.chunk === chunk) return;
		mixed.chunk = -1;
		const length = contentLength(chunk);
		const bytes = new Uint8Array(length + mapLength(length));
		reader.read(chunk, entry, bytes);
		mixed.bytes = bytes;
		mixed.chunk = chunk;
	}

	function locateMixed(chunk: number, within: number, span: Span): void {
		loadMixed(chunk);
		const map = mixed.bytes.subarray(contentLength(chunk));
		const first = Math.floor(within / MAP_UNIT);
		const state = map[first];
		const kind = KINDS[state] ?? -1;
		if (kind === -1 || state === ChunkState.fill) {
			throw corrupt('tint/chunk-map', `the map of chunk ${chunk} holds state ${state}`, {structure: `chunk ${chunk}`});
		}
		let next = first + 1;
		while (next < map.length && map[next] === state) next++;
		unstored(span, kind as SpanKind, Math.min(next * MAP_UNIT, contentLength(chunk)) - within);
	}

	/** Within one chunk, since spans of kind `encoded` end with it. */
	function decode(position: number, target: Uint8Array): void {
		const chunk = Math.floor(position / chunkSize);
		const within = position - chunk * chunkSize;
		if (entry.state === ChunkState.fill) {
			target.fill(entry.check & 0xff);
		} else if (entry.state === ChunkState.mixed) {
			loadMixed(chunk);
			target.set(mixed.bytes.subarray(within, within + target.length));
		} else if (target.length === contentLength(chunk)) {
			reader.read(chunk, entry, target);
		} else {
			cache.read(chunk, contentLength(chunk), within, target);
		}
	}

	return mappedDisk({
		format: 'tint',
		name: source.name,
		size,
		sectorSize: geometry.logicalSectorSize,
		sources: [source],
		locate,
		decode,
		describe: () => describeImage(image),
	});
}

const STATE_FACTS: readonly (readonly [state: number, key: string, title: string])[] = [
	[ChunkState.data, 'dataChunks', 'chunks with data'],
	[ChunkState.fill, 'fillChunks', 'chunks of one repeated byte'],
	[ChunkState.free, 'freeChunks', 'chunks free when captured'],
	[ChunkState.excluded, 'excludedChunks', 'chunks excluded'],
	[ChunkState.unreadable, 'unreadableChunks', 'chunks unreadable when captured'],
	[ChunkState.mixed, 'mixedChunks', 'chunks partly captured'],
];

function describeImage({geometry, root, metadata, chunks}: TintImage): DiskFacts {
	const {chunkSize, imageId, created} = geometry;
	const facts: Fact[] = [
		{key: 'chunkSize', title: 'chunk size', value: chunkSize, unit: 'bytes'},
		{key: 'imageId', title: 'image id', value: imageIdText(imageId)},
	];
	if ((root.autoclear & CONTENT_HASHES) !== 0n) {
		facts.push({key: 'contentId', title: 'content id', value: hexadecimal(root.contentId)});
	}
	facts.push(
		{key: 'created', title: 'created', value: isoTime(created)},
		{key: 'storedBytes', title: 'data stored', value: root.storedBytes, unit: 'bytes'},
	);
	let covered = 0;
	for (const [state, key, title] of STATE_FACTS) {
		const count = root.states[state];
		covered += count;
		if (count > 0) facts.push({key, title, value: count});
	}
	facts.push({key: 'zeroChunks', title: 'chunks of zeros', value: Math.max(0, chunks - covered)});
	const {software, comment} = metadata;
	if (software !== undefined) facts.push({key: 'software', title: 'written by', value: software});
	if (comment !== undefined) facts.push({key: 'comment', title: 'comment', value: comment});
	return {variant: 'full', facts};
}

function hexadecimal(bytes: Uint8Array): string {
	return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

/** The last second that a JavaScript date can hold. */
const LAST_SECOND = 8_640_000_000_000;

function isoTime(seconds: number): string {
	if (seconds > LAST_SECOND) return `${seconds} s after 1970`;
	return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}
