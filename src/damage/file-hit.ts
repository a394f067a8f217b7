import {roundUp} from '../core/bytes/u64.ts';
import {newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeId, Stat, Stream} from '../core/file-system.ts';
import type {Pace} from '../work/pace.ts';
import type {Ranges} from './ranges.ts';

/** Runs listed of one file. */
const MOST_RUNS = 16;
/** Bytes read at once of what is compressed, and blamed at once where that fails. */
const PIECE = 64 << 10;

/** Where a file is hit. */
export interface FileHit {
	/** Bytes of its content that are damaged. */
	readonly damaged: number;
	/** Positions in the file; the first 16. */
	readonly ranges: readonly {readonly position: number; readonly length: number}[];
}

export interface FileProbe {
	file(stat: Stat): Promise<FileHit>;
	stream(stream: Stream): Promise<FileHit>;
	/** Damaged bytes of the volume that were found to be content of files, each counted once. */
	bytes(): number;
	/** Damaged bytes behind the ends of files, in their last blocks. */
	slack(): number;
}

/**
 * Finds out how files of one volume are hit: by where they lie, and by reading them where that does not say it
 * (compressed content, content within a file's record). `start` is the volume's on the disk.
 */
export function fileProbe(fileSystem: FileSystem, ranges: Ranges, start: number, pace: Pace): FileProbe {
	const span = newSpan();
	const buffer = new Uint8Array(PIECE);
	const blockSize = blockSizeOf(fileSystem);
	/** Of files with several names. */
	const seen = new Map<NodeId, FileHit>();
	let bytes = 0;
	let slack = 0;

	function collect() {
		const runs: {position: number; length: number}[] = [];
		let damaged = 0;
		return {
			add: (position: number, length: number): void => {
				damaged += length;
				const last = runs.at(-1);
				if (last !== undefined && last.position + last.length === position) last.length += length;
				else if (runs.length < MOST_RUNS) runs.push({position, length});
			},
			hit: (): FileHit => ({damaged, ranges: runs}),
		};
	}

	async function probeFile({node, size}: Stat): Promise<FileHit> {
		const found = collect();
		for (let position = 0; position < size; ) {
			if (pace.due()) await pace.turn();
			fileSystem.locate(node, position, span);
			const {kind, at} = span;
			const from = position;
			const length = Math.min(span.length, size - from);
			position += length;
			if (readsAsZero(kind)) continue;
			if (kind !== SpanKind.stored) {
				await probeByReading(from, length, found.add, (at2, target) => fileSystem.read(node, at2, target));
				continue;
			}
			ranges.within(start + at, start + at + length, (place, run) => {
				bytes += run;
				found.add(from + place - start - at, run);
			});
			if (position < size) continue;
			ranges.within(start + at + length, start + roundUp(at + length, blockSize), (_, run) => {
				slack += run;
			});
		}
		return found.hit();
	}

	/** Errors that say nothing of damage are no damage. */
	async function probeByReading(
		from: number,
		length: number,
		add: (position: number, length: number) => void,
		read: (position: number, target: Uint8Array) => number,
	): Promise<void> {
		for (let done = 0; done < length; ) {
			if (pace.due()) await pace.turn();
			const part = buffer.subarray(0, Math.min(PIECE, length - done));
			try {
				read(from + done, part);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				if (error.family === 'unsupported') return;
				bytes += part.length;
				add(from + done, part.length);
			}
			done += part.length;
		}
	}

	return {
		async file(stat) {
			const known = stat.links > 1 ? seen.get(stat.node) : undefined;
			if (known !== undefined) return known;
			const hit = await probeFile(stat);
			if (stat.links > 1 && hit.damaged > 0) seen.set(stat.node, hit);
			return hit;
		},
		async stream(stream) {
			const found = collect();
			await probeByReading(0, stream.size, found.add, (position, target) => stream.read(position, target));
			return found.hit();
		},
		bytes: () => bytes,
		slack: () => slack,
	};
}

function blockSizeOf(fileSystem: FileSystem): number {
	try {
		return Math.max(1, fileSystem.usage().blockSize);
	} catch (error) {
		if (error instanceof DiskError) return 1;
		throw error;
	}
}
