import type {Chain, Chains, ClusterRun, ClusterTable} from '../../../src/core/cluster-chain.ts';
import {corrupt, type DiskError} from '../../../src/core/error.ts';
import {FIRST_CLUSTER} from './layout.ts';

/** The clusters of a file or directory: a chain in the FAT, or so many in a row (section 6.3.4.2). */
export interface Allocation {
	/** Clusters that can be read. */
	readonly length: number;
	/** Why there are fewer than were asked for. */
	readonly fault: DiskError | undefined;
	readonly first: number;
	/** Absent where the clusters follow one another. */
	readonly chain: Chain | undefined;
}

export interface Allocations {
	/** `wanted` clusters from `first` on. With `open` (the root) a chain may end anywhere, but not go on behind `wanted`. */
	chained(first: number, wanted: number, open: boolean): Allocation;
	contiguous(first: number, wanted: number): Allocation;
	/** The run that holds cluster `index` (below `allocation.length`). */
	find(allocation: Allocation, index: number, run: ClusterRun): void;
}

export function openAllocations({last}: ClusterTable, chains: Chains): Allocations {
	return {
		chained(first, wanted, open) {
			const chain = chains.resolve(first, wanted, open);
			return {length: chain.length, fault: chain.fault, first, chain};
		},
		contiguous(first, wanted) {
			const valid = first >= FIRST_CLUSTER && first <= last;
			const length = valid ? Math.min(wanted, last - first + 1) : 0;
			let fault: DiskError | undefined;
			if (length < wanted) {
				const message = `${wanted} clusters from ${first} on are impossible: clusters go from ${FIRST_CLUSTER} to ${last}`;
				fault = corrupt('exfat/clusters-out-of-range', message);
			}
			return {length, fault, first, chain: undefined};
		},
		find(allocation, index, run) {
			if (allocation.chain !== undefined) return chains.find(allocation.chain, index, run);
			run.cluster = allocation.first + index;
			run.length = allocation.length - index;
		},
	};
}
