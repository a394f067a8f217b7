import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError, located, unsupported} from '../../../src/core/error.ts';
import {NODE_ID_LIMIT} from '../../../src/core/file-system.ts';
import {type EntrySet, faultOfSet, isSecondaryInUse, newEntrySet} from './entry-set.ts';
import {DIRECTORY_BLOCK, END_OF_DIRECTORY, ENTRY_SIZE, EntryBit, EntryType, PrimaryEntry} from './layout.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** Where a piece of a directory lies in the volume. Owned and reused by the caller. */
export interface Piece {
	at: number;
	length: number;
}

/** A directory's bytes, wherever they lie. */
export interface DirectoryData {
	/** Bytes that can be read, a multiple of an entry. */
	readonly size: number;
	/** Why there are not more, where there should be. */
	readonly fault: DiskError | undefined;
	/** Only the root may hold entries of the volume itself (section 6.3.1.2.1). */
	readonly isRoot: boolean;
	/** The piece that starts at `position` (below `size`). */
	locate(position: number, piece: Piece): void;
}

/** A file or directory, seen while scanning. Valid only during the visit. */
export interface ScannedEntry {
	readonly set: EntrySet;
	/** Where its file entry lies in the volume. */
	readonly position: number;
	/**
	 * Where to go on behind it: twice the entry's number in the directory, plus 1 when something before it was damaged,
	 * so that a listing in several calls fails at its end, too.
	 */
	readonly cursor: number;
}

type Writable<T> = {-readonly [K in keyof T]: T[K]};

export interface DirectoryVisitor {
	/** A file or directory; false ends the scan. */
	file(entry: ScannedEntry): boolean;
	/** An entry of the volume itself, in the root. */
	readonly other?: (type: number, view: DataView, at: number) => void;
}

export interface DirectoryScanner {
	/** Visits what is behind `cursor`. Damage costs the entries that it hits, and is thrown at the end. */
	scan(data: DirectoryData, cursor: number, visitor: DirectoryVisitor): void;
}

interface Work {
	readonly block: Uint8Array;
	readonly view: DataView;
	readonly set: EntrySet;
}

function newWork(): Work {
	const block = new Uint8Array(DIRECTORY_BLOCK);
	return {block, view: viewOf(block), set: newEntrySet()};
}

/** `onBehindEnd` is told where an entry in use lies behind the end of its directory, as far as that is read anyway. */
export function directoryScanner(volume: Volume, onBehindEnd: (position: number) => void): DirectoryScanner {
	/** Buffers at rest: a visit may start another scan. */
	const atRest: Work[] = [];

	return {
		scan(data, cursor, visitor) {
			const work = atRest.pop() ?? newWork();
			try {
				scanWith(work, volume, data, cursor, visitor, onBehindEnd);
			} finally {
				atRest.push(work);
			}
		},
	};
}

/** Primary entries that describe the volume. */
const VOLUME_ENTRIES: ReadonlySet<number> = new Set([
	EntryType.allocationBitmap,
	EntryType.upcaseTable,
	EntryType.volumeLabel,
	EntryType.volumeGuid,
]);

