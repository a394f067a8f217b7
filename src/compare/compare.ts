import {availableParallelism} from 'node:os';
import {performance} from 'node:perf_hooks';
import {roundDown} from '../core/bytes/u64.ts';
import {type Disk, newSpan, readsAsZero} from '../core/disk.ts';
import {DiskError, type SerializedError} from '../core/error.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {damageList} from '../verify/damage-list.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {type DifferentRange, newDifferences, readDifferences} from './differences.ts';
import {pairMap, PIECE, pieceComparer, type PieceComparerOptions, type Side} from './piece.ts';
import {recordedHashes} from './recorded.ts';
import {type Compared, compareInThreads} from './threads.ts';

export type {DifferentRange} from './differences.ts';

/** Ranges listed when nothing is asked: more help nobody. */
const DEFAULT_RANGES = 64;
/** Ranges listed at most, whatever is asked: 16 MiB of memory. */
const MOST_RANGES = 1 << 20;
/** Unreadable parts listed; all are counted. */
const MOST_UNREADABLE = 1000;
/** Less data than this is compared before threads have started. */
const LEAST_FOR_THREADS = 64 << 20;
/** Threads beyond this only wait for each other and for the disks. */
const MOST_WORKERS = 64;

export interface CompareOptions {
	/** Ranges listed at most; all are counted. */
	readonly ranges?: number;
	/** Reads the content also where both images record hashes of it. */
	readonly bytes?: boolean;
	/** Disks of different size differ, even where the longer one goes on with zeros only. */
	readonly strict?: boolean;
	/** The recipes of the same disks: with them, much content is compared by several threads. */
	readonly recipes?: readonly [ImageRecipe, ImageRecipe];
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

/** A part of one of the disks that could not be read, and so not compared. */
export interface UncomparedRange {
	/** Of the first disk or of the second. */
	readonly disk: Side;
	readonly position: number;
	readonly length: number;
	readonly error: SerializedError;
}

export interface Comparison {
	/** Whether all of both disks could be read and is the same. */
	readonly identical: boolean;
	/**
	 * What was compared: the content ids that both images record; the hashes that they record, and the bytes where these
	 * differ; or the bytes alone.
	 */
	readonly by: 'ids' | 'hashes' | 'bytes';
	/** Bytes of both disks. */
	readonly sizes: readonly [number, number];
	/** The first byte that differs, in both disks or in the rest of the longer one. */
	readonly firstDifference: number | undefined;
	/** In rising order, at most as many as were asked for. */
	readonly ranges: readonly DifferentRange[];
	/** How many ranges there are, and how many bytes they hold. */
	readonly rangeCount: number;
	readonly differentBytes: number;
	/** What the longer disk has beyond the end of the shorter one. */
	readonly rest: {readonly length: number; readonly zero: boolean} | undefined;
	/** At most 1000 of each disk, in rising order; where there is one, equality cannot be told. */
	readonly unreadable: readonly UncomparedRange[];
	/** How many there are, and their bytes in the first disk and in the second. */
	readonly unreadableCount: number;
	readonly unreadableBytes: readonly [number, number];
	/** Bytes that had to be read of both together. */
	readonly read: number;
	readonly seconds: number;
}

/** A comparison with all that was found, for those who go on with it. */
export interface FullComparison {
	readonly comparison: Comparison;
	/** As many as `keep` says. */
	readonly ranges: readonly DifferentRange[];
	readonly unreadable: Compared['unreadable'];
	readonly forgotten: Compared['forgotten'];
}

/**
 * Compares what two disks hold, whatever they are stored in. Where both images record hashes of it, and their disks have
 * one size, these are compared, and only what differs is read. What both say is zero is not read. What cannot be read is
 * told, and the rest goes on. Rejects with the signal's reason when aborted.
 */
export async function compareDisks(first: Disk, second: Disk, options: CompareOptions = {}): Promise<Comparison> {
	return (await compareFully(first, second, options, 0)).comparison;
}

/** The same; keeps so many ranges, whatever is listed. */
export async function compareFully(
	first: Disk,
	second: Disk,
	options: CompareOptions,
	keep: number,
): Promise<FullComparison> {
	const {ranges: most = DEFAULT_RANGES, strict = false, bytes: forced = false, onProgress, signal} = options;
	const workers = Math.min(wholeNumber('workers', options.workers ?? availableParallelism(), 1), MOST_WORKERS);
	const listed = Math.min(wholeNumber('ranges', most, 0), MOST_RANGES);
	const started = performance.now();
	signal?.throwIfAborted();
	const total = Math.max(first.size, second.size);
	let position = 0;
	const tell = () => onProgress?.({position, total});
	const onPosition = (reached: number): void => {
		position = reached;
	};
	const pace = newPace({signal, onTurn: tell});
	const shared = newDifferences(Math.max(listed, keep));
	const recorded = forced ? undefined : recordedHashes(first, second);
	const found = await findDifferences();
	position = total;
	tell();

	const differences = readDifferences(shared);
	const sizesDiffer = first.size !== second.size;
	const ranges = differences.list();
	const {unreadable, forgotten} = found;
	const unreadableCount = unreadable[0].length + unreadable[1].length;
	const bytesOf = (side: Side): number => unreadable[side].reduce((sum, {length}) => sum + length, forgotten[side]);
	const comparison: Comparison = {
		by: recorded === undefined ? 'bytes' : recorded.equal ? 'ids' : 'hashes',
		identical: differences.count === 0 && !differences.restHasData && unreadableCount === 0 && !(strict && sizesDiffer),
		sizes: [first.size, second.size],
		firstDifference: differences.first,
		ranges: ranges.slice(0, listed),
		rangeCount: differences.count,
		differentBytes: differences.bytes,
		rest: sizesDiffer ? {length: total - Math.min(first.size, second.size), zero: !differences.restHasData} : undefined,
		unreadable: ([0, 1] as const).flatMap(disk =>
			unreadable[disk]
				.slice(0, MOST_UNREADABLE)
				.map(({position: at, length, error}) => ({disk, position: at, length, error})),
		),
		unreadableCount,
		unreadableBytes: [bytesOf(0), bytesOf(1)],
		read: found.read,
		seconds: (performance.now() - started) / 1000,
	};
	return {comparison, ranges, unreadable, forgotten};

	async function findDifferences(): Promise<Compared> {
		// Equal ids say nothing of parts that could not be read: these have no content to compare.
		if (recorded?.equal === true && !recorded.mayBeUnreadable) {
			return {read: 0, unreadable: [[], []], forgotten: [0, 0]};
		}
		const map = pairMap(first, second);
		const {recipes} = options;
		const threads = recipes !== undefined && workers > 1 && (await paysThreads(map, pace));
		if (!threads) return compareHere(first, second, {recorded, differences: shared, pace, onPosition});
		return compareInThreads(recipes, {
			workers,
			size: total,
			differences: shared,
			trust: !forced,
			signal,
			onPosition(reached) {
				onPosition(reached);
				tell();
			},
		});
	}
}

interface HereOptions extends Pick<PieceComparerOptions, 'recorded'> {
	readonly differences: SharedArrayBuffer;
	readonly pace: Pace;
	readonly onPosition: (position: number) => void;
}

/** In this thread, for what is small. */
async function compareHere(
	first: Disk,
	second: Disk,
	{recorded, differences, pace, onPosition}: HereOptions,
): Promise<Compared> {
	const numbers = new Float64Array(differences);
	const lists = [damageList(), damageList()] as const;
	const comparer = pieceComparer(first, second, {
		recorded,
		numbers,
		onUnreadable: (side, at, length, error) => lists[side].add(at, length, error),
	});
	const map = pairMap(first, second);
	const span = newSpan();
	for (let position = 0; position < map.size; onPosition(position)) {
		if (pace.due()) await pace.turn();
		map.locate(position, span);
		if (readsAsZero(span.kind)) {
			position += span.length;
			continue;
		}
		const start = roundDown(position, PIECE);
		const end = Math.min(start + PIECE, map.size);
		comparer.compare(start, end - start);
		comparer.differences.addTo(numbers);
		position = end;
	}
	const [a, b] = lists;
	return {
		read: comparer.read,
		unreadable: [a.runs(), b.runs()],
		forgotten: [a.forgotten(), b.forgotten()],
	};
}

/** Looks at the maps alone, until it knows. */
async function paysThreads(map: Disk, pace: Pace): Promise<boolean> {
	const span = newSpan();
	let data = 0;
	for (let position = 0; position < map.size && data < LEAST_FOR_THREADS; position += span.length) {
		if (pace.due()) await pace.turn();
		map.locate(position, span);
		if (!readsAsZero(span.kind)) data += span.length;
	}
	return data >= LEAST_FOR_THREADS;
}

function wholeNumber(name: string, value: number, least: number): number {
	if (Number.isSafeInteger(value) && value >= least) return value;
	throw new DiskError('invalid', `compare/${name}`, `${name} is a whole number from ${least}, not ${value}`);
}
