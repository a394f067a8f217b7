import type {Disk} from '../core/disk.ts';
import type {PartitionContext, PartitionScheme, PartitionTable} from '../core/partition-table.ts';
import {gpt} from './gpt/index.ts';
import {mbr} from './mbr/index.ts';
import {type FileSystemProbe, isStaleTable} from './stale.ts';

/** Every partitioning scheme, in the order in which they are tried. */
export const ALL_SCHEMES: readonly PartitionScheme[] = [gpt, mbr];

/** The scheme of a disk that has no partition table. */
export const NO_SCHEME = 'none';

/**
 * The partitions of a disk. A disk without a table has scheme `none` and one partition that covers it, with a known
 * file system or not. README.md says how a table is told from the boot sector of a file system, and from a relic.
 * Throws `corrupt` when there certainly was a table and no copy of it is whole.
 */
export function readPartitionTable(
	disk: Disk,
	context: PartitionContext,
	isFileSystem: FileSystemProbe,
): PartitionTable {
	const scheme = ALL_SCHEMES.find(each => each.probe(disk));
	if (scheme === undefined) return wholeDisk(disk);
	const bare = isFileSystem(disk);
	if (bare === undefined) return scheme.open(disk, context);
	if (isStaleTable(scheme, disk, isFileSystem)) {
		context.warn({
			code: 'partitions/stale-table',
			severity: 'note',
			message: `the disk begins with a ${bare} file system; what looks like a partition table is not used`,
		});
		return wholeDisk(disk);
	}
	context.warn({
		code: 'partitions/stale-file-system',
		severity: 'note',
		message: `the disk begins like a ${bare} file system too, left over from before it was partitioned`,
	});
	return scheme.open(disk, context);
}

function wholeDisk(disk: Disk): PartitionTable {
	const whole = {
		number: 1,
		start: 0,
		length: disk.size,
		type: '',
		typeName: '',
		name: '',
		identifier: '',
		bootable: false,
	};
	return {scheme: NO_SCHEME, identifier: '', partitions: disk.size > 0 ? [whole] : []};
}
