import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, type DiskError} from '../../../src/core/error.ts';
import type {Inode} from './inode.ts';
import * as layout from './layout.ts';
import {HOLE, type RunWindow, runCollector} from './runs.ts';
import type {Volume} from './volume.ts';

const header = layout.ExtentHeaderLayout.fields;
const indexEntry = layout.ExtentIndexLayout.fields;
const extent = layout.ExtentLayout.fields;
const ENTRY = layout.EXTENT_ENTRY_SIZE;

function damaged(inode: Inode, check: string, message: string): DiskError {
	return corrupt(`ext/extent-${check}`, `${message} in the extent tree of inode ${inode.number}`, {
		node: inode.number,
		structure: 'extent tree',
	});
}

/** Walks the extent tree (ifork.rst) down to the leaf that covers a block, and turns the whole leaf into runs. */
export function openExtents(volume: Volume): (inode: Inode, block: number) => RunWindow {
	const {superblock} = volume;
	const {blockSize, hasChecksums} = superblock;
	const node = new Uint8Array(blockSize);
	const nodeView = viewOf(node);
	// Each extent may have a hole before it, and the leaf one at its end.
	const runs = runCollector(volume, 2 * Math.floor(blockSize / ENTRY) + 1);

	/** Checks a node's header and returns its count of entries. */
	function checkHeader(inode: Inode, view: DataView, depth: number): number {
		if (header.magic.read(view, 0) !== layout.EXTENT_MAGIC) throw damaged(inode, 'magic', 'a node has no magic');
		const found = header.depth.read(view, 0);
		if (found !== depth) throw damaged(inode, 'depth', `a node of depth ${found} stands at depth ${depth}`);
		const entries = header.entries.read(view, 0);
		const max = header.max.read(view, 0);
		if (entries > max || (max + 1) * ENTRY > view.byteLength) {
			throw damaged(inode, 'count', `a node has ${entries} of ${max} entries`);
		}
		if (entries === 0 && depth > 0) throw damaged(inode, 'count', 'an index node is empty');
		return entries;
	}

	function readNode(inode: Inode, block: number, depth: number): number {
		volume.readBlock(block, node, 'extent block');
		const entries = checkHeader(inode, nodeView, depth);
		if (hasChecksums) {
			const tail = (header.max.read(nodeView, 0) + 1) * ENTRY;
			const matches =
				tail + 4 <= blockSize &&
				crc32cRaw(node.subarray(0, tail), inode.checksumSeed) === nodeView.getUint32(tail, true);
			if (!matches) throw damaged(inode, 'checksum', `block ${block} does not match its checksum`);
		}
		return entries;
	}

	/** Turns a leaf into runs. Its extents must be sorted and stay within `first` and `end`. */
	function addExtents(inode: Inode, view: DataView, entries: number, first: number, end: number): void {
		runs.begin(first);
		let next = first;
		for (let at = ENTRY; at < (entries + 1) * ENTRY; at += ENTRY) {
			const start = extent.block.read(view, at);
			const rawLength = extent.length.read(view, at);
			const written = rawLength <= layout.MAX_INITIALISED_LENGTH;
			const length = written ? rawLength : rawLength - layout.MAX_INITIALISED_LENGTH;
			if (length === 0 || start < next || start + length > end) {
				throw damaged(inode, 'order', `${length} blocks at logical block ${start} do not fit`);
			}
			if (start > next) runs.add(start - next, HOLE);
			const physical = extent.startLow.read(view, at) + extent.startHigh.read(view, at) * WORD;
			runs.add(length, written ? physical : HOLE);
			next = start + length;
		}
		if (next < end) runs.add(end - next, HOLE);
	}

	return (inode, block) => {
		let view = viewOf(inode.block);
		let depth = header.depth.read(view, 0);
		if (depth > layout.MAX_EXTENT_DEPTH) throw damaged(inode, 'depth', `the root has depth ${depth}`);
		let entries = checkHeader(inode, view, depth);
		let first = 0;
		let end = layout.MAX_LOGICAL_BLOCKS;
		while (depth > 0) {
			let chosen = -1;
			let previous = -1;
			let childEnd = end;
			for (let index = 0; index < entries; index++) {
				const start = indexEntry.block.read(view, (index + 1) * ENTRY);
				if (start <= previous || start >= end) throw damaged(inode, 'order', 'index entries are not sorted');
				previous = start;
				if (start <= block) chosen = index;
				else if (childEnd === end) childEnd = start;
			}
			if (chosen < 0) {
				// Nothing is mapped before the first entry.
				runs.begin(first);
				runs.add(indexEntry.block.read(view, ENTRY) - first, HOLE);
				return runs.finish();
			}
			const at = (chosen + 1) * ENTRY;
			const start = indexEntry.block.read(view, at);
			if (start < first) throw damaged(inode, 'order', 'an index entry lies before its parent');
			const child = indexEntry.leafLow.read(view, at) + indexEntry.leafHigh.read(view, at) * WORD;
			first = start;
			end = childEnd;
			depth--;
			entries = readNode(inode, child, depth);
			view = nodeView;
		}
		addExtents(inode, view, entries, first, end);
		return runs.finish();
	};
}
