import {viewOf} from '../../src/core/bytes/layout.ts';
import {clearRange} from '../../src/core/clear-range.ts';
import type {Fact, OpenContext} from '../../src/core/disk.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import type {ByteSink, ByteSource} from '../../src/core/source.ts';
import type {ContentChange, Resizable, ResizeRequest, Resizing, Steps} from '../../src/core/upkeep.ts';
import {checksumOf} from './checksum.ts';
import {resizedFooter} from './footer.ts';
import {BAT_ENTRY_SIZE, BAT_UNUSED, DynamicHeader, FOOTER_SIZE, MAX_DISK_SIZE, MIB, SECTOR_SIZE} from './layout.ts';
import {type DynamicPlan, type FixedPlan, openSubject, planDynamic, planFixed, type Subject} from './resize-plan.ts';

const PIECE = MIB;

/** `Upkeep.resize` */
export function resizableVhd(source: ByteSource, context: OpenContext): Resizable {
	const subject = openSubject(source, context);
	return {
		largest: MAX_DISK_SIZE,
		plan: request =>
			subject.image.table === undefined ? resizeFixed(subject, request) : resizeDynamic(subject, request),
	};
}

function resizeFixed(subject: Subject, request: ResizeRequest): Resizing {
	const plan = planFixed(subject, request);
	return {fileSize: plan.footerTo + FOOTER_SIZE, facts: [], apply: sink => applyFixed(subject, plan, request, sink)};
}

/**
 * A fixed disk has one footer, in the last sector of its file. The old one stays where it is until the new one is on the
 * medium; so the file is whole in every state but one: where its new size got there and its new last sector did not.
 */
// oxlint-disable-next-line require-yield -- all of it is a few sectors
function* applyFixed(
	{image, footer}: Subject,
	{oldSize, size, footerFrom, footerTo}: FixedPlan,
	{content}: ResizeRequest,
	sink: ByteSink,
): Steps<void> {
	const putContent = (): void => {
		for (const group of content) {
			for (const {position, bytes} of group) sink.writeAt(position, bytes);
			sink.sync();
		}
	};
	const grows = size >= oldSize;
	if (grows && size > oldSize) clearRange(sink, oldSize, Math.min(size, footerFrom));
	if (!grows) putContent();
	sink.sync();
	if (size !== oldSize || footerFrom !== footerTo) {
		sink.writeAt(footerTo, resizedFooter(footer.block, size));
		sink.sync();
	}
	if (footerTo > footerFrom) clearRange(sink, footerFrom, Math.min(footerFrom + FOOTER_SIZE, image.source.size));
	if (footerTo + FOOTER_SIZE < image.source.size) sink.truncate(footerTo + FOOTER_SIZE);
	sink.sync();
	if (grows) putContent();
}

function resizeDynamic(subject: Subject, request: ResizeRequest): Resizing {
	const plan = planDynamic(subject, request);
	const facts: Fact[] = [];
	if (plan.moved.size > 0) facts.push({key: 'blocksMoved', title: 'blocks moved', value: plan.moved.size});
	if (plan.fresh.size > 0) facts.push({key: 'blocksAdded', title: 'blocks added', value: plan.fresh.size});
	return {fileSize: plan.end + FOOTER_SIZE, facts, apply: sink => applyDynamic(subject, plan, request, sink)};
}

/**
 * The footer at the end counts, and its copy at the start where there is none: so blocks can be put behind the end while
 * the copy is there. One sector, the footer at the end, then makes the disk another one.
 */
