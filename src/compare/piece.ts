import {isZero} from '../core/bytes/zeros.ts';
import {type Disk, newSpan, readsAsZero, type Span, SpanKind, unstored} from '../core/disk.ts';
import {DiskError, located} from '../core/error.ts';
import {walkable} from '../verify/content.ts';
import {type PieceDifferences, pieceDifferences, restIsKnown} from './differences.ts';
import type {RecordedPair} from './recorded.ts';

/** Bytes compared at once: large enough that a system call costs nothing beside the comparison. */
export const PIECE = 1 << 20;
/** Where a read fails it is tried again in parts of this size; where the medium does, in parts of the second. */
const RETRY_SIZES = [64 << 10, 4 << 10] as const;

export type Side = 0 | 1;

/** Hears of a part of one of the disks that cannot be read. */
export type OnUnreadable = (side: Side, position: number, length: number, error: DiskError) => void;

/** What lies where on both disks together: zeros where both have them, or are at their end. */
export function pairMap(first: Disk, second: Disk): Disk {
	const [a, b] = [sideMap(first), sideMap(second)];
	const other = newSpan();
	return {
		...first,
		size: Math.max(first.size, second.size),
		locate(position, span) {
			a(position, span);
			const zero = readsAsZero(span.kind);
			const {length} = span;
			b(position, other);
			if (zero && readsAsZero(other.kind)) unstored(span, SpanKind.zero, Math.min(length, other.length));
			else unstored(span, SpanKind.encoded, zero ? length : Math.min(length, other.length));
		},
	};
}

/** The map of one disk, which goes on with zeros behind its end and stops at no damage. */
function sideMap(disk: Disk): (position: number, span: Span) => void {
	const map = walkable(disk);
	return (position, span) => {
		if (position >= disk.size) unstored(span, SpanKind.zero, Number.MAX_SAFE_INTEGER - position);
		else map.locate(position, span);
	};
}

export interface PieceComparer {
	/** Compares a piece; what it finds is in `differences` until the next one. */
	compare(position: number, length: number): void;
	readonly differences: PieceDifferences;
	/** Bytes read so far of both together. */
	readonly read: number;
}

export interface PieceComparerOptions {
	/** What both images record of their content. */
	readonly recorded: RecordedPair | undefined;
	/** What all threads have found; see `restIsKnown`. */
	readonly numbers: Float64Array;
	readonly onUnreadable: OnUnreadable;
}

