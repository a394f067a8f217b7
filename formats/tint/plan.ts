import type {CreateRequest, WriterOption, WriterPlan} from '../../src/core/disk.ts';
import {encodeText} from '../../src/core/bytes/text.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import {CONTENT_TREE_SIZE} from '../../src/core/codecs/content-id.ts';
import {ZSTD_DEFAULT_LEVEL, ZSTD_MAX_LEVEL} from '../../src/core/codecs/index.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {DiskError} from '../../src/core/error.ts';
import {
	DEFAULT_CHUNK_SIZE,
	DEFAULT_PAGE_ENTRIES,
	FIRST_FRAME,
	MAX_CHUNK_SIZE,
	MAX_COMMENT,
	MIN_CHUNK_SIZE,
	REFERENCE_SIZE,
	STATE_COUNT,
} from './layout.ts';
import {pageWriterMemory} from './page-writer.ts';

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
	readonly imageId: Uint8Array;
	readonly timestamp: number;
	/** What the threads change together, while they hold the turn: see `sharedState`. */
	readonly shared: SharedArrayBuffer;
}

export function planImage(request: CreateRequest): TintPlan {
	const {size, sectorSize, options, id, timestamp} = request;
	const codec = options['codec'] ?? 'lz4';
	const level = options['level'] ?? ZSTD_DEFAULT_LEVEL;
	const chunkSize = options['chunk-size'] ?? DEFAULT_CHUNK_SIZE;
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
	const layout = {
		pieceSize: PIECE_SIZE,
		size,
		sectorSize,
		chunkSize,
		pageEntries: DEFAULT_PAGE_ENTRIES,
		codec,
		level,
		comment,
		imageId: Uint8Array.from(id),
		timestamp,
	} as const;
	const shared = new SharedArrayBuffer(sharedSizes(layout).total);
	const plan = {...layout, shared};
	sharedState(plan).counters[Counter.next] = FIRST_FRAME;
	return plan;
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
	/** The first of `STATE_COUNT`. */
	states: 3,
} as const;

const COUNTERS = Counter.states + STATE_COUNT;

/** The shape of the two page trees of an image. */
export function treeShapes({size, chunkSize, pageEntries}: Pick<TintPlan, 'size' | 'chunkSize' | 'pageEntries'>) {
	const shape = {chunks: Math.ceil(size / chunkSize), pageEntries};
	return {index: {...shape, leafSize: REFERENCE_SIZE}, hashes: {...shape, leafSize: HASH_SIZE}};
}

function sharedSizes(layout: Pick<TintPlan, 'size' | 'chunkSize' | 'pageEntries'>) {
	const {index, hashes} = treeShapes(layout);
	const counters = COUNTERS * 8;
	const tree = CONTENT_TREE_SIZE;
	const indexPages = pageWriterMemory(index);
	const hashPages = pageWriterMemory(hashes);
	return {counters, tree, indexPages, hashPages, total: counters + tree + indexPages + hashPages};
}

/** The parts of the shared memory. Only the thread whose turn it is to `reserve` touches them. */
export interface SharedState {
	readonly counters: Float64Array;
	/** Of the content tree. */
	readonly tree: Uint8Array;
	readonly indexPages: Uint8Array;
	readonly hashPages: Uint8Array;
}

export function sharedState(plan: TintPlan): SharedState {
	const {counters, tree, indexPages, hashPages} = sharedSizes(plan);
	const {shared} = plan;
	return {
		counters: new Float64Array(shared, 0, COUNTERS),
		tree: new Uint8Array(shared, counters, tree),
		indexPages: new Uint8Array(shared, counters + tree, indexPages),
		hashPages: new Uint8Array(shared, counters + tree + indexPages, hashPages),
	};
}
