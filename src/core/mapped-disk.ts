import {type Disk, type DiskFacts, newSpan, readsAsZero, type Span, SpanKind, unstored} from './disk.ts';
import {DiskError} from './error.ts';
import type {ByteSource} from './source.ts';

export interface Mapping {
	readonly format: string;
	readonly name: string;
	readonly size: number;
	readonly sectorSize: number;
	/** The sources that `locate` counts; the disk owns and closes them. */
	readonly sources: readonly ByteSource[];
	/** See `Disk.locate`; spans may reach beyond the end of the disk, the engine cuts them. */
	locate(position: number, span: Span): void;
	/** Fills `target` from within one span of kind `encoded`. Needed where `locate` answers `encoded`. */
	readonly decode?: (position: number, target: Uint8Array) => void;
	describe(): DiskFacts;
}

/**
 * Makes a disk of a mapping: the one place where bytes move. Neighbouring stored spans that also lie side by side in
 * their source are read in one go.
 */
export function mappedDisk(mapping: Mapping): Disk {
	const {format, name, size, sectorSize, sources} = mapping;
	const span = newSpan();

	function map(position: number, into: Span): void {
		mapping.locate(position, into);
		if (into.length > size - position) into.length = size - position;
		if (into.length <= 0) throw new Error(`${format}: empty span at ${position}`);
	}

	/** Holes of a sparse file within stored runs are zeros, too. Reading need not ask: the system answers them by itself. */
	function locate(position: number, into: Span): void {
		map(position, into);
		if (into.kind !== SpanKind.stored) return;
		const {seekData, seekHole, size: sourceSize} = sources[into.source] ?? {};
		if (seekData === undefined || sourceSize === undefined || into.at + into.length > sourceSize) return;
		const data = seekData(into.at);
		if (data > into.at) return unstored(into, SpanKind.zero, Math.min(into.length, data - into.at));
		const hole = seekHole?.(into.at) ?? sourceSize;
		if (hole > into.at && hole < into.at + into.length) into.length = hole - into.at;
	}

	function readAt(position: number, target: Uint8Array): void {
		let done = 0;
		// A stored run that is still growing: nothing is read until its neighbour turns out not to continue it.
		let source = 0;
		let from = 0;
		let start = 0;
		let pending = 0;
		while (done < target.length) {
			map(position + done, span);
			const length = Math.min(span.length, target.length - done);
			if (pending > 0) {
				if (span.kind === SpanKind.stored && span.source === source && span.at === from + pending) {
					pending += length;
					done += length;
					continue;
				}
				readStored(sources, source, from, target.subarray(start, start + pending));
				pending = 0;
			}
			if (span.kind === SpanKind.stored) {
				source = span.source;
				from = span.at;
				start = done;
				pending = length;
			} else if (readsAsZero(span.kind)) {
				target.fill(0, done, done + length);
			} else if (span.kind === SpanKind.encoded && mapping.decode !== undefined) {
				mapping.decode(position + done, target.subarray(done, done + length));
			} else {
				throw new DiskError(
					'io',
					'disk/unreadable',
					'this part of the disk could not be read when the image was taken',
					{
						where: {file: name, position: position + done},
					},
				);
			}
			done += length;
		}
		if (pending > 0) readStored(sources, source, from, target.subarray(start, start + pending));
	}

	return {
		format,
		name,
		size,
		sectorSize,
		sources,
		locate,
		readAt,
		describe: () => mapping.describe(),
		[Symbol.dispose]() {
			for (const owned of sources) owned[Symbol.dispose]();
		},
	};
}

function readStored(sources: readonly ByteSource[], index: number, position: number, target: Uint8Array): void {
	const source = sources[index];
	if (source === undefined) throw new Error(`span names source ${index} of ${sources.length}`);
	if (position < 0 || position + target.length > source.size) {
		throw new DiskError('corrupt', 'disk/beyond-source', 'the image refers to bytes beyond the end of its file', {
			where: {file: source.name, position},
			hint: 'the file is truncated; fetch it again or use another copy',
		});
	}
	source.readAt(position, target);
}
