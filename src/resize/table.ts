import {newSpan, readsAsZero, type Disk, type Finding} from '../core/disk.ts';
import {isZero} from '../core/bytes/zeros.ts';
import {DiskError} from '../core/error.ts';
import type {ContentChange} from '../core/upkeep.ts';
import type {Image, Volume} from '../image/image.ts';
import {isUsed, readBootSector} from '../partitions/boot-sector.ts';
import {gptRanges} from '../partitions/gpt/copies.ts';
import {type BackupMove, moveBackup} from '../partitions/gpt/relocate.ts';
import {NO_SCHEME} from '../partitions/index.ts';
import type {Pace} from '../work/pace.ts';

const PIECE = 1 << 20;
/** Entries of an MBR count sectors in 32 bits. */
const MOST_SECTORS = 2 ** 32;

/** What a disk's partition table has to say to another size. */
export interface TableChange {
	/** Group after group: see `ResizeRequest.content`. */
	readonly content: readonly (readonly ContentChange[])[];
	/** Undefined where no GPT moves. */
	readonly move: BackupMove | undefined;
	readonly findings: readonly Finding[];
}

function refuse(code: string, message: string, disk: Disk, hint: string): DiskError {
	return new DiskError('refused', `resize/${code}`, message, {where: {file: disk.name}, hint});
}

/** Throws `refused` where the new size would cut something that the disk holds, and says what. */
export async function changeTable(image: Image, size: number, pace: Pace): Promise<TableChange> {
	const {disk, table} = image;
	const findings: Finding[] = [];
	if (size < disk.size) {
		if (table.scheme === NO_SCHEME) await checkWhole(image, size, pace);
		else {
			checkPartitions(image, size);
			const skip = table.scheme === 'gpt' ? gptRanges(disk) : [];
			const found = await firstData(disk, size, skip, pace);
			if (found !== undefined) {
				const message = `what lies behind all partitions at ${found} is cut off, and is not zeros`;
				findings.push({code: 'resize/data-behind', severity: 'warning', message});
			}
		}
	}
	if (table.scheme === 'mbr' && size > MOST_SECTORS * disk.sectorSize) {
		const message = `an MBR reaches no further than ${MOST_SECTORS * disk.sectorSize} bytes; for partitions behind that the disk needs a GPT`;
		findings.push({code: 'resize/beyond-mbr', severity: 'warning', message});
	}
	if (table.scheme !== 'gpt') return {content: [], move: undefined, findings};
	const result = moveBackup(disk, size);
	if (result === undefined || 'problem' in result) {
		const problem = result?.problem ?? 'the primary copy of the table is damaged';
		throw refuse(
			'table',
			`the backup of the partition table cannot go to the new end, since ${problem}`,
			disk,
			size < disk.size ? 'choose a larger size' : 'repair the table first: gdisk or sgdisk can',
		);
	}
	const {move} = result;
	if (size === disk.size && move.from === move.to) return {content: [], move: undefined, findings};
	return {content: [...inOrder(move), ...clearOld(image, move, size)], move, findings};
}

/** The new backup first, so that at each moment one copy is whole; what leads to the table last. */
function inOrder({patches, sectorSize}: BackupMove): ContentChange[][] {
	const backup = patches.filter(({position}) => position > sectorSize);
	const primary = patches.filter(({position}) => position === sectorSize);
	const bootSector = patches.filter(({position}) => position < sectorSize);
	return [backup, primary, bootSector].filter(group => group.length > 0);
}

/**
 * The old backup becomes zeros, once nothing leads to it any more: left between partitions it would be found as a table
 * by whoever looks there later. Where a partition or the new backup lies over it, it stays.
 */
