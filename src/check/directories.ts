import {sameBytes} from '../core/bytes/text.ts';
import type {FileSystem, NodeId, Stat} from '../core/file-system.ts';
import type {WalkedEntry} from '../work/walk.ts';
import type {Reporter} from './findings.ts';

/**
 * Entries of one directory that are looked up by name. Where a directory has no index each costs a look at all of it, and
 * a damaged index does not find even the first ones.
 */
const LOOKUPS = 256;

interface Open {
	readonly node: NodeId;
	readonly path: string;
	/** 1 where the file system does not count. */
	readonly links: number;
	subdirectories: number;
	entries: number;
	lastName: Uint8Array | undefined;
	whole: boolean;
}

/** What can be said of directories while they are walked, parents first and names in order. */
export interface Directories {
	/** Each entry, before what is below it. */
	enter(entry: WalkedEntry, stat: Stat | undefined): void;
	/** The directory that was entered last could not be read whole. */
	damaged(): void;
	finish(): void;
}

export function openDirectories(fileSystem: FileSystem, report: Reporter): Directories {
	/** The way from the root to where the walk is. */
	const open: Open[] = [];

	function close(depth: number): void {
		while (open.length > depth) {
			const directory = open.pop();
			if (directory === undefined) return;
			const {node, path, links, subdirectories, whole} = directory;
			// One: not counted. Otherwise its own name, its own dot, and the two dots of each directory in it.
			if (links === 1 || !whole || links === subdirectories + 2) continue;
			const message = `the directory says that it has ${links} links, and its ${subdirectories} subdirectories make them ${subdirectories + 2}`;
			report.finding('damage', 'check/link-count', message, {path, node});
		}
	}

	/** Whether the name leads to the entry, through whatever index there is. */
	function checkName({node: directory, entries}: Open, {name, path, node}: WalkedEntry): void {
		if (entries > LOOKUPS) return;
		try {
			const found = fileSystem.lookup(directory, name);
			if (found === node) return;
			const message =
				found === undefined ? 'its name is listed, and does not lead to it' : 'its name leads to something else';
			report.finding('damage', 'check/lookup', message, {path, node});
		} catch (error) {
			report.failure(error, path, node);
		}
	}

	function checkParent({node, path}: WalkedEntry, above: NodeId): void {
		try {
			const parent = fileSystem.parent(node);
			if (parent === above) return;
			const message = `the directory says that it lies in node ${parent}, and is named in node ${above}`;
			report.finding('damage', 'check/parent', message, {path, node});
		} catch (error) {
			report.failure(error, path, node);
		}
	}

	return {
		enter(entry, stat) {
			const {depth, name, path, node} = entry;
			close(depth);
			const above = open[depth - 1];
			const isDirectory = stat === undefined ? entry.type === 'directory' : stat.type === 'directory';
			if (above !== undefined) {
				above.entries++;
				if (isDirectory) above.subdirectories++;
				if (above.lastName !== undefined && sameBytes(above.lastName, name)) {
					report.finding('damage', 'check/same-name', 'another entry of the directory has the same name', {path, node});
				} else checkName(above, entry);
				above.lastName = name;
			}
			if (!isDirectory) return;
			open[depth] = {
				node,
				path,
				links: stat?.links ?? 1,
				subdirectories: 0,
				entries: 0,
				lastName: undefined,
				whole: true,
			};
			if (above !== undefined && stat !== undefined) checkParent(entry, above.node);
		},
		damaged() {
			const last = open.at(-1);
			if (last !== undefined) last.whole = false;
		},
		finish: () => close(0),
	};
}
