import {DiskError} from '../../../src/core/error.ts';
import type {NodeId} from '../../../src/core/file-system.ts';
import {type DirectoryData, type DirectoryScanner, shownName} from './directory.ts';
import {ENTRY_SIZE, MAX_INDEXED_DIRECTORIES, MAX_INDEXED_NAMES} from './layout.ts';
import {readShortName} from './short-name.ts';

/** The names of directories used recently, since a directory on disk can only be searched from the start. */
export interface NameIndex {
	/** Finds an entry by its long or short name, whatever the case and without regard to trailing dots. */
	find(directory: NodeId, data: () => DirectoryData, name: string): NodeId | undefined;
}

interface Names {
	readonly nodes: ReadonlyMap<string, NodeId>;
	/** What kept the rest of the directory from being read: a name that is not here may be there. */
	readonly fault: DiskError | undefined;
}

export function nameIndex(scanner: DirectoryScanner): NameIndex {
	/** In order of use. */
	const directories = new Map<NodeId, Names>();
	let total = 0;

	function build(data: DirectoryData): Names {
		const nodes = new Map<string, NodeId>();
		const aliases = new Map<string, NodeId>();
		let fault: DiskError | undefined;
		try {
			scanner.scan(data, 0, 'files', entry => {
				const node = entry.position / ENTRY_SIZE;
				addFirst(nodes, foldName(shownName(entry)), node);
				if (entry.longName !== undefined) {
					addFirst(aliases, foldName(readShortName(entry.view, entry.at, false)), node);
				}
				return true;
			});
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			fault = error;
		}
		// What a listing shows must be found, so a short name never hides a name that is shown.
		for (const [name, node] of aliases) addFirst(nodes, name, node);
		return {nodes, fault};
	}

	function remember(directory: NodeId, names: Names): void {
		directories.set(directory, names);
		total += names.nodes.size;
		for (const [oldest, {nodes}] of directories) {
			if ((total <= MAX_INDEXED_NAMES && directories.size <= MAX_INDEXED_DIRECTORIES) || oldest === directory) break;
			directories.delete(oldest);
			total -= nodes.size;
		}
	}

	return {
		find(directory, data, name) {
			let names = directories.get(directory);
			if (names === undefined) {
				names = build(data());
				// A fault of the source may pass; damage stays.
				if (names.fault === undefined || names.fault.family === 'corrupt') remember(directory, names);
			} else {
				directories.delete(directory);
				directories.set(directory, names);
			}
			const node = names.nodes.get(foldName(name));
			if (node === undefined && names.fault !== undefined) throw names.fault;
			return node;
		},
	};
}

function addFirst(nodes: Map<string, NodeId>, name: string, node: NodeId): void {
	if (!nodes.has(name)) nodes.set(name, node);
}

/** The form in which two names are the same: upper case unit by unit, so that it never changes its length. */
function foldName(name: string): string {
	let end = name.length;
	while (end > 0 && name.charCodeAt(end - 1) === 0x2e) end--;
	const text = name.slice(0, end);
	const upper = text.toUpperCase();
	if (upper.length === text.length) return upper;
	let folded = '';
	for (const character of text) {
		const one = character.toUpperCase();
		folded += one.length === character.length ? one : character;
	}
	return folded;
}
