import {randomBytes} from 'node:crypto';
import {tint} from '../../../formats/tint/index.ts';
import type {KeyCost} from '../../../formats/tint/key-table.ts';
import {planImage} from '../../../formats/tint/plan.ts';
import {
	type CreateRequest,
	type Disk,
	type DiskWriter,
	type Finding,
	type Mark,
	type NewKey,
	type OpenContext,
	type Secret,
	SpanKind,
	type WriterPlan,
} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
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

/** A mark on the disk rather than on a piece. */
export interface DiskMark {
	readonly position: number;
	readonly length: number;
	readonly kind: Mark['kind'];
}

export interface WriteOptions {
	readonly options?: Options;
	/** In order, without overlap. */
	readonly marks?: readonly DiskMark[];
	readonly id?: Uint8Array;
	readonly parent?: () => Disk;
	readonly threads?: number;
	/** Of the order in which threads write. */
	readonly seed?: number;
	/** Whether pieces of one kind are told by `mark`. */
	readonly long?: boolean;
	readonly keys?: readonly NewKey[];
	readonly keysOf?: () => Disk;
	readonly streamed?: boolean;
	readonly sink?: SparseFile;
	/** A checkpoint every so many pieces. */
	readonly every?: number;
	/** Where on the disk the work is cut short. */
	readonly until?: number;
	/** Goes on with what is in `sink`. */
	readonly resume?: boolean;
}

/** Passphrases in tests cost next to nothing. */
export const CHEAP: KeyCost = {derivation: 'scrypt', n: 16, r: 8, p: 1};

export const passphrase = (text: string): Secret => ({kind: 'passphrase', bytes: new TextEncoder().encode(text)});

/** A key file that a seed repeats. */
export function keyFile(seed = 1): Secret {
	const random = randomNumbers(seed);
	return {kind: 'key-file', bytes: Uint8Array.from({length: 64}, () => Math.floor(random() * 256))};
}

export const newKey = (secret: Secret, label = ''): NewKey => ({secret, label});

export interface Written {
	readonly file: SparseFile;
	readonly facts: Readonly<Record<string, unknown>>;
}

function marksOf(marks: readonly DiskMark[], position: number, length: number): Mark[] {
	return marks
		.map(({position: start, length: count, kind}) => {
			const from = Math.max(start, position);
			return {offset: from - position, length: Math.min(start + count, position + length) - from, kind};
		})
		.filter(mark => mark.length > 0);
}

/** Writes a disk through several writers that take turns as threads do. */
export function writeDisk(content: Uint8Array, given: WriteOptions = {}): Written {
	const {options = {}, marks = [], id = IMAGE_ID, parent, threads = 1, seed = 1, long = false} = given;
	const {keys, keysOf, streamed = false, sink = sparseFile(), every = 0, until = content.length} = given;
	const request: CreateRequest = {
		size: content.length,
		sectorSize: 512,
		options,
		id,
		timestamp: TIMESTAMP,
		...(keys !== undefined && {keys}),
		...(keysOf !== undefined && {keysOf: keysOf()}),
		...(streamed && {streamed}),
	};
	const resumed = given.resume === true ? creator().resume?.(request, sink.source(), parent?.()) : undefined;
	const plan = resumed?.plan ?? planImage(request, parent?.(), CHEAP);
	// What crosses to another thread: a structured clone, whose shared memory stays shared.
	const writers = Array.from({length: threads}, () => creator().open(structuredClone(plan), sink, parent?.()));
	const waiting: ((() => void) | undefined)[] = writers.map(() => undefined);
	const random = randomNumbers(seed);
	const {pieceSize} = plan;
	let turn = 0;
	if (streamed) writers[threads - 1].begin?.();
	for (let position = resumed?.position ?? 0; position < until; position += pieceSize) {
		const number = threads === 1 ? 0 : Math.floor(random() * threads);
		// A writer has one piece at a time; its write may come after later pieces of others have their places.
		for (const [index, write] of waiting.entries()) {
			if (write === undefined || (index !== number && random() < 0.5)) continue;
			write();
			waiting[index] = undefined;
		}
		const writer = writers[number];
		const bytes = Uint8Array.from(content.subarray(position, position + pieceSize));
		const inside = marksOf(marks, position, bytes.length);
		const [first] = inside;
		if (inside.length === 1 && first.length === bytes.length && long && turn++ % 3 !== 2) {
			if (writer.mark === undefined) throw new Error('marks can be kept');
			writer.mark(position, bytes.length, first.kind);
		} else {
			for (const {offset, length} of inside) bytes.fill(0, offset, offset + length);
			writer.encode({position, bytes, marks: inside});
			writer.reserve();
		}
		// What goes to a pipe goes there in its turn.
		if (streamed) writer.write();
		else waiting[number] = () => writer.write();
		if (every === 0 || (position / pieceSize + 1) % every !== 0 || position + pieceSize >= content.length) continue;
		for (const [index, write] of waiting.entries()) {
			write?.();
			waiting[index] = undefined;
		}
		writers[number].checkpoint?.(position + pieceSize);
	}
	for (const write of waiting) write?.();
	if (until < content.length) return {file: sink, facts: {}};
	finish(writers[threads - 1]);
	const facts = Object.fromEntries(writers[threads - 1].describe().map(({key, value}) => [key, value]));
	return {file: sink, facts};
}

/** Finds related files by what they hold alone, as among files side by side. */
export function shelfContext(files: readonly SparseFile[], findings: Finding[], secret?: Secret): OpenContext {
	return {
		...(secret !== undefined && {secret}),
		openRelated(reference) {
			for (const file of files) {
				const source = file.source();
				if (reference.matches?.(source) === true) return source;
			}
			throw new DiskError('not-found', 'gate/parent-not-found', 'it is not on the shelf');
		},
		warn: finding => findings.push(finding),
	};
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

export function open(source: ByteSource, secret?: Secret): Opened {
	const findings: Finding[] = [];
	const context = {...openContext(findings), ...(secret !== undefined && {secret})};
	return {disk: checked(tint.open(source, context)), findings};
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

const MIB = 1024 * 1024;

/**
 * Writes an image in several runs, each of which goes on from the checkpoint that the one before left at one of `ends`:
 * text with holes in it, and 20 MiB of free space before each checkpoint.
 */
export function writeInRuns(request: CreateRequest, file: SparseFile, ends: readonly number[]): void {
	const bytes = textBytes(MIB, 3);
	let {plan, position} = {plan: creator().plan(request), position: 0};
	for (const end of ends) {
		const writer = creator().open(plan, file);
		for (; position < end - 20 * MIB; position += MIB) {
			if (position % (3 * MIB) === 0) continue;
			bytes[5] = position / MIB;
			writer.encode({position, bytes});
			writer.reserve();
			writer.write();
		}
		writer.mark?.(position, end - position, SpanKind.free);
		writer.write();
		writer.checkpoint?.(end);
		const resumed = creator().resume?.(request, file.source());
		if (resumed === undefined) throw new Error('images can be resumed');
		({plan, position} = resumed);
		if (position !== end) throw new Error(`it goes on from ${position} instead of ${end}`);
	}
	finish(creator().open(plan, file));
}
