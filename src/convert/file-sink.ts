import {closeSync, fdatasyncSync, ftruncateSync, readSync, writeSync} from 'node:fs';
import {DiskError} from '../core/error.ts';
import {usedGrains, writeGrains} from '../core/grains.ts';
import type {ByteSink, ByteSource} from '../core/source.ts';
import {cloneRange} from '../core/system/clone.ts';
import {errnoName} from '../core/system/libc.ts';
import {startWriteBack} from '../core/system/write-back.ts';

/** What to do about an error of writing, by its errno name. */
export const WRITE_HINTS: Readonly<Record<string, string>> = {
	ENOSPC: 'free some space, or choose a target on another disk',
	EDQUOT: 'the quota is used up; choose a target elsewhere',
	EFBIG: 'its file system cannot hold so large a file; choose a target on another one',
	EROFS: 'choose a target on a file system that can be written',
};

/**
 * Bytes written before the system is told to bring them to the medium: while more is being made, so that the sync at the
 * end finds little to do.
 */
const WRITE_BACK_WINDOW = 16 << 20;

/** What is copied at a time; at most 32 grains. */
const COPY_BUFFER = 1 << 20;

export interface FileSink extends ByteSink {
	readonly cloneAt: (position: number, source: ByteSource, from: number, length: number) => void;
	/** Bytes whose blocks are shared with other files. */
	readonly cloned: number;
}

/** Output over an open descriptor, which stays the caller's. Any thread may have one over the same descriptor. */
export function fileSink(descriptor: number, name: string): FileSink {
	let cloned = 0;

	function failed(action: string, position: number | undefined, cause: unknown): DiskError {
		const {message} = cause as Error;
		const code = errnoName(cause);
		const hint = WRITE_HINTS[code ?? ''];
		return new DiskError('io', `output/${action}`, `${action} of ${name} failed: ${code ?? message}`, {
			where: {file: name, ...(position !== undefined && {position})},
			...(hint !== undefined && {hint}),
			cause,
		});
	}

	/** Repeats `step`, which moves up to `length - done` bytes, until all are moved. */
	function moveAll(action: string, position: number, length: number, step: (done: number) => number): void {
		for (let done = 0; done < length; ) {
			try {
				const count = step(done);
				if (count === 0) throw new Error('nothing more could be moved');
				done += count;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw failed(action, position + done, error);
			}
		}
	}

	/** What was written since the system was told last. */
	const window = {start: 0, end: 0, written: 0};

	function noteWritten(position: number, length: number): void {
		window.start = window.written === 0 ? position : Math.min(window.start, position);
		window.end = window.written === 0 ? position + length : Math.max(window.end, position + length);
		window.written += length;
		if (window.written < WRITE_BACK_WINDOW) return;
		startWriteBack(descriptor, window.start, window.end - window.start);
		window.written = 0;
	}

	function writeAt(position: number, bytes: Uint8Array): void {
		moveAll('write', position, bytes.length, done =>
			writeSync(descriptor, bytes, done, bytes.length - done, position + done),
		);
		noteWritten(position, bytes.length);
	}

	/** What the file system would not clone after all: it may allow only so many to share one block. */
	function copyAt(position: number, source: ByteSource, from: number, length: number): void {
		const buffer = new Uint8Array(Math.min(length, COPY_BUFFER));
		for (let done = 0; done < length; done += buffer.length) {
			const bytes = buffer.subarray(0, length - done);
			source.readAt(from + done, bytes);
			const piece = {position: 0, bytes};
			writeGrains(sink, position + done, piece, usedGrains(piece));
		}
	}

	const sink: FileSink = {
		name,
		writeAt,
		cloneAt(position, source, from, length) {
			try {
				if (source.descriptor === undefined) throw new Error('a source without a descriptor was to be cloned');
				cloneRange(source.descriptor, from, length, descriptor, position);
			} catch (error) {
				if (errnoName(error) === undefined) throw error;
				return copyAt(position, source, from, length);
			}
			cloned += length;
		},
		get cloned() {
			return cloned;
		},
		readAt(position, target) {
			moveAll('read', position, target.length, done =>
				readSync(descriptor, target, done, target.length - done, position + done),
			);
		},
		truncate(size) {
			try {
				ftruncateSync(descriptor, size);
			} catch (error) {
				throw failed('truncate', size, error);
			}
		},
		sync() {
			try {
				fdatasyncSync(descriptor);
			} catch (error) {
				throw failed('sync', undefined, error);
			}
		},
		[Symbol.dispose]: () => closeSync(descriptor),
	};
	return sink;
}
