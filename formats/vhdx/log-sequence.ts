import {LOG_SECTOR_SIZE} from './layout.ts';
import {type Log, type LogEntry, readLogEntry} from './log-entry.ts';

/** The entries that follow each other from `start` on, each one's sequence number one above the last's. */
function sequenceFrom(log: Log, start: number): LogEntry[] {
	const entries: LogEntry[] = [];
	let total = 0;
	while (total < log.length) {
		const entry = readLogEntry(log, (start + total) % log.length);
		if (entry === undefined || total + entry.length > log.length) break;
		const previous = entries.at(-1);
		if (previous !== undefined && entry.sequenceNumber !== previous.sequenceNumber + 1n) break;
		entries.push(entry);
		total += entry.length;
	}
	return entries;
}

/**
 * Sections 2.3.2 and 2.3.3: the active sequence, its oldest entry first, or an empty one. A sequence is valid when the
 * tail of its newest entry is one of its own entries; among valid ones that with the greatest sequence number is
 * active, and it counts from that tail.
 *
 * The scan goes on behind a sequence even if that was not valid. The specification goes on one sector further, but
 * what starts inside an invalid sequence is the rest of that sequence, and so not valid either; this keeps the work
 * linear in the length of the log, whatever the log holds.
 */
export function activeSequence(log: Log): readonly LogEntry[] {
	let active: readonly LogEntry[] = [];
	let start = 0;
	while (start < log.length) {
		const entries = sequenceFrom(log, start);
		const newest = entries.at(-1);
		if (newest === undefined) {
			start += LOG_SECTOR_SIZE;
			continue;
		}
		const oldest = entries.findIndex(entry => entry.position === newest.tail);
		const best = active.at(-1)?.sequenceNumber ?? 0n;
		if (oldest >= 0 && newest.sequenceNumber > best) active = entries.slice(oldest);
		const next = newest.position + newest.length;
		// A sequence that runs over the end of the ring was the last that could start before it.
		if (next >= log.length || newest.position < start) break;
		start = next;
	}
	return active;
}
