import type {ByteSink, ByteSource} from '../../src/core/source.ts';
import type {Resizable, ResizeRequest, Steps} from '../../src/core/upkeep.ts';

/** `Upkeep.resize`. One change of the file's size is all that a raw disk needs, and file systems make it at once. */
export function resizableRaw(source: ByteSource): Resizable {
	return {
		largest: Number.MAX_SAFE_INTEGER,
		plan: request => ({fileSize: request.size, facts: [], apply: sink => apply(source.size, request, sink)}),
	};
}

// oxlint-disable-next-line require-yield -- all of it is a few sectors
function* apply(oldSize: number, {size, content}: ResizeRequest, sink: ByteSink): Steps<void> {
	const setSize = (): void => {
		sink.truncate(size);
		sink.sync();
	};
	if (size > oldSize) setSize();
	for (const group of content) {
		for (const {position, bytes} of group) sink.writeAt(position, bytes);
		sink.sync();
	}
	if (size < oldSize) setSize();
}
