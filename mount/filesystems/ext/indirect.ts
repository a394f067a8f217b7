import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt} from '../../../src/core/error.ts';
import type {Inode} from './inode.ts';
import {DIRECT_BLOCKS} from './layout.ts';
import {HOLE, type RunWindow, runCollector} from './runs.ts';
import type {Volume} from './volume.ts';

/** Direct pointers, and pointers through one, two and three blocks (ifork.rst). */
export function openIndirectBlocks(volume: Volume): (inode: Inode, block: number) => RunWindow {
	const {blockSize} = volume.superblock;
	const pointers = blockSize / 4;
	const node = new Uint8Array(blockSize);
	const nodeView = viewOf(node);
	const runs = runCollector(volume, Math.max(pointers, DIRECT_BLOCKS));

	function addPointers(view: DataView, count: number): void {
		for (let index = 0; index < count; index++) {
			const block = view.getUint32(index * 4, true);
			runs.add(1, block === 0 ? HOLE : block);
		}
	}

	/** Missing children from `index` on: one hole for all, or reading a sparse file would take a step for each. */
	function countMissing(index: number): number {
		let end = index;
		while (end < pointers && nodeView.getUint32(end * 4, true) === 0) end++;
		return end - index;
	}

	return (inode, block) => {
		const rootView = viewOf(inode.block);
		if (block < DIRECT_BLOCKS) {
			runs.begin(0);
			addPointers(rootView, DIRECT_BLOCKS);
			return runs.finish();
		}
		/** The logical block at which the part of the tree in hand begins, and how many blocks it covers. */
		let first = DIRECT_BLOCKS;
		let covered = pointers;
		let level = 0;
		while (level < 2 && block >= first + covered) {
			first += covered;
			covered *= pointers;
			level++;
		}
		if (block >= first + covered) {
			throw corrupt('ext/block-beyond-map', `logical block ${block} lies beyond what pointers can reach`, {
				node: inode.number,
			});
		}
		let pointer = rootView.getUint32((DIRECT_BLOCKS + level) * 4, true);
		for (; pointer !== 0; level--) {
			volume.readBlock(pointer, node, 'indirect block');
			if (level === 0) {
				runs.begin(first);
				addPointers(nodeView, pointers);
				return runs.finish();
			}
			covered /= pointers;
			const index = Math.floor((block - first) / covered);
			first += index * covered;
			pointer = nodeView.getUint32(index * 4, true);
			if (pointer === 0) covered *= countMissing(index);
		}
		runs.begin(first);
		runs.add(covered, HOLE);
		return runs.finish();
	};
}
