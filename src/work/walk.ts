import {sameBytes, printable} from '../core/bytes/text.ts';
import {corrupt, DiskError, located} from '../core/error.ts';
import type {FileSystem, NodeId, NodeType} from '../core/file-system.ts';

export interface ListedEntry {
	readonly name: Uint8Array;
	readonly node: NodeId;
	readonly type: NodeType;
}

export interface Listing {
	/** Sorted by the bytes of their names. */
	readonly entries: readonly ListedEntry[];
	/** Why the list may lack some. */
	readonly error: DiskError | undefined;
}

/** All entries of a directory that can be read, kept and sorted. */
export function listDirectory(tree: FileSystem, directory: NodeId): Listing {
	const entries: ListedEntry[] = [];
	let error: DiskError | undefined;
	try {
		tree.readDirectory(directory, 0, ({name, node, type}) => {
			entries.push({name: name.slice(), node, type});
			return true;
		});
	} catch (thrown) {
		if (!(thrown instanceof DiskError)) throw thrown;
		error = thrown;
	}
	return {entries: entries.sort((a, b) => compareNames(a.name, b.name)), error};
}

function compareNames(a: Uint8Array, b: Uint8Array): number {
	const length = Math.min(a.length, b.length);
	for (let i = 0; i < length; i++) {
		const difference = (a[i] ?? 0) - (b[i] ?? 0);
		if (difference !== 0) return difference;
	}
	return a.length - b.length;
}

export interface WalkedEntry extends ListedEntry {
	/** As a person would type it: `/3-Windows/Users`. */
	readonly path: string;
	/** 0 for the start. */
	readonly depth: number;
}

export interface WalkOptions {
	/** Whether to go into a directory; all when absent. */
	readonly enter?: (directory: WalkedEntry) => boolean;
	/** Hears of a directory that could not be read whole. */
	readonly onError: (path: string, error: DiskError) => void;
}

/** The start and all that is below it, parents before their children, in the order of names. */
export function* walk(tree: FileSystem, start: WalkedEntry, options: WalkOptions): Generator<WalkedEntry, void, void> {
	const {enter, onError} = options;
	const entered = new Set<NodeId>();
	/** Entries still to visit, the next one last. */
	const pending: WalkedEntry[] = [start];
	for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
		yield entry;
		if (entry.type !== 'directory' || enter?.(entry) === false) continue;
		const {path, depth, node} = entry;
		if (entered.has(node)) {
			onError(path, enteredTwice(path, node));
			continue;
		}
		entered.add(node);
		const {entries, error} = listDirectory(tree, node);
		if (error !== undefined) onError(path, error);
		for (let index = entries.length - 1; index >= 0; index--) {
			const child = entries[index];
			if (child !== undefined) pending.push({...child, path: joinPath(path, child.name), depth: depth + 1});
		}
	}
}

/** A directory has one parent in every file system; one that is met again would lead in circles. */
export function enteredTwice(path: string, node: NodeId): DiskError {
	return corrupt('walk/directory-loop', `${path} is a directory that also lies elsewhere; it is not entered again`, {
		node,
	});
}

export function joinPath(directory: string, name: Uint8Array): string {
	return `${directory === '/' ? '' : directory}/${printable(name)}`;
}

/** Whether a name, shown to a person, is still exactly the name. */
export function isPlainName(name: Uint8Array, shown: string): boolean {
	return sameBytes(new TextEncoder().encode(shown), name);
}

/** An error that happened to a path, for those who see only the error. */
export function atPath(error: DiskError, path: string): DiskError {
	return error.where.file === undefined ? located(error, {file: path}) : error;
}
