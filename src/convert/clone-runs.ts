import {type Disk, newSpan, readsAsZero, SpanKind, type StoredRun} from '../core/disk.ts';

/** What can be cloned into an output; plain data that crosses to workers. */
export interface Cloning {
	/** Descriptors of files whose blocks can be shared. */
	readonly from: readonly number[];
	/** Block size of the file system: what is cloned is a multiple of it. */
	readonly unit: number;
}

/**
 * Runs in one piece above which it is copied: each costs a call to the system and a fragment of the target, and a copy
 * of a piece costs no more than these.
 */
const MOST_RUNS = 16;

/** Says which runs a piece consists of when all of its content can be cloned; undefined where it must be copied. */
export type RunFinder = (position: number, length: number) => readonly StoredRun[] | undefined;

export function runFinder(disk: Disk, {from, unit}: Cloning): RunFinder {
	const span = newSpan();
	const cloneable = disk.sources.map(({descriptor}) => descriptor !== undefined && from.includes(descriptor));

	/** Whether the run in `span`, at `offset` of a piece, lies at whole blocks of a file that can be cloned from. */
	function fits(offset: number, length: number): boolean {
		const {source, at} = span;
		return (
			cloneable[source] &&
			offset % unit === 0 &&
			length % unit === 0 &&
			at % unit === 0 &&
			at + length <= disk.sources[source].size
		);
	}

	return (position, length) => {
		const runs: {-readonly [Key in keyof StoredRun]: StoredRun[Key]}[] = [];
		for (let offset = 0; offset < length; ) {
			disk.locate(position + offset, span);
			const part = Math.min(span.length, length - offset);
			if (span.kind === SpanKind.stored) {
				if (!fits(offset, part)) return undefined;
				const source = disk.sources[span.source];
				const last = runs.at(-1);
				const continues =
					last?.source === source && last.offset + last.length === offset && last.at + last.length === span.at;
				if (continues) last.length += part;
				else if (runs.length === MOST_RUNS) return undefined;
				else runs.push({offset, length: part, source, at: span.at});
			} else if (!readsAsZero(span.kind)) return undefined;
			offset += part;
		}
		return runs;
	};
}
