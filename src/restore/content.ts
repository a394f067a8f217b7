import {roundDown} from '../core/bytes/u64.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {DiskError, serializeError} from '../core/error.ts';
import type {Patch} from '../partitions/gpt/relocate.ts';
import type {DamagedRange} from './job.ts';

/** Bytes read at once. */
export const PIECE = 1 << 20;
/** Bytes compared, zeroed and blamed at once: the smallest chunk of the formats. */
export const BLOCK = 1 << 16;
/** Bytes of one run of zeros: between two runs the work can be interrupted. */
const LONGEST_RUN = 64 << 20;
/** Spans joined into one run: a map can be cut into any number of pieces. */
const MOST_SPANS = 1024;
/** Damaged ranges listed; their bytes are all counted. */
export const MOST_RANGES = 1000;

/**
 * - `data`: bytes to be read from the disk
 * - `zero`: zeros, whatever the target holds
 * - `leave`: free space, where the target keeps what it has
 */
export type RunKind = 'data' | 'zero' | 'leave';

/** A run of equal treatment; owned by the caller and reused. */
export interface Run {
	kind: RunKind;
	length: number;
}

export interface ContentOptions {
	readonly leaveFree: boolean;
	readonly zeroUnreadable: boolean;
	readonly keepGoing: boolean;
}

/** What the target is to hold. */
export interface Content {
	/** The run at a position below `end`; `data` is at most `PIECE` long and ends at a multiple of it. */
	runAt(position: number, end: number, run: Run): void;
	/** Fills `target`, which lies within the disk. */
	read(position: number, target: Uint8Array): void;
	/** Fills `target` with zeros for all that is not data, also beyond the end of the disk, and puts the patches in. */
	readPatched(position: number, target: Uint8Array): void;
	readonly damaged: readonly DamagedRange[];
	readonly damagedBytes: number;
}

export function openContent(disk: Disk, patches: readonly Patch[], options: ContentOptions): Content {
	const span = newSpan();
	const run: Run = {kind: 'zero', length: 0};
	const damaged: {position: number; length: number; error: DamagedRange['error']}[] = [];
	let damagedBytes = 0;
	/** Up to where damage has been counted: what is read again, to verify it, is not counted again. */
	let blamedTo = 0;
	/** Whether the span looked at last may be read along with data, since it reads as zeros. */
	let readable = false;

	/** Sets `span` too. A map that cannot be read is damage like any other: reading will say so. */
	function kindAt(position: number): RunKind {
		readable = false;
		try {
			disk.locate(position, span);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			span.length = Math.min(BLOCK - (position % BLOCK), disk.size - position);
			return 'data';
		}
		if (span.kind === SpanKind.free && options.leaveFree) return 'leave';
		if (span.kind === SpanKind.unreadable && options.zeroUnreadable) return 'zero';
		readable = readsAsZero(span.kind);
		return readable ? 'zero' : 'data';
	}

	function runAt(position: number, end: number, into: Run): void {
		const kind = kindAt(position);
		const longest = kind === 'data' ? PIECE - (position % PIECE) : LONGEST_RUN;
		const limit = Math.min(longest, end - position);
		let length = span.length;
		for (let count = 1; length < limit && count < MOST_SPANS; count++) {
			const next = kindAt(position + length);
			// A small hole within data is cheaper to read than to treat apart.
			const along = kind === 'data' && next === 'zero' && readable && span.length < BLOCK;
			if (next !== kind && !along) break;
			length += span.length;
		}
		into.kind = kind;
		into.length = Math.min(length, limit);
	}

	function blame(position: number, length: number, error: DiskError): void {
		if (position < blamedTo) return;
		blamedTo = position + length;
		damagedBytes += length;
		const last = damaged.at(-1);
		if (last !== undefined && last.position + last.length === position && last.error.code === error.code) {
			last.length += length;
		} else if (damaged.length < MOST_RANGES) {
			damaged.push({position, length, error: serializeError(error)});
		}
	}

	function read(position: number, target: Uint8Array): void {
		try {
			disk.readAt(position, target);
			return;
		} catch (error) {
			if (!(error instanceof DiskError) || !options.keepGoing) throw error;
		}
		for (let done = 0; done < target.length; ) {
			const step = Math.min(BLOCK - ((position + done) % BLOCK), target.length - done);
			const part = target.subarray(done, done + step);
			try {
				disk.readAt(position + done, part);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				part.fill(0);
				blame(position + done, step, error);
			}
			done += step;
		}
	}

	return {
		runAt,
		read,
		readPatched(position, target) {
			const inside = Math.max(0, Math.min(target.length, disk.size - position));
			target.fill(0);
			for (let done = 0; done < inside; done += run.length) {
				runAt(position + done, position + inside, run);
				if (run.kind === 'data') read(position + done, target.subarray(done, done + run.length));
			}
			for (const patch of patches) {
				const from = Math.max(patch.position, position);
				const to = Math.min(patch.position + patch.bytes.length, position + target.length);
				if (from >= to) continue;
				target.set(patch.bytes.subarray(from - patch.position, to - patch.position), from - position);
			}
		},
		damaged,
		get damagedBytes() {
			return damagedBytes;
		},
	};
}

/** Where the parts of the target lie that are written last; see README.md. */
export interface Layout {
	/** Bytes of the head, from 0 on. */
	readonly headEnd: number;
	/** Where the content between head and tail ends. */
	readonly bodyEnd: number;
	/** The tail reaches from here to the end of the target. */
	readonly tailStart: number;
}

/** Boot sector, primary table and what boot loaders put behind it; partitions begin here. */
const HEAD = 1 << 20;
/** Backup table, the last sectors of a bare file system, RAID and LVM labels. */
const TAIL = 1 << 20;

export function layOut(diskSize: number, targetSize: number, patches: readonly Patch[]): Layout {
	const headEnd = Math.min(HEAD, targetSize);
	let tailStart = Math.max(headEnd, roundDown(Math.max(0, targetSize - TAIL), BLOCK));
	for (const {position, bytes} of patches) {
		if (position + bytes.length > headEnd)
			tailStart = Math.max(headEnd, Math.min(tailStart, roundDown(position, BLOCK)));
	}
	return {headEnd, bodyEnd: Math.max(headEnd, Math.min(diskSize, tailStart)), tailStart};
}
