import {basename} from 'node:path';
import type {Finding} from '../core/disk.ts';
import {DiskError, serializeError, type SerializedError} from '../core/error.ts';
import {type Chain, type ChainFile, newHolding} from '../core/upkeep.ts';
import {type DamageReport, explainDamage} from '../damage/explain.ts';
import {collectRanges, type Ranges} from '../damage/ranges.ts';
import {openChain, type OpenImageOptions} from '../image/image.ts';
import {openToVerify} from '../verify/open.ts';
import {newPace, type Pace} from '../work/pace.ts';

export interface ChainOptions extends OpenImageOptions {
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

/** One file of a chain, and what of the disk lies in it. */
export interface ChainMember {
	readonly role: ChainFile['role'];
	/** As the format spells it; empty where it has none. */
	readonly identity: string;
	/** Undefined where it was not found. */
	readonly path: string | undefined;
	/** Bytes of the file. */
	readonly size: number | undefined;
	/** Names and paths under which the image knows it. */
	readonly recorded: readonly string[];
	/** Why it, or a part of it, cannot be used. */
	readonly error: SerializedError | undefined;
	/** Of the disk, in the newest state. Undefined where a missing file hides what lies in those behind it. */
	readonly bytes: number | undefined;
	/** Chunks or blocks, at least in part. */
	readonly chunks: number | undefined;
	/** Bytes of the disk that ought to lie in it, and cannot be had. */
	readonly lostBytes: number;
}

export interface ChainReport {
	/** Whether every file is there, and holds what it should. */
	readonly whole: boolean;
	readonly format: string;
	/** Bytes of the disk. */
	readonly size: number;
	/** Bytes of one chunk or block. */
	readonly unit: number;
	/** The newest first. */
	readonly files: readonly ChainMember[];
	/** Folders in which they were looked for. */
	readonly folders: readonly string[];
	/** Bytes of the disk that are stored in no file: zeros, free space, what was left out. */
	readonly unstoredBytes: number;
	readonly lostBytes: number;
	/** What is lost, as files; undefined where nothing is, or the disk cannot be opened without it. */
	readonly damage: DamageReport | undefined;
	readonly findings: readonly Finding[];
}

/**
 * Which files an image stands on, what of the disk lies in each, and what is lost with those that are missing. Reads
 * tables only. Throws `unsupported` for formats without chains.
 */
export async function chainOf(path: string, options: ChainOptions = {}): Promise<ChainReport> {
	const {onProgress, signal} = options;
	signal?.throwIfAborted();
	const opened = openChain(path, options);
	try {
		const {chain, format, folders, findings} = opened;
		if (chain === undefined) {
			throw new DiskError('unsupported', 'chain/none', `images of the format ${format.name} stand on no other files`, {
				where: {file: path},
			});
		}
		const progress = {position: 0, total: chain.size};
		const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
		const found = await sumUp(chain, pace, position => {
			progress.position = position;
		});
		const ranges = found.lost;
		const damage = ranges.bytes === 0 ? undefined : await explain(path, options, ranges, pace);
		onProgress?.({position: chain.size, total: chain.size});
		return {
			whole: ranges.bytes === 0 && found.tables === undefined && chain.files.every(({error}) => error === undefined),
			format: format.name,
			size: chain.size,
			unit: chain.unit,
			files: chain.files.map((file, index) => memberOf(file, found.files[index])),
			folders,
			unstoredBytes: found.unstored,
			lostBytes: ranges.bytes,
			damage,
			findings: [...findings, ...(found.tables === undefined ? [] : [found.tables])],
		};
	} finally {
		opened[Symbol.dispose]();
	}
}

interface Share {
	bytes: number;
	chunks: number;
	lostBytes: number;
}

/** What lies where, and what is lost; damage to the tables themselves ends nothing. */
export async function sumUp(chain: Chain, pace: Pace, onPosition: (position: number) => void) {
	const files: Share[] = chain.files.map(() => ({bytes: 0, chunks: 0, lostBytes: 0}));
	/** By file the unit that was counted last: it may come in several runs. */
	const counted = files.map(() => -1);
	const collector = collectRanges();
	const holding = newHolding();
	let unstored = 0;
	let tables: Finding | undefined;
	for (let position = 0; position < chain.size; ) {
		if (pace.due()) {
			onPosition(position);
			await pace.turn();
		}
		const error = attempt(() => chain.holding(position, holding));
		if (error !== undefined) {
			tables ??= {code: error.code, severity: 'damage', message: error.message};
			// What is known of one unit is known of no other.
			holding.length = Math.min(chain.unit - (position % chain.unit), chain.size - position);
			collector.add(position, holding.length);
		} else {
			const share = files[holding.file];
			if (share === undefined) unstored += holding.length;
			else {
				share.bytes += holding.length;
				const last = Math.ceil((position + holding.length) / chain.unit) - 1;
				share.chunks += last - Math.max(Math.floor(position / chain.unit) - 1, counted[holding.file] ?? -1);
				counted[holding.file] = last;
				if (holding.lost) {
					share.lostBytes += holding.length;
					collector.add(position, holding.length);
				}
			}
		}
		position += holding.length;
	}
	return {files, unstored, lost: collector.ranges(), tables};
}

function attempt(action: () => void): DiskError | undefined {
	try {
		action();
		return undefined;
	} catch (error) {
		if (error instanceof DiskError) return error;
		throw error;
	}
}

/** The disk may need what is missing to be opened at all; then which files are hit cannot be told. */
async function explain(
	path: string,
	options: OpenImageOptions,
	ranges: Ranges,
	pace: Pace,
): Promise<DamageReport | undefined> {
	let image;
	try {
		image = openToVerify(path, options);
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	try {
		return await explainDamage(image, ranges, pace);
	} finally {
		image[Symbol.dispose]();
	}
}

function memberOf({role, identity, file, recorded, error}: ChainFile, share: Share | undefined): ChainMember {
	return {
		role,
		identity,
		path: file?.path,
		size: file?.size,
		recorded,
		error: error && serializeError(error),
		bytes: share?.bytes,
		chunks: share?.chunks,
		lostBytes: share?.lostBytes ?? 0,
	};
}

/** What a person calls a file of a chain. */
export function memberName({path, recorded, identity}: ChainMember): string {
	const [name] = recorded;
	return basename(path ?? name ?? identity);
}
