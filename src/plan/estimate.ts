import {availableParallelism} from 'node:os';
import type {CreateRequest, DiskCreator} from '../core/disk.ts';
import type {Contents} from './contents.ts';
import type {Growth, Trial} from './trial.ts';

/** From what may well be to what hardly can be exceeded. */
export interface Range {
	readonly least: number;
	readonly most: number;
}

export interface Estimate {
	/** Bytes of the file, and of the space that it takes. */
	readonly fileSize: Range;
	readonly allocated: Range;
	readonly seconds: Range;
	/** What this rests on, for people. */
	readonly assumptions: readonly string[];
}

/** What media take in a second: a slow hard disk, and a fast SSD. */
const SLOW_MEDIUM = 100e6;
const FAST_MEDIUM = 2e9;
/** Opening, starting threads, syncing and naming the file. */
const LEAST_SECONDS = 0.1;
const MOST_OVERHEAD_SECONDS = 1;
const STANDARD_ERRORS = 3;
/** What is recorded of the source, and the blocks of the file system that are filled in part. */
const ROUNDING = 64 << 10;
/** Pages of an index that are filled less well than those of the trial. */
const PACKED_SLACK = 0.02;

interface Measured {
	readonly creator: DiskCreator;
	readonly request: CreateRequest;
	readonly contents: Contents;
	readonly growth: Growth;
	readonly trial: Trial;
	readonly blockSize: number;
	readonly pieceSize: number;
	readonly holes: boolean;
	/** Whether blocks may be shared with the source: then nothing is read, and zeros are not found. */
	readonly clones: boolean;
	readonly workers: number | undefined;
}

/** How large and how long, from the source's map and from a trial. */
export function estimate(measured: Measured): Estimate {
	const {growth, request, holes, clones, contents, pieceSize} = measured;
	const full = growth.empty >= request.size;
	const found = dataWritten(measured);
	const data = clones ? {least: found.least, most: Math.max(found.most, contents.pieces * pieceSize)} : found;
	const fileSize = full ? {least: growth.empty, most: growth.empty} : sizeOfFile(measured, data);
	const rest = growth.emptyWritten;
	const allocated = holes
		? {least: Math.min(data.least + rest, fileSize.least), most: Math.min(data.most + rest + ROUNDING, fileSize.most)}
		: fileSize;
	return {fileSize, allocated, ...duration(measured, holes ? data : allocated)};
}

/** What a mean of shares of so many pieces out of all may be off, in three standard errors. */
function marginOf(mean: number, tried: number, all: number): number {
	// Shares lie between 0 and 1, so none vary more than those that are 0 or 1.
	const variance = Math.max(mean * (1 - mean), 1 / tried);
	return STANDARD_ERRORS * Math.sqrt(variance / tried) * (1 - tried / all);
}

/** Bytes that the writer stores of the content: what it stored of the pieces tried, and as much of the others. */
function dataWritten({contents: {pieces}, trial, growth, request, pieceSize, creator}: Measured): Range {
	const {pieces: tried, read, fileSize} = trial;
	const packed = growth.empty < request.size && !isInBlocks(creator);
	const written = packed ? fileSize - growth.empty : trial.written;
	if (tried >= pieces) return {least: written, most: written};
	const all = pieces * pieceSize;
	if (tried === 0) return {least: 0, most: all};
	const mean = written / read;
	const margin = marginOf(mean, tried, pieces);
	return {
		least: Math.max(written, Math.floor(all * (mean - margin))),
		most: Math.ceil(all * Math.min(mean + margin, Math.max(mean, 1))),
	};
}

function sizeOfFile({creator, growth, contents, trial, blockSize, pieceSize, clones}: Measured, data: Range): Range {
	if (!isInBlocks(creator)) {
		return {
			least: growth.empty + data.least,
			most: Math.ceil((growth.empty + data.most) * (1 + PACKED_SLACK)) + ROUNDING,
		};
	}
	const withBlocks = (blocks: number): number =>
		blocks === 0 ? growth.empty : growth.one + (blocks - 1) * growth.block;
	const {least, most} = blocksStored();
	return {least: withBlocks(least), most: withBlocks(clones ? contents.blocks : most)};

	function blocksStored(): Range {
		if (trial.pieces >= contents.pieces) return {least: trial.blocks, most: trial.blocks};
		// At best what is not zero lies together.
		const dense = Math.max(trial.blocks, Math.ceil(data.least / blockSize));
		if (blockSize > pieceSize || trial.pieces === 0) return {least: dense, most: contents.blocks};
		const mean = trial.stored / trial.pieces;
		const margin = marginOf(mean, trial.pieces, contents.pieces);
		return {
			least: Math.max(dense, Math.floor(contents.blocks * (mean - margin))),
			most: Math.ceil(contents.blocks * Math.min(1, mean + margin)),
		};
	}
}

/** Whether the writer gives places to whole blocks of the disk. */
export function isInBlocks(creator: DiskCreator): boolean {
	return creator.options.some(({name}) => name === 'block-size');
}

function duration(
	{contents, trial, clones, workers = availableParallelism()}: Measured,
	written: Range,
): Pick<Estimate, 'seconds' | 'assumptions'> {
	const {read, readSeconds, encodeSeconds} = trial;
	const perByte = read === 0 ? 1 / FAST_MEDIUM : (readSeconds + encodeSeconds) / read;
	const work = contents.bytes * perByte;
	const least = LEAST_SECONDS + (clones ? 0 : Math.max(work / workers, written.least / FAST_MEDIUM));
	const most = MOST_OVERHEAD_SECONDS + work + contents.bytes / SLOW_MEDIUM + written.most / SLOW_MEDIUM;
	const sample =
		read === 0
			? 'nothing was measured'
			: `a sample of ${Math.ceil(read / 2 ** 20)} MiB was read at ${speed(read / readSeconds)} and encoded at ${speed(read / encodeSeconds)}`;
	return {
		seconds: {least, most},
		assumptions: [
			...(clones ? ['the target may share blocks with the source: then nothing is read, and zeros are kept'] : []),
			sample,
			`at best ${workers} threads share the work, what the sample was is what follows, and the target takes ${speed(FAST_MEDIUM)}`,
			`at worst one thread does it, and source and target are hard disks of ${speed(SLOW_MEDIUM)}`,
		],
	};
}

function speed(bytesPerSecond: number): string {
	return Number.isFinite(bytesPerSecond) ? `${Math.round(bytesPerSecond / 1e6)} MB/s` : 'any speed';
}
