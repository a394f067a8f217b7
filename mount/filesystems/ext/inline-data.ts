import {encodeText, sameBytes} from '../../../src/core/bytes/text.ts';
import {type Span, stored} from '../../../src/core/disk.ts';
import {corrupt} from '../../../src/core/error.ts';
import {inodeEntries} from './attribute-entries.ts';
import type {InlineData, Inode} from './inode.ts';
import {ATTRIBUTE_INDEX_SYSTEM, INLINE_DATA_NAME, INODE_BLOCK_OFFSET, INODE_BLOCK_SIZE} from './layout.ts';
import type {Volume} from './volume.ts';

const DATA = encodeText(INLINE_DATA_NAME);

/** The content of an inode with inline data (inlinedata.rst): at least as long as the file. Kept with the inode. */
export function inlineData(volume: Volume, inode: Inode): InlineData {
	if (inode.inline !== undefined) return inode.inline;
	const rest = inodeEntries(volume, inode).find(
		entry => entry.nameIndex === ATTRIBUTE_INDEX_SYSTEM && sameBytes(entry.name, DATA),
	);
	const content = new Uint8Array(INODE_BLOCK_SIZE + (rest?.value.length ?? 0));
	content.set(inode.block);
	if (rest !== undefined) content.set(rest.value, INODE_BLOCK_SIZE);
	if (inode.size > content.length) {
		throw corrupt(
			'ext/inline-data',
			`inode ${inode.number} has ${inode.size} bytes, of which it holds ${content.length}`,
			{node: inode.number, position: inode.position, structure: 'inline data'},
		);
	}
	inode.inline = {content, restPosition: rest?.valuePosition ?? 0};
	return inode.inline;
}

export function locateInline(volume: Volume, inode: Inode, position: number, span: Span): void {
	const {restPosition} = inlineData(volume, inode);
	if (position < INODE_BLOCK_SIZE) {
		stored(span, INODE_BLOCK_SIZE - position, 0, inode.position + INODE_BLOCK_OFFSET + position);
	} else {
		stored(span, inode.size - position, 0, restPosition + position - INODE_BLOCK_SIZE);
	}
}
