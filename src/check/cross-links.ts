import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeId} from '../core/file-system.ts';
import type {Pace} from '../work/pace.ts';
import {walk} from '../work/walk.ts';
import {newBits} from './bits.ts';
import type {Clusters} from './clusters.ts';
import type {Reporter} from './findings.ts';

/** Shared clusters whose owners are remembered, so that they can be named to each other. */
const MOST_OWNED = 1 << 16;

interface Sharer {
	readonly path: string;
	readonly node: NodeId;
	clusters: number;
	/** Another file that has one of them. */
	other: string | undefined;
	/** One of them is in this file twice. */
	twice: boolean;
}

/** Names all files that share clusters. That takes a second look: the first file is not known to share when it is met. */
export async function nameCrossLinked(
	fileSystem: FileSystem,
	clusters: Clusters,
	report: Reporter,
	pace: Pace,
): Promise<void> {
	if (clusters.shared.size === 0) return;
	clusters.startAgain();
	const seen = newBits();
	const owners = new Map<number, Sharer>();
	const sharers: Sharer[] = [];
	const root = {name: new Uint8Array(0), node: fileSystem.root, type: 'directory', path: '/', depth: 0} as const;
	// What cannot be read was told at the first look.
	for (const {path, node, type} of walk(fileSystem, root, {onError() {}})) {
		if (pace.due()) await pace.turn();
		if (type !== 'file') continue;
		const sharer: Sharer = {path, node, clusters: 0, other: undefined, twice: false};
		try {
			const {type: real, size, links} = fileSystem.stat(node);
			if (links !== 1 && seen.take(node, 1) > 0) continue;
			if (real === 'file') clusters.eachShared(node, size, cluster => meet(owners, cluster, sharer));
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
		if (sharer.clusters > 0) sharers.push(sharer);
	}
	for (const {path, node, clusters: count, other, twice} of sharers) {
		const what = count === 1 ? '1 cluster' : `${count} clusters`;
		const message =
			other === undefined && twice
				? `the same clusters are in it twice`
				: `it shares ${what} with ${other ?? 'other content'}`;
		report.finding('damage', 'check/cross-linked', message, {path, node});
	}
}

function meet(owners: Map<number, Sharer>, cluster: number, sharer: Sharer): void {
	sharer.clusters++;
	const owner = owners.get(cluster);
	if (owner === undefined) {
		if (owners.size < MOST_OWNED) owners.set(cluster, sharer);
	} else if (owner === sharer) {
		sharer.twice = true;
	} else {
		owner.other ??= sharer.path;
		sharer.other ??= owner.path;
	}
}
