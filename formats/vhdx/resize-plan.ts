import {viewOf} from '../../src/core/bytes/layout.ts';
import {roundDown, roundUp} from '../../src/core/bytes/u64.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {ContentChange, ResizeRequest} from '../../src/core/upkeep.ts';
import {type BatEntry, type BatGeometry, batGeometry, encodeBatEntry, entryIndex} from './bat.ts';
import {readHeader} from './header.ts';
import {type Image, readImage} from './image.ts';
import {
	BAT_ENTRY_SIZE,
	BAT_REGION,
	BlockState,
	Header,
	HEADER_OFFSETS,
	ItemId,
	LOG_SECTOR_SIZE,
	MAX_LOG_LENGTH,
	METADATA_IS_USER,
	METADATA_TABLE_SIZE,
	MetadataTableEntry,
	MetadataTableHeader,
	REGION_ALIGNMENT,
	REGION_TABLE_OFFSETS,
	REGION_TABLE_SIZE,
	RegionTableEntry,
	RegionTableHeader,
	VirtualDiskSize,
} from './layout.ts';
import {readRegions, type Regions} from './region-table.ts';
import {logEntrySize} from './resize-log.ts';
import {seal} from './checksum.ts';

/** Headers that a change of size writes. */
const HEADERS_WRITTEN = 4n;

/** Bytes for the file. */
export interface FileChange {
	readonly at: number;
	readonly bytes: Uint8Array;
}

/** A file that can be changed, and where it ends. */
export interface Subject {
	readonly image: Image;
	readonly regions: Regions;
	/** Behind the last byte that anything takes: blocks, regions, the log. */
	readonly end: number;
}

/** A run of new blocks, one behind the other in the file. */
export interface BlockRun {
	readonly first: number;
	readonly count: number;
	readonly offset: number;
}

/** What changes in the file, and in which of the steps. */
export interface ResizePlan {
	readonly subject: Subject;
	readonly size: number;
	readonly before: BatGeometry;
	readonly after: BatGeometry;
	/** Where the BAT lies afterwards; `moved` where that is another place. */
	readonly bat: {readonly offset: number; readonly length: number; readonly moved: boolean};
	readonly log: {readonly offset: number; readonly length: number};
	/** Of the file, while it is changed: a multiple of 1 MiB. */
	readonly workingSize: number;
	/** Of the file, afterwards. */
	readonly fileSize: number;
	/** A part of the file that the larger disk shows and the smaller one did not: it is to be zeros. */
	readonly revealed: {readonly start: number; readonly end: number};
	/** The new blocks of a fixed disk. */
	readonly run: BlockRun | undefined;
	/** Changes that nobody sees before the log has its entry. */
	readonly unseen: readonly FileChange[];
	/** Changes that the log makes all at once. */
	readonly logged: readonly FileChange[];
	readonly blocksAdded: number;
}

function refuse(code: string, message: string, source: ByteSource, hint: string): DiskError {
	return new DiskError('refused', `vhdx/${code}`, message, {where: {file: source.name}, hint});
}

/** Reads a file and looks at all of its blocks: none that is damaged is changed. */
export function openSubject(source: ByteSource, context: OpenContext): Subject {
	const header = readHeader(source, {...context, warn() {}});
	if (header.logGuid !== undefined) {
		throw refuse(
			'resize-dirty-log',
			`${source.name} was not closed cleanly: its log is still to be written into it`,
			source,
			`tintype repair ${source.name} --replay-log, and then again`,
		);
	}
	if (header.sequenceNumber + HEADERS_WRITTEN > 0xffff_ffff_ffff_ffffn) {
		throw unsupported('vhdx/header-sequence', 'no greater sequence number is left for a new header', {
			file: source.name,
			position: HEADER_OFFSETS[header.index],
			structure: Header.name,
			field: 'sequenceNumber',
		});
	}
	const image = readImage(source, context);
	if (image.metadata.parentLocator !== undefined) {
		throw refuse(
			'resize-differencing',
			`${source.name} is a differencing image, whose size is that of its parent`,
			source,
			'convert it to an image that stands alone, and resize that: tintype convert IMAGE NEW.vhdx',
		);
	}
	const log = {name: 'log', offset: header.logOffset, length: header.logLength};
	const regions = readRegions(source, log, {...context, warn() {}});
	const {size, blockSize} = image.metadata;
	const end = endOf(image, regions, Math.ceil(size / blockSize));
	return {image, regions, end};
}

