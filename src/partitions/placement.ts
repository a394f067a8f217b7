import type {Disk} from '../core/disk.ts';
import type {Partition, PartitionContext} from '../core/partition-table.ts';

/** A partition as its table has it, before it is held against the disk. */
export interface Candidate extends Omit<Partition, 'start' | 'length'> {
	/** Bytes; anything, and inexact above 2^53, where no disk is. */
	readonly start: number;
	/** Bytes, more than 0. */
	readonly length: number;
}

/** How many partitions a finding names; a hostile table has thousands. */
const NAMED = 8;

/** The partitions that lie on the disk, cut at its end and sorted by number. What was changed is reported. */
export function placePartitions(
	scheme: string,
	candidates: readonly Candidate[],
	disk: Disk,
	context: PartitionContext,
): Partition[] {
	const placed: Partition[] = [];
	const outside: number[] = [];
	const cut: number[] = [];
	for (const candidate of candidates) {
		const room = disk.size - candidate.start;
		if (room <= 0) {
			outside.push(candidate.number);
			continue;
		}
		if (candidate.length > room) cut.push(candidate.number);
		placed.push({...candidate, length: Math.min(candidate.length, room)});
	}
	if (outside.length > 0) {
		context.warn({
			code: `${scheme}/partition-outside-disk`,
			severity: 'damage',
			message: `${list(outside)} ${verb(outside, 'lies', 'lie')} beyond the end of the disk and ${verb(outside, 'is', 'are')} left out`,
		});
	}
	if (cut.length > 0) {
		context.warn({
			code: `${scheme}/partition-cut-short`,
			severity: 'damage',
			message: `${list(cut)} ${verb(cut, 'reaches', 'reach')} beyond the end of the disk and ${verb(cut, 'is', 'are')} cut there: the image is incomplete`,
		});
	}
	reportOverlaps(scheme, placed, context);
	return placed.sort((a, b) => a.number - b.number);
}

function reportOverlaps(scheme: string, partitions: readonly Partition[], context: PartitionContext): void {
	const pairs = overlaps(partitions);
	if (pairs.length === 0) return;
	const named = pairs.slice(0, NAMED).map(([first, second]) => `${first} and ${second}`);
	const more = pairs.length > NAMED ? `, and ${pairs.length - NAMED} more pairs` : '';
	context.warn({
		code: `${scheme}/partitions-overlap`,
		severity: 'warning',
		message: `these partitions overlap: ${named.join(', ')}${more}`,
	});
}

/** Each partition that begins inside an earlier one, behind the number of that one. */
export function overlaps(partitions: readonly {number: number; start: number; length: number}[]): [number, number][] {
	const pairs: [number, number][] = [];
	let end = 0;
	let owner = 0;
	for (const {number, start, length} of partitions.toSorted((a, b) => a.start - b.start || a.number - b.number)) {
		if (start < end) pairs.push([owner, number]);
		if (start + length > end) {
			end = start + length;
			owner = number;
		}
	}
	return pairs;
}

/** `partition 3`, `partitions 1, 2, 3`, `partitions 1, 2, ... and 40 more`. */
export function list(numbers: readonly number[]): string {
	const named = numbers.slice(0, NAMED).join(', ');
	const more = numbers.length > NAMED ? ` and ${numbers.length - NAMED} more` : '';
	return `${numbers.length === 1 ? 'partition' : 'partitions'} ${named}${more}`;
}

export function verb(numbers: readonly number[], singular: string, plural: string): string {
	return numbers.length === 1 ? singular : plural;
}
