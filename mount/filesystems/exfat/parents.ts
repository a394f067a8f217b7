import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {NodeId} from '../../../src/core/file-system.ts';
import type {DirectoryData, DirectoryScanner} from './directory.ts';
import {readSetType} from './entry-set.ts';
import {ENTRY_SIZE, MAX_KNOWN_PARENTS, MAX_SEARCHED_DIRECTORIES} from './layout.ts';
import {ROOT} from './node.ts';

/** Nothing on disk leads upwards, so the directory that holds an entry has to be searched from the root. */
export interface Parents {
	/** Notes what a listing shows. */
	learn(directory: NodeId, parent: NodeId): void;
	find(directory: NodeId): NodeId;
}

export function openParents(scanner: DirectoryScanner, dataOf: (directory: NodeId) => DirectoryData): Parents {
	/** In order of learning. */
	const known = new Map<NodeId, NodeId>();

	function learn(directory: NodeId, parent: NodeId): void {
		if (known.has(directory)) return;
		if (known.size === MAX_KNOWN_PARENTS) {
			const [oldest] = known.keys();
			known.delete(oldest);
		}
		known.set(directory, parent);
	}

	/** The directories in a directory; damage hides those that it hits. */
	function childrenOf(directory: NodeId): NodeId[] {
		const children: NodeId[] = [];
		try {
			scanner.scan(dataOf(directory), 0, {
				file({set, position}) {
					if (readSetType(set) === 'directory') children.push(position / ENTRY_SIZE);
					return true;
				},
			});
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
		return children;
	}

	function search(wanted: NodeId): NodeId {
		/** What is added is visited, too: level by level. */
		const seen = new Set([ROOT]);
		for (const directory of seen) {
			for (const child of childrenOf(directory)) {
				learn(child, directory);
				if (child === wanted) return directory;
				if (seen.size < MAX_SEARCHED_DIRECTORIES) seen.add(child);
			}
		}
		throw corrupt('exfat/parent-not-found', 'no directory that can be read holds this one', {node: wanted});
	}

	return {
		learn,
		find: directory => known.get(directory) ?? search(directory),
	};
}
