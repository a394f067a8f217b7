import {newSpan, SpanKind} from '../core/disk.ts';
import type {FileSystem, FileSystemUsage, NodeId} from '../core/file-system.ts';
import {type Bits, newBits} from './bits.ts';
import type {Reporter} from './findings.ts';

/**
 * How often the files of a volume may map it in all before their maps are no longer followed: each cluster belongs to
 * one file, and file systems that share clusters share them between a few.
 */
const MOST_TIMES_MAPPED = 16;
/**
 * Runs followed, of files and of the volume's map, for each cluster: where every second one is a hole there are two, and
 * the map is asked about each. Some more for small volumes, whose files may all be empty or compressed.
 */
const RUNS_PER_CLUSTER = 4;
const MORE_RUNS = 1 << 20;

/** Which clusters of a volume belong to which files, and whether the volume's own map agrees. */
export interface Clusters {
	/** Bytes of files that lie verbatim on the volume, each cluster counted once. */
	readonly bytes: number;
	/** Clusters that several files have. */
	readonly shared: Bits;
	/** Bytes of clusters that were not remembered, since there was no more room. */
	readonly forgotten: number;
	/** False once the files map more than the volume can hold, and so their maps are not followed. */
	readonly followed: boolean;
	/** Follows the map of a file to its end. Throws what the file system throws. */
	follow(node: NodeId, size: number, path: string): void;
	/** Before files are looked at a second time. */
	startAgain(): void;
	/** Visits the clusters of a file that are shared. Throws what the file system throws. */
	eachShared(node: NodeId, size: number, visit: (cluster: number) => void): void;
}

export interface ClustersOptions {
	readonly fileSystem: FileSystem;
	readonly usage: FileSystemUsage | undefined;
	/** Bytes of the volume. */
	readonly size: number;
	readonly report: Reporter;
}

export function openClusters({fileSystem, usage, size: volumeSize, report}: ClustersOptions): Clusters {
	const clusterSize = Math.max(1, usage?.blockSize ?? 512);
	const owned = newBits();
	const shared = newBits();
	const span = newSpan();
	const map = newSpan();
	const mostRuns = RUNS_PER_CLUSTER * Math.ceil(volumeSize / clusterSize) + MORE_RUNS;
	let {allocated} = fileSystem;
	const phase = phaseOf();
	let mapped = 0;
	let runs = 0;
	let followed = true;

	/** Asks the volume's own map; where that fails it is told once, and not asked again. */
	function ask(position: number): boolean {
		if (allocated === undefined) return false;
		try {
			allocated(position, map);
			return true;
		} catch (error) {
			report.failure(error, null);
			allocated = undefined;
			return false;
		}
	}

	/**
	 * Where clusters start, from the start of the volume, less whole clusters. Those of FAT follow its tables, whose
	 * end need not lie at a multiple: the map's first run ends there.
	 */
	function phaseOf(): number {
		if (!ask(0) || map.length >= volumeSize) return 0;
		return map.length % clusterSize;
	}

	/** The number of the cluster at `at`, where content at `position` lies as clusters do; -1 for what lies within others. */
	function clusterAt(position: number, at: number): number {
		const offset = at - phase - (position % clusterSize);
		return offset >= 0 && offset % clusterSize === 0 ? offset / clusterSize : -1;
	}

	function freeWithin(at: number, length: number): number {
		let free = 0;
		for (let position = at; position < at + length; position += map.length) {
			if (++runs > mostRuns || !ask(position)) break;
			if (map.kind === SpanKind.free) free += Math.min(map.length, at + length - position);
		}
		return free;
	}

	/** Runs of a file that lie on the volume as clusters do. `visit` says whether to go on. */
	function eachRun(node: NodeId, size: number, visit: (cluster: number, count: number, at: number) => void): void {
		for (let position = 0; position < size && followed; position += span.length) {
			if (++runs > mostRuns || mapped > MOST_TIMES_MAPPED * volumeSize) {
				followed = false;
				return;
			}
			fileSystem.locate(node, position, span);
			if (span.kind !== SpanKind.stored) continue;
			mapped += span.length;
			const cluster = clusterAt(position, span.at);
			if (cluster < 0) continue;
			const within = position % clusterSize;
			const count = Math.ceil((within + span.length) / clusterSize);
			// A run that goes on in the cluster in which the one before ended is the same cluster.
			const again = within !== 0 && position > 0 ? 1 : 0;
			if (count > again) visit(cluster + again, count - again, span.at);
		}
	}

	function follow(node: NodeId, size: number, path: string): void {
		let free = 0;
		let firstFree = -1;
		let beyond = 0;
		try {
			eachRun(node, size, (cluster, count, at) => {
				const length = Math.max(0, Math.min(span.length, volumeSize - at));
				beyond += span.length - length;
				owned.take(cluster, count, shared);
				const freeHere = freeWithin(at, length);
				if (freeHere > 0 && firstFree < 0) firstFree = at;
				free += freeHere;
			});
		} finally {
			if (free > 0) {
				const message = `${free} bytes of it lie in clusters that the volume's map calls free, from byte ${firstFree} of the volume on`;
				report.finding('damage', 'check/free-cluster', message, {path, node});
			}
			if (beyond > 0) {
				const message = `${beyond} bytes of it lie behind the end of the volume`;
				report.finding('damage', 'check/beyond-volume', message, {path, node});
			}
		}
	}

	return {
		shared,
		follow,
		startAgain() {
			runs = 0;
			mapped = 0;
			followed = true;
		},
		eachShared(node, size, visit) {
			eachRun(node, size, (cluster, count) => {
				for (let from = cluster, end = cluster + count; from < end; from++) {
					from = shared.find(from, end - from);
					if (from < 0) break;
					visit(from);
				}
			});
		},
		get bytes() {
			return owned.size * clusterSize;
		},
		get forgotten() {
			return owned.forgotten * clusterSize;
		},
		get followed() {
			return followed;
		},
	};
}
