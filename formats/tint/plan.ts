import type {CreateRequest, Disk, WriterOption, WriterPlan} from '../../src/core/disk.ts';
import {encodeText} from '../../src/core/bytes/text.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import {CONTENT_TREE_SIZE} from '../../src/core/codecs/content-id.ts';
import {ZSTD_DEFAULT_LEVEL, ZSTD_MAX_LEVEL} from '../../src/core/codecs/index.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {DiskError} from '../../src/core/error.ts';
import {
	ChunkState,
	DEFAULT_CHUNK_SIZE,
	DEFAULT_PAGE_ENTRIES,
	FIRST_FRAME,
	MAX_CHUNK_SIZE,
	MAX_COMMENT,
	MAX_FILES,
	MAX_METADATA,
	MAX_UNREADABLE_RUNS,
	MIN_CHUNK_SIZE,
	REFERENCE_SIZE,
	STATE_COUNT,
} from './layout.ts';
import {dedupMemory, dedupRoom, dedupTable} from './dedup.ts';
import {type Metadata, metadataFrom} from './metadata.ts';
import {pageWriterMemory} from './page-writer.ts';
import {type EncryptionPlan, keysFor, planEncryption, type WriterKeys} from './encryption.ts';
import type {ChainEntry} from './file-table.ts';
import type {KeyCost} from './key-table.ts';
import {enterParent, parentImage, type ParentPlan, planParent} from './parent.ts';

export const TINT_OPTIONS = [
	{
		name: 'codec',
		type: 'string',
		describe: 'how chunks are compressed: lz4 is fast, zstd is small',
		choices: ['lz4', 'zstd'],
		default: 'lz4',
	},
	{
		name: 'level',
		type: 'number',
		describe: `effort of zstd, 1 to ${ZSTD_MAX_LEVEL}`,
		default: ZSTD_DEFAULT_LEVEL,
	},
	{
		name: 'chunk-size',
		type: 'size',
		describe: 'what is compressed as one: 64 KiB to 1 MiB; larger is smaller, but slower to read in small pieces',
		default: DEFAULT_CHUNK_SIZE,
	},
	{name: 'comment', type: 'string', describe: 'free text kept with the image', default: ''},
] as const satisfies readonly WriterOption[];

/** Chunks are grouped so that each piece is one write. */
const PIECE_SIZE = 1024 * 1024;

export interface TintPlan extends WriterPlan {
	readonly size: number;
	readonly sectorSize: number;
	readonly chunkSize: number;
	readonly pageEntries: number;
	readonly codec: 'lz4' | 'zstd';
	readonly level: number;
	readonly comment: string;
	readonly metadata: Metadata;
	readonly parent?: ParentPlan;
	/** The file table; undefined where there is none. */
	readonly files: readonly ChainEntry[] | undefined;
	/** The files numbered from 1 to this are others; what is beyond are further runs of this one. */
	readonly foreignFiles: number;
	readonly encryption?: EncryptionPlan;
	/** The file goes to a pipe. */
	readonly streamed: boolean;
	readonly imageId: Uint8Array;
	readonly timestamp: number;
	/** When the file was begun. */
	readonly created: number;
	/** Counts how often the file was taken up again. */
	readonly run: number;
	/** Chunks of the parent that may be found again. */
	readonly known: number;
	/** What the threads change together, while they hold the turn: see `sharedState`. */
	readonly shared: SharedArrayBuffer;
}

/** Room in the metadata for what the writer adds itself: the chain, and runs that could not be read. */
const METADATA_RESERVE = 1024 * 1024;

/**
 * Beside the options of the command line it takes `metadata`, for programs: JSON text with `source`, `excluded`,
 * `freeSpaceSkipped`, `unreadable` and `partitionData` as in SPEC.md section 8. `cost` is that of new passphrases.
 */
export function planImage(request: CreateRequest, parentDisk?: Disk, cost?: KeyCost): TintPlan {
	const keys = keysFor(request, parentDisk && parentImage(parentDisk), cost);
	return planRun(request, parentDisk, {
		run: 0,
		created: request.timestamp,
		pageEntries: DEFAULT_PAGE_ENTRIES,
		start: FIRST_FRAME,
		earlier: [],
		keys,
	});
}

/** What a file that is taken up again has settled. */
export interface RunFacts extends Pick<TintPlan, 'run' | 'created' | 'pageEntries'> {
	/** Where the frames of this run begin. */
	readonly start: number;
	/** Of an encrypted file the runs so far, in the order of their numbers. */
	readonly earlier: readonly ChainEntry[];
	readonly keys: WriterKeys | undefined;
}

