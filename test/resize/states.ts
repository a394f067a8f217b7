import type {ExecutionContext} from 'ava';
import type {Disk, DiskFormat} from '../../src/core/disk.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import type {ContentChange} from '../../src/core/upkeep.ts';
import {seededRandom} from '../fuzz/random.ts';
import {type Crash, lossy, prefixes, type Recording, recordingSink} from '../helpers/recording-sink.ts';

export const ID = Uint8Array.from({length: 16}, (_, index) => index * 7 + 1);
const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);

export interface Change {
	readonly format: DiskFormat;
	readonly before: Uint8Array;
	readonly size: number;
	readonly content?: readonly (readonly ContentChange[])[];
}

/** Opens a file in memory; findings are nobody's. */
export function openState(format: DiskFormat, bytes: Uint8Array): Disk {
	const context = {
		warn() {},
		openRelated(): never {
			throw new Error('nothing else is to be opened');
		},
	};
	return checked(format.open(checked(memorySource(bytes, 'state')), context));
}

export function contentOf(disk: Disk): Uint8Array {
	const bytes = new Uint8Array(disk.size);
	disk.readAt(0, bytes);
	return bytes;
}

/** Resizes a file in memory, and keeps all that was asked of it. */
export function record({format, before, size, content = []}: Change): {recording: Recording; after: Uint8Array} {
	const {sink, recording, bytes} = recordingSink(before);
	const context = {
		warn() {},
		openRelated(): never {
			throw new Error('nothing else is to be opened');
		},
	};
	const resizable = format.upkeep?.resize?.(checked(memorySource(before, 'before')), context);
	if (resizable === undefined) throw new Error(`${format.name} cannot be resized`);
	const plan = resizable.plan({size, content, id: ID});
	for (const step of plan.apply(sink)) if (step.position > step.total) throw new Error('more than all was done');
	const after = bytes();
	if (after.length !== plan.fileSize) throw new Error(`a file of ${after.length} bytes, not of ${plan.fileSize}`);
	return {recording, after};
}

/** What the disk is to hold afterwards. */
export function expected(old: Uint8Array, size: number, content: Change['content'] = []): Uint8Array {
	const bytes = new Uint8Array(size);
	bytes.set(old.subarray(0, size));
	for (const {position, bytes: patch} of content.flat()) {
		if (position < size) bytes.set(patch.subarray(0, size - position), position);
	}
	return bytes;
}

/** The first sector in which a state is neither the one nor the other; -1 where there is none. */
export function strayByte(found: Uint8Array, one: Uint8Array, other: Uint8Array): number {
	if (Buffer.compare(found, one) === 0 || Buffer.compare(found, other) === 0) return -1;
	for (let at = 0; at < found.length; at += 512) {
		const sector = found.subarray(at, at + 512);
		if (Buffer.compare(sector, one.subarray(at, at + 512)) === 0) continue;
		if (Buffer.compare(sector, other.subarray(at, at + 512)) !== 0) return at;
	}
	return -1;
}

export interface Counts {
	old: number;
	new: number;
	other: number;
}

/** Judges every prefix of what was asked, and random losses of it. */
export function judgeStates(
	t: ExecutionContext,
	recording: Recording,
	subsets: number,
	judge: (state: Crash) => keyof Counts,
): Counts {
	const counts: Counts = {old: 0, new: 0, other: 0};
	const look = (state: Crash): void => {
		let verdict: keyof Counts;
		try {
			verdict = judge(state);
		} catch (error) {
			throw new Error(`${state.how}: ${String(error)}`, {cause: error});
		}
		counts[verdict]++;
	};
	for (const state of prefixes(recording)) look(state);
	const random = seededRandom(SEED);
	const losses = lossy(recording);
	for (let i = 0; i < subsets; i++) look(losses.draw(random));
	t.log(`${counts.old} old, ${counts.new} new${counts.other > 0 ? `, ${counts.other} else` : ''}`);
	t.true(counts.old > 0 && counts.new > 0);
	return counts;
}
