import {type Disk, type Mark, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';

/** Tried one after the other where a read fails: what fails in the last is given up. 512 is the least a medium loses. */
const RETRY_SIZES = [64 << 10, 4 << 10, 512] as const;
/** Further tries of the last size: a failing medium often gives a sector at the second or third asking. */
const LAST_TRIES = 3;

export interface PieceReaderOptions {
	/** Whether the output tells free, excluded and unreadable runs from zeros. */
	readonly keepsMarks: boolean;
	/** Whether what cannot be read becomes an unreadable run, instead of ending everything. Needs `keepsMarks`. */
	readonly tolerant: boolean;
}

export interface PieceReader {
	/** Fills `bytes` from `position`; says what is no plain content. The result is valid until the next read. */
	read(position: number, bytes: Uint8Array): readonly Mark[];
	/** Bytes given up so far. */
	readonly unreadable: number;
}

/** Whether a run of this kind is told to outputs that keep marks. */
export function isMark(kind: SpanKind): kind is Mark['kind'] {
	return kind === SpanKind.free || kind === SpanKind.excluded || kind === SpanKind.unreadable;
}

/** Reads pieces of a disk with one call each, unless its map or its damage asks for more. */
export function pieceReader(disk: Disk, {keepsMarks, tolerant}: PieceReaderOptions): PieceReader {
	const span = newSpan();
	const marks: {offset: number; length: number; kind: Mark['kind']}[] = [];
	let unreadable = 0;

	function mark(offset: number, length: number, kind: Mark['kind']): void {
		const last = marks.at(-1);
		if (last !== undefined && last.kind === kind && last.offset + last.length === offset) last.length += length;
		else marks.push({offset, length, kind});
	}

	/** A run without marks. Where it fails it is read again in ever smaller parts. */
	function readRun(position: number, bytes: Uint8Array, from: number, to: number): void {
		const target = bytes.subarray(from, to);
		if (!tolerant) {
			disk.readAt(position + from, target);
			return;
		}
		if (!attempt(position + from, target)) retry(position, bytes, from, to, 0);
	}

	function retry(position: number, bytes: Uint8Array, from: number, to: number, level: number): void {
		const size = RETRY_SIZES[level];
		for (let at = from; at < to; ) {
			const end = Math.min(to, at + size - ((position + at) % size));
			const part = bytes.subarray(at, end);
			if (!attempt(position + at, part)) {
				if (level + 1 < RETRY_SIZES.length) retry(position, bytes, at, end, level + 1);
				else giveUp(position + at, at, part);
			}
			at = end;
		}
	}

	function giveUp(position: number, offset: number, part: Uint8Array): void {
		for (let tries = 1; tries < LAST_TRIES; tries++) if (attempt(position, part)) return;
		part.fill(0);
		unreadable += part.length;
		mark(offset, part.length, SpanKind.unreadable);
	}

	function attempt(position: number, target: Uint8Array): boolean {
		try {
			disk.readAt(position, target);
			return true;
		} catch (error) {
			if (error instanceof DiskError && (error.family === 'io' || error.family === 'corrupt')) return false;
			throw error;
		}
	}

	return {
		read(position, bytes) {
			marks.length = 0;
			if (!keepsMarks) {
				disk.readAt(position, bytes);
				return marks;
			}
			/** Where the run of plain content began that is still growing. */
			let run = 0;
			for (let at = 0; at < bytes.length; ) {
				disk.locate(position + at, span);
				const end = Math.min(bytes.length, at + span.length);
				const {kind} = span;
				if (isMark(kind)) {
					if (at > run) readRun(position, bytes, run, at);
					bytes.fill(0, at, end);
					if (kind === SpanKind.unreadable) unreadable += end - at;
					mark(at, end - at, kind);
					run = end;
				} else if (readsAsZero(kind)) {
					if (at > run) readRun(position, bytes, run, at);
					bytes.fill(0, at, end);
					run = end;
				}
				at = end;
			}
			if (bytes.length > run) readRun(position, bytes, run, bytes.length);
			return marks;
		},
		get unreadable() {
			return unreadable;
		},
	};
}
