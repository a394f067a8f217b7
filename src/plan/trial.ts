import {performance} from 'node:perf_hooks';
import type {CreateRequest, Disk, DiskCreator} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {ByteSink} from '../core/source.ts';

/** Milliseconds that reading for a trial may take, and bytes: what is asked for beforehand is wanted at once. */
const BUDGET = 500;
const MOST_BYTES = 64 << 20;

/** A sink that keeps nothing but counts. */
interface CountingSink extends ByteSink {
	/** Bytes written, and the end of the file. */
	readonly written: number;
	readonly end: number;
}

function countingSink(): CountingSink {
	let written = 0;
	let end = 0;
	return {
		name: 'a trial',
		writeAt(position, bytes) {
			written += bytes.length;
			end = Math.max(end, position + bytes.length);
		},
		readAt(_, target) {
			target.fill(0);
		},
		truncate(size) {
			end = size;
		},
		sync() {},
		get written() {
			return written;
		},
		get end() {
			return end;
		},
		[Symbol.dispose]() {},
	};
}

/** How a writer's file grows: measured on the writer itself. */
export interface Growth {
	/** Bytes of a file without content, and how many of them are no holes. */
	readonly empty: number;
	readonly emptyWritten: number;
	/** Bytes of a file in which one block has content. */
	readonly one: number;
	/** Bytes that each further block adds; 0 where the file has its full size from the start. */
	readonly block: number;
}

/** Has the writer make files of no content and of one and two blocks. The disk has more than one block, or the last is 0. */
export function growthOf(creator: DiskCreator, request: CreateRequest, blockSize: number): Growth {
	const fileWith = (blocks: number): CountingSink => {
		const plan = creator.plan(request);
		const sink = countingSink();
		const writer = creator.open(plan, sink);
		for (let block = 0; block < blocks && block * blockSize < request.size; block++) {
			const position = block * blockSize;
			const bytes = new Uint8Array(Math.min(plan.pieceSize, request.size - position)).fill(1);
			writer.encode({position, bytes});
			writer.reserve();
			writer.write();
		}
		writer.writeTables();
		writer.writeRoot();
		return sink;
	};
	const empty = fileWith(0);
	const one = fileWith(1).end;
	return {empty: empty.end, emptyWritten: empty.written, one, block: fileWith(2).end - one};
}

/** What came of reading a part of the source and encoding it. */
export interface Trial {
	/** Pieces that were read, the bytes of the disk in them, and bytes that were written for them. */
	readonly pieces: number;
	/** Of these pieces those of which anything is stored, and the blocks that they lie in. */
	readonly stored: number;
	readonly blocks: number;
	/** Bytes of the file that was made of them. */
	readonly fileSize: number;
	readonly read: number;
	readonly written: number;
	/** Spent on reading, and on encoding. */
	readonly readSeconds: number;
	readonly encodeSeconds: number;
	/** The first error of reading: the conversion will meet it, too. */
	readonly error?: DiskError;
}

/** A piece of the disk, read for a trial. */
interface Sample {
	readonly position: number;
	readonly bytes: Uint8Array;
}

/**
 * Reads the pieces at some of these places, all over the disk, until it has taken long enough, and lets the writer
 * encode them, in the order of the disk.
 */
export function tryOut(
	disk: Disk,
	creator: DiskCreator,
	request: CreateRequest,
	{places, blockSize}: {readonly places: readonly number[]; readonly blockSize: number},
): Trial {
	const plan = creator.plan(request);
	const samples: Sample[] = [];
	let error: DiskError | undefined;
	const start = performance.now();
	for (const position of scattered(places).slice(0, Math.max(1, Math.floor(MOST_BYTES / plan.pieceSize)))) {
		if (performance.now() - start > BUDGET) break;
		const bytes = new Uint8Array(Math.min(plan.pieceSize, disk.size - position));
		try {
			disk.readAt(position, bytes);
			samples.push({position, bytes});
		} catch (thrown) {
			if (!(thrown instanceof DiskError)) throw thrown;
			error ??= thrown;
		}
	}
	const middle = performance.now();
	const sink = countingSink();
	const writer = creator.open(plan, sink);
	const blocks = new Set<number>();
	let stored = 0;
	for (const sample of samples.toSorted((a, b) => a.position - b.position)) {
		const before = sink.written;
		writer.encode(sample);
		writer.reserve();
		writer.write();
		if (sink.written === before) continue;
		stored += 1;
		blocks.add(Math.floor(sample.position / blockSize));
	}
	const encodeSeconds = (performance.now() - middle) / 1000;
	const {written} = sink;
	writer.writeTables();
	writer.writeRoot();
	return {
		pieces: samples.length,
		stored,
		blocks: blocks.size,
		fileSize: sink.end,
		read: samples.reduce((total, {bytes}) => total + bytes.length, 0),
		written,
		readSeconds: (middle - start) / 1000,
		encodeSeconds,
		...(error !== undefined && {error}),
	};
}

/** The same, so that any first part of it is spread over all of it. */
function scattered<Item>(items: readonly Item[]): Item[] {
	const result: Item[] = [];
	for (let step = 2 ** Math.ceil(Math.log2(items.length + 1)); step >= 1; step /= 2) {
		for (let place = step; place <= items.length; place += step * 2) result.push(items[place - 1]);
	}
	return result;
}
