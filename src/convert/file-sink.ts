import {closeSync, fdatasyncSync, ftruncateSync, readSync, writeSync} from 'node:fs';
import {DiskError} from '../core/error.ts';
import type {ByteSink} from '../core/source.ts';
import {startWriteBack} from '../core/system/write-back.ts';

const HINTS: Readonly<Record<string, string>> = {
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

/** Output over an open descriptor, which stays the caller's. Any thread may have one over the same descriptor. */
export function fileSink(descriptor: number, name: string): ByteSink {
	function failed(action: string, position: number | undefined, cause: unknown): DiskError {
		const {code, message} = cause as NodeJS.ErrnoException;
		const hint = HINTS[code ?? ''];
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

	return {
		name,
		writeAt(position, bytes) {
			moveAll('write', position, bytes.length, done =>
				writeSync(descriptor, bytes, done, bytes.length - done, position + done),
			);
			noteWritten(position, bytes.length);
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
}
