import {viewOf} from '../../../src/core/bytes/layout.ts';
import {sameBytes} from '../../../src/core/bytes/text.ts';
import {isZero} from '../../../src/core/bytes/zeros.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import * as layout from './layout.ts';
import {parseSuperblock, type Superblock} from './superblock.ts';

const {size: SIZE, fields} = layout.SuperblockLayout;

/** Reads the primary superblock, or a copy of it when the primary is damaged. */
export function findSuperblock(volume: ByteSource, context: FileSystemContext): Superblock {
	const bytes = new Uint8Array(SIZE);
	let damage: DiskError;
	try {
		if (volume.size < layout.SUPERBLOCK_POSITION + SIZE) {
			throw new DiskError('corrupt', 'ext/superblock-truncated', 'the volume ends before its superblock', {
				where: {position: layout.SUPERBLOCK_POSITION, structure: 'superblock'},
			});
		}
		volume.readAt(layout.SUPERBLOCK_POSITION, bytes);
		return {...parseSuperblock(bytes), copy: 0};
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'unsupported') throw error;
		damage = error;
	}
	const backup = findBackup(volume) ?? findUnusualBackup(volume, bytes);
	if (backup === undefined) throw damage;
	context.warn({
		code: 'ext/superblock-backup',
		severity: 'damage',
		message: `${damage.message}; the copy in group ${backup.copy} is used, whose counters may be old`,
	});
	return backup;
}

/** Looks where mke2fs puts the copies by default, for every block size. */
function findBackup(volume: ByteSource): Superblock | undefined {
	const bytes = new Uint8Array(SIZE);
	for (let logBlockSize = 0; logBlockSize <= layout.MAX_LOG_BLOCK_SIZE; logBlockSize++) {
		for (const group of layout.BACKUP_GROUPS) {
			const position = backupPosition(logBlockSize, group);
			if (position + SIZE > volume.size) break;
			volume.readAt(position, bytes);
			const found = parseBackup(bytes, logBlockSize, group);
			if (found !== undefined) return found;
		}
	}
	return undefined;
}

/**
 * Looks for the copy in group 1 of a file system with smaller groups (mke2fs -g): first where the damaged superblock
 * says, then at every size a group may have, with the most usual block size first.
 */
function findUnusualBackup(volume: ByteSource, primary: Uint8Array): Superblock | undefined {
	const bytes = new Uint8Array(SIZE);
	const view = viewOf(primary);
	const told = fields.logBlockSize.read(view, 0);
	const sizes = told <= layout.MAX_LOG_BLOCK_SIZE ? [told, 2, 0, 1, 3, 4, 5, 6] : [2, 0, 1, 3, 4, 5, 6];
	for (const logBlockSize of sizes) {
		const blockSize = 1024 * 2 ** logBlockSize;
		const firstBlock = logBlockSize === 0 ? 1 : 0;
		const largest = blockSize * 8;
		const groupSizes = [fields.blocksPerGroup.read(view, 0)];
		for (let size = layout.MIN_BLOCKS_PER_GROUP; size < largest; size += layout.BLOCKS_PER_GROUP_STEP) {
			groupSizes.push(size);
		}
		for (const groupSize of groupSizes) {
			const position = (firstBlock + groupSize) * blockSize;
			if (position + SIZE > volume.size) continue;
			volume.readAt(position, bytes);
			const found = parseBackup(bytes, logBlockSize, 1);
			if (found !== undefined && found.blocksPerGroup === groupSize) return found;
		}
	}
	return undefined;
}

function backupPosition(logBlockSize: number, group: number): number {
	const blockSize = 1024 * 2 ** logBlockSize;
	return ((logBlockSize === 0 ? 1 : 0) + group * blockSize * 8) * blockSize;
}

function parseBackup(bytes: Uint8Array, logBlockSize: number, group: number): Superblock | undefined {
	const view = viewOf(bytes);
	if (fields.magic.read(view, 0) !== layout.SUPERBLOCK_MAGIC) return undefined;
	if (fields.logBlockSize.read(view, 0) !== logBlockSize) return undefined;
	// Revision 0 does not record the group.
	const original = fields.revLevel.read(view, 0) === layout.REVISION_ORIGINAL;
	if (!original && fields.blockGroupNumber.read(view, 0) !== group) return undefined;
	try {
		return {...parseSuperblock(bytes), copy: group};
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
}

/**
 * Whether the volume holds an ext file system. Without the primary's magic a copy counts only where the beginning was
 * wiped with zeros or still has the copy's UUID: copies outlive a new file system of another kind on the same place.
 */
export function probeSuperblock(volume: ByteSource): boolean {
	const position = layout.SUPERBLOCK_POSITION;
	if (volume.size < position + SIZE) return false;
	const start = new Uint8Array(position + SIZE);
	volume.readAt(0, start);
	const primary = start.subarray(position);
	if (fields.magic.read(viewOf(primary), 0) === layout.SUPERBLOCK_MAGIC) return true;
	const uuid = fields.uuid.read(viewOf(primary), 0);
	if (!isZero(start) && isZero(uuid)) return false;
	const backup = findBackup(volume);
	return backup !== undefined && (isZero(start) || sameBytes(uuid, backup.uuid));
}
