import {isZero} from '../core/bytes/zeros.ts';
import type {Disk} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {Image} from '../image/image.ts';
import {gptRanges} from '../partitions/gpt/copies.ts';
import {NO_SCHEME} from '../partitions/index.ts';

/** A copy of part of a disk, for the image's metadata. */
export interface PartitionData {
	readonly position: number;
	readonly base64: string;
}

/**
 * What is kept of the space before the first partition: partitioning programs have begun the first one at 1 MiB since
 * 2006, so boot loaders that hide before it stay below. A disk whose first partition comes later holds nothing there
 * that anybody knows of.
 */
const GAP_CAP = 1 << 20;
/** The backup of a GPT: 17 KiB as everybody makes it. */
const BACKUP_CAP = 1 << 18;
/** What lies between is looked at in parts of this size: zeros are left out, and one that fails is. */
const BLOCK = 4096;

/**
 * Partition tables of a disk, and what lies before its first partition: with them a disk can be partitioned again
 * even when none of the image's chunks can be read. Empty where there is no partition table.
 */
export function partitionData({disk, table}: Image): PartitionData[] {
	if (table.scheme === NO_SCHEME) return [];
	const first = Math.min(disk.size, ...table.partitions.map(({start}) => start));
	const runs = copyRuns(disk, 0, Math.min(first, GAP_CAP));
	if (table.scheme !== 'gpt') return runs;
	for (const {start, end} of gptRanges(disk)) {
		// The primary copy lies in what has been taken, unless entries were placed elsewhere.
		const from = Math.max(start, Math.min(first, GAP_CAP));
		if (end > from) runs.push(...copyRuns(disk, from, Math.min(end, from + BACKUP_CAP)));
	}
	return runs;
}

function copyRuns(disk: Disk, start: number, end: number): PartitionData[] {
	const found: PartitionData[] = [];
	let run: Uint8Array[] = [];
	let runStart = start;
	const close = (): void => {
		if (run.length > 0) found.push({position: runStart, base64: Buffer.concat(run).toString('base64')});
		run = [];
	};
	for (let position = start; position < end; position += BLOCK) {
		const block = new Uint8Array(Math.min(BLOCK, end - position));
		if (!readable(disk, position, block) || isZero(block)) {
			close();
			continue;
		}
		if (run.length === 0) runStart = position;
		run.push(block);
	}
	close();
	return found;
}

function readable(disk: Disk, position: number, target: Uint8Array): boolean {
	try {
		disk.readAt(position, target);
		return true;
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}
