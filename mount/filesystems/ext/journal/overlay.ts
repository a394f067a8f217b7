import {type Span, SpanKind} from '../../../../src/core/disk.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {JOURNAL_MAGIC} from './layout.ts';
import {lowerBound, type ReplayedBlocks} from './replay.ts';

/** A volume with some blocks read from elsewhere in it: those that its journal replaces. */
export interface Overlay extends ByteSource {
	/** Changes a span that is stored in the volume to where the same bytes lie without the overlay; may shorten it. */
	relocate(span: Span): void;
}

const MAGIC = Uint8Array.of(
	JOURNAL_MAGIC >>> 24,
	(JOURNAL_MAGIC >>> 16) & 0xff,
	(JOURNAL_MAGIC >>> 8) & 0xff,
	JOURNAL_MAGIC & 0xff,
);

/** Holds positions, no content. Closing it leaves the source open. */
export function overlay(
	source: ByteSource,
	blockSize: number,
	{blocks, positions, escaped}: Pick<ReplayedBlocks, 'blocks' | 'positions' | 'escaped'>,
): Overlay {
	/** Restores what the log had to hide. */
	function unescape(index: number, within: number, target: Uint8Array): void {
		if (escaped[index] === 0) return;
		for (let at = within; at < MAGIC.length && at - within < target.length; at++) target[at - within] = MAGIC[at];
	}

	return {
		name: source.name,
		size: source.size,
		readAt(position, target) {
			const {length} = target;
			let index = lowerBound(blocks, Math.floor(position / blockSize));
			for (let done = 0; done < length; ) {
				const at = position + done;
				const next = index < blocks.length ? blocks[index] * blockSize : Number.POSITIVE_INFINITY;
				const replaced = next <= at;
				const count = Math.min(length - done, (replaced ? next + blockSize : next) - at);
				const piece = count === length ? target : target.subarray(done, done + count);
				if (replaced) {
					source.readAt(positions[index] + at - next, piece);
					unescape(index, at - next, piece);
					index++;
				} else {
					source.readAt(at, piece);
				}
				done += count;
			}
		},
		relocate(span) {
			if (span.kind !== SpanKind.stored) return;
			const index = lowerBound(blocks, Math.floor(span.at / blockSize));
			if (index === blocks.length) return;
			const next = blocks[index] * blockSize;
			if (next > span.at) {
				span.length = Math.min(span.length, next - span.at);
				return;
			}
			const within = span.at - next;
			span.length = Math.min(span.length, blockSize - within);
			span.at = positions[index] + within;
			if (escaped[index] !== 0 && within < MAGIC.length) span.kind = SpanKind.encoded;
		},
		[Symbol.dispose]() {},
	};
}
