import {roundUp} from '../../src/core/bytes/u64.ts';
import {corrupt} from '../../src/core/error.ts';
import type {DirectoryEntry, FileSystem, NodeId, NodeType} from '../../src/core/file-system.ts';
import {Dirent, DIRENT_ALIGNMENT, EntryOut, FileType, LONGEST_NAME} from './abi.ts';
import {writeEntry} from './attributes.ts';
import {wireName} from './names.ts';
import type {NodeMap} from './nodes.ts';
import type {Ownership} from './ownership.ts';
import {PAYLOAD, type Reply} from './reply.ts';

/**
 * Offsets on the wire: 0 is the start, 1 lies after `.`, 2 after `..`, and `FIRST + cursor` after the entry with that
 * cursor. So a place in a directory stays a pure function of its place on disk, for every worker and every handle.
 */
const AFTER_DOT = 1;
const FIRST = 2;

const dirent = Dirent.fields;
const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

export interface DirectoryLister {
	/**
	 * Fills the reply with entries after `offset`, at most `limit` bytes, and returns the bytes used. With `plus` every
	 * entry carries what a lookup would give. A damaged directory throws only once nothing readable is left before the
	 * damage: until then the entries count, and the next request meets the damage again.
	 */
	list(directory: NodeId, offset: number, limit: number, plus: boolean): number;
}

export function directoryLister(
	fileSystem: FileSystem,
	nodes: NodeMap,
	ownership: Ownership,
	reply: Reply,
	report: (error: unknown) => void,
): DirectoryLister {
	const {bytes, view} = reply;
	// The state of one listing, outside of `list` so that visiting allocates no closure.
	let at = 0;
	let end = 0;
	let head = 0;
	let last = 0;

	/** Writes one record; false when it does not fit. */
	function append(name: Uint8Array, node: NodeId, type: NodeType, offset: number): boolean {
		const size = roundUp(head + Dirent.size + name.length, DIRENT_ALIGNMENT);
		if (at + size > end) return false;
		bytes.fill(0, at, at + size);
		const record = at + head;
		dirent.ino.write(view, record, nodes.toWire(node));
		dirent.off.write(view, record, offset);
		dirent.namelen.write(view, record, name.length);
		dirent.type.write(view, record, FileType[type] >> 12);
		bytes.set(name, record + Dirent.size);
		at += size;
		return true;
	}

	function visit(entry: DirectoryEntry): boolean {
		const name = wireName(entry.name);
		if (name.length > LONGEST_NAME) {
			throw corrupt('fuse/name-length', `a name has ${name.length} bytes, more than any system can show`, {
				node: entry.node,
			});
		}
		// Else the listing never ends, in a program that remembers every name.
		if (entry.cursor <= last) {
			throw corrupt('fuse/cursor', `the listing goes from ${last} to ${entry.cursor}`, {node: entry.node});
		}
		last = entry.cursor;
		return append(name, entry.node, entry.type, entry.cursor + FIRST);
	}

	function parentOf(directory: NodeId): NodeId {
		try {
			return fileSystem.parent(directory);
		} catch {
			// Only an inode number that nobody opens; the damage shows where the parent itself is looked at.
			return directory;
		}
	}

	/**
	 * Gives every record of this listing its attributes, after the visit: looking at a node may move the very buffer
	 * that a directory is read from. A record whose node cannot be read keeps node 0: the kernel shows the name, and
	 * asks again when somebody wants more.
	 */
	function addAttributes(): void {
		for (let record = PAYLOAD; record < at; ) {
			const nameLength = dirent.namelen.read(view, record + head);
			const id = dirent.ino.read(view, record + head);
			if (dirent.off.read(view, record + head) > FIRST) {
				try {
					writeEntry(view, record, id, fileSystem.stat(nodes.fromWire(id)), ownership);
				} catch (error) {
					report(error);
					bytes.fill(0, record, record + EntryOut.size);
				}
			}
			record += roundUp(head + Dirent.size + nameLength, DIRENT_ALIGNMENT);
		}
	}

	return {
		list(directory, offset, limit, plus) {
			at = PAYLOAD;
			end = Math.min(PAYLOAD + limit, bytes.length);
			head = plus ? EntryOut.size : 0;
			try {
				if (offset < AFTER_DOT && !append(DOT, directory, 'directory', AFTER_DOT)) return 0;
				if (offset < FIRST && !append(DOT_DOT, parentOf(directory), 'directory', FIRST)) return at - PAYLOAD;
				last = Math.max(0, offset - FIRST);
				fileSystem.readDirectory(directory, last, visit);
			} catch (error) {
				if (at === PAYLOAD) throw error;
			}
			if (plus) addAttributes();
			return at - PAYLOAD;
		},
	};
}
