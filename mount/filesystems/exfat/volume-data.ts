import type {ClusterRun} from '../../../src/core/cluster-chain.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {Allocation, Allocations} from './allocation.ts';
import {type Bitmap, openBitmap} from './bitmap.ts';
import type {Geometry} from './boot-region.ts';
import {tableChecksum} from './checksums.ts';
import {FIRST_CLUSTER, MAX_UPCASE_SIZE} from './layout.ts';
import type {Place, RootEntries} from './root-entries.ts';
import {parseUpcase, type Upcase, upcaseOf} from './upcase.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** What the volume keeps in clusters for itself. */
export interface VolumeData {
	readonly bitmap: Bitmap;
	readonly upcase: Upcase;
}

/** Bitmap and up-case table; says through `context` what is wrong with them. */
export function openVolumeData(
	volume: Volume,
	geometry: Geometry,
	allocations: Allocations,
	entries: RootEntries,
	context: FileSystemContext,
): VolumeData {
	const {heapStart, clusterSize, clusterCount} = geometry;
	const run: ClusterRun = {cluster: 0, length: 0};

	function allocationOf({firstCluster, size}: Place): Allocation {
		return allocations.chained(firstCluster, Math.ceil(size / clusterSize), false);
	}

	/** Fills `target` from `position` of what has these clusters. */
	function read(allocation: Allocation, position: number, target: Uint8Array): void {
		for (let done = 0; done < target.length; ) {
			const index = Math.floor((position + done) / clusterSize);
			if (index >= allocation.length) {
				throw allocation.fault ?? corrupt('exfat/chain-too-short', 'the cluster chain is too short');
			}
			allocations.find(allocation, index, run);
			const within = position + done - index * clusterSize;
			const count = Math.min(run.length * clusterSize - within, target.length - done);
			volume.read(
				heapStart + (run.cluster - FIRST_CLUSTER) * clusterSize + within,
				target.subarray(done, done + count),
			);
			done += count;
		}
	}

	function bitmapDamage(message: string): void {
		context.warn({code: 'exfat/bitmap', severity: 'damage', message});
	}

	function readBitmap(): Bitmap {
		const place = entries.bitmap;
		if (place === undefined) {
			bitmapDamage('the root directory names no allocation bitmap; all space counts as used');
			return openBitmap(() => {}, 0, geometry, volume.size);
		}
		const needed = Math.ceil(clusterCount / 8);
		const bounded = {firstCluster: place.firstCluster, size: Math.min(place.size, needed)};
		if (place.size < needed) {
			bitmapDamage(`the allocation bitmap has ${place.size} of ${needed} bytes; space behind it counts as used`);
		}
		const allocation = allocationOf(bounded);
		if (allocation.fault !== undefined) bitmapDamage(`the allocation bitmap is damaged: ${allocation.fault.message}`);
		return openBitmap((position, target) => read(allocation, position, target), bounded.size, geometry, volume.size);
	}

	function readUpcase(): Uint16Array | string {
		const place = entries.upcase;
		if (place === undefined) return 'is missing';
		if (place.size > MAX_UPCASE_SIZE) return `claims ${place.size} bytes`;
		const bytes = new Uint8Array(place.size);
		try {
			read(allocationOf(place), 0, bytes);
		} catch (error) {
			if (error instanceof DiskError) return `cannot be read (${error.message})`;
			throw error;
		}
		if (tableChecksum(bytes) !== place.checksum) return 'has a wrong checksum';
		return parseUpcase(bytes) ?? 'has too many units';
	}

	const table = readUpcase();
	if (typeof table === 'string') {
		const message = `the up-case table ${table}; Unicode's upper case was used, and some names may be told apart by case`;
		context.warn({code: 'exfat/upcase', severity: 'warning', message});
	}
	return {bitmap: readBitmap(), upcase: upcaseOf(typeof table === 'string' ? undefined : table)};
}
