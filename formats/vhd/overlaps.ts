import {viewOf} from '../../src/core/bytes/layout.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {BAT_ENTRY_SIZE, BAT_UNUSED, KIB, MAX_CHECKED_ENTRIES, MAX_PLACE, SECTOR_SIZE} from './layout.ts';

const CHUNK = 256 * KIB;

/** A BAT as far as the disk needs it and the file has it. */
export interface Table {
	readonly offset: number;
	readonly entries: number;
	/** Bytes of a block with its bitmap. */
	readonly stride: number;
	/** Where blocks must end. */
	readonly dataEnd: number;
	/** Whether a block may lie at a place in bytes, as far as that can be told without the others. */
	readonly isPossible: (place: number) => boolean;
}

/**
 * A bit for every block that lies where another does, since it cannot be known whose content is there; undefined where
 * there is none. Linear in the table: blocks that do not overlap begin in places of the file of their own.
 */
export function findOverlaps(
	source: ByteSource,
	{offset, entries, stride, dataEnd, isPossible}: Table,
): Uint8Array | undefined {
	const step = stride / SECTOR_SIZE;
	const slots = Math.ceil(Math.min(dataEnd / SECTOR_SIZE, MAX_PLACE) / step) + 2;
	if (entries > MAX_CHECKED_ENTRIES || slots > MAX_CHECKED_ENTRIES) return undefined;
	/** By place of the file: the first block that begins there, from 1, and where. */
	const owners = new Int32Array(slots);
	const begins = new Float64Array(slots);
	let found: Uint8Array | undefined;

	function mark(block: number): void {
		found ??= new Uint8Array(Math.ceil(entries / 8));
		found[block >> 3] = (found[block >> 3] ?? 0) | (1 << (block & 7));
	}

	function enter(block: number, place: number): void {
		const slot = Math.floor(place / step) + 1;
		for (let near = slot - 1; near <= slot + 1; near++) {
			if (owners[near] === 0 || Math.abs(begins[near] - place) >= step) continue;
			mark(block);
			mark(owners[near] - 1);
		}
		if (owners[slot] !== 0) return;
		owners[slot] = block + 1;
		begins[slot] = place;
	}

	const chunk = new Uint8Array(Math.min(CHUNK, entries * BAT_ENTRY_SIZE));
	const view = viewOf(chunk);
	const perChunk = CHUNK / BAT_ENTRY_SIZE;
	for (let first = 0; first < entries; first += perChunk) {
		const count = Math.min(perChunk, entries - first);
		// What cannot be read costs its own blocks, when they are looked up.
		if (!readable(source, offset + first * BAT_ENTRY_SIZE, chunk.subarray(0, count * BAT_ENTRY_SIZE))) continue;
		for (let i = 0; i < count; i++) {
			const place = view.getUint32(i * BAT_ENTRY_SIZE);
			if (place !== BAT_UNUSED && isPossible(place * SECTOR_SIZE)) enter(first + i, place);
		}
	}
	return found;
}

function readable(source: ByteSource, position: number, target: Uint8Array): boolean {
	try {
		source.readAt(position, target);
		return true;
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}
