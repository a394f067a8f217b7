import {roundUp} from '../../src/core/bytes/u64.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError, outOfRange, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {ResizeRequest} from '../../src/core/upkeep.ts';
import {NO_PLACE} from './bat.ts';
import {type DiskFooter, isFooter, readFooter} from './footer.ts';
import {type Image, readImage} from './image.ts';
import {
	BAT_ENTRY_SIZE,
	DynamicHeader,
	FOOTER_SIZE,
	KIB,
	MAX_CHECKED_ENTRIES,
	MAX_PLACE,
	SECTOR_SIZE,
} from './layout.ts';

/** To which the data of new blocks is aligned, as the writer does. */
const DATA_ALIGNMENT = 4 * KIB;

/** A file that can be changed. */
export interface Subject {
	readonly image: Image;
	/** The whole footer that counts, and whether it is the one at the end. */
	readonly footer: {readonly block: Uint8Array; readonly atEnd: boolean};
}

function refuse(code: string, message: string, file: string, hint: string): DiskError {
	return new DiskError('refused', `vhd/${code}`, message, {where: {file}, hint});
}

export function openSubject(source: ByteSource, context: OpenContext): Subject {
	const {name} = source;
	const described = readFooter(source, {warn() {}});
	if (described.variant === 'differencing') {
		throw refuse(
			'resize-differencing',
			`${name} is a differencing image, whose size is that of its parent`,
			name,
			'convert it to an image that stands alone, and resize that: tintype convert IMAGE NEW.vhd',
		);
	}
	if (described.savedState) {
		throw refuse(
			'resize-saved-state',
			`the machine of ${name} is saved in the middle of its work, and knows the disk as it is`,
			name,
			'start the machine and shut it down',
		);
	}
	const image = readImage(source, context);
	return {image, footer: footerOf(source, described)};
}

function footerOf(source: ByteSource, {dataEnd}: DiskFooter): Subject['footer'] {
	const block = new Uint8Array(FOOTER_SIZE);
	const length = Math.min(FOOTER_SIZE, source.size - dataEnd);
	if (length > 0) source.readAt(dataEnd, block.subarray(0, length));
	if (length > 0 && isFooter(block)) return {block, atEnd: true};
	source.readAt(0, block);
	return {block, atEnd: false};
}

/** A fixed disk: its content, and then the footer. */
export interface FixedPlan {
	readonly oldSize: number;
	readonly size: number;
	/** Where the footer lies now, and then. */
	readonly footerFrom: number;
	readonly footerTo: number;
}

export function planFixed({image}: Subject, {size}: ResizeRequest): FixedPlan {
	const {source, footer} = image;
	const {size: oldSize, dataEnd: footerFrom} = footer;
	if (footerFrom < oldSize) {
		throw corrupt('vhd/data-missing', `the file holds ${footerFrom} bytes of a disk of ${oldSize}`, {
			file: source.name,
			position: footerFrom,
		});
	}
	const apart = Math.abs(size - footerFrom);
	if (apart !== 0 && apart < FOOTER_SIZE) {
		throw refuse(
			'resize-footer',
			`the footer of ${source.name} lies at ${footerFrom} and would go to ${size}, over itself`,
			source.name,
			'choose a size that differs by at least 1 KiB',
		);
	}
	return {oldSize, size, footerFrom, footerTo: size};
}

/** A disk with a table. */
export interface DynamicPlan {
	readonly oldSize: number;
	readonly size: number;
	/** Blocks of the disk, and then. */
	readonly before: number;
	readonly after: number;
	/** Where blocks are copied to from the room that the larger BAT takes, by block. */
	readonly moved: ReadonlyMap<number, {readonly from: number; readonly to: number}>;
	/** Where blocks get a place that had none. */
	readonly fresh: ReadonlyMap<number, number>;
	/** Whether the larger disk shows a part of a block that the smaller one did not: it is to be zeros. */
	readonly reveals: boolean;
	/** Bytes of the BAT, whole sectors. */
	readonly tableLength: number;
	/** Behind the last byte that anything takes while the file is changed: there the footer lies meanwhile. */
	readonly workingEnd: number;
	/** Where the footer lies when all is done. */
	readonly end: number;
	/** Where the bitmap of a block lies. */
	placeOf(block: number): number;
}

