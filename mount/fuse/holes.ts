import {newSpan, readsAsZero} from '../../src/core/disk.ts';
import {corrupt} from '../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../src/core/file-system.ts';

/** Spans looked at for one answer: a file of many tiny runs must not keep a worker for long. */
const MOST_SPANS = 100_000;

const span = newSpan();

/** Passes the spans of one nature from `position` on and returns where they end; undefined where it gave up. */
function skip(
	fileSystem: FileSystem,
	node: NodeId,
	position: number,
	size: number,
	holes: boolean,
): number | undefined {
	let at = position;
	for (let count = 0; at < size; count++) {
		if (count === MOST_SPANS) return undefined;
		fileSystem.locate(node, at, span);
		if (readsAsZero(span.kind) !== holes) return at;
		if (span.length < 1) throw corrupt('fuse/empty-span', `the file has an empty run at ${at}`, {node, position: at});
		at += span.length;
	}
	return size;
}

/** SEEK_DATA: the first data at or after `position`; undefined when only a hole follows (ENXIO). */
export function nextData(fileSystem: FileSystem, node: NodeId, position: number, size: number): number | undefined {
	if (position >= size) return undefined;
	const found = skip(fileSystem, node, position, size, true);
	// To call a hole data is always right, only slower.
	if (found === undefined) return position;
	return found === size ? undefined : found;
}

/** SEEK_HOLE: the first hole at or after `position`, or the end; undefined beyond the end (ENXIO). */
export function nextHole(fileSystem: FileSystem, node: NodeId, position: number, size: number): number | undefined {
	if (position >= size) return undefined;
	return skip(fileSystem, node, position, size, false) ?? size;
}
