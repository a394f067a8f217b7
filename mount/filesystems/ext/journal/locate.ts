import {viewOf} from '../../../../src/core/bytes/layout.ts';
import {corrupt, DiskError} from '../../../../src/core/error.ts';
import {openBlockMap} from '../block-map.ts';
import {inodeChecksumSeed} from '../checksums.ts';
import {openGroups} from '../groups.ts';
import {type Inode, parseInode} from '../inode.ts';
import {openInodeTable} from '../inode-table.ts';
import {EXTENT_MAGIC, INODE_BLOCK_SIZE, InodeFlag, InodeLayout, JOURNAL_BACKUP_BLOCKS} from '../layout.ts';
import type {Superblock} from '../superblock.ts';
import type {Volume} from '../volume.ts';
import {type JournalBlocks, openJournalBlocks} from './log.ts';

const REGULAR_FILE = 0x8000;

/** Finds the blocks of an internal journal, by its inode or the copy of it in the superblock. Throws DiskError. */
export function locateJournal(volume: Volume): JournalBlocks {
	const {superblock} = volume;
	const inodes = openInodeTable(volume, openGroups(volume));
	const map = openBlockMap(volume, inodes);
	let inode: Inode;
	try {
		inode = inodes.getAny(superblock.journalInode);
		if (inode.type !== 'file' || inode.links === 0) {
			throw corrupt('ext/journal-inode', `inode ${inode.number} is no journal`, {node: inode.number});
		}
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		const backup = inodeFromBackup(superblock);
		if (backup === undefined) throw error;
		inode = backup;
	}
	return openJournalBlocks(volume, map, inode);
}

/** super.rst, s_jnl_blocks: `i_block` of the journal's inode, then the upper and the lower half of its size. */
function inodeFromBackup(superblock: Superblock): Inode | undefined {
	const {journalBackup, journalBackupType, journalInode, checksumSeed} = superblock;
	if (journalBackupType !== JOURNAL_BACKUP_BLOCKS) return undefined;
	const bytes = new Uint8Array(Math.max(superblock.inodeSize, InodeLayout.size));
	const view = viewOf(bytes);
	const backup = viewOf(journalBackup);
	const extents = backup.getUint16(0, true) === EXTENT_MAGIC;
	InodeLayout.write(view, 0, {
		mode: REGULAR_FILE,
		linksCount: 1,
		flags: extents ? InodeFlag.extents : 0,
		block: journalBackup.subarray(0, INODE_BLOCK_SIZE),
		sizeHigh: backup.getUint32(INODE_BLOCK_SIZE, true),
		sizeLow: backup.getUint32(INODE_BLOCK_SIZE + 4, true),
	});
	const inode = parseInode({...superblock, hasChecksums: false}, journalInode, 0, bytes, view);
	return {...inode, checksumSeed: inodeChecksumSeed(checksumSeed, journalInode, 0)};
}
