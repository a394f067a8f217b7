import {DiskError} from '../../../src/core/error.ts';
import type {NodeId} from '../../../src/core/file-system.ts';
import type {DirectoryData, DirectoryScanner, ScannedEntry} from './directory.ts';
import {readSetName} from './entry-set.ts';
import {ENTRY_SIZE, MAX_INDEXED_DIRECTORIES, MAX_INDEXED_NAMES} from './layout.ts';
import type {Upcase} from './upcase.ts';

/** The names of directories used recently, since a directory on disk can only be searched from the start. */
export interface NameIndex {
	/** Finds an entry whatever the case; of those that differ in nothing else, the one with exactly this name. */
	find(directory: NodeId, data: () => DirectoryData, name: string): NodeId | undefined;
}

interface Names {
	/** By name in upper case. */
	readonly folded: Map<string, NodeId>;
	/** Names that only case tells from one in `folded`, which may not be: by name as it is. */
	readonly twins: Map<string, NodeId>;
	/** Whether all names are here. */
	readonly whole: boolean;
	/** What kept parts of the directory from being read: a name that is not here may be there. */
	readonly fault: DiskError | undefined;
}

export function nameIndex(scanner: DirectoryScanner, upcase: Upcase): NameIndex {
	/** In order of use. */
	const directories = new Map<NodeId, Names>();
	let total = 0;

	/** The fault that a scan ends with. */
	function scan(data: DirectoryData, file: (entry: ScannedEntry) => boolean): DiskError | undefined {
		try {
			scanner.scan(data, 0, {file});
		} catch (error) {
			if (error instanceof DiskError) return error;
			throw error;
		}
		return undefined;
	}

	function build(data: DirectoryData): Names {
		const folded = new Map<string, NodeId>();
		const twins = new Map<string, NodeId>();
		let whole = true;
		const fault = scan(data, ({set, position}) => {
			const name = readSetName(set);
			const key = upcase.fold(name);
			const names = folded.has(key) ? twins : folded;
			names.set(names === folded ? key : name, position / ENTRY_SIZE);
			whole = folded.size + twins.size < MAX_INDEXED_NAMES;
			return whole;
		});
		if (whole) return {folded, twins, whole, fault};
		return {folded: new Map(), twins: new Map(), whole, fault: undefined};
	}

	function sizeOf({folded, twins}: Names): number {
		return folded.size + twins.size;
	}

	function remember(directory: NodeId, names: Names): void {
		directories.set(directory, names);
		total += sizeOf(names);
		for (const [oldest, held] of directories) {
			if ((total <= MAX_INDEXED_NAMES && directories.size <= MAX_INDEXED_DIRECTORIES) || oldest === directory) break;
			directories.delete(oldest);
			total -= sizeOf(held);
		}
	}

	/** For a directory of too many names to be kept. */
	function search(data: DirectoryData, name: string): NodeId | undefined {
		const wanted = upcase.fold(name);
		let found: NodeId | undefined;
		const fault = scan(data, ({set, position}) => {
			const candidate = readSetName(set);
			if (upcase.fold(candidate) !== wanted) return true;
			if (candidate === name || found === undefined) found = position / ENTRY_SIZE;
			return candidate !== name;
		});
		if (found === undefined && fault !== undefined) throw fault;
		return found;
	}

	return {
		find(directory, data, name) {
			let names = directories.get(directory);
			if (names === undefined) {
				names = build(data());
				// A fault of the source may pass; damage stays.
				if (names.fault === undefined || names.fault.family !== 'io') remember(directory, names);
			} else {
				directories.delete(directory);
				directories.set(directory, names);
			}
			if (!names.whole) return search(data(), name);
			const node = names.twins.get(name) ?? names.folded.get(upcase.fold(name));
			if (node === undefined && names.fault !== undefined) throw names.fault;
			return node;
		},
	};
}
