import {corrupt, DiskError} from './error.ts';

/** The file allocation table of a file system of the FAT family, as far as chains need it. */
export interface ClusterTable {
	/** The greatest cluster number; the least is 2. */
	readonly last: number;
	/** The entry of a cluster (0 to `last`): 0 for free, the next cluster, or a mark as in `ChainRules`. */
	entry(cluster: number): number;
	/** How many clusters from `cluster` on follow one another both in the chain and on disk: 1 to `limit`. */
	runLength(cluster: number, limit: number): number;
}

/** How a file system marks its chains. */
export interface ChainRules {
	/** The file system's name, with which its error codes start. */
	readonly name: string;
	readonly bad: number;
	/** This value and all above it end a chain. */
	readonly end: number;
}

/** A cluster chain as runs. Of very long lists only every second, fourth... run is kept. */
export interface Chain {
	/** Clusters that can be read. */
	readonly length: number;
	/** Why the chain has fewer clusters than were asked for. */
	readonly fault: DiskError | undefined;
	/** Runs kept. */
	readonly count: number;
	/** For each run kept: the index of its first cluster in the chain, and that cluster. */
	readonly indexes: Uint32Array;
	readonly clusters: Uint32Array;
	/** 1 where every run is kept. */
	readonly step: number;
	/** What was asked for. */
	readonly wanted: number;
	readonly open: boolean;
}

/** Where some clusters of a chain lie side by side. Owned and reused by the caller. */
export interface ClusterRun {
	cluster: number;
	/** Clusters from there on, at least 1. */
	length: number;
}

export interface Chains {
	/**
	 * The chain that starts at `first`, of which `wanted` clusters matter. Never throws for damage: `fault` says how
	 * the chain ends too early. With `open` (directories) it may end anywhere, but not go on behind `wanted`.
	 */
	resolve(first: number, wanted: number, open: boolean): Chain;
	/** The run that holds cluster `index` (below `chain.length`). */
	find(chain: Chain, index: number, run: ClusterRun): void;
}

const FREE = 0;
export const FIRST_CLUSTER = 2;
/** Runs kept of one chain; of longer ones only every second, fourth... is kept and the table read between. */
const MAX_CHAIN_RUNS = 65_536;
/** Runs kept in all: 2 MiB. */
const MAX_CACHED_RUNS = 262_144;
/** Most files are one run: bounds the records themselves. */
const MAX_CACHED_CHAINS = 1024;

export function openChains(table: ClusterTable, rules: ChainRules): Chains {
	/** Keyed by first cluster, in order of use. */
	const cache = new Map<number, Chain>();
	let cachedRuns = 0;

	function remember(first: number, chain: Chain): void {
		cache.set(first, chain);
		cachedRuns += chain.count;
		for (const [oldest, {count}] of cache) {
			if ((cachedRuns <= MAX_CACHED_RUNS && cache.size <= MAX_CACHED_CHAINS) || oldest === first) break;
			cache.delete(oldest);
			cachedRuns -= count;
		}
	}

	return {
		resolve(first, wanted, open) {
			const known = cache.get(first);
			if (known !== undefined) {
				cache.delete(first);
				if (known.wanted === wanted && known.open === open) {
					cache.set(first, known);
					return known;
				}
				cachedRuns -= known.count;
			}
			const chain = walk(table, rules, first, wanted, open);
			// A fault of the source may pass; damage stays.
			if (chain.fault === undefined || chain.fault.family === 'corrupt') remember(first, chain);
			return chain;
		},
		find(chain, index, run) {
			const {indexes, clusters} = chain;
			let low = 0;
			let high = chain.count - 1;
			while (low < high) {
				const middle = (low + high + 1) >> 1;
				if (indexes[middle] <= index) low = middle;
				else high = middle - 1;
			}
			let start = indexes[low];
			let cluster = clusters[low];
			let length = (low + 1 < chain.count ? indexes[low + 1] : chain.length) - start;
			if (chain.step > 1) {
				length = table.runLength(cluster, chain.length - start);
				while (index >= start + length) {
					start += length;
					cluster = table.entry(cluster + length - 1);
					length = table.runLength(cluster, chain.length - start);
				}
			}
			run.cluster = cluster + (index - start);
			run.length = length - (index - start);
		},
	};
}

