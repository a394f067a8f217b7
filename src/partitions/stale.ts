import type {Disk} from '../core/disk.ts';
import type {PartitionContext, PartitionScheme} from '../core/partition-table.ts';
import type {ByteSource} from '../core/source.ts';
import {windowSource} from '../core/sources/window.ts';
import {isUsed, readBootSector} from './boot-sector.ts';
import {gpt, hasIntactPrimary} from './gpt/index.ts';
import {mbr} from './mbr/index.ts';
import {overlaps} from './placement.ts';

/** Names the file system at the start of a source, or gives undefined. Never throws on foreign data. */
export type FileSystemProbe = (source: ByteSource) => string | undefined;

const SILENT: PartitionContext = {warn() {}};

/** Which of the two is stale on a disk that begins with a file system and has a table too: true when it is the table. */
export function isStaleTable(scheme: PartitionScheme, disk: Disk, isFileSystem: FileSystemProbe): boolean {
	// A file system written over a GPT breaks a checksum of the primary copy; an intact one was written later.
	if (scheme === gpt) return !hasIntactPrimary(disk);
	if (scheme === mbr && !hasSoundEntries(disk)) return true;
	const {partitions} = scheme.open(disk, SILENT);
	return partitions.every(({start, length, number}) => {
		return isFileSystem(windowSource(disk, start, length, `partition ${number} of ${disk.name}`)) === undefined;
	});
}

/** Whether the entries of an MBR lie behind it, on the disk, and apart from each other. */
function hasSoundEntries(disk: Disk): boolean {
	const entries = readBootSector(disk)?.entries.filter(isUsed) ?? [];
	const spans = entries.map(({start, sectors}, number) => ({number, start, length: sectors}));
	const inside = spans.every(({start, length}) => start > 0 && (start + length) * disk.sectorSize <= disk.size);
	return inside && overlaps(spans).length === 0;
}
