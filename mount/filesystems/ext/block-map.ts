import {SpanKind, type Span, stored, unstored} from '../../../src/core/disk.ts';
import {openExtents} from './extents.ts';
import {openIndirectBlocks} from './indirect.ts';
import type {Inode} from './inode.ts';
import type {InodeTable} from './inode-table.ts';
import {InodeFlag} from './layout.ts';
import {HOLE, type RunWindow, windowCost} from './runs.ts';
import type {Volume} from './volume.ts';

export interface BlockMap {
	/** Where a file's content lies, up to the end of its run, which may be beyond the end of the file. */
	locate(inode: Inode, position: number, span: Span): void;
}

export function openBlockMap(volume: Volume, inodes: Pick<InodeTable, 'countRuns'>): BlockMap {
	const {blockSize} = volume.superblock;
	const readExtents = openExtents(volume);
	const readIndirect = openIndirectBlocks(volume);

	function windowAt(inode: Inode, block: number): RunWindow {
		const {windows} = inode;
		let low = 0;
		let high = windows.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			const window = windows[middle];
			if (block < window.first) high = middle;
			else if (block >= window.end) low = middle + 1;
			else return window;
		}
		const changed = volume.changes?.maps.get(inode.number);
		if (changed !== undefined) return changed;
		const window = (inode.flags & InodeFlag.extents ? readExtents : readIndirect)(inode, block);
		if (block < window.first || block >= window.end) throw new Error(`ext: the window misses block ${block}`);
		windows.splice(low, 0, window);
		inodes.countRuns(windowCost(window));
		return window;
	}

	return {
		locate(inode, position, span) {
			const block = Math.floor(position / blockSize);
			const {starts, blocks, count, end} = windowAt(inode, block);
			let low = 0;
			let high = count - 1;
			while (low < high) {
				const middle = (low + high + 1) >>> 1;
				if (starts[middle] <= block) low = middle;
				else high = middle - 1;
			}
			const start = starts[low] * blockSize;
			const runEnd = (low + 1 < count ? starts[low + 1] : end) * blockSize;
			const physical = blocks[low];
			if (physical === HOLE) unstored(span, SpanKind.zero, runEnd - position);
			else stored(span, runEnd - position, 0, physical * blockSize + position - start);
		},
	};
}
