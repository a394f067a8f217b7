import {type DiskError, serializeError, type SerializedError} from '../core/error.ts';

/** Runs that one thread keeps: with the error of each some 100 MiB. */
const MOST_RUNS = 1 << 18;

/** A run of the disk that is lost or doubtful; plain data. */
export interface DamagedRun {
	readonly position: number;
	readonly length: number;
	/** That of its first part. */
	readonly error: SerializedError;
}

export interface DamageList {
	readonly add: (position: number, length: number, error: DiskError) => void;
	runs(): readonly DamagedRun[];
	/** Bytes in runs that found no room. */
	forgotten(): number;
}

/** Joins neighbours that are damaged in the same way. */
export function damageList(): DamageList {
	const runs: {position: number; length: number; error: SerializedError}[] = [];
	let forgotten = 0;
	return {
		add(position, length, error) {
			const last = runs.at(-1);
			if (last !== undefined && last.position + last.length === position && last.error.code === error.code) {
				last.length += length;
			} else if (runs.length < MOST_RUNS) {
				runs.push({position, length, error: serializeError(error)});
			} else forgotten += length;
		},
		runs: () => runs,
		forgotten: () => forgotten,
	};
}

/** In the order of the disk; what several threads found side by side becomes one. */
export function joinRuns(lists: readonly (readonly DamagedRun[])[]): DamagedRun[] {
	const joined: {position: number; length: number; error: SerializedError}[] = [];
	for (const {position, length, error} of lists.flat().sort((a, b) => a.position - b.position)) {
		const last = joined.at(-1);
		if (last !== undefined && last.position + last.length === position && last.error.code === error.code) {
			last.length += length;
		} else joined.push({position, length, error});
	}
	return joined;
}
