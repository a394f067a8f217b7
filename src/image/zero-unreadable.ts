import {type Disk, newSpan, type Span, SpanKind, unstored} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';

/** What `mappedDisk` throws where a span is `unreadable`. */
const UNREADABLE = 'disk/unreadable';

/**
 * The same disk, but what could not be read when the image was taken reads as zeros. What cannot be read now, or is
 * damaged, stays an error. It owns the disk that it is given.
 */
export function zeroUnreadable(disk: Disk): Disk {
	const run = newSpan();

	/** Only where a read met such a span: elsewhere this costs nothing. */
	function readRuns(position: number, target: Uint8Array): void {
		for (let done = 0; done < target.length; ) {
			disk.locate(position + done, run);
			const part = target.subarray(done, done + run.length);
			if (run.kind === SpanKind.unreadable) part.fill(0);
			else disk.readAt(position + done, part);
			done += part.length;
		}
	}

	return {
		...disk,
		locate(position: number, span: Span) {
			disk.locate(position, span);
			if (span.kind === SpanKind.unreadable) unstored(span, SpanKind.zero, span.length);
		},
		readAt(position: number, target: Uint8Array) {
			try {
				disk.readAt(position, target);
			} catch (error) {
				if (!(error instanceof DiskError) || error.code !== UNREADABLE) throw error;
				readRuns(position, target);
			}
		},
		[Symbol.dispose]: () => disk[Symbol.dispose](),
	};
}
