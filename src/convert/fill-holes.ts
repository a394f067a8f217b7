import {fstatSync, readSync, writeSync} from 'node:fs';
import process from 'node:process';
import {isZero} from '../core/bytes/zeros.ts';
import {DiskError} from '../core/error.ts';
import {allocateRange} from '../core/system/allocate.ts';
import {errnoName} from '../core/system/libc.ts';
import {seekData, seekHole} from '../core/system/seek.ts';
import {WRITE_HINTS} from './file-sink.ts';

/** Bytes between two looks whether the work is to end. tmpfs zeroes what it allocates, at memory's speed. */
const STEP = 1 << 30;
/** Zeros written in one call. */
const BLOCK = 1 << 20;
/** What is looked at for zeros where holes cannot be asked for: the smallest cluster that is usual. */
const GRAIN = 1 << 12;

/**
 * Gives all of a file blocks, so that nobody takes it for sparse; it reads as before. `proceed` throws when the work is
 * to end. Where the file system cannot allocate, zeros are written into the holes.
 */
export function fillHoles(descriptor: number, name: string, proceed: () => void): void {
	const {size} = fstatSync(descriptor);
	try {
		for (let position = 0; position < size; position += STEP) {
			proceed();
			if (!allocateRange(descriptor, position, Math.min(STEP, size - position))) {
				writeZeros(descriptor, size, proceed);
				return;
			}
		}
	} catch (error) {
		const code = errnoName(error);
		if (code === undefined) throw error;
		const hint = WRITE_HINTS[code];
		throw new DiskError('io', 'output/allocate', `${name} could not be given all its blocks: ${code}`, {
			where: {file: name},
			...(hint !== undefined && {hint}),
			cause: error,
		});
	}
}

/** Writes zeros where a file has holes; its size stays. */
export function writeZeros(descriptor: number, size: number, proceed: () => void): void {
	if (process.platform !== 'win32' && fillFoundHoles(descriptor, size, proceed) > 0) return;
	const {blocks} = fstatSync(descriptor);
	if (blocks * 512 < size) rewriteZeros(descriptor, size, proceed);
}

/** The count of holes that the system named, which are filled now. */
function fillFoundHoles(descriptor: number, size: number, proceed: () => void): number {
	const zeros = new Uint8Array(BLOCK);
	let count = 0;
	for (let position = 0; position < size; ) {
		const hole = seekHole(descriptor, position) ?? size;
		if (hole >= size) break;
		const end = Math.min(seekData(descriptor, hole) ?? size, size);
		for (let at = hole; at < end; at += BLOCK) {
			proceed();
			writeAll(descriptor, zeros.subarray(0, Math.min(BLOCK, end - at)), at);
		}
		count += 1;
		position = end;
	}
	return count;
}

/** For file systems that have holes and do not say where (NTFS through FUSE): all that reads as zeros is written. */
function rewriteZeros(descriptor: number, size: number, proceed: () => void): void {
	const block = new Uint8Array(BLOCK);
	for (let position = 0; position < size; position += BLOCK) {
		proceed();
		const bytes = block.subarray(0, Math.min(BLOCK, size - position));
		for (let done = 0; done < bytes.length; ) {
			const count = readSync(descriptor, bytes, done, bytes.length - done, position + done);
			if (count === 0) return;
			done += count;
		}
		let zeroFrom = 0;
		for (let at = 0; at < bytes.length; at += GRAIN) {
			if (isZero(bytes.subarray(at, at + GRAIN))) continue;
			writeAll(descriptor, bytes.subarray(zeroFrom, at), position + zeroFrom);
			zeroFrom = at + GRAIN;
		}
		writeAll(descriptor, bytes.subarray(zeroFrom), position + zeroFrom);
	}
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
	for (let done = 0; done < bytes.length; ) {
		done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
	}
}