/** Behind the last byte that the regions and the first `blocks` blocks take. Throws where one is damaged. */
function endOf({source, bat, metadata}: Image, regions: Regions, blocks: number): number {
	const {size, blockSize} = metadata;
	const entry: BatEntry = {state: 0, offset: 0};
	let end = Math.max(...regions.reserved.map(({offset, length}) => offset + length));
	for (let block = 0; block < blocks; ) {
		bat.lookup(block, entry);
		if (entry.state <= BlockState.unmapped) {
			block += bat.run(block, entry.state);
			continue;
		}
		if (entry.state === BlockState.partiallyPresent) {
			throw corrupt('vhdx/block-state', `block ${block} wants a parent, but this disk has none`, {file: source.name});
		}
		const shown = Math.min(blockSize, size - block * blockSize);
		if (entry.offset + shown > source.size) {
			throw corrupt('vhdx/block-beyond-file', `block ${block} reaches beyond the end of the file`, {
				file: source.name,
				position: entry.offset,
			});
		}
		end = Math.max(end, entry.offset + blockSize);
		block++;
	}
	return end;
}

export function planResize(subject: Subject, {size, content}: ResizeRequest): ResizePlan {
	const {image, regions} = subject;
	const {source, header, metadata} = image;
	const {blockSize, logicalSectorSize, fixed, size: oldSize} = metadata;
	if (size <= 0 || size % logicalSectorSize !== 0) {
		throw new DiskError('invalid', 'vhdx/disk-size', `${size} bytes are no whole sectors of ${logicalSectorSize}`);
	}
	const before = batGeometry(oldSize, blockSize, logicalSectorSize, false);
	const after = batGeometry(size, blockSize, logicalSectorSize, false);
	const unseen: FileChange[] = [];
	const logged: FileChange[] = [];
	/** Nothing but what the old disk's structures take is in use behind it, and what is behind the file's end is zeros. */
	let free = roundUp(Math.max(subject.end, source.size), REGION_ALIGNMENT);

	function take(length: number): number {
		const offset = free;
		free = offset + roundUp(length, REGION_ALIGNMENT);
		return offset;
	}

	const moved = after.entries * BAT_ENTRY_SIZE > regions.bat.length;
	const batLength = moved ? roundUp(after.entries * BAT_ENTRY_SIZE, REGION_ALIGNMENT) : regions.bat.length;
	const bat = {offset: moved ? take(batLength) : regions.bat.offset, length: batLength, moved};
	if (moved) logged.push(...movedRegion(source, BAT_REGION, bat));

	const added = Math.max(0, after.blocks - before.blocks);
	const run = fixed && added > 0 ? {first: before.blocks, count: added, offset: take(added * blockSize)} : undefined;
	const fresh = new Map<number, number>();
	const entry: BatEntry = {state: 0, offset: 0};

	/** Where a block lies, and whether the old disk shows it there. A block that has no place gets one. */
	function placeOf(block: number): {offset: number; shown: boolean} {
		if (block < before.blocks) {
			image.bat.lookup(block, entry);
			if (entry.state === BlockState.fullyPresent) return {offset: entry.offset, shown: true};
		} else if (run !== undefined) return {offset: run.offset + (block - run.first) * blockSize, shown: false};
		const known = fresh.get(block);
		if (known !== undefined) return {offset: known, shown: false};
		const offset = take(blockSize);
		fresh.set(block, offset);
		const index = entryIndex(block, before.chunkRatio);
		const change = {
			at: bat.offset + index * BAT_ENTRY_SIZE,
			bytes: encodeBatEntry(BlockState.fullyPresent, offset),
		};
		if (moved || block >= before.blocks) unseen.push(change);
		else logged.push(change);
		return {offset, shown: false};
	}

	function place({position, bytes}: ContentChange): void {
		for (let done = 0; done < bytes.length; ) {
			const from = position + done;
			const block = Math.floor(from / blockSize);
			// Cut where the block ends, and where the old disk ended.
			let to = Math.min(position + bytes.length, (block + 1) * blockSize);
			if (from < oldSize && to > oldSize) to = oldSize;
			const {offset, shown} = placeOf(block);
			const change = {at: offset + (from % blockSize), bytes: bytes.subarray(done, done + to - from)};
			if (shown && from < oldSize) logged.push(change);
			else unseen.push(change);
			done += to - from;
		}
	}

	for (const change of content.flat()) place(change);
	if (size !== oldSize) logged.push(sizeChange(source, regions, size));

	const needed = logEntrySize(sectorsOf(logged).size);
	const {logOffset, logLength} = header;
	const fits = needed <= logLength && logLength <= MAX_LOG_LENGTH && logOffset + logLength <= source.size;
	const log = fits
		? {offset: logOffset, length: logLength}
		: {offset: take(needed), length: roundUp(needed, REGION_ALIGNMENT)};

	const last = lastBlock(image, before);
	const reveals = last !== undefined && size > oldSize && oldSize % blockSize !== 0;
	const workingSize = Math.max(free, roundUp(source.size, REGION_ALIGNMENT));
	return {
		subject,
		size,
		before,
		after,
		bat,
		log,
		workingSize,
		fileSize: size < oldSize ? shrunkEnd(subject, after, fresh, log, source) : workingSize,
		revealed: reveals ? {start: last + (oldSize % blockSize), end: last + blockSize} : {start: 0, end: 0},
		run,
		unseen,
		logged,
		blocksAdded: fresh.size + (run?.count ?? 0),
	};
}

