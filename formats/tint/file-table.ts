import {viewOf} from '../../src/core/bytes/layout.ts';
import {corrupt} from '../../src/core/error.ts';
import {FileTableEntry, MAX_FILES, PARENT_FLAG} from './layout.ts';

/** SPEC.md section 9: a file of the chain; its place in the table is its number. */
export interface ChainEntry {
	readonly imageId: Uint8Array;
	readonly run: number;
	/** Whether it is the image that this one was compared with. */
	readonly parent: boolean;
	/** Where the state referred to ends. */
	readonly end: number;
	/** All zero where it is not known. */
	readonly contentId: Uint8Array;
	readonly runSalt: Uint8Array;
}

const SIZE = FileTableEntry.size;

/** Bytes that a table may have. */
export const MAX_FILE_TABLE = MAX_FILES * SIZE;

export function readFileTable(bytes: Uint8Array): ChainEntry[] {
	if (bytes.length === 0 || bytes.length % SIZE !== 0) {
		throw corrupt('tint/file-table', `the file table has ${bytes.length} bytes, not whole entries`, {
			structure: 'file table',
		});
	}
	const view = viewOf(bytes);
	const entries: ChainEntry[] = [];
	for (let at = 0; at < bytes.length; at += SIZE) {
		const {imageId, run, flags, end, contentId, runSalt} = FileTableEntry.read(view, at);
		entries.push({imageId, run, parent: (flags & PARENT_FLAG) !== 0, end, contentId, runSalt});
	}
	return entries;
}

export function writeFileTable(entries: readonly ChainEntry[]): Uint8Array {
	const bytes = new Uint8Array(entries.length * SIZE);
	const view = viewOf(bytes);
	for (const [number, {parent, ...values}] of entries.entries()) {
		FileTableEntry.write(view, number * SIZE, {...values, flags: parent ? PARENT_FLAG : 0});
	}
	return bytes;
}
