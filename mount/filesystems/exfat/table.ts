import {viewOf} from '../../../src/core/bytes/layout.ts';
import type {ClusterTable} from '../../../src/core/cluster-chain.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {Geometry} from './boot-region.ts';
import {FIRST_CLUSTER, TABLE_PAGE, TABLE_PAGES} from './layout.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** Entries of one page. */
const PAGE_ENTRIES = TABLE_PAGE / 4;

/** The FAT that starts at `start`, read page by page as it is needed. */
export function openTable(volume: Volume, geometry: Geometry, start: number): ClusterTable {
	const {tableSize, clusterCount} = geometry;
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

	function entry(cluster: number): number {
		const page = Math.floor(cluster / PAGE_ENTRIES);
		if (currentPage !== page) turnTo(page);
		return current.getUint32((cluster % PAGE_ENTRIES) * 4, true);
	}

	return {
		last,
		entry,
		runLength(cluster, limit) {
			const most = Math.min(limit, last - cluster + 1);
			let length = 1;
			try {
				while (length < most && entry(cluster + length - 1) === cluster + length) length++;
			} catch (error) {
				// A page that cannot be read ends the count, and is met again by whoever goes on.
				if (!(error instanceof DiskError)) throw error;
			}
			return length;
		},
	};
}
