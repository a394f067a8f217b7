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
import type {ChainFile} from './chain.ts';
import {chunkReader, mapLength} from './chunk.ts';
import {type ChunkCacheFactory, privateChunkCache} from './chunk-cache.ts';
import {imageIdText} from './header.ts';
import {openImage, type TintImage} from './image.ts';
import {KIND_TITLES, type KeySlot} from './key-table.ts';
import {ChunkState, CONTENT_HASHES, MAP_UNIT} from './layout.ts';
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

const STATE_FACTS: readonly (readonly [state: number, key: string, title: string])[] = [
	[ChunkState.data, 'dataChunks', 'chunks with data'],
	[ChunkState.fill, 'fillChunks', 'chunks of one repeated byte'],
	[ChunkState.free, 'freeChunks', 'chunks free when captured'],
	[ChunkState.excluded, 'excludedChunks', 'chunks excluded'],
	[ChunkState.unreadable, 'unreadableChunks', 'chunks unreadable when captured'],
	[ChunkState.mixed, 'mixedChunks', 'chunks partly captured'],
	[ChunkState.inherited, 'inheritedChunks', 'chunks in files of the chain'],
];

const SOURCE_FACTS = [
	['name', 'source'],
	['format', 'format of the source'],
	['model', 'model of the source'],
	['serial', 'serial number of the source'],
] as const;

/** Of lists that can be long. */
const MAX_SHOWN = 100;

function describeImage({geometry, root, metadata, files, chunks, cipher}: TintImage): DiskFacts {
	const {chunkSize, imageId, created} = geometry;
	const facts: Fact[] = [
		{key: 'chunkSize', title: 'chunk size', value: chunkSize, unit: 'bytes'},
		{key: 'imageId', title: 'image id', value: imageIdText(imageId)},
	];
	if ((root.autoclear & CONTENT_HASHES) !== 0n) {
		facts.push({key: 'contentId', title: 'content id', value: hexadecimal(root.contentId)});
	}
	if (cipher !== undefined) {
		facts.push({key: 'encrypted', title: 'encrypted', value: 'AES-256-GCM'});
		for (const slot of cipher.keys.slots) {
			facts.push({key: `keySlot${slot.number}`, title: `key slot ${slot.number}`, value: slotText(slot)});
		}
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
	const parent = files.find(({entry}) => entry?.parent === true)?.entry;
	if (parent !== undefined) facts.push({key: 'parentId', title: 'parent', value: imageIdText(parent.imageId)});
	const others = otherFiles(files, imageId);
	if (others.length > 0) {
		const lost = others.filter(file => file.source === undefined).length;
		facts.push({key: 'chainFiles', title: 'files of the chain', value: others.length + 1});
		if (lost > 0) facts.push({key: 'missingFiles', title: 'files that are missing', value: lost});
	}
	const {software, comment, source} = metadata;
	for (const [key, title] of SOURCE_FACTS) {
		const value = source?.[key];
		if (value !== undefined) facts.push({key: `source-${key}`, title, value});
	}
	const left = metadata.excluded?.slice(0, MAX_SHOWN).map(({path, volume}) => {
		if (volume === undefined) return path;
		return path === '' ? `volume ${volume}` : `${volume}:${path}`;
	});
	if (left !== undefined && left.length > 0) facts.push({key: 'excluded', title: 'left out', value: left.join(', ')});
	if (software !== undefined) facts.push({key: 'software', title: 'written by', value: software});
	if (comment !== undefined) facts.push({key: 'comment', title: 'comment', value: comment});
	return {variant: others.length > 0 ? 'incremental' : 'full', facts};
}

/** One entry for each file of the chain beside the image's own; runs of a file have entries of their own. */
function otherFiles(files: readonly ChainFile[], imageId: Uint8Array): ChainFile[] {
	const own = imageIdText(imageId);
	const others = new Map<string, ChainFile>();
	for (const file of files) {
		const id = file.entry === undefined ? own : imageIdText(file.entry.imageId);
		if (id !== own && !others.has(id)) others.set(id, file);
	}
	return [...others.values()];
}

/** Costs as the algorithms' own documents have them. */
function slotText({kind, label, cost}: KeySlot): string {
	const costs =
		cost.derivation === 'scrypt'
			? `scrypt N=${cost.n} r=${cost.r} p=${cost.p}`
			: cost.derivation === 'argon2id'
				? `Argon2id ${cost.memory} KiB t=${cost.passes} p=${cost.lanes}`
				: 'HKDF-SHA-256';
	return `${KIND_TITLES[kind]}${label === '' ? '' : ` "${label}"`}, ${costs}`;
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