function walk(table: ClusterTable, rules: ChainRules, first: number, wanted: number, open: boolean): Chain {
	const {name} = rules;
	let indexes = new Uint32Array(2);
	let clusters = new Uint32Array(2);
	let count = 0;
	let step = 1;
	let runs = 0;
	let length = 0;
	let fault: DiskError | undefined;

	function keep(index: number, cluster: number): void {
		if (runs++ % step !== 0) return;
		if (count === MAX_CHAIN_RUNS) {
			count /= 2;
			for (let i = 0; i < count; i++) {
				indexes[i] = indexes[i * 2];
				clusters[i] = clusters[i * 2];
			}
			step *= 2;
			// MAX_CHAIN_RUNS is even, so the run at hand is one that stays.
		} else if (count === indexes.length) {
			indexes = grown(indexes);
			clusters = grown(clusters);
		}
		indexes[count] = index;
		clusters[count++] = cluster;
	}

	// A chain longer than the volume repeats itself, which `cycleLength` below finds.
	const most = Math.min(wanted, table.last - FIRST_CLUSTER + 1);
	let cluster = first;
	try {
		while (length < most) {
			fault = badLink(table, rules, cluster, length, open);
			if (fault !== undefined || cluster >= rules.end) break;
			const run = table.runLength(cluster, most - length);
			keep(length, cluster);
			length += run;
			cluster = table.entry(cluster + run - 1);
		}
		if (length === most && isCluster(table, cluster)) {
			const repeated = firstRepeated(table, first, cluster);
			if (repeated !== undefined && repeated < wanted) {
				length = Math.min(length, repeated);
				fault = corrupt(
					`${name}/chain-cycle`,
					`the cluster chain from ${first} runs in a circle after ${length} clusters`,
				);
			} else if (open) {
				fault = corrupt(`${name}/chain-too-long`, `the cluster chain from ${first} is longer than ${wanted} clusters`);
			}
		}
		if (fault === undefined && length < wanted && !open) {
			fault = corrupt(
				`${name}/chain-too-short`,
				`the cluster chain from ${first} ends after ${length} of ${wanted} clusters`,
			);
		}
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		fault = error;
	}
	while (count > 1 && indexes[count - 1] >= length) count--;
	return {length, fault, count, indexes, clusters, step, wanted, open};
}

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
	const larger = new Uint32Array(array.length * 2);
	larger.set(array);
	return larger;
}

function isCluster(table: ClusterTable, value: number): boolean {
	return value >= FIRST_CLUSTER && value <= table.last;
}

/** What is wrong with `value` as the next cluster of a chain. */
function badLink(
	table: ClusterTable,
	{name, bad, end}: ChainRules,
	value: number,
	index: number,
	open: boolean,
): DiskError | undefined {
	if (isCluster(table, value)) return undefined;
	if (value >= end) {
		return open && index > 0
			? undefined
			: corrupt(`${name}/chain-too-short`, `the cluster chain ends after ${index} clusters`);
	}
	const place = index === 0 ? 'the first link' : `link ${index}`;
	if (value === FREE) return corrupt(`${name}/chain-free`, `${place} of the cluster chain says free`);
	if (value === bad) return corrupt(`${name}/chain-bad`, `${place} of the cluster chain says bad cluster`);
	const message = `${place} of the cluster chain is ${value}, but clusters go from ${FIRST_CLUSTER} to ${table.last}`;
	return corrupt(`${name}/chain-out-of-range`, message);
}

/**
 * The index at which a chain first comes back to a cluster it has passed, or undefined where it ends. `from` is some
 * cluster of it, to search from (Brent's method: time of the order of the chain, no memory).
 */
function firstRepeated(table: ClusterTable, first: number, from: number): number | undefined {
	let mark = from;
	let cycle = 1;
	let power = 1;
	for (let next = table.entry(from); next !== mark; next = table.entry(next)) {
		if (!isCluster(table, next)) return undefined;
		if (cycle === power) {
			mark = next;
			power *= 2;
			cycle = 0;
		}
		cycle++;
	}
	let ahead = first;
	for (let i = 0; i < cycle; i++) ahead = table.entry(ahead);
	let behind = first;
	let index = cycle;
	while (ahead !== behind) {
		ahead = table.entry(ahead);
		behind = table.entry(behind);
		index++;
	}
	return index;
}
