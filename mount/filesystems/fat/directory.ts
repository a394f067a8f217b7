import {viewOf} from '../../../src/core/bytes/layout.ts';
import type {DiskError} from '../../../src/core/error.ts';
import {DIRECTORY_BLOCK, ENTRY_SIZE, NAME_DELETED, NAME_END} from './layout.ts';
import {longNameCollector} from './long-name.ts';
import {isDotEntry, isLabelEntry, isLongEntry, readShortName, shortNameChecksum} from './short-name.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** Where a piece of a directory lies in the volume. Owned and reused by the caller. */
export interface Piece {
	at: number;
	length: number;
}

/** A directory's bytes, wherever they lie. */
export interface DirectoryData {
	/** Bytes that can be read. */
	readonly size: number;
	/** Why there are not more, where there should be. */
	readonly fault: DiskError | undefined;
	/** The piece that starts at `position` (below `size`). */
	locate(position: number, piece: Piece): void;
}

/** An entry in use, seen while scanning. Valid only during the visit. */
export interface ScannedEntry {
	/** Where the short entry lies. */
	readonly view: DataView;
	readonly at: number;
	/** The same as a position in the volume. */
	readonly position: number;
	/** Where to go on behind it. */
	readonly cursor: number;
	/** The whole and matching long name in front of it. */
	readonly longName: string | undefined;
}

type Writable<T> = {-readonly [K in keyof T]: T[K]};

/** What of a directory's entries a scan is after. */
export type ScanFilter = 'files' | 'labels';

export interface DirectoryScanner {
	/**
	 * Visits the entries from slot `cursor` on until `visit` returns false: files and directories without `.` and
	 * `..`, or volume labels. Shows what is readable, then throws.
	 */
	scan(data: DirectoryData, cursor: number, filter: ScanFilter, visit: (entry: ScannedEntry) => boolean): void;
}

export function directoryScanner(volume: Volume): DirectoryScanner {
	/** Blocks at rest: a visit may start another scan. */
	const blocks: Uint8Array[] = [];

	return {
		scan(data, cursor, filter, visit) {
			const block = blocks.pop() ?? new Uint8Array(DIRECTORY_BLOCK);
			try {
				scanWith(block, volume, data, cursor, filter, visit);
			} finally {
				blocks.push(block);
			}
		},
	};
}

function scanWith(
	block: Uint8Array,
	volume: Volume,
	data: DirectoryData,
	cursor: number,
	filter: ScanFilter,
	visit: (entry: ScannedEntry) => boolean,
): void {
	const view = viewOf(block);
	const piece: Piece = {at: 0, length: 0};
	const longName = longNameCollector();
	const entry: Writable<ScannedEntry> = {view, at: 0, position: 0, cursor: 0, longName: undefined};
	const wantLabels = filter === 'labels';
	let position = cursor * ENTRY_SIZE;
	while (position < data.size) {
		data.locate(position, piece);
		const length = Math.min(piece.length, DIRECTORY_BLOCK);
		volume.read(piece.at, block.subarray(0, length));
		for (let at = 0; at < length; at += ENTRY_SIZE, position += ENTRY_SIZE) {
			const first = view.getUint8(at);
			if (first === NAME_END) return;
			if (first === NAME_DELETED) {
				longName.reset();
			} else if (isLongEntry(view, at)) {
				longName.add(view, at);
			} else if (isLabelEntry(view, at) !== wantLabels || isDotEntry(view, at)) {
				longName.reset();
			} else {
				entry.at = at;
				entry.position = piece.at + at;
				entry.cursor = position / ENTRY_SIZE + 1;
				entry.longName = longName.finish(shortNameChecksum(view, at));
				if (!visit(entry)) return;
			}
		}
	}
	if (data.fault !== undefined) throw data.fault;
}

/** The name under which an entry is shown. */
export function shownName(entry: ScannedEntry): string {
	return entry.longName ?? readShortName(entry.view, entry.at, true);
}
