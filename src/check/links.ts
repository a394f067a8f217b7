import type {NodeId, Stat} from '../core/file-system.ts';
import type {Reporter} from './findings.ts';

/** Nodes with several names that are remembered: some 150 MiB with their paths. */
const MOST_NODES = 1 << 20;

/** Counts the names of files that say that they have several. */
export interface Links {
	/** Another name of a node that is no directory; `again`: it has been met before. */
	count(stat: Stat, path: string, again: boolean): void;
	/** Tells of those whose names are more or fewer than they should be. `whole`: all directories could be read. */
	finish(whole: boolean): void;
}

export function countLinks(report: Reporter): Links {
	const nodes = new Map<NodeId, {readonly path: string; readonly links: number; found: number}>();
	let left = 0;
	return {
		count({node, links}, path, again) {
			const known = nodes.get(node);
			if (known !== undefined) {
				known.found++;
			} else if (links !== 1 || again) {
				// Met before with one link: that was the first name.
				if (nodes.size < MOST_NODES) nodes.set(node, {path, links, found: again ? 2 : 1});
				else left++;
			}
		},
		finish(whole) {
			for (const [node, {path, links, found}] of nodes) {
				// Names may lie in the directories that could not be read.
				if (found === links || (found < links && !whole)) continue;
				const message = `it says that it has ${links} names, and ${found} lead to it`;
				report.finding('damage', 'check/link-count', message, {path, node});
			}
			if (left > 0) {
				const message = `the names of ${left} files were not counted: no more than ${MOST_NODES} with several names are remembered`;
				report.finding('note', 'check/links-left', message);
			}
		},
	};
}
