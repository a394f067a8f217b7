import {damagedIndex, type DirectoryIndex, type IndexBlocks, type IndexNodeView, subnodeOf} from './index-block.ts';
import type {Inode} from './inode.ts';
import {INDEX_DEPTH_MAX, INDEX_KEY_AT, IndexEntryFlag, ViewEntry} from './layout.ts';

/** The data of an entry of an index that is not one of names. */
export interface ViewData {
	readonly view: DataView;
	readonly at: number;
	readonly length: number;
}

const fields = ViewEntry.fields;

/** Length of the entry at `at`; throws where it or what it holds does not fit. */
function viewEntryLength({view, end}: IndexNodeView, at: number, node: number): number {
	const length = at + ViewEntry.size <= end ? fields.length.read(view, at) : 0;
	const flags = length === 0 ? 0 : fields.flags.read(view, at);
	const minimum = ViewEntry.size + ((flags & IndexEntryFlag.subnode) === 0 ? 0 : 8);
	const isLast = (flags & IndexEntryFlag.last) !== 0;
	const content = isLast
		? 0
		: Math.max(
				INDEX_KEY_AT + fields.keyLength.read(view, at),
				fields.dataOffset.read(view, at) + fields.dataLength.read(view, at),
			);
	if (length < minimum || length % 8 !== 0 || at + length > end || content > length) {
		throw damagedIndex(node, 'has an entry of impossible length');
	}
	return length;
}

/**
 * Goes down a view index ($SII, $O) to the entry for which `compare` says 0; below 0 it lies before the entry whose key
 * of `length` bytes is at `at`.
 */
export function findInView(
	blocks: IndexBlocks,
	inode: Inode,
	index: DirectoryIndex,
	compare: (view: DataView, at: number, length: number) => number,
): ViewData | undefined {
	let node = index.root;
	for (let depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
		let below = -1;
		for (let at = node.start; at < node.end; ) {
			const length = viewEntryLength(node, at, inode.record);
			const flags = fields.flags.read(node.view, at);
			const isLast = (flags & IndexEntryFlag.last) !== 0;
			const order = isLast ? -1 : compare(node.view, at + INDEX_KEY_AT, fields.keyLength.read(node.view, at));
			if (order === 0) {
				return {
					view: node.view,
					at: at + fields.dataOffset.read(node.view, at),
					length: fields.dataLength.read(node.view, at),
				};
			}
			if (order < 0) {
				if ((flags & IndexEntryFlag.subnode) !== 0) below = subnodeOf(node, at, length, index);
				break;
			}
			at += length;
		}
		if (below === -1) return undefined;
		node = blocks.block(inode, index, below);
	}
	throw damagedIndex(inode.record, `is more than ${INDEX_DEPTH_MAX} levels deep`);
}