export function planRun(
	request: CreateRequest,
	parentDisk: Disk | undefined,
	{start, earlier, keys, ...facts}: RunFacts,
): TintPlan {
	const {size, sectorSize, options, id, timestamp} = request;
	const codec = options['codec'] ?? 'lz4';
	const level = options['level'] ?? ZSTD_DEFAULT_LEVEL;
	const parent = parentDisk && parentImage(parentDisk);
	const chunkSize = options['chunk-size'] ?? parent?.geometry.chunkSize ?? DEFAULT_CHUNK_SIZE;
	const comment = options['comment'] ?? '';
	if (codec !== 'lz4' && codec !== 'zstd') throw invalid('codec', `${String(codec)} is not lz4 or zstd`);
	if (typeof level !== 'number' || !Number.isInteger(level) || level < 1 || level > ZSTD_MAX_LEVEL) {
		throw invalid('level', `${String(level)} is not a whole number from 1 to ${ZSTD_MAX_LEVEL}`);
	}
	if (
		typeof chunkSize !== 'number' ||
		!isPowerOfTwo(chunkSize) ||
		chunkSize < MIN_CHUNK_SIZE ||
		chunkSize > MAX_CHUNK_SIZE
	) {
		throw invalid('chunk-size', `${String(chunkSize)} is not a power of two from 64 KiB to 1 MiB`);
	}
	if (typeof comment !== 'string' || encodeText(comment).length > MAX_COMMENT) {
		throw invalid('comment', `the comment is longer than ${MAX_COMMENT} bytes`);
	}
	if (!Number.isSafeInteger(size) || size < 0) throw invalid('size', `${size} is not a size`);
	if (!isPowerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 4096) {
		throw invalid('sectorSize', `sectors of ${sectorSize} bytes are not known`);
	}
	if (id.length !== 16) throw invalid('id', 'an image id has 16 bytes');
	if (parent !== undefined && chunkSize !== parent.geometry.chunkSize) {
		throw new DiskError(
			'invalid',
			'tint/option',
			`the chunks have ${chunkSize} bytes, those of the parent ${parent.geometry.chunkSize}`,
			{where: {field: 'chunk-size'}, hint: 'leave the chunk size away: it is that of the parent'},
		);
	}
	const imageId = Uint8Array.from(id);
	const parentPlan = parent && planParent(parent, imageId);
	const foreignFiles = (parentPlan?.files.length ?? 1) - 1;
	const file = earlier.length === 0 ? 0 : foreignFiles + earlier.length;
	const encryption = keys && planEncryption(keys, imageId, {run: facts.run, file, position: start, timestamp});
	const layout = {
		pieceSize: PIECE_SIZE,
		size,
		sectorSize,
		chunkSize,
		...facts,
		codec,
		level,
		comment,
		metadata: metadataOption(options['metadata']),
		files: fileTable(imageId, parentPlan?.files ?? [], earlier, encryption),
		foreignFiles,
		streamed: request.streamed === true,
		imageId,
		timestamp,
		known: parent === undefined ? 0 : Math.min(parent.chunks, parentChunks(parent.root.states)),
		...(parentPlan !== undefined && {parent: parentPlan}),
		...(encryption !== undefined && {encryption}),
	} as const;
	const shared = new SharedArrayBuffer(sharedSizes(layout).total);
	const plan = {...layout, shared};
	const {counters, dedup} = sharedState(plan);
	counters[Counter.next] = start + (encryption?.prelude.length ?? 0);
	counters[Counter.begun] = encryption === undefined ? 1 : 0;
	if (parent !== undefined && layout.parent !== undefined) {
		enterParent(dedupTable(dedup), layout.parent, parent, dedupRoom(dedup.length));
	}
	return plan;
}

/** SPEC.md section 9: the file itself, its ancestors, and in encrypted files its further runs. */
function fileTable(
	imageId: Uint8Array,
	parentFiles: readonly ChainEntry[],
	earlier: readonly ChainEntry[],
	encryption: EncryptionPlan | undefined,
): readonly ChainEntry[] | undefined {
	if (encryption === undefined) return parentFiles.length === 0 ? undefined : parentFiles;
	const {run, salt} = encryption.secret;
	const runs = [...earlier, {imageId, run, parent: false, end: 0, contentId: NO_ID, runSalt: salt}];
	if (parentFiles.length === 0 && runs.length === 1) return undefined;
	const files = [runs[0], ...parentFiles.slice(1), ...runs.slice(1)];
	if (files.length <= MAX_FILES) return files;
	throw new DiskError('unsupported', 'tint/runs', 'the file was taken up again too often', {hint: 'write it anew'});
}

