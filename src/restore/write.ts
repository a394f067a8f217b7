import {isZero} from '../core/bytes/zeros.ts';
import type {Disk} from '../core/disk.ts';
import type {Patch} from '../partitions/gpt/relocate.ts';
import {BLOCK, layOut, MOST_RANGES, openContent, PIECE, type Run} from './content.ts';
import type {BadRange, State, TargetFile, WriteOptions, WriteOutcome} from './job.ts';
import {openMedium} from './medium.ts';

/** Bytes of the very last write: whatever a disk begins with, without its first sectors it is nothing. */
const SEAL = 4096;

/**
 * Writes a disk to a target, in this order: the head and the tail are erased, the body is written, then the tail, then
 * the head, its first sectors last, each step synced before the next. README.md says why. Throws Aborted, `output/...`
 * for failures to write, and what reading the disk throws unless it is to keep going.
 */
export function writeDisk(
	disk: Disk,
	target: TargetFile,
	patches: readonly Patch[],
	options: WriteOptions,
	state: State,
): WriteOutcome {
	const {differences, zeroUnreadable, keepGoing} = options;
	const content = openContent(disk, patches, {
		leaveFree: target.isDevice && !options.zeroFree,
		zeroUnreadable,
		keepGoing,
	});
	const medium = openMedium(target);
	const {headEnd, bodyEnd, tailStart} = layOut(disk.size, target.size, patches);
	const compares = differences && !target.isNew;
	const buffer = new Uint8Array(PIECE);
	const found = new Uint8Array(compares || options.verify ? PIECE : 0);
	const run: Run = {kind: 'zero', length: 0};
	const counts = {written: 0, zeroed: 0, left: 0, unchanged: 0};

	/** Before anything else changes, the target stops being the disk that it was. */
	function touch(): void {
		if (state.touched) return;
		state.touch();
		if (target.isNew) return;
		medium.zero(0, headEnd);
		medium.zero(tailStart, target.size - tailStart);
		medium.sync();
	}

	function write(position: number, bytes: Uint8Array): void {
		touch();
		counts.written += medium.write(position, bytes);
	}

	function zero(position: number, length: number): void {
		touch();
		medium.zero(position, length);
		counts.zeroed += length;
	}

	/** Calls back for each run of blocks within a piece that are not right; returns how many bytes are. */
	function eachDifference(position: number, wanted: Uint8Array | undefined, length: number, change: Change): number {
		const now = found.subarray(0, length);
		medium.read(position, now);
		let rightBytes = 0;
		let from = -1;
		for (let at = 0; at < length; ) {
			const end = Math.min(length, at + BLOCK - ((position + at) % BLOCK));
			const block = now.subarray(at, end);
			const right = wanted === undefined ? isZero(block) : same(block, wanted.subarray(at, end));
			if (right) {
				rightBytes += end - at;
				if (from >= 0) change(from, at);
				from = -1;
			} else if (from < 0) {
				from = at;
			}
			at = end;
		}
		if (from >= 0) change(from, length);
		return rightBytes;
	}

	/** Goes through what lies between head and tail. */
	function eachRun(data: (position: number, bytes: Uint8Array) => void, zeros: Visit, leave: Visit): void {
		for (let position = headEnd; position < bodyEnd; position += run.length) {
			state.throwIfAborted();
			content.runAt(position, bodyEnd, run);
			if (run.kind === 'data') {
				const bytes = buffer.subarray(0, run.length);
				content.read(position, bytes);
				data(position, bytes);
			} else if (run.kind === 'zero') {
				zeros(position, run.length);
			} else {
				leave(position, run.length);
			}
			state.position += run.length;
		}
	}

	function writeBody(): void {
		eachRun(
			(position, bytes) => {
				if (!compares) return write(position, bytes);
				counts.unchanged += eachDifference(position, bytes, bytes.length, (from, to) =>
					write(position + from, bytes.subarray(from, to)),
				);
			},
			(position, length) => {
				if (!compares) return zero(position, length);
				inPieces(position, length, (at, size) => {
					counts.unchanged += eachDifference(at, undefined, size, (from, to) => zero(at + from, to - from));
				});
			},
			(_, length) => {
				counts.left += length;
			},
		);
	}

	function inPieces(position: number, length: number, visit: Visit): void {
		for (let done = 0; done < length; done += PIECE) {
			state.throwIfAborted();
			visit(position + done, Math.min(PIECE, length - done));
		}
	}

	function isRight(position: number, wanted: Uint8Array): boolean {
		const now = new Uint8Array(wanted.length);
		medium.read(position, now);
		return same(now, wanted);
	}

	function verify(head: Uint8Array, tail: Uint8Array): {ranges: BadRange[]; bytes: number; uncached: boolean} {
		const ranges: {position: number; length: number}[] = [];
		let bytes = 0;
		const uncached = medium.forget();
		const blame = (position: number, length: number): void => {
			bytes += length;
			const last = ranges.at(-1);
			if (last !== undefined && last.position + last.length === position) last.length += length;
			else if (ranges.length < MOST_RANGES) ranges.push({position, length});
		};
		const check = (position: number, wanted: Uint8Array | undefined, length: number): void =>
			inPieces(position, length, (at, size) => {
				const part = wanted?.subarray(at - position, at - position + size);
				eachDifference(at, part, size, (from, to) => blame(at + from, to - from));
			});
		check(0, head, head.length);
		eachRun(
			(position, wanted) => check(position, wanted, wanted.length),
			(position, length) => check(position, undefined, length),
			() => {},
		);
		check(tailStart, tail, tail.length);
		return {ranges, bytes, uncached};
	}

	state.throwIfAborted();
	// What is written last is read first: damage there is known before anything has been changed.
	const head = new Uint8Array(headEnd);
	const tail = new Uint8Array(target.size - tailStart);
	content.readPatched(0, head);
	if (!compares) touch();
	writeBody();
	content.readPatched(tailStart, tail);
	if (compares && !state.touched && isRight(0, head) && isRight(tailStart, tail)) {
		counts.unchanged += head.length + tail.length;
	} else {
		touch();
		medium.sync();
		state.throwIfAborted();
		write(tailStart, tail);
		write(SEAL, head.subarray(SEAL));
		medium.sync();
		write(0, head.subarray(0, SEAL));
	}
	// Also what another program wrote, and is taken over, is on the medium then.
	medium.sync();
	state.seal();
	state.position += Math.max(0, disk.size - (bodyEnd - headEnd));
	const verified = options.verify ? verify(head, tail) : undefined;
	return {
		...counts,
		damaged: content.damaged,
		damagedBytes: content.damagedBytes,
		wrong: verified?.ranges,
		wrongBytes: verified?.bytes ?? 0,
		uncached: verified?.uncached ?? false,
	};
}

/** Byte by byte in JavaScript it would take longer than reading. */
function same(a: Uint8Array, b: Uint8Array): boolean {
	return Buffer.compare(a, b) === 0;
}

type Visit = (position: number, length: number) => void;
/** From and to are offsets in the piece. */
type Change = (from: number, to: number) => void;
