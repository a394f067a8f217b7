import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import {setChecksum} from './checksums.ts';
import {
	ENTRY_SIZE,
	EntryBit,
	EntryType,
	FileAttribute,
	FileEntry,
	MAX_SET_ENTRIES,
	NAME_AT,
	NAME_UNITS,
	PrimaryEntry,
	StreamEntry,
	StreamFlag,
} from './layout.ts';

/** The entries of one file or directory: file entry, stream extension, names, and what vendors add. Owned and reused. */
export interface EntrySet {
	readonly bytes: Uint8Array;
	readonly view: DataView;
	/** Entries in use; the first is the file entry. */
	count: number;
}

export function newEntrySet(): EntrySet {
	const bytes = new Uint8Array(MAX_SET_ENTRIES * ENTRY_SIZE);
	return {bytes, view: viewOf(bytes), count: 0};
}

export function isSecondaryInUse(type: number): boolean {
	const both = EntryBit.secondary | EntryBit.inUse;
	return (type & both) === both;
}

/** What the fields of a set's stream extension start from. */
export const STREAM_AT = ENTRY_SIZE;

/** Why a set describes no file, or undefined where it does (sections 6.3.3, 6.4.1.2, 7.4, 7.6, 7.7). */
export function faultOfSet(set: EntrySet): DiskError | undefined {
	const {bytes, view, count} = set;
	const recorded = PrimaryEntry.fields.setChecksum.read(view, 0);
	const sum = setChecksum(bytes, count * ENTRY_SIZE);
	if (sum !== recorded) {
		const message = `the checksum of a directory entry set is ${sum}, but ${recorded} is recorded`;
		return corrupt('exfat/set-checksum', message, {structure: FileEntry.name, field: 'setChecksum'});
	}
	if (count < 2 || bytes[STREAM_AT] !== EntryType.streamExtension) {
		return wrong('a directory entry set lacks its stream extension');
	}
	const names = nameEntries(set);
	const units = nameUnits(set);
	if (units === 0) return wrong('a directory entry set has no name');
	if (units > names * NAME_UNITS) {
		return wrong(`a directory entry set has ${names} name entries for a name of ${units} characters`);
	}
	for (let index = 2 + names; index < count; index++) {
		const type = bytes[index * ENTRY_SIZE];
		if (type === EntryType.fileName || type === EntryType.streamExtension) {
			return wrong('a directory entry set names its file twice');
		}
		if ((type & EntryBit.benign) === 0) {
			const message = `a directory entry set has an entry of the unknown type 0x${type.toString(16)}`;
			return unsupported('exfat/unknown-entry', message, {structure: FileEntry.name});
		}
	}
	return faultOfStream(view);
}

function wrong(message: string): DiskError {
	return corrupt('exfat/entry-set', message, {structure: FileEntry.name});
}

function faultOfStream(view: DataView): DiskError | undefined {
	const {flags, dataLength, validDataLength} = StreamEntry.fields;
	try {
		const size = dataLength.read(view, STREAM_AT);
		validDataLength.read(view, STREAM_AT);
		if (size === 0 || (flags.read(view, STREAM_AT) & StreamFlag.allocationPossible) !== 0) return undefined;
		return wrong(`a file of ${size} bytes says that it can have no clusters`);
	} catch (error) {
		if (error instanceof DiskError) return wrong(error.message);
		throw error;
	}
}

export function readSetType({view}: EntrySet): 'file' | 'directory' {
	return (FileEntry.fields.attributes.read(view, 0) & FileAttribute.directory) === 0 ? 'file' : 'directory';
}

/** File name entries, which follow the stream extension. */
function nameEntries({bytes, count}: EntrySet): number {
	let end = 2;
	while (end < count && bytes[end * ENTRY_SIZE] === EntryType.fileName) end++;
	return end - 2;
}

/** Whether as many name entries are there as the recorded length asks for (section 7.7). */
export function hasNameLength(set: EntrySet): boolean {
	return Math.ceil(StreamEntry.fields.nameLength.read(set.view, STREAM_AT) / NAME_UNITS) === nameEntries(set);
}

/**
 * Units of the name. Where the length contradicts the entries (one writer records 256 units as 0), what is in front of
 * the first NUL is the name; it may still be longer than the entries have room for.
 */
function nameUnits(set: EntrySet): number {
	const recorded = StreamEntry.fields.nameLength.read(set.view, STREAM_AT);
	if (hasNameLength(set)) return recorded;
	const room = nameEntries(set) * NAME_UNITS;
	for (let unit = 0; unit < room; unit++) {
		const entry = 2 + Math.floor(unit / NAME_UNITS);
		if (set.view.getUint16(entry * ENTRY_SIZE + NAME_AT + (unit % NAME_UNITS) * 2, true) === 0) return unit;
	}
	return Math.max(room, recorded);
}

/** The name of a set without fault. */
export function readSetName(set: EntrySet): string {
	const {view} = set;
	let left = nameUnits(set);
	let name = '';
	for (let at = STREAM_AT + ENTRY_SIZE; left > 0; at += ENTRY_SIZE, left -= NAME_UNITS) {
		name += decodeUtf16(view, at + NAME_AT, Math.min(left, NAME_UNITS));
	}
	return name;
}

export function readSetNameHash({view}: EntrySet): number {
	return StreamEntry.fields.nameHash.read(view, STREAM_AT);
}
