import {isZero} from './bytes/zeros.ts';
import type {ByteSink} from './source.ts';

const PIECE = 1 << 20;
/** What is looked at, and written where not all of it is zero. */
const GRAIN = 4096;

/** Makes a range of a file zeros, all of which the file has. Writes only where it is not: holes stay holes. */
export function clearRange(sink: ByteSink, start: number, end: number): void {
	const buffer = new Uint8Array(Math.max(0, Math.min(PIECE, end - start)));
	for (let position = start; position < end; position += buffer.length) {
		const bytes = buffer.subarray(0, Math.min(buffer.length, end - position));
		sink.readAt(position, bytes);
		if (isZero(bytes)) continue;
		for (let at = 0; at < bytes.length; ) {
			let stop = at;
			while (stop < bytes.length && !isZero(bytes.subarray(stop, stop + GRAIN))) stop += GRAIN;
			stop = Math.min(stop, bytes.length);
			if (stop > at) sink.writeAt(position + at, bytes.subarray(at, stop).fill(0));
			at = stop + GRAIN;
		}
	}
}