export function planDynamic({image, footer: {atEnd}}: Subject, request: ResizeRequest): DynamicPlan {
	const {source, footer, table} = image;
	if (table === undefined) throw new Error('a fixed disk has no table');
	const {header, bat} = table;
	const {tableOffset, blockSize} = header;
	const {size: oldSize, dataEnd} = footer;
	const {size} = request;
	const stride = bat.bitmapSize + blockSize;
	const before = Math.ceil(oldSize / blockSize);
	const after = Math.ceil(size / blockSize);
	const tableLength = roundUp(Math.max(before, after) * BAT_ENTRY_SIZE, SECTOR_SIZE);
	const tableEnd = tableOffset + tableLength;
	checkLayout(image, tableEnd, Math.max(before, after));

	const places = new Map<number, number>();
	const moving: number[] = [];
	let end = Math.max(tableEnd, header.position + DynamicHeader.size, FOOTER_SIZE);
	let keptEnd = end;
	for (let block = 0; block < before; ) {
		const place = bat.lookup(block);
		if (place === NO_PLACE) {
			block += bat.unusedRun(block);
			continue;
		}
		if (place + bat.bitmapSize + Math.min(blockSize, oldSize - block * blockSize) > dataEnd) {
			throw corrupt('vhd/block-beyond-file', `block ${block} reaches beyond the end of the file`, {
				file: source.name,
				position: place,
			});
		}
		if (place < tableEnd && place + stride > tableOffset) moving.push(block);
		places.set(block, place);
		end = Math.max(end, place + stride);
		if (block < after) keptEnd = Math.max(keptEnd, place + stride);
		block++;
	}

	let free = roundUp(Math.max(end, dataEnd), SECTOR_SIZE);
	let appended = false;

	function append(): number {
		const place = roundUp(free + bat.bitmapSize, DATA_ALIGNMENT) - bat.bitmapSize;
		if (place / SECTOR_SIZE > MAX_PLACE) {
			throw outOfRange('vhd/file-too-large', `a block at ${place} of the file cannot be named in 32 bits of sectors`, {
				file: source.name,
			});
		}
		free = place + stride;
		appended = true;
		return place;
	}

	const reveals = size > oldSize && oldSize % blockSize !== 0 && places.has(before - 1);
	const moved = new Map<number, {from: number; to: number}>();
	for (const block of moving) {
		const place = {from: places.get(block) ?? 0, to: append()};
		moved.set(block, place);
		places.set(block, place.to);
	}
	const fresh = new Map<number, number>();
	for (const {position, bytes} of request.content.flat()) {
		const last = Math.floor((position + bytes.length - 1) / blockSize);
		for (let block = Math.floor(position / blockSize); block <= last; block++) {
			if (places.has(block)) continue;
			const place = append();
			fresh.set(block, place);
			places.set(block, place);
		}
	}
	for (const place of fresh.values()) keptEnd = Math.max(keptEnd, place + stride);
	const inPlace = !appended && atEnd && dataEnd % SECTOR_SIZE === 0 && dataEnd + FOOTER_SIZE === source.size;
	const workingEnd = inPlace && end <= dataEnd ? dataEnd : free;
	return {
		oldSize,
		size,
		before,
		after,
		moved,
		fresh,
		reveals,
		tableLength,
		workingEnd,
		end: size < oldSize ? Math.min(workingEnd, roundUp(keptEnd, SECTOR_SIZE)) : workingEnd,
		placeOf(block) {
			const place = places.get(block);
			if (place === undefined) throw new Error(`block ${block} has no place`);
			return place;
		},
	};
}

/** What is written one sector at a time must not lie across two. */
function checkLayout({source, table}: Image, tableEnd: number, blocks: number): void {
	if (table === undefined) return;
	const {position, tableOffset} = table.header;
	const where = {file: source.name, position, structure: DynamicHeader.name};
	const overHeader = position < tableEnd && position + DynamicHeader.size > tableOffset;
	if (position % SECTOR_SIZE !== 0 || tableOffset % SECTOR_SIZE !== 0 || tableOffset < FOOTER_SIZE || overHeader) {
		const message = `a BAT of ${blocks} entries at ${tableOffset} has no room beside the dynamic disk header`;
		throw unsupported('vhd/resize-layout', message, where);
	}
	if (blocks > MAX_CHECKED_ENTRIES) {
		const message = `${blocks} blocks of ${table.header.blockSize} bytes; at most ${MAX_CHECKED_ENTRIES} are changed`;
		throw unsupported('vhd/resize-blocks', message, where);
	}
}
