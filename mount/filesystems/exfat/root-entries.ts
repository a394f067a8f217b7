import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import {setChecksum} from './checksums.ts';
import type {DirectoryData, DirectoryScanner} from './directory.ts';
import {
	BitmapEntry,
	ENTRY_SIZE,
	EntryType,
	GuidEntry,
	LABEL_AT,
	LabelEntry,
	MAX_LABEL_UNITS,
	SECOND_BITMAP,
	UpcaseEntry,
} from './layout.ts';

/** Where something of the volume itself lies. */
export interface Place {
	readonly firstCluster: number;
	/** Bytes. */
	readonly size: number;
}

/** What the root directory says of the volume (sections 7.1, 7.2, 7.3, 7.5). */
export interface RootEntries {
	readonly label: string;
	/** Undefined where there is none. */
	readonly guid: string | undefined;
	/** The bitmap that goes with the FAT in use. */
	readonly bitmap: Place | undefined;
	readonly upcase: (Place & {readonly checksum: number}) | undefined;
}

type Writable<T> = {-readonly [K in keyof T]: T[K]};

/** `second`: the second FAT is in use. */
export function readRootEntries(
	scanner: DirectoryScanner,
	root: DirectoryData,
	second: boolean,
	context: FileSystemContext,
): RootEntries {
	const found: Writable<RootEntries> = {label: '', guid: undefined, bitmap: undefined, upcase: undefined};
	const damage = (message: string): void => {
		context.warn({code: 'exfat/root-entry', severity: 'damage', message});
	};

	function take(type: number, view: DataView, at: number): void {
		if (type === EntryType.allocationBitmap) {
			const {flags, firstCluster, dataLength} = BitmapEntry.read(view, at);
			if ((flags & SECOND_BITMAP) === (second ? SECOND_BITMAP : 0)) found.bitmap ??= {firstCluster, size: dataLength};
		} else if (type === EntryType.upcaseTable) {
			const {checksum, firstCluster, dataLength} = UpcaseEntry.read(view, at);
			found.upcase ??= {firstCluster, size: dataLength, checksum};
		} else if (type === EntryType.volumeLabel) {
			const {count} = LabelEntry.read(view, at);
			if (count > MAX_LABEL_UNITS) damage(`the volume label claims ${count} characters of ${MAX_LABEL_UNITS}`);
			found.label = decodeUtf16(view, at + LABEL_AT, Math.min(count, MAX_LABEL_UNITS));
		} else if (type === EntryType.volumeGuid) {
			const entry = new Uint8Array(view.buffer, view.byteOffset + at, ENTRY_SIZE);
			const {secondaryCount, setChecksum: recorded, volumeGuid} = GuidEntry.read(view, at);
			if (secondaryCount === 0 && setChecksum(entry, ENTRY_SIZE) === recorded) found.guid = volumeGuid;
			else damage("the checksum of the volume's GUID is wrong");
		}
	}

	try {
		scanner.scan(root, 0, {
			file: () => true,
			other(type, view, at) {
				try {
					take(type, view, at);
				} catch (error) {
					if (!(error instanceof DiskError)) throw error;
					damage(`a directory entry of the volume makes no sense (${error.message})`);
				}
			},
		});
	} catch (error) {
		// Whoever lists the root meets the same error.
		if (!(error instanceof DiskError)) throw error;
	}
	return found;
}
