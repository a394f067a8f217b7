import {ZERO_GUID} from '../../src/core/bytes/guid.ts';
import {unsupported} from '../../src/core/error.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import type {ByteSink, ByteSource} from '../../src/core/source.ts';
import type {PendingLog, Progress, Steps} from '../../src/core/upkeep.ts';
import {changedHeader} from './header.ts';
import {deriveGuid} from './identifiers.ts';
import {type Image, readImage} from './image.ts';
import {Header, HEADER_OFFSETS, MIB} from './layout.ts';
import type {ReplayedLog} from './log.ts';
import type {LoggedWrite} from './log-entry.ts';

/** Bytes written between two steps, zeros and data alike. */
const STEP = 1 * MIB;
const ZEROS = new Uint8Array(STEP);
/** Headers that a replay writes. */
const HEADERS_WRITTEN = 3n;

/** `Upkeep.pendingLog`. A file whose tables are damaged even with its log is left as it is. */
export function pendingLog(source: ByteSource, context: OpenContext): PendingLog | undefined {
	const image = readImage(source, context);
	const {log, header} = image;
	if (log === undefined) return undefined;
	if (header.sequenceNumber + HEADERS_WRITTEN > 0xffff_ffff_ffff_ffffn) {
		throw unsupported('vhdx/header-sequence', 'no greater sequence number is left for a new header', {
			file: source.name,
			position: HEADER_OFFSETS[header.index],
			structure: Header.name,
			field: 'sequenceNumber',
		});
	}
	let bytes = 0;
	for (const {start, end} of log.overlay.extents()) bytes += Math.max(0, Math.min(end, source.size) - start);
	const {entries, overlay} = log;
	return {entries, bytes, size: overlay.size, replay: (sink, id) => writeLog(image, log, sink, id)};
}

/**
 * Sections 2.2.2.1 and 2.3.3. A header with a new `FileWriteGuid` and the same log comes before all else, as the
 * specification asks of who writes; one without a log only when all that the log says is on the medium; and the other
 * slot then gets the same, so that no damage to one header brings the old log back. `DataWriteGuid` stays: the disk's
 * content is what it was, and children go on knowing their parent.
 */
function* writeLog({header, source}: Image, log: ReplayedLog, sink: ByteSink, id: Uint8Array): Steps<void> {
	const {overlay} = log;
	const extents = [...overlay.extents()];
	const progress: Progress = {position: 0, total: extents.reduce((total, {start, end}) => total + end - start, 0)};
	const fileWriteGuid = deriveGuid(id, `vhdx file write, log ${header.sequenceNumber}`);
	const other = header.index === 0 ? 1 : 0;
	let {sequenceNumber} = header;

	function putHeader(index: 0 | 1, changes: {readonly logGuid?: string}): void {
		sequenceNumber++;
		sink.writeAt(HEADER_OFFSETS[index], changedHeader(header, {...changes, sequenceNumber, fileWriteGuid}));
		sink.sync();
	}

	putHeader(other, {});
	if (overlay.size > source.size) sink.truncate(overlay.size);
	let told = 0;
	for (const write of extents) {
		const before = progress.position;
		for (const [from, bytes] of piecesOf(write, source)) {
			sink.writeAt(from, bytes);
			progress.position = before + from + bytes.length - write.start;
			if (progress.position - told < STEP) continue;
			told = progress.position;
			yield progress;
		}
		progress.position = before + write.end - write.start;
	}
	sink.sync();
	putHeader(header.index, {logGuid: ZERO_GUID});
	putHeader(other, {logGuid: ZERO_GUID});
}

/**
 * Of zeros only what is not known to be a hole, in pieces: a log may name terabytes of them. Those behind the file's end
 * came with its new size.
 */
function* piecesOf({start, end, bytes}: LoggedWrite, source: ByteSource): Generator<[number, Uint8Array], void, void> {
	if (bytes !== undefined) {
		yield [start, bytes];
		return;
	}
	const stop = Math.min(end, source.size);
	for (let position = start; position < stop; ) {
		position = source.seekData?.(position) ?? position;
		if (position >= stop) return;
		const to = Math.min(source.seekHole?.(position) ?? stop, stop, position + STEP);
		yield [position, ZEROS.subarray(0, to - position)];
		position = to;
	}
}