/** Compares piece by piece; what both maps call zero is not read, nor is the side that has zeros. */
export function pieceComparer(
	first: Disk,
	second: Disk,
	{recorded, numbers, onUnreadable}: PieceComparerOptions,
): PieceComparer {
	const disks = [first, second] as const;
	const common = Math.min(first.size, second.size);
	const longer: Side = first.size >= second.size ? 0 : 1;
	const maps = [sideMap(first), sideMap(second)] as const;
	const spans = [newSpan(), newSpan()] as const;
	const buffers = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)] as const;
	const differences = pieceDifferences(PIECE);
	let read = 0;

	/** The error that reading ends with; nothing when it succeeds. */
	function fill(side: Side, position: number, bytes: Buffer): DiskError | undefined {
		try {
			disks[side].readAt(position, bytes);
			read += bytes.length;
			return undefined;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			return located(error, {file: disks[side].name, position});
		}
	}

	/** A run of one nature on both sides; `zero` says which side need not be read. */
	function compareRun(position: number, length: number, zero: readonly [boolean, boolean], level: number): void {
		const [a, b] = [buffers[0].subarray(0, length), buffers[1].subarray(0, length)];
		const errors = [zero[0] ? undefined : fill(0, position, a), zero[1] ? undefined : fill(1, position, b)] as const;
		const failure = errors[0] ?? errors[1];
		if (failure === undefined) return weigh(position, a, b, zero);
		const size = RETRY_SIZES[level];
		// What is damaged fails as a whole; of a failing medium the parts beside may be had.
		if (size === undefined || (level > 0 && errors.every(error => error === undefined || error.family !== 'io'))) {
			for (const side of [0, 1] as const) {
				const error = errors[side];
				if (error !== undefined) onUnreadable(side, position, length, error);
			}
			return;
		}
		for (let at = 0; at < length; ) {
			const step = Math.min(length - at, size - ((position + at) % size));
			compareRun(position + at, step, zero, level + 1);
			at += step;
		}
	}

	function weigh(position: number, a: Buffer, b: Buffer, zero: readonly [boolean, boolean]): void {
		if (zero[0] || zero[1]) {
			const bytes = zero[0] ? b : a;
			if (!isZero(bytes)) differences.addNonZero(position, bytes);
		} else if (!a.equals(b)) differences.addDifferent(position, a, b);
	}

	/** By the maps of both sides, run by run; neighbours that are alike are read together. */
	function compareRuns(from: number, to: number): void {
		let start = from;
		let nature: number | undefined;
		for (let at = from; at < to; ) {
			const found = natureAt(at);
			if (found !== nature) {
				if (nature !== undefined) finish(start, at, nature);
				nature = found;
				start = at;
			}
			at += Math.min(spans[0].length, spans[1].length);
		}
		if (nature !== undefined) finish(start, to, nature);
	}

	/** Two bits for each side: zero, unreadable. */
	function natureAt(position: number): number {
		let nature = 0;
		for (const side of [0, 1] as const) {
			maps[side](position, spans[side]);
			const {kind} = spans[side];
			if (readsAsZero(kind)) nature |= 1 << (2 * side);
			else if (kind === SpanKind.unreadable) nature |= 2 << (2 * side);
		}
		return nature;
	}

	function finish(from: number, to: number, nature: number): void {
		const unreadable = [(nature & 2) !== 0, (nature & 8) !== 0];
		for (const side of [0, 1] as const) {
			if (unreadable[side]) onUnreadable(side, from, to - from, lostWhenTaken(disks[side], from));
		}
		const zero = [(nature & 1) !== 0, (nature & 4) !== 0] as const;
		if (unreadable[0] || unreadable[1] || (zero[0] && zero[1])) return;
		compareRun(from, to - from, zero, 0);
	}

	/** What both have, by the recorded hashes where there are any. */
	function compareCommon(from: number, to: number): void {
		for (let at = from; at < to; ) {
			const same = Math.min(recorded?.same(at) ?? 0, to - at);
			const length = same > 0 ? same : Math.min(to - at, recorded?.left(at) ?? PIECE);
			if (same === 0 || isUnreadable(at, same)) compareRuns(at, at + length);
			at += length;
		}
	}

	/** Whether one of the disks has a part there that could not be read; hashes count it as zeros. */
	function isUnreadable(from: number, length: number): boolean {
		if (recorded?.mayBeUnreadable !== true) return false;
		for (let at = from; at < from + length; at += Math.min(spans[0].length, spans[1].length)) {
			if ((natureAt(at) & 10) !== 0) return true;
		}
		return false;
	}

	/** Beyond the end of the shorter disk: whether there is anything. */
	function lookAtRest(from: number, to: number): void {
		for (let at = from; at < to && !restIsKnown(numbers); ) {
			maps[longer](at, spans[0]);
			const {kind} = spans[0];
			const length = Math.min(spans[0].length, to - at);
			if (kind === SpanKind.unreadable) onUnreadable(longer, at, length, lostWhenTaken(disks[longer], at));
			else if (!readsAsZero(kind)) {
				const bytes = buffers[0].subarray(0, length);
				const error = fill(longer, at, bytes);
				if (error !== undefined) onUnreadable(longer, at, length, error);
				else if (!isZero(bytes)) return differences.addRest(at + bytes.findIndex(byte => byte !== 0));
			}
			at += length;
		}
	}

	return {
		differences,
		compare(position, length) {
			differences.clear();
			const end = position + length;
			if (position < common) compareCommon(position, Math.min(end, common));
			if (end > common) lookAtRest(Math.max(position, common), end);
		},
		get read() {
			return read;
		},
	};
}

function lostWhenTaken({name}: Disk, position: number): DiskError {
	return new DiskError('io', 'disk/unreadable', 'this part of the disk could not be read when the image was taken', {
		where: {file: name, position},
	});
}
