import {type Disk, type DiskFacts, type Fact, type OpenContext, type Span, SpanKind} from '../../src/core/disk.ts';
import {stored, unstored} from '../../src/core/disk.ts';
import {corrupt} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {BatEntry} from './bat.ts';
import type {Image} from './image.ts';
import {BlockState, SECTORS_PER_CHUNK} from './layout.ts';
import {readChain} from './chain.ts';
import {openSectorBitmaps} from './sector-bitmap.ts';

/** How a child's writer finds the images behind its parent; it stays on copies that others wrap around the disk. */
const CHAIN = Symbol('vhdx chain');

type VhdxDisk = Disk & {readonly [CHAIN]: readonly Image[]};

/** The image that a disk shows, and its parents; undefined where it is of another format. */
export function chainOf(disk: Disk): readonly Image[] | undefined {
	return (disk as Partial<VhdxDisk>)[CHAIN];
}

export function openDisk(source: ByteSource, context: OpenContext): Disk {
	const chain = readChain(source, context);
	// From the oldest image up, each on the one before it.
	const disk = chain.reduceRight<Disk | undefined>((parent, image) => diskOver(image, parent), undefined) as Disk;
	return {...disk, [CHAIN]: chain} as VhdxDisk;
}

/** One image of a chain over the disk of its parent. */
export function diskOver(image: Image, parent: Disk | undefined): Disk {
	const {source, log, bat} = image;
	const {size, blockSize, logicalSectorSize: sectorSize} = image.metadata;
	const overlay = log?.overlay;
	const own = overlay === undefined ? [source] : [source, overlay];
	const fileSize = overlay?.size ?? source.size;
	const bitmaps = openSectorBitmaps(overlay ?? source);
	const entry: BatEntry = {state: 0, offset: 0};

	/** Bytes of the image itself: from the file where the log leaves it alone, so that it can be cloned. */
	function ownSpan(position: number, at: number, length: number, span: Span): void {
		const inside = Math.min(length, fileSize - at);
		if (inside <= 0) {
			throw corrupt('vhdx/block-beyond-file', `the disk's byte ${position} would lie beyond the end of the file`, {
				file: source.name,
				position: at,
			});
		}
		const changed = overlay !== undefined && overlay.touches(at, at + inside);
		stored(span, inside, changed ? 1 : 0, at);
	}

	function parentSpan(position: number, length: number, span: Span): void {
		if (parent === undefined || position >= parent.size) {
			unstored(span, SpanKind.absent, length);
			return;
		}
		parent.locate(position, span);
		if (span.length > length) span.length = length;
		if (span.kind === SpanKind.stored) span.source += own.length;
	}

	function partialSpan(position: number, block: number, length: number, span: Span): void {
		if (parent === undefined) {
			throw corrupt('vhdx/block-state', `block ${block} wants a parent, but this disk has none`, {file: source.name});
		}
		const bitmap = bat.bitmapOf(block);
		const sector = Math.floor(position / sectorSize);
		const within = sector % SECTORS_PER_CHUNK;
		const skipped = position - sector * sectorSize;
		const run = bitmaps.run(bitmap, within, Math.ceil((skipped + length) / sectorSize));
		const bytes = Math.min(length, run * sectorSize - skipped);
		if (bitmaps.isPresent(bitmap, within)) ownSpan(position, entry.offset + (position % blockSize), bytes, span);
		else parentSpan(position, bytes, span);
	}

	function locate(position: number, span: Span): void {
		const block = Math.floor(position / blockSize);
		const within = position - block * blockSize;
		bat.lookup(block, entry);
		if (entry.state === BlockState.fullyPresent) {
			ownSpan(position, entry.offset + within, blockSize - within, span);
		} else if (entry.state === BlockState.partiallyPresent) {
			partialSpan(position, block, blockSize - within, span);
		} else {
			const length = bat.run(block, entry.state) * blockSize - within;
			if (entry.state === BlockState.notPresent) parentSpan(position, length, span);
			else unstored(span, SpanKind.zero, length);
		}
	}

	return mappedDisk({
		format: 'vhdx',
		name: source.name,
		size,
		sectorSize,
		sources: [...own, ...(parent?.sources ?? [])],
		locate,
		describe: () => describe(image, parent),
	});
}

function describe(image: Image, parent: Disk | undefined): DiskFacts {
	const {header, metadata, log, creator} = image;
	const facts: Fact[] = [
		{key: 'blockSize', title: 'block size', value: metadata.blockSize, unit: 'bytes'},
		{key: 'physicalSectorSize', title: 'physical sector size', value: metadata.physicalSectorSize, unit: 'bytes'},
	];
	if (creator !== '') facts.push({key: 'creator', title: 'creator', value: creator});
	if (metadata.diskId !== '') facts.push({key: 'diskId', title: 'disk id', value: metadata.diskId});
	facts.push({key: 'dataWriteGuid', title: 'data write GUID', value: header.dataWriteGuid});
	facts.push({key: 'fileWriteGuid', title: 'file write GUID', value: header.fileWriteGuid});
	facts.push({key: 'log', title: 'log', value: log === undefined ? 'clean' : 'replayed in memory'});
	if (log !== undefined) {
		facts.push({key: 'logEntries', title: 'log entries replayed', value: log.entries});
	}
	const variant = metadata.fixed ? 'fixed' : 'dynamic';
	if (parent === undefined) return {variant, facts};
	facts.push({key: 'parent', title: 'parent', value: parent.name});
	facts.push({key: 'parentLinkage', title: 'parent linkage', value: metadata.parentLocator?.linkages[0] ?? ''});
	return {variant: 'differencing', facts};
}
