import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {Inode} from './inode.ts';
import type {InodeTable} from './inode-table.ts';
import {InodeLayout, MAX_ORPHAN_FILE_SIZE, MAX_ORPHANS, ORPHAN_MAGIC, OrphanTailLayout} from './layout.ts';
import type {Volume} from './volume.ts';

/**
 * Counts the files that were deleted, or were being cut, while they were open (orphans.rst). No directory names them, and
 * the kernel frees what they occupy when it mounts; here it stays in use.
 */
export function reportOrphans(
	volume: Volume,
	inodes: InodeTable,
	readContent: (inode: Inode, position: number, target: Uint8Array) => number,
): void {
	const {superblock} = volume;
	// Copies of the superblock do not keep the list.
	if (superblock.copy !== 0) return;
	let count = 0;
	try {
		count += countList(volume, inodes);
		if (superblock.orphanFileInode !== 0 && superblock.names.has('orphan_present')) {
			count += countFile(volume, inodes.getAny(superblock.orphanFileInode), readContent);
		}
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		const message = `the list of files that were deleted while open is damaged: ${error.message}`;
		volume.warn({code: 'ext/orphan-list', severity: 'warning', message});
	}
	if (count === 0) return;
	const files = count === 1 ? '1 file was' : `${count} files were`;
	const message = `${files} deleted or cut while open; what is left of them counts as in use`;
	volume.warn({code: 'ext/orphans', severity: 'note', message});
}

/** From the superblock each inode names the next one where others have the time of their deletion. */
function countList(volume: Volume, inodes: InodeTable): number {
	const seen = new Set<number>();
	const word = new Uint8Array(4);
	const view = viewOf(word);
	for (let number = volume.superblock.lastOrphan; number !== 0; number = view.getUint32(0, true)) {
		if (seen.has(number) || seen.size >= MAX_ORPHANS) {
			throw corrupt('ext/orphan-loop', `it comes back to inode ${number}`, {node: number});
		}
		seen.add(number);
		const {position} = inodes.getAny(number);
		volume.readMetadata(position + InodeLayout.fields.deletionTime.offset, word);
	}
	return seen.size;
}

/** orphan_file: blocks of inode numbers, 0 where a place is free. */
function countFile(
	{superblock}: Volume,
	inode: Inode,
	readContent: (inode: Inode, position: number, target: Uint8Array) => number,
): number {
	const {blockSize} = superblock;
	if (inode.size > MAX_ORPHAN_FILE_SIZE) throw corrupt('ext/orphan-file', `its file has ${inode.size} bytes`);
	const block = new Uint8Array(blockSize);
	const view = viewOf(block);
	const entries = blockSize - OrphanTailLayout.size;
	let count = 0;
	for (let position = 0; position < inode.size; position += blockSize) {
		readContent(inode, position, block);
		const {magic} = OrphanTailLayout.read(view, entries);
		if (magic !== ORPHAN_MAGIC) throw corrupt('ext/orphan-file', `block ${position / blockSize} of its file is none`);
		for (let at = 0; at < entries; at += 4) if (view.getUint32(at, true) !== 0) count++;
	}
	return count;
}
