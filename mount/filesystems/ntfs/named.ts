import {DiskError} from '../../../src/core/error.ts';
import type {Inodes} from './inode.ts';
import {FIRST_USER_RECORD, PATH_DEPTH_MAX, SystemRecord} from './layout.ts';
import type {Mft} from './mft.ts';
import {parentRecord} from './symlink.ts';

/**
 * See `FileSystem.needsName`: base records in use, but for the file system's own and what lies below them ($Extend),
 * which no listing shows.
 */
export function needsName(mft: Mft, inodes: Inodes, node: number): boolean | undefined {
	if (node < FIRST_USER_RECORD || node >= mft.count()) return undefined;
	const sequenceOf = (record: number): number => mft.sequence(record);
	try {
		if (sequenceOf(node) === -1) return false;
		// Throws for extension records, and for damaged ones.
		inodes.get(node);
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	try {
		let record = node;
		for (let depth = 0; depth < PATH_DEPTH_MAX; depth++) {
			record = parentRecord(inodes, sequenceOf, inodes.get(record));
			if (record === SystemRecord.root) return true;
			if (record < FIRST_USER_RECORD) return undefined;
		}
		return true;
	} catch (error) {
		// The way up ends: it has no name, or its directory is gone.
		if (error instanceof DiskError) return true;
		throw error;
	}
}
