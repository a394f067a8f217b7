import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, type DiskError} from '../../../src/core/error.ts';
import {blockChecksumSeed} from './checksums.ts';
import type {Inode} from './inode.ts';
import * as layout from './layout.ts';
import type {Volume} from './volume.ts';

const entry = layout.AttributeEntryLayout.fields;
const ENTRY = layout.AttributeEntryLayout.size;
const MAGIC_SIZE = 4;

/** One extended attribute as it is stored (attributes.rst). */
export interface AttributeEntry {
	readonly nameIndex: number;
	readonly name: Uint8Array;
	/** The inode that holds the value; 0 where the value lies here. */
	readonly valueInode: number;
	readonly valueSize: number;
	readonly value: Uint8Array;
	/** Where `value` lies in the volume. */
	readonly valuePosition: number;
}

function damaged(inode: Inode, check: string, message: string): DiskError {
	return corrupt(`ext/attribute-${check}`, `${message} among the attributes of inode ${inode.number}`, {
		node: inode.number,
		structure: 'extended attributes',
	});
}

/** `region` holds entries from `first`; value offsets count from `base`. `position` is that of `region` in the volume. */
function parseEntries(
	inode: Inode,
	region: Uint8Array,
	first: number,
	base: number,
	position: number,
): AttributeEntry[] {
	const view = viewOf(region);
	const entries: AttributeEntry[] = [];
	let at = first;
	// Every step takes at least an entry's 16 bytes of the region.
	while (at + 4 <= region.length && view.getUint32(at, true) !== 0) {
		const end = at + ENTRY + entry.nameLength.read(view, at);
		if (at + ENTRY > region.length || end > region.length) throw damaged(inode, 'entry', 'an entry is cut short');
		const valueInode = entry.valueInode.read(view, at);
		const valueSize = entry.valueSize.read(view, at);
		const valueStart = base + entry.valueOffset.read(view, at);
		const here = valueInode === 0 && valueSize > 0;
		if (here && valueStart + valueSize > region.length) throw damaged(inode, 'value', 'a value lies outside');
		entries.push({
			nameIndex: entry.nameIndex.read(view, at),
			name: region.subarray(at + ENTRY, end),
			valueInode,
			valueSize,
			value: here ? region.subarray(valueStart, valueStart + valueSize) : region.subarray(0, 0),
			valuePosition: position + valueStart,
		});
		at = Math.ceil(end / 4) * 4;
	}
	return entries;
}

/** Entries behind the inode's own fields. */
export function inodeEntries(volume: Volume, inode: Inode): AttributeEntry[] {
	const {inodeSize} = volume.superblock;
	const start = layout.INODE_CORE_SIZE + inode.extraSize;
	if (inodeSize === layout.INODE_CORE_SIZE || start + MAGIC_SIZE > inodeSize) return [];
	const region = new Uint8Array(inodeSize - start);
	volume.readMetadata(inode.position + start, region);
	if (viewOf(region).getUint32(0, true) !== layout.ATTRIBUTE_MAGIC) return [];
	return parseEntries(inode, region, MAGIC_SIZE, MAGIC_SIZE, inode.position + start);
}

/** Entries in the block that the inode names. */
export function blockEntries(volume: Volume, inode: Inode): AttributeEntry[] {
	const {superblock} = volume;
	if (inode.attributeBlock === 0) return [];
	const block = new Uint8Array(superblock.blockSize);
	volume.readBlock(inode.attributeBlock, block, 'attribute block');
	const view = viewOf(block);
	const header = layout.AttributeBlockLayout.read(view);
	if (header.magic !== layout.ATTRIBUTE_MAGIC || header.blocks !== 1) {
		throw damaged(inode, 'magic', 'the block is not an attribute block');
	}
	if (superblock.hasChecksums) {
		layout.AttributeBlockLayout.fields.checksum.write(view, 0, 0);
		const seed = blockChecksumSeed(superblock.checksumSeed, inode.attributeBlock);
		if (crc32cRaw(block, seed) !== header.checksum) throw damaged(inode, 'checksum', 'the block is damaged');
	}
	const position = inode.attributeBlock * superblock.blockSize;
	return parseEntries(inode, block, layout.AttributeBlockLayout.size, 0, position);
}
