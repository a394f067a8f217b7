import {performance} from 'node:perf_hooks';
import {isZero} from '../core/bytes/zeros.ts';
import {type Disk, newSpan, readsAsZero, type Span, SpanKind} from '../core/disk.ts';
import {DiskError, located} from '../core/error.ts';
import {newPace} from '../work/pace.ts';
import {recordedHashes} from './recorded.ts';

/** Bytes compared at once: large enough that a system call costs nothing beside the comparison. */
const PIECE = 1 << 20;
/** Differences are told apart at this distance: the smallest sector. */
const SECTOR = 512;
/** Ranges listed when nothing is asked: more help nobody. */
const DEFAULT_RANGES = 64;

export interface CompareOptions {
	/** Ranges listed at most; all are counted. */
	readonly ranges?: number;
	/** Reads the content also where both images record hashes of it. */
	readonly bytes?: boolean;
	/** Disks of different size differ, even where the longer one goes on with zeros only. */
	readonly strict?: boolean;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

/** Whole sectors of 512 bytes in which the disks differ. */
export interface DifferentRange {
	readonly position: number;
	readonly length: number;
}

export interface Comparison {
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
	/** Bytes that had to be read of both together. */
	readonly read: number;
	readonly seconds: number;
}

/**
 * Compares what two disks hold, whatever they are stored in. Where both images record hashes of it, and their disks have
 * one size, these are compared, and only what differs is read. What both say is zero is not read. Rejects with the error
 * of the side that cannot be read, and with the signal's reason when aborted.
 */
export async function compareDisks(first: Disk, second: Disk, options: CompareOptions = {}): Promise<Comparison> {
	const {ranges: mostRanges = DEFAULT_RANGES, strict = false, bytes: forced = false, onProgress, signal} = options;
	const started = performance.now();
	const common = Math.min(first.size, second.size);
	const total = Math.max(first.size, second.size);
	let position = 0;
	let read = 0;
	const pace = newPace({signal, onTurn: () => onProgress?.({position, total})});
	const spans: [Span, Span] = [newSpan(), newSpan()];
	const buffers: [Buffer, Buffer] = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)];
	const ranges = collectRanges(mostRanges);

	function readPiece(disk: Disk, side: 0 | 1, length: number): Buffer {
		const bytes = buffers[side].subarray(0, length);
		readFrom(disk, position, bytes);
		read += length;
		return bytes;
	}

	const recorded = forced ? undefined : recordedHashes(first, second);
	if (recorded?.equal === true) {
		// Equal ids say nothing of parts that could not be read: these have no content to compare.
		if (recorded.mayBeUnreadable) {
			for (; position < common; position += Math.min(spans[0].length, spans[1].length)) {
				requireReadable(first, position, spans[0]);
				requireReadable(second, position, spans[1]);
				if (pace.due()) await pace.turn();
			}
		}
		position = common;
	}
	/** Whether one of the disks has a part there that could not be read; looks at maps alone. */
	function isUnreadable(from: number, length: number): boolean {
		if (recorded?.mayBeUnreadable !== true) return false;
		for (let at = from; at < from + length; at += Math.min(spans[0].length, spans[1].length)) {
			locateIn(first, at, spans[0]);
			locateIn(second, at, spans[1]);
			if (spans.some(({kind}) => kind === SpanKind.unreadable)) return true;
		}
		return false;
	}

	while (position < common) {
		const same = recorded?.same(position) ?? 0;
		if (same > 0 && !isUnreadable(position, same)) {
			position += same;
			if (pace.due()) await pace.turn();
			continue;
		}
		locateIn(first, position, spans[0]);
		locateIn(second, position, spans[1]);
		const [firstSpan, secondSpan] = spans;
		// Where hashes tell units apart, no more than the unit that differs is read.
		const left = Math.min(common - position, recorded === undefined ? PIECE : recorded.left(position));
		const firstZero = readsAsZero(firstSpan.kind);
		const secondZero = readsAsZero(secondSpan.kind);
		let length: number;
		if (firstZero && secondZero) {
			length = Math.min(common - position, firstSpan.length, secondSpan.length);
		} else if (firstZero || secondZero) {
			length = Math.min(left, PIECE, (firstZero ? firstSpan : secondSpan).length);
			const bytes = firstZero ? readPiece(second, 1, length) : readPiece(first, 0, length);
			if (!isZero(bytes)) ranges.addNonZero(position, bytes);
		} else {
			length = Math.min(left, PIECE);
			const a = readPiece(first, 0, length);
			const b = readPiece(second, 1, length);
			if (!a.equals(b)) ranges.addDifferent(position, a, b);
		}
		position += length;
		if (pace.due()) await pace.turn();
	}

	const longer = first.size > second.size ? first : second;
	let restIsZero = true;
	while (restIsZero && position < total) {
		const span = spans[0];
		locateIn(longer, position, span);
		let length = Math.min(span.length, total - position);
		if (!readsAsZero(span.kind)) {
			length = Math.min(PIECE, total - position);
			const bytes = readPiece(longer, 0, length);
			if (!isZero(bytes)) {
				restIsZero = false;
				ranges.noteFirst(position + bytes.findIndex(byte => byte !== 0));
			}
		}
		position += length;
		if (pace.due()) await pace.turn();
	}
	position = total;
	onProgress?.({position, total});

	const sizesDiffer = first.size !== second.size;
	const {firstDifference, found, rangeCount, differentBytes} = ranges.result();
	return {
		by: recorded === undefined ? 'bytes' : recorded.equal ? 'ids' : 'hashes',
		identical: rangeCount === 0 && restIsZero && !(strict && sizesDiffer),
		sizes: [first.size, second.size],
		firstDifference,
		ranges: found,
		rangeCount,
		differentBytes,
		rest: sizesDiffer ? {length: total - common, zero: restIsZero} : undefined,
		read,
		seconds: (performance.now() - started) / 1000,
	};
}

