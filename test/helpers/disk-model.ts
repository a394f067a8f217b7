import {isZero} from '../../src/core/bytes/zeros.ts';
import {type Disk, type Mark, newSpan, SpanKind} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {seededRandom} from '../fuzz/random.ts';

const SECTOR = 512;

/** A disk in plain memory, with what is known of each of its sectors. */
export interface DiskModel {
	readonly content: Uint8Array;
	/** By sector of 512 bytes: how it is marked, or `zero` for plain content. Marked ones have zeros. */
	readonly kinds: Uint8Array;
}

export function newModel(size: number): DiskModel {
	return {content: new Uint8Array(size), kinds: new Uint8Array(Math.ceil(size / SECTOR)).fill(SpanKind.zero)};
}

export function resized({content, kinds}: DiskModel, size: number): DiskModel {
	const model = newModel(size);
	model.content.set(content.subarray(0, size));
	model.kinds.set(kinds.subarray(0, model.kinds.length));
	// A sector that was the last one, and is no longer so, has plain bytes behind its old end.
	const last = Math.floor(content.length / SECTOR);
	if (content.length % SECTOR !== 0 && size > content.length) model.kinds[last] = SpanKind.zero;
	return model;
}

export const WRITES = ['zeros', 'fill', 'text', 'noise', 'repeat', 'move'] as const;

export interface DiskWrite {
	readonly kind: (typeof WRITES)[number];
	readonly position: number;
	readonly length: number;
	readonly seed: number;
}

/** Writes as the use of a disk does. `unit` is the length of what `repeat` repeats. */
export function write({content, kinds}: DiskModel, {kind, position, length, seed}: DiskWrite, unit: number): void {
	const random = seededRandom(seed);
	const end = Math.min(position + length, content.length);
	const part = content.subarray(position, end);
	if (part.length === 0) return;
	if (kind === 'zeros') part.fill(0);
	else if (kind === 'fill') part.fill(1 + (seed % 255));
	else if (kind === 'noise') for (let at = 0; at < part.length; at++) part[at] = random.below(256);
	else if (kind === 'text') for (let at = 0; at < part.length; at++) part[at] = 0x61 + ((at * (seed % 7)) % 26);
	else if (kind === 'repeat') for (let at = position; at < end; at++) content[at] = ((at % unit) * (seed % 251)) >>> 5;
	else {
		const from = random.below(content.length);
		content.copyWithin(position, from, Math.min(from + part.length, content.length));
	}
	kinds.fill(SpanKind.zero, Math.floor(position / SECTOR), Math.ceil(end / SECTOR));
}

/** Marks whole sectors. */
export function mark({content, kinds}: DiskModel, position: number, length: number, kind: Mark['kind']): void {
	const first = Math.floor(position / SECTOR);
	const end = Math.min(first + Math.ceil(length / SECTOR), kinds.length);
	if (first >= end) return;
	kinds.fill(kind, first, end);
	content.fill(0, first * SECTOR, end * SECTOR);
}

export interface MarkedRun {
	readonly position: number;
	readonly length: number;
	readonly kind: Mark['kind'];
}

/** The marks as runs, in order. */
export function marksOf({content, kinds}: DiskModel): MarkedRun[] {
	const runs: MarkedRun[] = [];
	for (let at = 0; at < kinds.length; ) {
		let end = at + 1;
		while (end < kinds.length && kinds[end] === kinds[at]) end++;
		const kind = kinds[at];
		if (kind === SpanKind.free || kind === SpanKind.excluded || kind === SpanKind.unreadable) {
			const position = at * SECTOR;
			runs.push({position, length: Math.min(end * SECTOR, content.length) - position, kind});
		}
		at = end;
	}
	return runs;
}

/** Whether a range has a sector of a kind. */
export function touches({kinds}: DiskModel, position: number, length: number, kind: SpanKind): boolean {
	const end = Math.ceil((position + length) / SECTOR);
	for (let sector = Math.floor(position / SECTOR); sector < end; sector++) if (kinds[sector] === kind) return true;
	return false;
}

/** Whether a range lies in units of the disk that cannot be had. */
export type IsLost = (position: number) => boolean;

/** A read that must give the bytes of the model, or fail where it cannot. Returns whether it gave them. */
export function checkRead(
	disk: Disk,
	model: DiskModel,
	position: number,
	length: number,
	unit: number,
	lost: IsLost,
): boolean {
	let missing = false;
	for (let at = position - (position % unit); at < position + length; at += unit) missing ||= lost(at);
	const unreadable = touches(model, position, length, SpanKind.unreadable);
	const bytes = Buffer.alloc(length, 0xcc);
	try {
		disk.readAt(position, bytes);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		const right = (missing && error.code === 'tint/file-missing') || (unreadable && error.code === 'disk/unreadable');
		if (right) return false;
		throw new Error(`${length} bytes at ${position}: ${error.code} ${error.message}`, {cause: error});
	}
	if (missing || unreadable) throw new Error(`${length} bytes at ${position} can be read, though they cannot be there`);
	if (bytes.compare(model.content, position, position + length) === 0) return true;
	throw new Error(`${length} bytes at ${position}: a wrong byte`);
}

/** The map must tell marks as they are, and no zeros where there are none. Reads what it calls stored. */
export function checkMap(disk: Disk, model: DiskModel, unit: number, lost: IsLost): void {
	const {content, kinds} = model;
	const span = newSpan();
	for (let position = 0; position < content.length; ) {
		const toUnit = Math.min(unit - (position % unit), content.length - position);
		try {
			disk.locate(position, span);
		} catch (error) {
			// The map of a chunk in parts is lost with it.
			if (!(error instanceof DiskError) || error.code !== 'tint/file-missing' || !lost(position)) throw error;
			position += toUnit;
			continue;
		}
		if (span.length < 1 || position + span.length > content.length) throw new Error(`span at ${position}`);
		const {kind} = span;
		const end = position + span.length;
		for (let sector = Math.floor(position / SECTOR); sector * SECTOR < end; sector++) {
			const plain = kinds[sector] === SpanKind.zero && (kind === SpanKind.zero || kind === SpanKind.encoded);
			if (!plain && kinds[sector] !== kind)
				throw new Error(`sector ${sector} is ${kinds[sector]}, the map says ${kind}`);
		}
		if (kind === SpanKind.zero && !isZero(content.subarray(position, end))) {
			throw new Error(`the map says zeros from ${position} to ${end}`);
		}
		const length = kind === SpanKind.encoded ? Math.min(span.length, toUnit) : span.length;
		if (kind !== SpanKind.unreadable) checkRead(disk, model, position, length, unit, lost);
		position += length;
	}
}
