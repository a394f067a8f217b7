import {availableParallelism} from 'node:os';
import {performance} from 'node:perf_hooks';
import {roundDown} from '../core/bytes/u64.ts';
import {CONTENT_TREE_SIZE, contentId, contentTree} from '../core/codecs/content-id.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {PIECE, pieceHasher} from './piece.ts';
import {hashInThreads} from './threads.ts';

export interface IdentifyOptions {
	/** Takes the id that an image records of itself, without reading the content; true unless told otherwise. */
	readonly trust?: boolean;
	/** What could not be read when the image was taken counts as zeros; it is an error otherwise. */
	readonly zeroUnreadable?: boolean;
	/** The recipe of the same disk: with it, much content is hashed by several threads. */
	readonly recipe?: ImageRecipe;
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	/** Called a few times a second, and once at the end. */
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

export interface Identity {
	/** 64 hexadecimal digits: the id of the bytes that a reader of the disk sees, whatever its container. */
	readonly contentId: string;
	/** Bytes of the disk. */
	readonly size: number;
	/** Bytes that were read and not passed over as holes. */
	readonly read: number;
	/** Whether `contentId` was computed from the content, or is what the image says of itself. */
	readonly origin: 'computed' | 'recorded';
	/** What the image says of itself, where it says anything. */
	readonly recorded: string | undefined;
	readonly seconds: number;
}

/** Less data than this is hashed before threads have started. */
const LEAST_FOR_THREADS = 64 << 20;
/** Threads beyond this only wait for each other and for the disk. */
const MOST_WORKERS = 64;
/** The fact under which a format shows the content id that it records. */
const RECORDED = 'contentId';
/** Facts that say that parts of the disk could not be read when the image was taken, or may not have been. */
const DOUBTS = new Set(['unreadableChunks', 'mixedChunks', 'inheritedChunks']);

/**
 * The content id of a disk: SHA-256("tintype-id-1" || size || root of its hash tree), as formats/tint/SPEC.md has it
 * in section 11. Holes cost nothing. Throws DiskError for what cannot be read; rejects with the signal's reason when
 * it is aborted.
 */
export async function identify(disk: Disk, options: IdentifyOptions = {}): Promise<Identity> {
	const {trust = true, zeroUnreadable = false, recipe, onProgress, signal} = options;
	const workers = Math.min(checkWorkers(options.workers ?? availableParallelism()), MOST_WORKERS);
	const started = performance.now();
	signal?.throwIfAborted();
	const {size} = disk;
	let position = 0;
	const tell = () => onProgress?.({position, total: size});
	const onPosition = (reached: number) => {
		position = reached;
	};
	const pace = newPace({signal, onTurn: tell});
	const {recorded, doubtful} = recordedId(disk);
	if (trust && recorded !== undefined) {
		if (doubtful && !zeroUnreadable) await requireReadable(disk, pace);
		return {contentId: recorded, size, read: 0, origin: 'recorded', recorded, seconds: secondsSince(started)};
	}
	const {root, read} =
		recipe !== undefined && workers > 1 && (await paysThreads(disk, pace))
			? await hashInThreads(recipe, size, {
					workers,
					zeroUnreadable,
					signal,
					onPosition: reached => {
						onPosition(reached);
						tell();
					},
				})
			: await hashHere(disk, zeroUnreadable, pace, onPosition);
	position = size;
	tell();
	return {
		contentId: hexadecimal(contentId(size, root)),
		size,
		read,
		origin: 'computed',
		recorded,
		seconds: secondsSince(started),
	};
}

function checkWorkers(workers: number): number {
	if (Number.isSafeInteger(workers) && workers >= 1) return workers;
	throw new DiskError('invalid', 'identify/workers', `workers is a whole number from 1, not ${workers}`);
}

function recordedId(disk: Disk): {recorded: string | undefined; doubtful: boolean} {
	const {facts} = disk.describe();
	const value = facts.find(fact => fact.key === RECORDED)?.value;
	return {
		recorded: typeof value === 'string' ? value : undefined,
		doubtful: facts.some(fact => DOUBTS.has(fact.key)),
	};
}

/** Looks at the map alone; throws what a reader would get for the first part that could not be read. */
async function requireReadable(disk: Disk, pace: Pace): Promise<void> {
	const span = newSpan();
	for (let position = 0; position < disk.size; position += span.length) {
		if (pace.due()) await pace.turn();
		disk.locate(position, span);
		if (span.kind === SpanKind.unreadable) disk.readAt(position, new Uint8Array(1));
	}
}

/** Looks at the map alone, until it knows. */
async function paysThreads(disk: Disk, pace: Pace): Promise<boolean> {
	const span = newSpan();
	let data = 0;
	for (let position = 0; position < disk.size && data < LEAST_FOR_THREADS; position += span.length) {
		if (pace.due()) await pace.turn();
		disk.locate(position, span);
		if (!readsAsZero(span.kind)) data += span.length;
	}
	return data >= LEAST_FOR_THREADS;
}

async function hashHere(
	disk: Disk,
	zeroUnreadable: boolean,
	pace: Pace,
	onPosition: (position: number) => void,
): Promise<{root: Uint8Array; read: number}> {
	const {size} = disk;
	const hasher = pieceHasher(disk, {zeroUnreadable});
	const tree = contentTree(new Uint8Array(CONTENT_TREE_SIZE));
	const span = newSpan();
	for (let position = 0; position < size; onPosition(position)) {
		if (pace.due()) await pace.turn();
		disk.locate(position, span);
		if (readsAsZero(span.kind)) {
			position += span.length;
			continue;
		}
		const start = roundDown(position, PIECE);
		hasher.hash(start);
		hasher.addTo(tree);
		position = Math.min(start + PIECE, size);
	}
	return {root: tree.finish(size), read: hasher.read};
}

function secondsSince(start: number): number {
	return (performance.now() - start) / 1000;
}

function hexadecimal(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}
