import {DiskError} from '../core/error.ts';
import type {FileSystem, FileSystemUsage, NodeId} from '../core/file-system.ts';
import type {Pace} from '../work/pace.ts';
import type {Bits} from './bits.ts';
import type {Reporter} from './findings.ts';

/** Nodes looked at: a table of as many takes some minutes. */
const MOST_NODES = 1 << 26;
/** Nodes without a name that are remembered: no more is told of further ones than their number. */
const MOST_ORPHANS = 1 << 16;

export interface NodeTableOptions {
	readonly fileSystem: FileSystem;
	readonly usage: FileSystemUsage | undefined;
	/** Nodes that a name leads to. */
	readonly named: Bits;
	readonly report: Reporter;
	readonly pace: Pace;
}

/** Finds nodes in use that no name leads to, where the file system has a table of nodes and can tell. */
export async function checkNodeTable({fileSystem, usage, named, report, pace}: NodeTableOptions): Promise<void> {
	const {needsName} = fileSystem;
	const total = usage?.totalNodes;
	if (needsName === undefined || total === undefined) return;
	if (named.forgotten > 0) {
		const message = 'nodes without a name were not looked for: there are more nodes than are remembered';
		report.finding('note', 'check/nodes-left', message);
		return;
	}
	const end = Math.min(total, MOST_NODES);
	const orphans: NodeId[] = [];
	/** Named by an orphan: whoever brings that back has these too. */
	const below = new Set<NodeId>();
	let left = 0;
	// Ids are numbers in the table, from 0 or from 1 on.
	for (let node = 0; node <= end; node++) {
		if (pace.due()) await pace.turn();
		if (named.find(node, 1) >= 0 || needsName(node) !== true) continue;
		if (orphans.length < MOST_ORPHANS) orphans.push(node);
		else left++;
	}
	for (const node of orphans) for (const child of childrenOf(fileSystem, node)) if (child !== node) below.add(child);
	for (const node of orphans) {
		if (below.has(node)) continue;
		report.finding('damage', 'check/orphan', `${describe(fileSystem, node)} is in use, and no name leads to it`, {
			node,
		});
	}
	if (left > 0) report.finding('damage', 'check/orphan', `${left} more nodes are in use, and no name leads to them`);
	if (end < total) {
		const message = `only the first ${end} of ${total} nodes were looked at for those without a name`;
		report.finding('note', 'check/nodes-left', message);
	}
}

function childrenOf(fileSystem: FileSystem, node: NodeId): readonly NodeId[] {
	const children: NodeId[] = [];
	try {
		if (fileSystem.stat(node).type !== 'directory') return children;
		fileSystem.readDirectory(node, 0, entry => {
			children.push(entry.node);
			return children.length < MOST_ORPHANS;
		});
	} catch (error) {
		// That it has lost its name is told.
		if (!(error instanceof DiskError)) throw error;
	}
	return children;
}

function describe(fileSystem: FileSystem, node: NodeId): string {
	try {
		const {type, size} = fileSystem.stat(node);
		return `a ${type} of ${size} bytes`;
	} catch (error) {
		if (error instanceof DiskError) return 'a node';
		throw error;
	}
}