function* applyDynamic(subject: Subject, plan: DynamicPlan, {content}: ResizeRequest, sink: ByteSink): Steps<void> {
	const {image, footer} = subject;
	const {source, table} = image;
	if (table === undefined) throw new Error('a fixed disk has no table');
	const {header, bat} = table;
	const {oldSize, size, before, after, moved, fresh, tableLength, workingEnd, end} = plan;
	const {blockSize, tableOffset} = header;
	const {dataEnd} = image.footer;
	const stride = bat.bitmapSize + blockSize;
	const grows = size > oldSize;
	const put = writerOf(plan, blockSize, bat.bitmapSize, sink);

	const copy = new Uint8Array(FOOTER_SIZE);
	source.readAt(0, copy);
	if (!sameBytes(copy, footer.block)) {
		sink.writeAt(0, footer.block);
		sink.sync();
	}

	if (workingEnd !== dataEnd) {
		// What follows could take it for content.
		if (dataEnd < source.size) sink.writeAt(dataEnd, new Uint8Array(source.size - dataEnd));
		yield* copyBlocks(moved.values(), stride, sink);
		sink.writeAt(workingEnd, footer.block);
		sink.truncate(workingEnd + FOOTER_SIZE);
		sink.sync();
	}
	for (const [block, {to}] of moved) putEntry(block, to);
	for (const [block, place] of fresh) if (block < before) putEntry(block, place);
	sink.sync();

	if (grows) {
		if (plan.reveals) {
			const data = plan.placeOf(before - 1) + bat.bitmapSize;
			clearRange(sink, data + (oldSize % blockSize), data + blockSize);
		}
		fillTable(before, tableLength / BAT_ENTRY_SIZE);
		for (const [block, place] of fresh) if (block >= before) putEntry(block, place);
		sink.sync();
		for (const change of content.flat()) put(change, oldSize, size);
		sink.sync();
		if (after > header.maxTableEntries) putMaxEntries();
	} else putShown();

	if (size !== oldSize) {
		const changed = resizedFooter(footer.block, size);
		sink.writeAt(workingEnd, changed);
		sink.sync();
		sink.writeAt(0, changed);
		sink.sync();
		if (grows) putShown();
		else {
			putMaxEntries();
			fillTable(after, before);
			sink.sync();
		}
		// Two footers never share a sector: both ends are whole sectors.
		if (end < workingEnd) {
			sink.writeAt(end, changed);
			sink.sync();
			sink.truncate(end + FOOTER_SIZE);
			sink.sync();
		}
	}

	/** What the disk shows already, group after group. */
	function putShown(): void {
		for (const group of content) {
			for (const change of group) put(change, 0, oldSize);
			sink.sync();
		}
	}

	function putEntry(block: number, place: number): void {
		const entry = new Uint8Array(BAT_ENTRY_SIZE);
		viewOf(entry).setUint32(0, place / SECTOR_SIZE);
		sink.writeAt(tableOffset + block * BAT_ENTRY_SIZE, entry);
	}

	/** Makes entries name no place. */
	function fillTable(from: number, to: number): void {
		const piece = viewOf(new Uint8Array(Math.min(PIECE, (to - from) * BAT_ENTRY_SIZE)));
		for (let at = 0; at < piece.byteLength; at += BAT_ENTRY_SIZE) piece.setUint32(at, BAT_UNUSED);
		const bytes = new Uint8Array(piece.buffer);
		const last = tableOffset + to * BAT_ENTRY_SIZE;
		for (let at = tableOffset + from * BAT_ENTRY_SIZE; at < last; at += bytes.length) {
			sink.writeAt(at, bytes.subarray(0, Math.min(bytes.length, last - at)));
		}
	}

	/** All that changes in the header lies in its first sector. */
	function putMaxEntries(): void {
		const block = new Uint8Array(DynamicHeader.size);
		sink.readAt(header.position, block);
		DynamicHeader.write(viewOf(block), 0, {maxTableEntries: after});
		DynamicHeader.write(viewOf(block), 0, {checksum: checksumOf(block, DynamicHeader.fields.checksum.offset)});
		sink.writeAt(header.position, block.subarray(0, SECTOR_SIZE));
		sink.sync();
	}
}

function* copyBlocks(
	moves: Iterable<{readonly from: number; readonly to: number}>,
	length: number,
	sink: ByteSink,
): Steps<void> {
	const all = [...moves];
	const progress = {position: 0, total: all.length * length};
	const buffer = new Uint8Array(Math.min(PIECE, length));
	for (const {from, to} of all) {
		for (let done = 0; done < length; done += buffer.length) {
			const bytes = buffer.subarray(0, Math.min(buffer.length, length - done));
			sink.readAt(from + done, bytes);
			sink.writeAt(to + done, bytes);
			progress.position += bytes.length;
			yield progress;
		}
	}
}

/** Writes a change as far as it lies between two places of the disk, in blocks that all have a place. */
function writerOf(
	plan: DynamicPlan,
	blockSize: number,
	bitmapSize: number,
	sink: ByteSink,
): (change: ContentChange, from: number, to: number) => void {
	/** Sectors of one block, which get their bits where they have none. */
	function putInBlock(place: number, within: number, bytes: Uint8Array): void {
		const first = Math.floor(within / SECTOR_SIZE);
		const end = Math.ceil((within + bytes.length) / SECTOR_SIZE);
		const firstByte = Math.floor(first / 8);
		const bits = new Uint8Array(Math.ceil(end / 8) - firstByte);
		sink.readAt(place + firstByte, bits);
		const isSet = (sector: number): boolean => (bits[Math.floor(sector / 8) - firstByte] & (128 >> (sector % 8))) !== 0;
		const start = first * SECTOR_SIZE;
		const sectors = new Uint8Array((end - first) * SECTOR_SIZE);
		sink.readAt(place + bitmapSize + start, sectors);
		let complete = true;
		for (let sector = first; sector < end; sector++) {
			if (isSet(sector)) continue;
			complete = false;
			// Without its bit a sector reads as zeros, whatever lies there.
			sectors.fill(0, (sector - first) * SECTOR_SIZE, (sector - first + 1) * SECTOR_SIZE);
		}
		sectors.set(bytes, within - start);
		sink.writeAt(place + bitmapSize + start, sectors);
		if (complete) return;
		sink.sync();
		for (let sector = first; sector < end; sector++) {
			const at = Math.floor(sector / 8) - firstByte;
			bits[at] |= 128 >> (sector % 8);
		}
		sink.writeAt(place + firstByte, bits);
	}

	return ({position, bytes}, from, to) => {
		const start = Math.max(position, from);
		const end = Math.min(position + bytes.length, to);
		for (let at = start; at < end; ) {
			const block = Math.floor(at / blockSize);
			const stop = Math.min(end, (block + 1) * blockSize);
			putInBlock(plan.placeOf(block), at - block * blockSize, bytes.subarray(at - position, stop - position));
			at = stop;
		}
	};
}
