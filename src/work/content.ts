import {readsAsZero, type Span} from '../core/disk.ts';
import {corrupt} from '../core/error.ts';
import type {FileSystem, NodeId} from '../core/file-system.ts';

/** Bytes of a file handled at once: large enough that a system call costs nothing beside the copy. */
export const PIECE = 1 << 20;
/** Shorter holes are read with what surrounds them: a hole in a copy has at least the host's block size. */
const SHORTEST_HOLE = 4096;

export interface Run {
	/** Nothing is stored: it reads as zeros. */
	readonly hole: boolean;
	/** At least 1; for content at most `PIECE`. */
	readonly length: number;
}

/** What a file has at `position`, `position < size`: a hole of any length, or content over any number of extents. */
export function runAt(tree: FileSystem, node: NodeId, position: number, size: number, span: Span): Run {
	tree.locate(node, position, span);
	const end = Math.min(size, position + PIECE);
	let next = position + span.length;
	if (readsAsZero(span.kind) && (span.length >= SHORTEST_HOLE || next >= size)) {
		return {hole: true, length: Math.min(next, size) - position};
	}
	while (next < end) {
		tree.locate(node, next, span);
		if (readsAsZero(span.kind) && span.length >= SHORTEST_HOLE) break;
		next += span.length;
	}
	return {hole: false, length: Math.min(next, end) - position};
}

/** Fills `target`. A file that gives less than its size says is damaged. */
export function readExactly(tree: FileSystem, node: NodeId, position: number, target: Uint8Array): void {
	let done = 0;
	while (done < target.length) {
		const count = tree.read(node, position + done, target.subarray(done));
		if (count === 0) {
			throw corrupt('file/short', `the file ends at ${position + done}, before the size that it is said to have`, {
				node,
			});
		}
		done += count;
	}
}
