import {type Disk, type OpenContext, type Span, SpanKind, unstored} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {chunkReader, mapLength} from './chunk.ts';
import {type ChunkCacheFactory, privateChunkCache} from './chunk-cache.ts';
import {describeImage} from './describe.ts';
import {openImage, type TintImage} from './image.ts';
import {ChunkState, MAP_UNIT} from './layout.ts';
import {chunkLookup} from './lookup.ts';

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

/** How a writer finds the image behind a disk; it stays on copies that others wrap around it. */
const IMAGE = Symbol('tint image');

type TintDisk = Disk & {readonly [IMAGE]: TintImage};

/** The image that a disk shows; undefined where it is of another format. */
export function imageOf(disk: Disk): TintImage | undefined {
	return (disk as Partial<TintDisk>)[IMAGE];
}

export function openDisk(
	source: ByteSource,
	context: OpenContext,
	cacheFactory: ChunkCacheFactory = privateChunkCache,
): Disk {
	return imageDisk(openImage(source, context), cacheFactory);
}

/** The disk in an opened image. */
export function imageDisk(image: TintImage, cacheFactory: ChunkCacheFactory = privateChunkCache): Disk {
	const {source, geometry, files} = image;
	const {size, chunkSize} = geometry;
	const reader = chunkReader(files, chunkSize);
	const lookup = chunkLookup(image);
	const {entry} = lookup;
	const mixed = {chunk: -1, bytes: new Uint8Array(0)};
	const cache = cacheFactory(chunkSize, (chunk, into) => {
		lookup.find(chunk);
		reader.read(chunk, entry, into);
	});

	const sources = [...new Set([source, ...files.flatMap(file => file.source ?? [])])];
	const contentLength = (chunk: number): number => Math.min(chunkSize, size - chunk * chunkSize);

	function locate(position: number, span: Span): void {
		const chunk = Math.floor(position / chunkSize);
		const within = position - chunk * chunkSize;
		const count = lookup.find(chunk);
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

	const disk = mappedDisk({
		format: 'tint',
		name: source.name,
		size,
		sectorSize: geometry.logicalSectorSize,
		sources,
		locate,
		decode,
		describe: () => describeImage(image),
	});
	const masterKey = image.cipher?.masterKey;
	return {...disk, ...(masterKey !== undefined && {masterKey}), [IMAGE]: image} as TintDisk;
}
