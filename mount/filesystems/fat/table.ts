import {viewOf} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {Geometry} from './boot-sector.ts';
import {ENTRY_BAD, ENTRY_FREE, ENTRY_MASK, FIRST_CLUSTER, TABLE_PAGE, TABLE_PAGES} from './layout.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** The file allocation table, read page by page as it is needed. */
export interface Table {
	/** The greatest cluster number. */
	readonly last: number;
	/** The entry of a cluster (0 to `last`), in FAT32's range whatever the type. */
	entry(cluster: number): number;
	/** How many clusters from `cluster` on follow one another both in the chain and on disk: 1 to `limit`. */
	runLength(cluster: number, limit: number): number;
	/** How many clusters from `cluster` on are all free, or all not: 1 to `limit`. */
	sameUse(cluster: number, limit: number): number;
}

/** The table of `geometry` that starts at `start`. */
export function openTable(volume: Volume, geometry: Geometry, start: number): Table {
	const {bits, tableSize, clusterCount} = geometry;
	const last = clusterCount + FIRST_CLUSTER - 1;
	/** Pages in order of use: the first is the one to give up. */
	const pages = new Map<number, DataView>();
	let currentPage = -1;
	let current: DataView = new DataView(new ArrayBuffer(0));

	function turnTo(index: number): void {
		let view = pages.get(index);
		if (view === undefined) {
			view = pages.size < TABLE_PAGES ? viewOf(new Uint8Array(TABLE_PAGE)) : oldestPage();
			const from = index * TABLE_PAGE;
			volume.read(start + from, new Uint8Array(view.buffer, 0, Math.min(TABLE_PAGE, tableSize - from)));
		} else {
			pages.delete(index);
		}
		pages.set(index, view);
		currentPage = index;
		current = view;
	}

	function oldestPage(): DataView {
		const [[index, view]] = pages as unknown as [[number, DataView]];
		pages.delete(index);
		// Its content is about to change, and the read may fail.
		currentPage = -1;
		return view;
	}

	/** The whole of FAT12's table in use lies in page 0. */
	function entry12(cluster: number): number {
		if (currentPage !== 0) turnTo(0);
		const pair = current.getUint16(cluster + (cluster >> 1), true);
		const value = (cluster & 1) === 0 ? pair & 0xfff : pair >> 4;
		return value < 0xff7 ? value : value - 0xff7 + ENTRY_BAD;
	}

	function entry16(cluster: number): number {
		const page = cluster >> 13;
		if (currentPage !== page) turnTo(page);
		const value = current.getUint16((cluster & 0x1fff) << 1, true);
		return value < 0xfff7 ? value : value - 0xfff7 + ENTRY_BAD;
	}

	function entry32(cluster: number): number {
		const page = cluster >> 12;
		if (currentPage !== page) turnTo(page);
		return current.getUint32((cluster & 0xfff) << 2, true) & ENTRY_MASK;
	}

	const entry = bits === 12 ? entry12 : bits === 16 ? entry16 : entry32;

	/** Counts on while `same` holds; a page that cannot be read ends the count, and is met again by whoever goes on. */
	function countWhile(cluster: number, limit: number, same: (next: number) => boolean): number {
		const most = Math.min(limit, last - cluster + 1);
		let length = 1;
		try {
			while (length < most && same(cluster + length)) length++;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
		return length;
	}

	return {
		last,
		entry,
		runLength: (cluster, limit) => countWhile(cluster, limit, next => entry(next - 1) === next),
		sameUse(cluster, limit) {
			const free = entry(cluster) === ENTRY_FREE;
			return countWhile(cluster, limit, next => (entry(next) === ENTRY_FREE) === free);
		},
	};
}
