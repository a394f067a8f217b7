import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {CurrentHeader} from './header.ts';
import {MAX_LOG_LENGTH} from './layout.ts';
import {type LoggedWrite, readLogEntry} from './log-entry.ts';
import {type Overlay, overlay} from './log-overlay.ts';
import {activeSequence} from './log-sequence.ts';

/** What a file that was not closed cleanly would be with its log written into it. */
export interface ReplayedLog {
	readonly overlay: Overlay;
	readonly entries: number;
	readonly writes: readonly LoggedWrite[];
}

/** Section 2.3.3, without touching the file. Undefined for a file that was closed cleanly. */
export function replayLog(source: ByteSource, header: CurrentHeader, context: OpenContext): ReplayedLog | undefined {
	const {logGuid: guid, logOffset: offset, logLength: length} = header;
	if (guid === undefined) return undefined;
	const where = {file: source.name, position: offset, structure: 'log'};
	if (length > MAX_LOG_LENGTH) {
		throw unsupported('vhdx/log-too-large', `a log of ${length} bytes would have to be replayed`, where);
	}
	if (offset + length > source.size) {
		throw corrupt('vhdx/log-beyond-file', 'the log reaches beyond the end of the file', where);
	}
	const log = {source, guid, offset, length};
	const sequence = activeSequence(log);
	const newest = sequence.at(-1);
	if (newest === undefined) {
		throw new DiskError(
			'corrupt',
			'vhdx/log-empty',
			'the file was not closed cleanly, and its log holds no whole entry',
			{
				where,
				hint: 'the log was damaged or overwritten; use another copy of the file',
			},
		);
	}
	if (newest.flushedFileOffset > BigInt(source.size)) {
		const message = `the log knows of ${newest.flushedFileOffset} bytes, but the file ends at ${source.size}`;
		throw new DiskError('corrupt', 'vhdx/log-file-truncated', message, {
			where,
			hint: 'the file is truncated; fetch it again or use another copy',
		});
	}
	const writes: LoggedWrite[] = [];
	for (const entry of sequence) {
		if (readLogEntry(log, entry.position, writes) === undefined) {
			throw corrupt('vhdx/log-changed', 'the log changed while it was read', where);
		}
	}
	const size = sizeAfter(source, newest.lastFileOffset, writes);
	if (!Number.isSafeInteger(size)) throw corrupt('vhdx/log-file-size', `the log wants ${size} bytes of file`, where);
	const count = sequence.length === 1 ? '1 entry' : `${sequence.length} entries`;
	context.warn({
		code: 'vhdx/log-replayed',
		severity: 'note',
		message: `${source.name} was not closed cleanly; ${count} of its log were replayed in memory`,
	});
	if (size > source.size) {
		context.warn({
			code: 'vhdx/log-extends-file',
			severity: 'warning',
			message: `${source.name} ends at ${source.size}, and its log extends it to ${size}; the new part reads as zeros`,
		});
	}
	return {overlay: overlay(source, size, writes), entries: sequence.length, writes};
}

/** The file grows to what the newest entry asks for, and by what is written behind its end. */
function sizeAfter(source: ByteSource, lastFileOffset: bigint, writes: readonly LoggedWrite[]): number {
	let size = Math.max(source.size, Number(lastFileOffset));
	for (const {end} of writes) if (end > size) size = end;
	return size;
}
