import {closeSync, constants, ftruncateSync, openSync, renameSync, unlinkSync, writeSync} from 'node:fs';
import {newSpan} from '../core/disk.ts';
import type {FileSystem, Stat} from '../core/file-system.ts';
import {PIECE, readExactly, runAt} from '../work/content.ts';
import type {Pace} from '../work/pace.ts';
import {applyAttributes, type Ownership} from './attributes.ts';
import {onHost} from './host-error.ts';
import {lookAt} from './target-directory.ts';

/** Bytes of the longest name on every system in use. */
const LONGEST_NAME = 255;
const SUFFIX = '.tintype-partial';
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);

/** The name under which a file is written until it is whole; `isTaken` says what the image itself put there. */
export function partialName(name: Uint8Array, isTaken: (name: Uint8Array) => boolean): Uint8Array {
	for (let attempt = 0; ; attempt++) {
		const suffix = Buffer.from(attempt === 0 ? SUFFIX : `${SUFFIX}-${attempt}`);
		const room = LONGEST_NAME - 1 - suffix.length;
		const candidate = Buffer.concat([Buffer.from('.'), name.subarray(0, room), suffix]);
		if (!isTaken(candidate)) return candidate;
	}
}

export interface FileCopy {
	readonly partial: Buffer;
	readonly final: Buffer;
	/** The final path as a person would name it. */
	readonly shown: Buffer;
	readonly owner: Ownership;
}

/** One buffer for all files: they are copied one at a time. */
const buffer = new Uint8Array(PIECE);

/** Writes one file under its partial name, holes left out, and renames it when it is whole. Leaves no partial file. */
export async function copyFile(
	tree: FileSystem,
	stat: Stat,
	{partial, final, shown, owner}: FileCopy,
	pace: Pace,
	onBytes: (count: number) => void,
): Promise<void> {
	const descriptor = onHost(shown, () => openPartial(partial));
	try {
		try {
			await copyContent(tree, stat, descriptor, shown, pace, onBytes);
			onHost(shown, () => {
				ftruncateSync(descriptor, stat.size);
				applyAttributes({descriptor, place: partial}, stat, owner);
			});
		} finally {
			closeSync(descriptor);
		}
		onHost(shown, () => renameSync(partial, final));
	} catch (error) {
		unlinkSync(partial);
		throw error;
	}
}

/** What a killed run left under this name is replaced; it was never whole. */
function openPartial(partial: Buffer): number {
	if (lookAt(partial)?.isDirectory() === false) unlinkSync(partial);
	return openSync(partial, NEW_FILE, 0o600);
}

async function copyContent(
	tree: FileSystem,
	{node, size}: Stat,
	descriptor: number,
	shown: Buffer,
	pace: Pace,
	onBytes: (count: number) => void,
): Promise<void> {
	const span = newSpan();
	for (let position = 0; position < size; ) {
		const {hole, length} = runAt(tree, node, position, size, span);
		if (!hole) {
			const piece = buffer.subarray(0, length);
			readExactly(tree, node, position, piece);
			onHost(shown, () => writeFully(descriptor, piece, position));
		}
		position += length;
		onBytes(length);
		if (pace.due()) await pace.turn();
	}
}

function writeFully(descriptor: number, bytes: Uint8Array, position: number): void {
	for (let done = 0; done < bytes.length; ) {
		done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
	}
}
