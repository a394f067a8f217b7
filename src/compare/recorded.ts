import {sameBytes} from '../core/bytes/text.ts';
import {roundDown} from '../core/bytes/u64.ts';
import {HASH_SIZE} from '../core/codecs/sha256.ts';
import type {Disk} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {RecordedHashes} from '../core/upkeep.ts';
import {upkeepOf} from '../work/upkeep.ts';

/** What two images record of their content, side by side. */
export interface RecordedPair {
	/** Whether the content ids are equal, and so all content that could be read. */
	readonly equal: boolean;
	readonly mayBeUnreadable: boolean;
	/** How many bytes from `position` on are the same by their hashes; 0 where they differ, or it is not known. */
	same(position: number): number;
	/** Bytes from `position` to the end of what has one hash. */
	left(position: number): number;
}

/** Undefined where the content has to be read. */
export function recordedHashes(first: Disk, second: Disk): RecordedPair | undefined {
	if (first.size !== second.size) return undefined;
	const a = hashesOf(first);
	const b = hashesOf(second);
	if (a === undefined || b === undefined) return undefined;
	const equal = sameBytes(a.contentId, b.contentId);
	if (!equal && a.unit !== b.unit) return undefined;
	const {unit} = a;
	const hashes = [new Uint8Array(HASH_SIZE), new Uint8Array(HASH_SIZE)] as const;
	return {
		equal,
		mayBeUnreadable: a.mayBeUnreadable || b.mayBeUnreadable,
		left: position => unit - (position % unit),
		same(position) {
			if (equal) return unit - (position % unit);
			const start = roundDown(position, unit);
			try {
				const length = Math.min(a.read(start, hashes[0]), b.read(start, hashes[1]));
				return sameBytes(...hashes) ? start + length - position : 0;
			} catch (error) {
				// Without its hashes content can still be compared.
				if (error instanceof DiskError) return 0;
				throw error;
			}
		},
	};
}

function hashesOf(disk: Disk): RecordedHashes | undefined {
	return upkeepOf(disk)?.hashes?.(disk);
}
