import {roundDown, roundUp} from '../core/bytes/u64.ts';
import {isZero} from '../core/bytes/zeros.ts';
import {DiskError} from '../core/error.ts';
import {errnoName} from '../core/system/libc.ts';
import {fileSink} from '../convert/file-sink.ts';
import {BLOCK} from './content.ts';
import type {TargetFile} from './job.ts';
import {startWriteBack} from '../core/system/write-back.ts';
import {dropCache, punchHole, waitWritten, zeroOut} from './system.ts';

/** Bytes after which writing to the medium is started: what waits in memory stays little, so that a sync is short. */
const WINDOW = 64 << 20;
const ZEROS = new Uint8Array(1 << 20);

/** The target, whatever it is. */
export interface Medium {
	read(position: number, target: Uint8Array): void;
	/** Returns how many bytes it wrote: in a new file zeros stay holes. */
	write(position: number, bytes: Uint8Array): number;
	/** Makes a range read as zeros. Nothing is to be done in a new file. */
	zero(position: number, length: number): void;
	/** Returns when all that was written is on the medium. */
	sync(): void;
	/** Makes the next reads come from the medium; false where the system cannot. Call it after `sync`. */
	forget(): boolean;
}

export function openMedium({descriptor, name, isDevice, isNew}: TargetFile): Medium {
	const sink = fileSink(descriptor, name);
	let quickZero = true;
	/** Written since the last window, from where to where, and how much. */
	let from = 0;
	let pending = 0;
	let before = {from: 0, length: 0};

	/** Keeps the amount of unwritten bytes small: one window is being written while the next one fills. */
	function account(position: number, length: number): void {
		if (pending === 0) from = position;
		pending += length;
		const end = position + length;
		if (pending < WINDOW || end <= from) return;
		try {
			startWriteBack(descriptor, from, end - from);
			if (before.length > 0) waitWritten(descriptor, before.from, before.length);
		} catch (error) {
			throw failed('sync', before.from, error);
		}
		before = {from, length: end - from};
		pending = 0;
	}

	function write(position: number, bytes: Uint8Array): void {
		sink.writeAt(position, bytes);
		account(position, bytes.length);
	}

	function writeZeros(position: number, length: number): void {
		for (let done = 0; done < length; ) {
			const step = Math.min(ZEROS.length, length - done);
			write(position + done, step === ZEROS.length ? ZEROS : ZEROS.subarray(0, step));
			done += step;
		}
	}

	function failed(action: string, position: number, cause: unknown): DiskError {
		const message = `${action} of ${name} failed: ${errnoName(cause) ?? String(cause)}`;
		return new DiskError('io', `output/${action}`, message, {where: {file: name, position}, cause});
	}

	/** False where the device or file system cannot; then zeros are written. */
	function zeroQuickly(position: number, length: number): boolean {
		try {
			return (isDevice ? zeroOut : punchHole)(descriptor, position, length);
		} catch (error) {
			throw failed('zero', position, error);
		}
	}

	return {
		read: (position, target) => sink.readAt(position, target),
		write(position, bytes) {
			if (!isNew) {
				write(position, bytes);
				return bytes.length;
			}
			let written = 0;
			let first = 0;
			for (let at = 0; at < bytes.length; ) {
				const end = Math.min(bytes.length, at + BLOCK - ((position + at) % BLOCK));
				if (isZero(bytes.subarray(at, end))) {
					if (at > first) write(position + first, bytes.subarray(first, at));
					first = end;
				} else {
					written += end - at;
				}
				at = end;
			}
			if (bytes.length > first) write(position + first, bytes.subarray(first));
			return written;
		},
		zero(position, length) {
			if (isNew) return;
			// Whole blocks only: then no part of a sector or page is left to the device.
			const first = Math.min(roundUp(position, BLOCK), position + length);
			const last = Math.max(first, roundDown(position + length, BLOCK));
			if (quickZero && last > first) {
				quickZero = zeroQuickly(first, last - first);
				if (quickZero) {
					writeZeros(position, first - position);
					writeZeros(last, position + length - last);
					return;
				}
			}
			writeZeros(position, length);
		},
		sync: () => sink.sync(),
		forget: () => dropCache(descriptor, isDevice),
	};
}
