import {chmodSync, fchmodSync, fchownSync, futimesSync, lchownSync, lutimesSync} from 'node:fs';
import process from 'node:process';
import type {Stat, Timestamp} from '../core/file-system.ts';
import {declare, systemError} from '../core/system/libc.ts';

/** Whose files the copies are: the caller's, or whoever owns them in the image. */
export type Ownership = 'mounter' | 'image';

/** The bits that a copy gets unless owners are kept as well: setuid under another owner is an invitation. */
const PERMISSIONS = 0o777;
const ALL_BITS = 0o7777;

/** What is given its attributes: an open file or directory, or a name where it cannot be opened. */
export interface AttributeTarget {
	readonly descriptor: number | undefined;
	readonly place: Buffer;
}

/** Gives a copy its owner, mode and times, in the order in which the later ones survive. */
export function applyAttributes({descriptor, place}: AttributeTarget, stat: Stat, owner: Ownership): void {
	const isLink = stat.type === 'symlink';
	if (owner === 'image') {
		if (descriptor === undefined) lchownSync(place, stat.uid, stat.gid);
		else fchownSync(descriptor, stat.uid, stat.gid);
	}
	const mode = stat.mode & (owner === 'image' ? ALL_BITS : PERMISSIONS);
	if (descriptor !== undefined) fchmodSync(descriptor, mode);
	else if (!isLink) chmodSync(place, mode);
	setTimes({descriptor, place}, stat.accessed ?? stat.modified, stat.modified);
}

const futimens = declare<(descriptor: number, times: Uint8Array) => number>('int futimens(int, const void *)');
const utimensat = declare<(directory: number, path: Uint8Array, times: Uint8Array, flags: number) => number>(
	'int utimensat(int, const void *, const void *, int)',
);
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
/** Node's own calls take seconds as a double, which is exact to 240 ns only; where `struct timespec` is two 64-bit words it goes there directly. */
const hasWideTimespec = process.platform === 'linux' && ['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch);

function setTimes({descriptor, place}: AttributeTarget, accessed: Timestamp, modified: Timestamp): void {
	if (!hasWideTimespec) {
		if (descriptor === undefined) lutimesSync(place, inSeconds(accessed), inSeconds(modified));
		else futimesSync(descriptor, inSeconds(accessed), inSeconds(modified));
		return;
	}
	const times = new Uint8Array(32);
	const view = new DataView(times.buffer);
	for (const [index, {seconds, nanoseconds}] of [accessed, modified].entries()) {
		view.setBigInt64(index * 16, BigInt(seconds), true);
		view.setUint32(index * 16 + 8, nanoseconds, true);
	}
	const result =
		descriptor === undefined
			? utimensat()(AT_FDCWD, Buffer.concat([place, Uint8Array.of(0)]), times, AT_SYMLINK_NOFOLLOW)
			: futimens()(descriptor, times);
	if (result !== 0) throw systemError('utimensat');
}

function inSeconds({seconds, nanoseconds}: Timestamp): number {
	return seconds + nanoseconds / 1_000_000_000;
}
