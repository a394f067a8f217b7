import {ZERO_GUID} from '../../src/core/bytes/guid.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {clearRange} from '../../src/core/clear-range.ts';
import type {Fact, OpenContext} from '../../src/core/disk.ts';
import type {ByteSink, ByteSource} from '../../src/core/source.ts';
import type {Progress, Resizable, Steps} from '../../src/core/upkeep.ts';
import {entryIndex, writeBatEntry} from './bat.ts';
import {changedHeader} from './header.ts';
import {deriveGuid} from './identifiers.ts';
import {BAT_ENTRY_SIZE, BlockState, HEADER_OFFSETS, LOG_SECTOR_SIZE, MAX_DISK_SIZE, MIB} from './layout.ts';
import {openSubject, planResize, type ResizePlan, sectorsOf} from './resize-plan.ts';
import {encodeLogEntry} from './resize-log.ts';

/** Bytes of a table that are copied or made at once. */
const PIECE = MIB;

/** `Upkeep.resize` */
export function resizableVhdx(source: ByteSource, context: OpenContext): Resizable {
	const subject = openSubject(source, context);
	return {
		largest: MAX_DISK_SIZE,
		plan(request) {
			const plan = planResize(subject, request);
			return {fileSize: plan.fileSize, facts: factsOf(plan), apply: sink => apply(plan, request.id, sink)};
		},
	};
}

function factsOf({bat, blocksAdded, log, subject}: ResizePlan): Fact[] {
	const facts: Fact[] = [];
	if (blocksAdded > 0) facts.push({key: 'blocksAdded', title: 'blocks added', value: blocksAdded});
	if (bat.moved) facts.push({key: 'batMoved', title: 'BAT moved to', value: bat.offset, unit: 'bytes'});
	if (log.offset !== subject.image.header.logOffset) {
		facts.push({key: 'logMoved', title: 'log moved to', value: log.offset, unit: 'bytes'});
	}
	return facts;
}

/**
 * Sections 2.2.2.1 and 2.3. What the disk does not show yet is written first: new tables, new blocks. An entry of the log
 * then holds all that must change at once, and the header that names this log is the moment in which it does: before it
 * the file is the old disk, from then on the new one, by replaying the log until that has been done here.
 */
function* apply(plan: ResizePlan, id: Uint8Array, sink: ByteSink): Steps<void> {
	const {subject, before, after, bat, log, workingSize, fileSize, revealed, unseen, logged} = plan;
	const {header, source} = subject.image;
	const fileWriteGuid = deriveGuid(id, 'vhdx file write');
	const dataWriteGuid = deriveGuid(id, 'vhdx data write');
	const logGuid = deriveGuid(id, 'vhdx log');
	const other = header.index === 0 ? 1 : 0;
	let {sequenceNumber} = header;

	function putHeader(index: 0 | 1, changes: Omit<Parameters<typeof changedHeader>[1], 'sequenceNumber'>): void {
		sequenceNumber++;
		sink.writeAt(HEADER_OFFSETS[index], changedHeader(header, {...changes, sequenceNumber, fileWriteGuid}));
		sink.sync();
	}

	putHeader(other, {});
	if (workingSize > source.size) sink.truncate(workingSize);
	clearRange(sink, revealed.start, revealed.end);
	if (bat.moved) yield* copyTable(sink, subject.regions.bat.offset, bat.offset, before.entries * BAT_ENTRY_SIZE);
	else if (after.entries > before.entries) clearEntries(sink, bat.offset, before.entries, after.entries);
	yield* addRun(plan, sink);
	for (const {at, bytes} of unseen) sink.writeAt(at, bytes);
	sink.sync();

	const sectors = new Map<number, Uint8Array>();
	for (const sector of sectorsOf(logged)) {
		const bytes = new Uint8Array(LOG_SECTOR_SIZE);
		sink.readAt(sector, bytes);
		sectors.set(sector, bytes);
	}
	for (const {at, bytes} of logged) {
		for (const [index, byte] of bytes.entries()) {
			const within = (at + index) % LOG_SECTOR_SIZE;
			const sector = sectors.get(at + index - within);
			if (sector !== undefined) sector[within] = byte;
		}
	}
	sink.writeAt(log.offset, encodeLogEntry({guid: logGuid, fileSize: workingSize, sectors}));
	sink.sync();
	const changed = {dataWriteGuid, logOffset: log.offset, logLength: log.length};
	putHeader(header.index, {...changed, logGuid});
	for (const [at, bytes] of sectors) sink.writeAt(at, bytes);
	sink.sync();
	putHeader(other, {...changed, logGuid: ZERO_GUID});
	putHeader(header.index, {...changed, logGuid: ZERO_GUID});

	if (after.entries < before.entries) clearEntries(sink, bat.offset, after.entries, before.entries);
	if (fileSize < workingSize) sink.truncate(fileSize);
	sink.sync();
}

function clearEntries(sink: ByteSink, offset: number, from: number, to: number): void {
	clearRange(sink, offset + from * BAT_ENTRY_SIZE, offset + to * BAT_ENTRY_SIZE);
}

/** To where nothing was written yet: zeros stay holes. */
function* copyTable(sink: ByteSink, from: number, to: number, length: number): Steps<void> {
	const progress: Progress = {position: 0, total: length};
	const buffer = new Uint8Array(Math.min(PIECE, length));
	for (; progress.position < length; progress.position += buffer.length) {
		const bytes = buffer.subarray(0, Math.min(buffer.length, length - progress.position));
		sink.readAt(from + progress.position, bytes);
		if (!isZero(bytes)) sink.writeAt(to + progress.position, bytes);
		yield progress;
	}
}

/** The entries of a fixed disk's new blocks, whose content is a hole. */
function* addRun({run, bat, before: {chunkRatio, blockSize}}: ResizePlan, sink: ByteSink): Steps<void> {
	if (run === undefined) return;
	const {first, count, offset} = run;
	const progress: Progress = {position: 0, total: count};
	const perPiece = PIECE / BAT_ENTRY_SIZE / 2;
	while (progress.position < count) {
		const start = progress.position;
		const end = Math.min(count, start + perPiece);
		const firstIndex = entryIndex(first + start, chunkRatio);
		// With the entries of sector bitmaps between, which stay zero.
		const bytes = new Uint8Array((entryIndex(first + end - 1, chunkRatio) + 1 - firstIndex) * BAT_ENTRY_SIZE);
		const view = viewOf(bytes);
		for (let block = start; block < end; block++) {
			const at = (entryIndex(first + block, chunkRatio) - firstIndex) * BAT_ENTRY_SIZE;
			writeBatEntry(view, at, BlockState.fullyPresent, offset + block * blockSize);
		}
		sink.writeAt(bat.offset + firstIndex * BAT_ENTRY_SIZE, bytes);
		progress.position = end;
		yield progress;
	}
}
