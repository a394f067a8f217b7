import {performance} from 'node:perf_hooks';
import {DiskError} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Image, Volume} from '../image/image.ts';
import {newPace} from '../work/pace.ts';
import {type CheckFinding, type FindingCounts, findingList} from './findings.ts';
import {checkVolume, type VolumeCheck} from './volume.ts';

/** Findings of each severity that are listed. */
const LISTED = 1000;

export interface CheckOptions {
	/** The number of the only volume to be checked; all when absent. */
	readonly volume?: number;
	/** Reads all content of files as well: for blocks that cannot be read or decompressed. */
	readonly content?: boolean;
	/** Findings listed of each severity; all are counted. */
	readonly limit?: number;
	/** In bytes of file content that was passed. */
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

export interface CheckReport {
	/** Whether there is no damage. */
	readonly good: boolean;
	/** Those of the image and its partition table first, then volume by volume, in the order of paths. */
	readonly findings: readonly CheckFinding[];
	/** Of all findings, also of those that are not listed. */
	readonly counts: FindingCounts;
	readonly volumes: readonly VolumeCheck[];
	readonly seconds: number;
}

/**
 * Looks at all metadata of the file systems in an image, and says by path what is damaged or contradicts itself. Changes
 * nothing. Damage is collected, and the rest goes on; rejects only where there is no such volume, and when the signal is
 * aborted.
 */
export async function checkImage(image: Image, options: CheckOptions = {}): Promise<CheckReport> {
	const {content = false, limit = LISTED, onProgress, signal} = options;
	signal?.throwIfAborted();
	const started = performance.now();
	const chosen = chooseVolumes(image, options.volume);
	const list = findingList(limit);
	for (const {severity, code, message} of image.findings) {
		list.add({volume: null, path: null, node: null, severity, code, message, where: {}});
	}
	const sizes = chosen.map(usedBytes);
	const progress = {position: 0, total: sizes.reduce((sum, size) => sum + size, 0)};
	const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
	const volumes: VolumeCheck[] = [];
	let before = 0;
	for (const [index, volume] of chosen.entries()) {
		const used = sizes[index] ?? 0;
		const onPosition = (position: number): void => {
			progress.position = before + Math.min(position, used);
		};
		volumes.push(await checkVolume(volume, list, {content, pace, onPosition}));
		before += used;
		progress.position = before;
	}
	onProgress?.({position: progress.total, total: progress.total});
	const counts = list.counts();
	return {
		good: counts.damage === 0,
		findings: list.list(),
		counts,
		volumes,
		seconds: (performance.now() - started) / 1000,
	};
}

function chooseVolumes({volumes}: Image, number: number | undefined): readonly Volume[] {
	if (number === undefined) return volumes;
	const volume = volumes.find(candidate => candidate.number === number);
	if (volume !== undefined) return [volume];
	const known = volumes.map(candidate => candidate.number).join(', ');
	throw new DiskError('not-found', 'check/no-volume', `there is no volume ${number} in this image`, {
		hint: known === '' ? 'it has none' : `its volumes are ${known}`,
	});
}

/** For progress alone: what cannot be read counts as nothing. */
function usedBytes({fileSystem}: {readonly fileSystem: FileSystem | undefined}): number {
	if (fileSystem === undefined) return 0;
	try {
		const {blockSize, totalBlocks, freeBlocks} = fileSystem.usage();
		return Math.max(0, totalBlocks - freeBlocks) * blockSize;
	} catch (error) {
		if (error instanceof DiskError) return 0;
		throw error;
	}
}