/** Where the last block lies, if it does. */
function lastBlock({bat}: Image, {blocks}: BatGeometry): number | undefined {
	if (blocks === 0) return undefined;
	const entry: BatEntry = {state: 0, offset: 0};
	bat.lookup(blocks - 1, entry);
	return entry.state === BlockState.fullyPresent ? entry.offset : undefined;
}

function shrunkEnd(
	{image, regions}: Subject,
	{blocks, blockSize}: BatGeometry,
	fresh: ReadonlyMap<number, number>,
	log: {readonly offset: number; readonly length: number},
	source: ByteSource,
): number {
	let end = Math.max(endOf(image, regions, blocks), log.offset + log.length);
	for (const offset of fresh.values()) end = Math.max(end, offset + blockSize);
	end = roundUp(end, REGION_ALIGNMENT);
	return fresh.size === 0 ? Math.min(end, roundUp(source.size, REGION_ALIGNMENT)) : end;
}

/** The positions of the file's sectors of 4 KiB that changes touch. */
export function sectorsOf(changes: readonly FileChange[]): Set<number> {
	const sectors = new Set<number>();
	for (const {at, bytes} of changes) {
		const end = at + bytes.length;
		for (let sector = roundDown(at, LOG_SECTOR_SIZE); sector < end; sector += LOG_SECTOR_SIZE) sectors.add(sector);
	}
	return sectors;
}

/** Section 2.6.2.2: the eight bytes that say how large the disk is. */
function sizeChange(source: ByteSource, {metadata: region}: Regions, size: number): FileChange {
	const table = new Uint8Array(METADATA_TABLE_SIZE);
	source.readAt(region.offset, table);
	const view = viewOf(table);
	const {entryCount} = MetadataTableHeader.read(view);
	for (let i = 0; i < entryCount; i++) {
		const {itemId, offset, flags} = MetadataTableEntry.read(
			view,
			MetadataTableHeader.size + i * MetadataTableEntry.size,
		);
		if (itemId !== ItemId.virtualDiskSize || (flags & METADATA_IS_USER) !== 0) continue;
		const bytes = new Uint8Array(VirtualDiskSize.size);
		VirtualDiskSize.write(viewOf(bytes), 0, {bytes: size});
		return {at: region.offset + offset, bytes};
	}
	throw corrupt('vhdx/metadata-missing', 'the metadata item virtualDiskSize is missing', {file: source.name});
}

/** Section 2.2.3: both region tables with a region in another place, as far as they change. */
function movedRegion(
	source: ByteSource,
	guid: string,
	place: {readonly offset: number; readonly length: number},
): FileChange[] {
	const tables = REGION_TABLE_OFFSETS.map(at => {
		const bytes = new Uint8Array(REGION_TABLE_SIZE);
		source.readAt(at, bytes);
		return {at, bytes};
	});
	const whole = tables.find(({bytes}) => isWhole(bytes));
	if (whole === undefined) {
		throw corrupt('vhdx/region-table-checksum', 'both region tables are damaged', {file: source.name});
	}
	const changed = Uint8Array.from(whole.bytes);
	const view = viewOf(changed);
	const {entryCount} = RegionTableHeader.read(view);
	for (let i = 0; i < entryCount; i++) {
		const at = RegionTableHeader.size + i * RegionTableEntry.size;
		if (RegionTableEntry.fields.guid.read(view, at) !== guid) continue;
		RegionTableEntry.write(view, at, {fileOffset: place.offset, length: place.length});
	}
	seal(changed);
	return tables.flatMap(({at, bytes}) => {
		const changes: FileChange[] = [];
		for (let from = 0; from < bytes.length; from += LOG_SECTOR_SIZE) {
			const sector = changed.subarray(from, from + LOG_SECTOR_SIZE);
			if (!sector.every((byte, index) => byte === bytes[from + index])) changes.push({at: at + from, bytes: sector});
		}
		return changes;
	});
}

function isWhole(table: Uint8Array): boolean {
	const copy = Uint8Array.from(table);
	seal(copy);
	return copy.every((byte, index) => byte === table[index]);
}
