import {formatUuid} from '../../src/core/bytes/guid.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {putUtf16} from '../../src/core/bytes/text.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checksumOf} from './checksum.ts';
import {
	DYNAMIC_HEADER_COOKIE,
	DynamicHeader,
	EPOCH_2000,
	FORMAT_VERSION,
	MIN_BLOCK_SIZE,
	NEXT_OFFSET,
	PARENT_LOCATORS,
	PARENT_NAME,
	ParentLocator,
} from './layout.ts';
import {type NewLocator, readParentPaths} from './parent-locator.ts';

/** Who the parent is, and where it was when the child was made. */
export interface ParentReference {
	/** The unique id in its footer. */
	readonly uniqueId: string;
	/** Of its file when the child was made, seconds since 1970; undefined where none is recorded. */
	readonly timestamp: number | undefined;
	/** As recorded; relative ones first. */
	readonly paths: readonly string[];
}

export interface DiskHeader {
	/** Where it lies. */
	readonly position: number;
	/** Where the BAT lies, and how many entries it is said to have. */
	readonly tableOffset: number;
	readonly maxTableEntries: number;
	/** Bytes: a power of two. */
	readonly blockSize: number;
	/** Undefined for a disk that stands alone. */
	readonly parent: ParentReference | undefined;
}

export function readDynamicHeader(
	source: ByteSource,
	position: number,
	differencing: boolean,
	context: Pick<OpenContext, 'warn'>,
): DiskHeader {
	const where = {file: source.name, position, structure: DynamicHeader.name};
	if (position + DynamicHeader.size > source.size) {
		throw corrupt('vhd/header-beyond-file', 'the dynamic disk header lies beyond the end of the file', where);
	}
	const block = new Uint8Array(DynamicHeader.size);
	source.readAt(position, block);
	const view = viewOf(block);
	const {fields} = DynamicHeader;
	if (fields.cookie.read(view, 0) !== DYNAMIC_HEADER_COOKIE) {
		throw corrupt('vhd/header-cookie', `there is no ${DYNAMIC_HEADER_COOKIE} where the footer says`, where);
	}
	if (fields.checksum.read(view, 0) !== checksumOf(block, fields.checksum.offset)) {
		throw corrupt('vhd/header-checksum', 'the dynamic disk header is damaged', where);
	}
	const {tableOffset, version, maxTableEntries, blockSize, parentId, parentTimestamp} = DynamicHeader.read(view);
	if (version >>> 16 !== FORMAT_VERSION >>> 16) {
		throw unsupported('vhd/version', `dynamic disk header version ${version >>> 16}; only 1 is known`, where);
	}
	if (!isPowerOfTwo(blockSize) || blockSize < MIN_BLOCK_SIZE) {
		throw corrupt('vhd/block-size', `blocks of ${blockSize} bytes, which is no power of two from 512 on`, {
			...where,
			field: 'blockSize',
		});
	}
	if (tableOffset >= source.size) {
		throw corrupt('vhd/bat-beyond-file', `the BAT at ${tableOffset} lies beyond the end of the file`, {
			...where,
			field: 'tableOffset',
		});
	}
	const parent = differencing
		? {
				uniqueId: formatUuid(parentId),
				timestamp: parentTimestamp === 0 ? undefined : parentTimestamp + EPOCH_2000,
				paths: readParentPaths(source, view, context),
			}
		: undefined;
	return {position, tableOffset, maxTableEntries, blockSize, parent};
}

/** What a child says of its parent. */
export interface NewParent {
	readonly uniqueId: Uint8Array;
	/** Of its file, seconds since 1970; undefined where it is not to be recorded. */
	readonly modified: number | undefined;
	/** Of its file, without a folder. */
	readonly name: string;
	readonly locators: readonly NewLocator[];
}

export function encodeDynamicHeader(
	values: Readonly<Record<'tableOffset' | 'maxTableEntries' | 'blockSize', number>>,
	parent?: NewParent,
): Uint8Array {
	const block = new Uint8Array(DynamicHeader.size);
	const view = viewOf(block);
	DynamicHeader.write(view, 0, {cookie: DYNAMIC_HEADER_COOKIE, version: FORMAT_VERSION, ...values});
	block.fill(0xff, NEXT_OFFSET.offset, NEXT_OFFSET.offset + NEXT_OFFSET.size);
	if (parent !== undefined) writeParent(view, parent);
	DynamicHeader.write(view, 0, {checksum: checksumOf(block, DynamicHeader.fields.checksum.offset)});
	return block;
}

function writeParent(view: DataView, {uniqueId, modified, name, locators}: NewParent): void {
	const parentTimestamp = modified === undefined ? 0 : Math.min(Math.max(modified - EPOCH_2000, 0), 0xffff_ffff);
	DynamicHeader.write(view, 0, {parentId: uniqueId, parentTimestamp});
	putUtf16(view, PARENT_NAME.offset, name.slice(0, PARENT_NAME.units - 1), false);
	for (const [index, {platformCode, space, bytes, offset}] of locators.entries()) {
		const fields = {platformCode, dataSpace: space, dataLength: bytes.length, dataOffset: offset};
		ParentLocator.write(view, PARENT_LOCATORS.offset + index * ParentLocator.size, fields);
	}
}
