import {randomBytes} from 'node:crypto';
import {tint} from '../../../formats/tint/index.ts';
import type {Disk, DiskWriter, Finding, OpenContext, WriterPlan} from '../../../src/core/disk.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import type {ByteSink, ByteSource} from '../../../src/core/source.ts';

export const IMAGE_ID = Uint8Array.from({length: 16}, (_, index) => index * 7 + 1);
export const TIMESTAMP = 1_700_000_000;

/** Pages of memory by number, so that a file of many terabytes fits. */
const PAGE = 4096;

export interface SparseFile extends ByteSink {
	source(): ByteSource;
	/** All of it, for small ones. */
	bytes(): Uint8Array;
	/** Lengths of the reads so far. */
	readonly reads: number[];
	/** Bytes of memory taken. */
	allocated(): number;
}

export function sparseFile(): SparseFile {
	const pages = new Map<number, Uint8Array>();
	const reads: number[] = [];
	let size = 0;

	function move(position: number, bytes: Uint8Array, write: boolean): void {
		for (let done = 0; done < bytes.length; ) {
			const number = Math.floor((position + done) / PAGE);
			const within = position + done - number * PAGE;
			const length = Math.min(PAGE - within, bytes.length - done);
			let page = pages.get(number);
			if (write) {
				if (page === undefined) pages.set(number, (page = new Uint8Array(PAGE)));
				page.set(bytes.subarray(done, done + length), within);
			} else if (page === undefined) bytes.fill(0, done, done + length);
			else bytes.set(page.subarray(within, within + length), done);
			done += length;
		}
	}

	return {
		name: 'sparse',
		reads,
		writeAt(position, bytes) {
			move(position, bytes, true);
			size = Math.max(size, position + bytes.length);
		},
		readAt: (position, target) => move(position, target, false),
		truncate(length) {
			size = length;
		},
		sync() {},
		source: () =>
			checked<ByteSource>({
				name: 'sparse',
				size,
				readAt(position, target) {
					reads.push(target.length);
					move(position, target, false);
				},
				[Symbol.dispose]() {},
			}),
		bytes() {
			const all = new Uint8Array(size);
			move(0, all, false);
			return all;
		},
		allocated: () => pages.size * PAGE,
		[Symbol.dispose]() {},
	};
}

export type Options = Readonly<Record<string, string | number | boolean>>;

export function makePlan(size: number, options: Options = {}, sectorSize = 512): WriterPlan {
	return creator().plan({size, sectorSize, options, id: IMAGE_ID, timestamp: TIMESTAMP});
}

export function creator() {
	if (tint.create === undefined) throw new Error('tint can be written');
	return tint.create;
}

export function finish(writer: DiskWriter): void {
	writer.writeTables();
	writer.writeRoot();
}

/** Writes all pieces by one thread; `skip` leaves pieces out that are known to be zero. */
export function writeImage(content: Uint8Array, options: Options = {}, sectorSize = 512): SparseFile {
	const sink = sparseFile();
	const plan = makePlan(content.length, options, sectorSize);
	const writer = creator().open(plan, sink);
	for (let position = 0; position < content.length; position += plan.pieceSize) {
		writer.encode({position, bytes: content.subarray(position, position + plan.pieceSize)});
		writer.reserve();
		writer.write();
	}
	finish(writer);
	return sink;
}

export interface Opened {
	readonly disk: Disk;
	readonly findings: Finding[];
}

export function openContext(findings: Finding[]): OpenContext {
	return {
		openRelated() {
			throw new Error('nothing else is opened');
		},
		warn: finding => findings.push(finding),
	};
}

export function open(source: ByteSource): Opened {
	const findings: Finding[] = [];
	return {disk: checked(tint.open(source, openContext(findings))), findings};
}

export function readAll(disk: Disk): Uint8Array {
	const content = new Uint8Array(disk.size);
	disk.readAt(0, content);
	return content;
}

/** Compressible, repeatable text-like bytes. */
export function textBytes(length: number, seed = 1): Uint8Array {
	const random = randomNumbers(seed);
	return Uint8Array.from({length}, (_, index) => 0x61 + ((index * seed) % 7) + (random() < 0.1 ? 3 : 0));
}

export function noiseBytes(length: number): Uint8Array {
	return randomBytes(length);
}

/** mulberry32: numbers from 0 to 1 that a seed repeats. */
export function randomNumbers(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
	};
}
