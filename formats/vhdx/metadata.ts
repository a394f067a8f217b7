import {viewOf} from '../../src/core/bytes/layout.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import {corrupt, outOfRange, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {
	FileParameters,
	HAS_PARENT,
	ItemId,
	type ItemName,
	LEAVE_BLOCKS_ALLOCATED,
	MAX_BLOCK_SIZE,
	MAX_DISK_SIZE,
	MAX_METADATA_ENTRIES,
	MAX_METADATA_ITEM_SIZE,
	METADATA_IS_REQUIRED,
	METADATA_IS_USER,
	METADATA_IS_VIRTUAL_DISK,
	METADATA_SIGNATURE,
	METADATA_TABLE_SIZE,
	MetadataTableEntry,
	MetadataTableHeader,
	MIN_BLOCK_SIZE,
	OTHER_ITEM_NAMES,
	SectorSize,
	VirtualDiskId,
	VirtualDiskSize,
} from './layout.ts';
import {type ParentLocator, parseParentLocator} from './parent-locator.ts';
import type {Region} from './region-table.ts';

/** What the known metadata items say (section 2.6.2), validated. */
export interface Metadata {
	/** Bytes: a power of two. */
	readonly blockSize: number;
	/** Blocks stay allocated when they are freed: a fixed image. */
	readonly fixed: boolean;
	/** Bytes: a multiple of the logical sector size. */
	readonly size: number;
	/** The identity that the disk shows to its machine (SCSI page 83); children share their parent's. Empty if none. */
	readonly diskId: string;
	readonly logicalSectorSize: number;
	readonly physicalSectorSize: number;
	/** Where the parent is looked for; undefined for a disk that stands alone. */
	readonly parentLocator: ParentLocator | undefined;
}

const ITEM_NAMES = new Map<string, ItemName>(
	Object.entries(ItemId).map(([name, guid]): [string, ItemName] => [guid, name as ItemName]),
);

/** `source` is the file with its log replayed. */
export function readMetadata(source: ByteSource, region: Region): Metadata {
	const items = readItems(source, region);
	const where = {file: source.name, position: region.offset, structure: 'metadata'};

	function item(name: ItemName, size: number): DataView {
		const bytes = items.get(name);
		if (bytes === undefined) throw corrupt('vhdx/metadata-missing', `the metadata item ${name} is missing`, where);
		if (bytes.length < size) throw corrupt('vhdx/metadata-short', `the metadata item ${name} is cut short`, where);
		return viewOf(bytes);
	}

	function sectorSize(name: ItemName): number {
		const {bytes} = SectorSize.read(item(name, SectorSize.size));
		if (bytes === 512 || bytes === 4096) return bytes;
		throw corrupt('vhdx/sector-size', `${name} is ${bytes}, not 512 or 4096`, where);
	}

	const {blockSize, flags} = FileParameters.read(item('fileParameters', FileParameters.size));
	if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
		throw corrupt('vhdx/block-size', `a block size of ${blockSize} is no power of two from 1 to 256 MiB`, where);
	}
	const {bytes: size} = VirtualDiskSize.read(item('virtualDiskSize', VirtualDiskSize.size));
	if (size > MAX_DISK_SIZE) throw outOfRange('vhdx/disk-size', `a disk of ${size} bytes is above 64 TiB`, where);
	const logicalSectorSize = sectorSize('logicalSectorSize');
	if (size % logicalSectorSize !== 0) {
		throw corrupt('vhdx/disk-size', `the disk's size ${size} is no multiple of its sector size`, where);
	}
	const id = items.get('virtualDiskId');
	return {
		blockSize,
		fixed: (flags & LEAVE_BLOCKS_ALLOCATED) !== 0,
		size,
		diskId: id !== undefined && id.length >= VirtualDiskId.size ? VirtualDiskId.read(viewOf(id)).id : '',
		logicalSectorSize,
		physicalSectorSize: sectorSize('physicalSectorSize'),
		parentLocator: (flags & HAS_PARENT) === 0 ? undefined : parseParentLocator(item('parentLocator', 0), where),
	};
}