/** Fails as a reader would where the source could not be read. */
function requireReadable(disk: Disk, position: number, span: Span): void {
	locateIn(disk, position, span);
	if (span.kind === SpanKind.unreadable) readFrom(disk, position, new Uint8Array(1));
}

/** Joins differing sectors to ranges, also over the border of two pieces. */
function collectRanges(most: number) {
	const found: {position: number; length: number}[] = [];
	let firstDifference: number | undefined;
	let rangeCount = 0;
	let differentBytes = 0;
	let lastEnd = -1;

	function add(position: number, length: number): void {
		differentBytes += length;
		const last = found.at(-1);
		if (position === lastEnd) {
			if (rangeCount <= most && last !== undefined) last.length += length;
		} else {
			rangeCount += 1;
			if (rangeCount <= most) found.push({position, length});
		}
		lastEnd = position + length;
	}

	function addSectors(position: number, length: number, differs: (from: number, to: number) => boolean): void {
		for (let from = 0; from < length; ) {
			// Spans may start anywhere; sectors are counted from the start of the disk.
			const to = Math.min(length, from + SECTOR - ((position + from) % SECTOR));
			if (differs(from, to)) add(position + from, to - from);
			from = to;
		}
	}

	function noteFirst(position: number): void {
		firstDifference ??= position;
	}

	return {
		noteFirst,
		addNonZero(position: number, bytes: Buffer): void {
			noteFirst(position + bytes.findIndex(byte => byte !== 0));
			addSectors(position, bytes.length, (from, to) => !isZero(bytes.subarray(from, to)));
		},
		addDifferent(position: number, a: Buffer, b: Buffer): void {
			noteFirst(position + a.findIndex((byte, index) => byte !== b[index]));
			addSectors(position, a.length, (from, to) => a.compare(b, from, to, from, to) !== 0);
		},
		result: () => ({firstDifference, found, rangeCount, differentBytes}),
	};
}

function locateIn(disk: Disk, position: number, span: Span): void {
	try {
		disk.locate(position, span);
	} catch (error) {
		throw ofDisk(error, disk, position);
	}
}

function readFrom(disk: Disk, position: number, bytes: Uint8Array): void {
	try {
		disk.readAt(position, bytes);
	} catch (error) {
		throw ofDisk(error, disk, position);
	}
}

function ofDisk(error: unknown, disk: Disk, position: number): unknown {
	return error instanceof DiskError ? located(error, {file: disk.name, position}) : error;
}