const NO_ID = new Uint8Array(HASH_SIZE);

/** Chunks of a parent that have frames; the count is the parent's own, and limits memory alone. */
function parentChunks(states: readonly number[]): number {
	return states[ChunkState.data] + states[ChunkState.inherited];
}

function metadataOption(text: string | number | boolean | undefined): Metadata {
	if (text === undefined || text === '') return {};
	let value: unknown;
	if (typeof text === 'string' && encodeText(text).length <= MAX_METADATA - METADATA_RESERVE) {
		try {
			value = JSON.parse(text);
		} catch {
			throw invalid('metadata', 'the metadata is not JSON');
		}
	}
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw invalid('metadata', `the metadata is not a JSON object of at most ${MAX_METADATA - METADATA_RESERVE} bytes`);
	}
	const {source, excluded, freeSpaceSkipped, unreadable, partitionData} = metadataFrom(
		value as Readonly<Record<string, unknown>>,
	);
	return {
		...(source !== undefined && {source}),
		...(excluded !== undefined && {excluded}),
		...(freeSpaceSkipped !== undefined && {freeSpaceSkipped}),
		...(unreadable !== undefined && {unreadable}),
		...(partitionData !== undefined && {partitionData}),
	};
}

function invalid(field: string, message: string): DiskError {
	return new DiskError('invalid', 'tint/option', message, {where: {field}});
}

/** Indexes into the shared counters. */
export const Counter = {
	/** Where the next frame goes. */
	next: 0,
	/** Frames so far. */
	frames: 1,
	storedBytes: 2,
	/** Chunks of this file that were found in it again. */
	duplicates: 3,
	/** Chunks that the table of known content had to forget. */
	forgotten: 4,
	/** Unreadable runs so far. */
	unreadable: 5,
	/** Of the newest root. */
	sequence: 6,
	/** 1 when what precedes the frames of the run has been placed. */
	begun: 7,
	/** The first of `STATE_COUNT`. */
	states: 8,
} as const;

const COUNTERS = Counter.states + STATE_COUNT;

/** The shape of the two page trees of an image. */
export function treeShapes({size, chunkSize, pageEntries}: Pick<TintPlan, 'size' | 'chunkSize' | 'pageEntries'>) {
	const shape = {chunks: Math.ceil(size / chunkSize), pageEntries};
	return {index: {...shape, leafSize: REFERENCE_SIZE}, hashes: {...shape, leafSize: HASH_SIZE}};
}

/** The parts of the shared memory. Only the thread whose turn it is to `reserve` touches them. */
export interface SharedState {
	readonly counters: Float64Array;
	/** Position and length of each unreadable run. */
	readonly unreadable: Float64Array;
	/** Of the content tree. */
	readonly tree: Uint8Array;
	readonly indexPages: Uint8Array;
	readonly hashPages: Uint8Array;
	readonly dedup: Uint8Array;
}

type Layout = Pick<TintPlan, 'size' | 'chunkSize' | 'pageEntries' | 'known'>;

function sharedSizes(layout: Layout) {
	const {index, hashes} = treeShapes(layout);
	const counters = COUNTERS * 8;
	const unreadable = MAX_UNREADABLE_RUNS * 2 * 8;
	const tree = CONTENT_TREE_SIZE;
	const indexPages = pageWriterMemory(index);
	const hashPages = pageWriterMemory(hashes);
	const dedup = dedupMemory(index.chunks + layout.known);
	const total = counters + unreadable + tree + indexPages + hashPages + dedup;
	return {counters, unreadable, tree, indexPages, hashPages, dedup, total};
}

export function sharedState(plan: Layout & Pick<TintPlan, 'shared'>): SharedState {
	const sizes = sharedSizes(plan);
	const {shared} = plan;
	let at = sizes.counters + sizes.unreadable;
	const take = (length: number): Uint8Array => {
		at += length;
		return new Uint8Array(shared, at - length, length);
	};
	return {
		counters: new Float64Array(shared, 0, COUNTERS),
		unreadable: new Float64Array(shared, sizes.counters, MAX_UNREADABLE_RUNS * 2),
		tree: take(sizes.tree),
		indexPages: take(sizes.indexPages),
		hashPages: take(sizes.hashPages),
		dedup: take(sizes.dedup),
	};
}