/** Section 2.6.1: the known items' bytes; an unknown one is skipped, unless the file says that it matters. */
function readItems(source: ByteSource, region: Region): Map<ItemName, Uint8Array> {
	const table = new Uint8Array(METADATA_TABLE_SIZE);
	source.readAt(region.offset, table);
	const view = viewOf(table);
	const {signature, entryCount} = MetadataTableHeader.read(view);
	const where = {file: source.name, position: region.offset, structure: 'metadata table'};
	if (signature !== METADATA_SIGNATURE) {
		throw corrupt('vhdx/metadata-signature', 'the metadata region has no metadata table', where);
	}
	if (entryCount > MAX_METADATA_ENTRIES) {
		throw corrupt('vhdx/metadata-count', `${entryCount} items; at most ${MAX_METADATA_ENTRIES} fit`, where);
	}
	const items = new Map<ItemName, Uint8Array>();
	for (let i = 0; i < entryCount; i++) {
		const entry = MetadataTableEntry.read(view, MetadataTableHeader.size + i * MetadataTableEntry.size);
		const {itemId, offset, length, flags} = entry;
		const name = (flags & METADATA_IS_USER) === 0 ? ITEM_NAMES.get(itemId) : undefined;
		if (name === undefined) {
			if ((flags & METADATA_IS_REQUIRED) === 0) continue;
			const spoken = OTHER_ITEM_NAMES.get(itemId) ?? 'unknown';
			const message = `the metadata item ${itemId} (${spoken}) is required to read this file`;
			throw unsupported('vhdx/unknown-metadata', message, where);
		}
		if (items.has(name)) throw corrupt('vhdx/metadata-duplicate', `two metadata items are ${name}`, where);
		const inside = offset >= METADATA_TABLE_SIZE && offset + length <= region.length;
		if (!inside || length > MAX_METADATA_ITEM_SIZE) {
			throw corrupt('vhdx/metadata-place', `the metadata item ${name} has ${length} bytes at ${offset}`, where);
		}
		const bytes = new Uint8Array(length);
		source.readAt(region.offset + offset, bytes);
		items.set(name, bytes);
	}
	return items;
}

export type MetadataValues = Pick<
	Metadata,
	'blockSize' | 'fixed' | 'size' | 'diskId' | 'logicalSectorSize' | 'physicalSectorSize'
> & {
	/** The item of a child. */
	readonly parentLocator?: Uint8Array;
};

/** The table and the items behind it, from the start of the region; the rest of the region is zero. */
export function encodeMetadata(values: MetadataValues): Uint8Array {
	const {blockSize, fixed, size, diskId, logicalSectorSize, physicalSectorSize, parentLocator} = values;
	const fileFlags = (fixed ? LEAVE_BLOCKS_ALLOCATED : 0) | (parentLocator === undefined ? 0 : HAS_PARENT);
	const ofDisk = METADATA_IS_VIRTUAL_DISK | METADATA_IS_REQUIRED;
	const items: {name: ItemName; flags: number; length: number; write: (view: DataView, at: number) => void}[] = [
		{
			name: 'fileParameters',
			flags: METADATA_IS_REQUIRED,
			length: FileParameters.size,
			write: (view, at) => FileParameters.write(view, at, {blockSize, flags: fileFlags}),
		},
		{
			name: 'virtualDiskSize',
			flags: ofDisk,
			length: VirtualDiskSize.size,
			write: (view, at) => VirtualDiskSize.write(view, at, {bytes: size}),
		},
		{
			name: 'virtualDiskId',
			flags: ofDisk,
			length: VirtualDiskId.size,
			write: (view, at) => VirtualDiskId.write(view, at, {id: diskId}),
		},
		{
			name: 'logicalSectorSize',
			flags: ofDisk,
			length: SectorSize.size,
			write: (view, at) => SectorSize.write(view, at, {bytes: logicalSectorSize}),
		},
		{
			name: 'physicalSectorSize',
			flags: ofDisk,
			length: SectorSize.size,
			write: (view, at) => SectorSize.write(view, at, {bytes: physicalSectorSize}),
		},
	];
	if (parentLocator !== undefined) {
		items.push({
			name: 'parentLocator',
			flags: METADATA_IS_REQUIRED,
			length: parentLocator.length,
			write: (view, at) => new Uint8Array(view.buffer, view.byteOffset).set(parentLocator, at),
		});
	}
	const content = items.reduce((total, {length}) => total + length, 0);
	const bytes = new Uint8Array(METADATA_TABLE_SIZE + content);
	const view = viewOf(bytes);
	MetadataTableHeader.write(view, 0, {signature: METADATA_SIGNATURE, entryCount: items.length});
	let offset = METADATA_TABLE_SIZE;
	for (const [index, {name, flags, length, write}] of items.entries()) {
		const at = MetadataTableHeader.size + index * MetadataTableEntry.size;
		MetadataTableEntry.write(view, at, {itemId: ItemId[name], offset, length, flags});
		write(view, offset);
		offset += length;
	}
	return bytes;
}