function scanWith(
	{block, view, set}: Work,
	volume: Volume,
	data: DirectoryData,
	cursor: number,
	visitor: DirectoryVisitor,
	onBehindEnd: (position: number) => void,
): void {
	const piece: Piece = {at: 0, length: 0};
	const entry: Writable<ScannedEntry> = {set, position: 0, cursor: 0};
	let damagedBefore = cursor % 2 === 1;
	let fault: DiskError | undefined;
	/** Secondary entries that the set at hand still lacks. */
	let missing = 0;
	/** Secondary entries of something else, to be passed over. */
	let passing = 0;

	function damage(error: DiskError): void {
		fault ??= error;
		damagedBefore = true;
	}

	function breakOff(): void {
		if (missing === 0) return;
		missing = 0;
		const message = `a directory entry set ends ${set.count} entries after its start`;
		damage(corrupt('exfat/entry-set', message, {position: entry.position, structure: 'file entry'}));
	}

	/** Takes what is not a part of the set at hand; false at the end of the directory. */
	function start(type: number, at: number): boolean {
		breakOff();
		if (type === END_OF_DIRECTORY) return false;
		if ((type & EntryBit.inUse) === 0) {
			passing = 0;
		} else if ((type & EntryBit.secondary) !== 0) {
			if (passing > 0) passing--;
			else {
				const message = `a directory entry of type 0x${type.toString(16)} belongs to no file`;
				damage(corrupt('exfat/orphan-entry', message, {position: piece.at + at, structure: 'directory entry'}));
			}
		} else if (type === EntryType.file) {
			passing = 0;
			entry.position = piece.at + at;
			missing = PrimaryEntry.fields.secondaryCount.read(view, at);
			set.bytes.set(block.subarray(at, at + ENTRY_SIZE));
			set.count = 1;
			if (missing === 0) {
				const message = 'a file entry has no further entries';
				damage(corrupt('exfat/entry-set', message, {position: entry.position, structure: 'file entry'}));
			}
		} else {
			startOther(type, at);
		}
		return true;
	}

	function startOther(type: number, at: number): void {
		const known = VOLUME_ENTRIES.has(type);
		passing = known ? 0 : PrimaryEntry.fields.secondaryCount.read(view, at);
		if (known && data.isRoot) visitor.other?.(type, view, at);
		else if ((type & EntryBit.benign) === 0) {
			const place = known ? 'belongs into the root' : 'is unknown';
			const message = `a directory entry is of the type 0x${type.toString(16)}, which ${place}`;
			damage(corrupt('exfat/unknown-entry', message, {position: piece.at + at, structure: 'directory entry'}));
		}
	}

	/** The last entry of a set has come; false ends the scan. */
	function finish(next: number): boolean {
		const wrong =
			entry.position / ENTRY_SIZE < NODE_ID_LIMIT
				? faultOfSet(set)
				: unsupported('exfat/node-id', 'a directory entry lies too far behind in the volume');
		if (wrong !== undefined) {
			damage(located(wrong, {position: entry.position}));
			return true;
		}
		entry.cursor = (next / ENTRY_SIZE) * 2 + (damagedBefore ? 1 : 0);
		return visitor.file(entry);
	}

	function scan(): boolean {
		let position = Math.floor(cursor / 2) * ENTRY_SIZE;
		while (position < data.size) {
			data.locate(position, piece);
			const length = Math.min(piece.length, DIRECTORY_BLOCK, data.size - position);
			if (!readBlock(length)) {
				position += length;
				continue;
			}
			for (let at = 0; at < length; at += ENTRY_SIZE) {
				position += ENTRY_SIZE;
				const type = block[at];
				if (missing === 0 || !isSecondaryInUse(type)) {
					if (start(type, at)) continue;
					lookBehindEnd(at, length);
					return true;
				}
				set.bytes.set(block.subarray(at, at + ENTRY_SIZE), set.count * ENTRY_SIZE);
				set.count++;
				if (--missing === 0 && !finish(position)) return false;
			}
		}
		breakOff();
		if (data.fault !== undefined) damage(data.fault);
		return true;
	}

	/** All entries behind the first end marker are end markers, too (section 6.2.1). */
	function lookBehindEnd(end: number, length: number): void {
		for (let at = end; at < length; at += ENTRY_SIZE) {
			if ((block[at] & EntryBit.inUse) !== 0) return onBehindEnd(piece.at + at);
		}
	}

	/** False where a part of the directory cannot be read, which costs the entries in it. */
	function readBlock(length: number): boolean {
		try {
			volume.read(piece.at, block.subarray(0, length));
			return true;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			missing = 0;
			passing = 0;
			damage(error);
			return false;
		}
	}

	if (!scan()) return;
	if (fault !== undefined) throw fault;
	if (damagedBefore) throw corrupt('exfat/directory', 'an earlier part of the directory is damaged');
}
