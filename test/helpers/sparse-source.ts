import {closeSync, fstatSync, openSync, readSync} from 'node:fs';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {ByteSource} from '../../src/core/source.ts';

const PAGE = 4096;

/** A source of any size in memory, of which only the pages written take room. */
export interface SparseSource extends ByteSource {
	write(position: number, bytes: Uint8Array): void;
	/** An independent copy. */
	clone(size?: number): SparseSource;
	/** What has been read since it was made: to show that hostile input cannot cause much of it. */
	readonly read: {calls: number; bytes: number};
}

/** Calls back for each page that a range touches. */
function eachPage(
	position: number,
	length: number,
	visit: (page: number, from: number, to: number, done: number) => void,
) {
	for (let done = 0; done < length; ) {
		const page = Math.floor((position + done) / PAGE);
		const from = position + done - page * PAGE;
		const to = Math.min(PAGE, from + length - done);
		visit(page, from, to, done);
		done += to - from;
	}
}

export function sparseSource(
	size: number,
	pages: ReadonlyMap<number, Uint8Array> = new Map<number, Uint8Array>(),
): SparseSource {
	const own = new Map<number, Uint8Array>();
	const read = {calls: 0, bytes: 0};

	function check(position: number, length: number): void {
		if (!Number.isSafeInteger(position) || position < 0 || position + length > size) {
			throw new Error(`${length} bytes at ${position} lie outside a source of ${size} bytes`);
		}
	}

	return {
		name: 'sparse',
		size,
		read,
		readAt(position, target) {
			check(position, target.length);
			read.calls++;
			read.bytes += target.length;
			eachPage(position, target.length, (page, from, to, done) => {
				const content = own.get(page) ?? pages.get(page);
				if (content === undefined) target.fill(0, done, done + to - from);
				else target.set(content.subarray(from, to), done);
			});
		},
		write(position, bytes) {
			check(position, bytes.length);
			eachPage(position, bytes.length, (page, from, to, done) => {
				let content = own.get(page);
				if (content === undefined) {
					content = pages.get(page)?.slice() ?? new Uint8Array(PAGE);
					own.set(page, content);
				}
				content.set(bytes.subarray(done, done + to - from), from);
			});
		},
		clone(newSize = size) {
			const copies = [...pages, ...own].map(([page, content]): [number, Uint8Array] => [page, content.slice()]);
			return sparseSource(newSize, new Map(copies));
		},
		[Symbol.dispose]() {},
	};
}

/** A file's content without its zeros; for files that are small or nearly empty. */
export function sparseCopyOf(path: string): SparseSource {
	const descriptor = openSync(path, 'r');
	try {
		const {size} = fstatSync(descriptor);
		const source = sparseSource(size);
		const block = new Uint8Array(1 << 20);
		for (let position = 0; position < size; ) {
			const count = readSync(descriptor, block, 0, block.length, position);
			for (let at = 0; at < count; at += PAGE) {
				const page = block.subarray(at, Math.min(at + PAGE, count));
				if (!isZero(page)) source.write(position + at, page);
			}
			position += count;
		}
		return source;
	} finally {
		closeSync(descriptor);
	}
}
