import {isZero} from '../../src/core/bytes/zeros.ts';
import {type Disk, type DiskFacts, type Fact, type OpenContext, type Span, SpanKind} from '../../src/core/disk.ts';
import {stored, unstored} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {NO_PLACE} from './bat.ts';
import {readChain} from './chain.ts';
import type {DiskFooter} from './footer.ts';
import {capacityOf, cylinderSize} from './geometry.ts';
import type {Image} from './image.ts';
import {GEOMETRY_CREATORS, SECTOR_SIZE} from './layout.ts';
import {openSectorBitmaps} from './sector-bitmap.ts';

/** How a child's writer finds the images behind its parent; it stays on copies that others wrap around the disk. */
const CHAIN = Symbol('vhd chain');

type VhdDisk = Disk & {readonly [CHAIN]: readonly Image[]};

/** The image that a disk shows, and its parents; undefined where it is of another format. */
export function chainOf(disk: Disk): readonly Image[] | undefined {
	return (disk as Partial<VhdDisk>)[CHAIN];
}

export function openDisk(source: ByteSource, context: OpenContext): Disk {
	const chain = readChain(source, context);
	return {...diskOfChain(chain, undefined, context), [CHAIN]: chain} as VhdDisk;
}

/** The disk of an image and its parents, the newest first; `lowest` stands under the oldest. */
export function diskOfChain(chain: readonly Image[], lowest: Disk | undefined, context: OpenContext): Disk {
	const [newest, ...parents] = chain;
	const below = parents.reduceRight<Disk | undefined>((parent, image) => diskOver(image, parent), lowest);
	const whole = diskOver(newest, below);
	const size = sizeForMachine(newest.footer);
	if (size === whole.size || !isEmpty(whole, size)) return whole;
	const message =
		`${newest.source.name} has ${whole.size} bytes, of which its machine saw ${size} (the geometry); ` +
		'those behind are zeros and are not shown';
	context.warn({code: 'vhd/geometry-size', severity: 'note', message});
	return diskOver(newest, below, size);
}

/**
 * Bytes that the machine saw of its disk. A geometry that is not the rounding of the current size says nothing: it was
 * not changed with the size, or is the largest there is.
 */
function sizeForMachine({creator, size, geometry}: DiskFooter): number {
	const capacity = capacityOf(geometry);
	const rounded = capacity > 0 && capacity < size && size - capacity < cylinderSize(geometry);
	return rounded && GEOMETRY_CREATORS.has(creator) ? capacity : size;
}

/** Whether nothing but zeros lies from `start` to the end: less than a cylinder, which is at most 32 MiB. */
function isEmpty(disk: Disk, start: number): boolean {
	try {
		const bytes = new Uint8Array(disk.size - start);
		disk.readAt(start, bytes);
		return isZero(bytes);
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

/** One image of a chain over the disk of its parent. */
export function diskOver(image: Image, parent: Disk | undefined, size = image.footer.size): Disk {
	const {source} = image;
	return mappedDisk({
		format: 'vhd',
		name: source.name,
		size,
		sectorSize: SECTOR_SIZE,
		sources: [source, ...(parent?.sources ?? [])],
		locate: image.table === undefined ? locateFixed(image) : locateInBlocks(image, image.table, parent),
		describe: () => describe(image, parent, size),
	});
}

type Locate = (position: number, span: Span) => void;

/** A run of the image's own bytes, cut where the footer or the file ends. */
function ownSpan({source, footer}: Image, position: number, at: number, length: number, span: Span): void {
	const inside = Math.min(length, footer.dataEnd - at);
	if (inside <= 0) {
		throw corrupt('vhd/block-beyond-file', `the disk's byte ${position} would lie beyond the end of the file`, {
			file: source.name,
			position: at,
		});
	}
	stored(span, inside, 0, at);
}

function locateFixed(image: Image): Locate {
	const {size} = image.footer;
	return (position, span) => ownSpan(image, position, position, size - position, span);
}

function locateInBlocks(image: Image, table: NonNullable<Image['table']>, parent: Disk | undefined): Locate {
	const {bat, header} = table;
	const {blockSize} = header;
	const bitmaps = openSectorBitmaps(image.source);

	function parentSpan(position: number, length: number, span: Span): void {
		if (parent === undefined || position >= parent.size) {
			unstored(span, SpanKind.absent, length);
			return;
		}
		parent.locate(position, span);
		if (span.length > length) span.length = length;
		if (span.kind === SpanKind.stored) span.source += 1;
	}

	return (position, span) => {
		const block = Math.floor(position / blockSize);
		const within = position - block * blockSize;
		const place = bat.lookup(block);
		if (place === NO_PLACE) {
			parentSpan(position, bat.unusedRun(block) * blockSize - within, span);
			return;
		}
		const sector = Math.floor(within / SECTOR_SIZE);
		const run = bitmaps.run(place, sector, blockSize / SECTOR_SIZE - sector);
		const length = (sector + run) * SECTOR_SIZE - within;
		if (bitmaps.isSet(place, sector)) ownSpan(image, position, place + bat.bitmapSize + within, length, span);
		else if (header.parent === undefined) unstored(span, SpanKind.zero, length);
		else parentSpan(position, length, span);
	};
}

function describe({footer, table}: Image, parent: Disk | undefined, size: number): DiskFacts {
	const {variant, geometry, creator, creatorVersion} = footer;
	const {cylinders, heads, sectorsPerTrack} = geometry;
	const facts: Fact[] = [];
	if (table !== undefined) {
		facts.push({key: 'blockSize', title: 'block size', value: table.header.blockSize, unit: 'bytes'});
	}
	facts.push(
		{key: 'creator', title: 'creator', value: `${creator.replaceAll(/[ \0]+$/g, '')} ${creatorVersion}`.trim()},
		{key: 'uniqueId', title: 'unique id', value: footer.uniqueId},
		{key: 'created', title: 'created', value: timeText(footer.timestamp)},
		{key: 'geometry', title: 'geometry', value: `${cylinders}/${heads}/${sectorsPerTrack}`},
	);
	if (size !== footer.size) {
		facts.push({key: 'currentSize', title: 'size without geometry', value: footer.size, unit: 'bytes'});
	}
	if (footer.savedState) facts.push({key: 'savedState', title: 'saved state', value: true});
	if (footer.temporary) facts.push({key: 'temporary', title: 'temporary', value: true});
	const reference = table?.header.parent;
	if (reference !== undefined) {
		facts.push({key: 'parent', title: 'parent', value: parent?.name ?? ''});
		facts.push({key: 'parentId', title: 'parent id', value: reference.uniqueId});
		if (reference.timestamp !== undefined) {
			facts.push({key: 'parentTimestamp', title: 'parent changed', value: timeText(reference.timestamp)});
		}
	}
	return {variant, facts};
}

/** Any 32 bits of seconds since 2000 make a date. */
function timeText(seconds: number): string {
	return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