function clearOld({disk, table}: Image, {patches, from, to}: BackupMove, size: number): ContentChange[][] {
	const [, primary, ...backup] = gptRanges(disk);
	if (from === to || primary === undefined) return [];
	const taken = [
		...table.partitions.map(({start, length}) => ({start, end: start + length})),
		...patches.map(({position, bytes}) => ({start: position, end: position + bytes.length})),
	];
	const changes: ContentChange[] = [];
	for (const {start, end} of backup) {
		let free = [{start, end: Math.min(end, size)}];
		for (const other of taken) {
			free = free.flatMap(run => [
				{start: run.start, end: Math.min(run.end, other.start)},
				{start: Math.max(run.start, other.end), end: run.end},
			]);
			free = free.filter(run => run.end > run.start);
		}
		for (const run of free) changes.push({position: run.start, bytes: new Uint8Array(run.end - run.start)});
	}
	return changes.length > 0 ? [changes] : [];
}

function checkPartitions({disk, volumes, table}: Image, size: number): void {
	const cut = volumes.filter(({partition: {start, length}}) => start + length > size);
	const [first] = cut.toSorted((a, b) => a.number - b.number);
	if (first !== undefined) throw cutPartition(first, cut.length - 1, disk, size);
	if (table.scheme !== 'mbr') return;
	// An extended partition holds others, and may reach further than they do.
	for (const [slot, entry] of (readBootSector(disk)?.entries ?? []).entries()) {
		const end = (entry.start + entry.sectors) * disk.sectorSize;
		if (!isUsed(entry) || Math.min(end, disk.size) <= size) continue;
		throw refuse(
			'cuts-partition',
			`partition ${slot + 1} ends at ${end}, behind the new end of the disk at ${size}`,
			disk,
			'shrink it first, or choose a larger size',
		);
	}
}

function cutPartition({name, partition}: Volume, others: number, disk: Disk, size: number): DiskError {
	const end = partition.start + partition.length;
	const more = others === 0 ? '' : `; so would ${others} more`;
	return refuse(
		'cuts-partition',
		`partition ${name} ends at ${end}, behind the new end of the disk at ${size}${more}`,
		disk,
		`the smallest size without cutting it is ${end} bytes and what the partition table needs; shrink it first in the machine`,
	);
}

/** A disk without a table: a file system knows how large it is, and what nobody knows is kept. */
async function checkWhole({disk, volumes}: Image, size: number, pace: Pace): Promise<void> {
	const [volume] = volumes;
	const fileSystem = volume?.fileSystem;
	const needed = fileSystem?.usage().volumeSize;
	if (fileSystem !== undefined && needed !== undefined && needed > size) {
		throw refuse(
			'cuts-file-system',
			`the ${fileSystem.type} file system has ${needed} bytes, and the disk would have ${size}`,
			disk,
			'shrink the file system first, or choose a larger size',
		);
	}
	if (volume?.error !== undefined || (fileSystem !== undefined && needed === undefined)) {
		throw refuse(
			'cuts-unknown',
			`how much of the disk is in use is not known${volume?.error === undefined ? '' : `: ${volume.error.message}`}`,
			disk,
			'only a disk whose content is understood is made smaller',
		);
	}
	const found = await firstData(disk, size, [], pace);
	if (found === undefined) return;
	throw refuse(
		'cuts-data',
		`there is data at ${found}, behind the new end of the disk at ${size}`,
		disk,
		'choose a larger size; what is not zeros is not cut off',
	);
}

/** Where the first byte from `start` on lies that is not zero and not in one of the ranges. */
async function firstData(
	disk: Disk,
	start: number,
	skip: readonly {readonly start: number; readonly end: number}[],
	pace: Pace,
): Promise<number | undefined> {
	const span = newSpan();
	const buffer = new Uint8Array(PIECE);
	for (let position = start; position < disk.size; ) {
		if (pace.due()) await pace.turn();
		disk.locate(position, span);
		if (readsAsZero(span.kind)) {
			position += span.length;
			continue;
		}
		const bytes = buffer.subarray(0, Math.min(PIECE, span.length));
		disk.readAt(position, bytes);
		for (const range of skip) {
			const from = Math.max(0, range.start - position);
			const to = Math.min(bytes.length, range.end - position);
			if (to > from) bytes.fill(0, from, to);
		}
		if (!isZero(bytes)) return position + bytes.findIndex(byte => byte !== 0);
		position += bytes.length;
	}
	return undefined;
}
