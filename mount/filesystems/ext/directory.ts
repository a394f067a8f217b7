import {viewOf} from '../../../src/core/bytes/layout.ts';
import {printable} from '../../../src/core/bytes/text.ts';
import {newSpan, SpanKind} from '../../../src/core/disk.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {DirectoryEntry, NodeId, NodeType} from '../../../src/core/file-system.ts';
import {foldName} from './casefold.ts';
import type {BlockMap} from './block-map.ts';
import {
	checkedRecordLength,
	DAMAGED,
	findInBlock,
	indexChecksumMatches,
	isIndexBlock,
	leafChecksumMatches,
	recordedType,
} from './directory-block.ts';
import {openHashTree} from './hash-tree.ts';
import {inlineData} from './inline-data.ts';
import type {Inode} from './inode.ts';
import {nameKey} from './journal/name-key.ts';
import * as layout from './layout.ts';
import type {Volume} from './volume.ts';

const entry = layout.DirectoryEntryLayout.fields;
const HEADER = layout.DIRECTORY_ENTRY_HEADER;
const DOT = 0x2e;

export interface Directories {
	read(directory: Inode, cursor: number, visit: (entry: DirectoryEntry) => boolean): void;
	lookup(directory: Inode, name: Uint8Array): NodeId | undefined;
	parent(directory: Inode): NodeId;
}

/** One directory block in memory. */
export interface BlockBuffer {
	readonly bytes: Uint8Array;
	readonly view: DataView;
}

/** The blocks of directories, checked. */
export interface DirectoryBlocks {
	/** Reads the block at logical number `block`, or throws `corrupt`. */
	load(directory: Inode, block: number, buffer: BlockBuffer): void;
	/** Lends a buffer, since a visit may read other directories. */
	lend(): BlockBuffer;
	giveBack(buffer: BlockBuffer): void;
}

/** The names of one casefolded directory. */
interface FoldedNames {
	readonly directory: Inode;
	readonly nodes: Map<string, NodeId>;
	/** Why there may be more. */
	damage: DiskError | undefined;
	/** Whether all that can be read is there. */
	complete: boolean;
}

/** What is not UTF-8 keeps its bytes, behind a character that no folded name begins with. */
function foldedKey(name: Uint8Array): string {
	return foldName(name) ?? `\0${printable(name)}`;
}

function damaged(directory: Inode, check: string, message: string): DiskError {
	return corrupt(`ext/directory-${check}`, `${message} in directory ${directory.number}`, {
		node: directory.number,
		structure: 'directory',
	});
}

function isDots(bytes: Uint8Array, at: number, length: number): boolean {
	return (length === 1 || (length === 2 && bytes[at + 1] === DOT)) && bytes[at] === DOT;
}

function isIndexed(volume: Volume, directory: Inode): boolean {
	return (directory.flags & layout.InodeFlag.index) !== 0 && volume.superblock.names.has('dir_index');
}

function openBlocks(volume: Volume, map: BlockMap): DirectoryBlocks {
	const {blockSize, hasChecksums} = volume.superblock;
	const span = newSpan();
	const free: BlockBuffer[] = [];
	return {
		load(directory, block, {bytes, view}) {
			const where = {node: directory.number, structure: 'directory block'};
			map.locate(directory, block * blockSize, span);
			if (span.kind !== SpanKind.stored) {
				throw corrupt('ext/directory-hole', `directory ${directory.number} has a hole at block ${block}`, where);
			}
			const position = span.at;
			volume.readMetadata(position, bytes);
			if (!hasChecksums) return;
			const index = isIndexed(volume, directory) && isIndexBlock(view, block, blockSize);
			const matches = index
				? indexChecksumMatches(view, bytes, block, directory.checksumSeed)
				: leafChecksumMatches(view, bytes, directory.checksumSeed);
			if (!matches) {
				throw corrupt(
					index ? 'ext/directory-index-checksum' : 'ext/directory-checksum',
					`block ${block} of directory ${directory.number} does not match its checksum`,
					{...where, position},
				);
			}
		},
		lend() {
			const buffer = free.pop();
			if (buffer !== undefined) return buffer;
			const bytes = new Uint8Array(blockSize);
			return {bytes, view: viewOf(bytes)};
		},
		giveBack: buffer => void free.push(buffer),
	};
}

export function openDirectories(volume: Volume, map: BlockMap, typeOf: (inode: number) => NodeType): Directories {
	const {superblock} = volume;
	const {blockSize, inodesCount} = superblock;
	const blocks = openBlocks(volume, map);
	const hashTree = openHashTree(volume, blocks);
	const span = newSpan();
	/** Every block of a directory is its own, so no directory has more than the volume; a longer one is a loop. */
	const maxBlocks = Math.min(superblock.blocksCount, Math.ceil(volume.size / blockSize));
	let folded: FoldedNames | undefined;
	/** Directories that were read from start to end without damage, so that a later part need not be checked again. */
	const whole = new WeakSet<Inode>();

	/** Encrypted names cannot be folded. */
	function isFolded({flags}: Inode): boolean {
		const {casefold, encrypted} = layout.InodeFlag;
		return superblock.names.has('casefold') && (flags & casefold) !== 0 && (flags & encrypted) === 0;
	}

	/**
	 * Visits the entries of one block, or of inline data, from byte `from` on. `base` is the position of the block in
	 * the directory. Returns false when the visitor has enough; damage goes to `report`, and what follows it is left.
	 */
	function visitEntries(
		{bytes, view}: BlockBuffer,
		directory: Inode,
		base: number,
		start: number,
		from: number,
		visit: ((entry: DirectoryEntry) => boolean) | undefined,
		report: (error: DiskError) => void,
	): boolean {
		const end = bytes.length;
		for (let at = start; at < end; ) {
			const length = checkedRecordLength(view, at, end, blockSize);
			if (length === 0) {
				report(damaged(directory, 'entry', `the entry at byte ${base + at} is damaged`));
				return true;
			}
			const inode = entry.inode.read(view, at);
			const nameLength = entry.nameLength.read(view, at);
			if (inode !== 0 && !isDots(bytes, at + HEADER, nameLength)) {
				if (inode > inodesCount || nameLength === 0) {
					report(damaged(directory, 'entry', `the entry at byte ${base + at} names inode ${inode}`));
				} else if (visit !== undefined && base + at >= from) {
					const name = bytes.subarray(at + HEADER, at + HEADER + nameLength);
					const type = recordedType(view, at) ?? typeOf(inode);
					if (!visit({name, node: inode, type, cursor: base + at + length})) return false;
				}
			}
			at += length;
		}
		return true;
	}

	function inlineBuffer(directory: Inode): BlockBuffer {
		const {content} = inlineData(volume, directory);
		return {bytes: content, view: viewOf(content)};
	}

	/** How many blocks from `block` on are missing; 0 where the block is there. A map that cannot be read misses all. */
	function holeAt(directory: Inode, block: number, report: (error: DiskError) => void): number {
		try {
			map.locate(directory, block * blockSize, span);
			if (span.kind === SpanKind.stored) return 0;
			report(damaged(directory, 'hole', `a hole at block ${block}`));
			return Math.ceil(span.length / blockSize);
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			report(error);
			return Number.POSITIVE_INFINITY;
		}
	}

	function loadOrReport(
		directory: Inode,
		block: number,
		buffer: BlockBuffer,
		report: (error: DiskError) => void,
	): boolean {
		try {
			blocks.load(directory, block, buffer);
			return true;
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			report(error);
			return false;
		}
	}

	/** Reads blocks `first` up to `end`, skipping holes in one step each. */
	function visitBlocks(
		directory: Inode,
		first: number,
		end: number,
		from: number,
		visit: ((entry: DirectoryEntry) => boolean) | undefined,
		report: (error: DiskError) => void,
	): boolean {
		const buffer = blocks.lend();
		try {
			for (let block = first; block < end; block++) {
				const hole = holeAt(directory, block, report);
				if (hole === 0) {
					if (!loadOrReport(directory, block, buffer, report)) continue;
					if (!visitEntries(buffer, directory, block * blockSize, 0, from, visit, report)) return false;
				}
				block += Math.max(hole - 1, 0);
			}
			return true;
		} finally {
			blocks.giveBack(buffer);
		}
	}

	function countBlocks(directory: Inode, report: (error: DiskError) => void): number {
		if (directory.size === 0 || directory.size % blockSize !== 0) {
			report(damaged(directory, 'size', `a size of ${directory.size} bytes`));
		}
		const count = Math.ceil(directory.size / blockSize);
		if (count > maxBlocks) report(damaged(directory, 'size', `a size of ${count} blocks`));
		return Math.min(count, maxBlocks);
	}

	/** Names that fast commits changed: those on disk without the removed ones, then the added ones. */
	function read(directory: Inode, cursor: number, visit: (entry: DirectoryEntry) => boolean): void {
		const changed = volume.changes?.names.get(directory.number);
		const isNew = volume.changes?.created.has(directory.number) === true;
		if (changed === undefined && !isNew) return readStored(directory, cursor, visit);
		// Cursors of what is stored end with the size that a directory may have.
		const base = layout.MAX_LOGICAL_BLOCKS * blockSize;
		let more = true;
		let damage: DiskError | undefined;
		if (!isNew && cursor < base) {
			try {
				readStored(directory, cursor, found => {
					more = changed?.has(nameKey(found.name)) === true || visit(found);
					return more;
				});
			} catch (error) {
				if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
				damage = error;
			}
		}
		let place = base;
		for (const added of changed?.values() ?? []) {
			place++;
			if (!more) return undefined;
			if (added === undefined || place <= cursor) continue;
			const {name, node} = added;
			more = visit({name, node, type: typeOf(node), cursor: place});
		}
		if (more && damage !== undefined) throw damage;
		return undefined;
	}

	function readStored(directory: Inode, cursor: number, visit: (entry: DirectoryEntry) => boolean): void {
		let damage: DiskError | undefined;
		const report = (error: DiskError): void => {
			damage ??= error;
		};
		if (directory.flags & layout.InodeFlag.inlineData) {
			const start = layout.INLINE_DIRECTORY_START;
			if (!visitEntries(inlineBuffer(directory), directory, 0, start, cursor, visit, report)) return;
		} else {
			const count = countBlocks(directory, report);
			const first = Math.min(Math.floor(cursor / blockSize), count);
			if (!visitBlocks(directory, first, count, cursor, visit, report)) return;
			// Damage before the cursor was told to nobody: the visitor stopped before the end.
			if (!whole.has(directory)) visitBlocks(directory, 0, first, 0, undefined, report);
		}
		if (damage !== undefined) throw damage;
		whole.add(directory);
	}

	function lookupLinear(directory: Inode, name: Uint8Array): NodeId | undefined {
		let damage: DiskError | undefined;
		const report = (error: DiskError): void => {
			damage ??= error;
		};
		const count = countBlocks(directory, report);
		const buffer = blocks.lend();
		let found = 0;
		try {
			for (let block = 0; block < count && found === 0; block++) {
				const hole = holeAt(directory, block, report);
				if (hole === 0 && loadOrReport(directory, block, buffer, report)) {
					found = findInBlock(buffer.view, buffer.bytes, 0, blockSize, name);
					if (found === DAMAGED) report(damaged(directory, 'entry', `a damaged entry in block ${block}`));
					if (found === DAMAGED) found = 0;
				}
				block += Math.max(hole - 1, 0);
			}
		} finally {
			blocks.giveBack(buffer);
		}
		// Where a part cannot be read, nobody can say that a name is not there.
		if (found === 0 && damage !== undefined) throw damage;
		return found === 0 ? undefined : found;
	}

	/** Of a casefolded directory: its names, folded, unless they are too many; kept for the directory asked last. */
	function loadFolded(directory: Inode): FoldedNames {
		const found: FoldedNames = {directory, nodes: new Map(), damage: undefined, complete: true};
		try {
			read(directory, 0, ({name, node}) => {
				const key = foldedKey(name);
				if (!found.nodes.has(key)) found.nodes.set(key, node);
				found.complete = found.nodes.size < layout.MAX_FOLDED_NAMES;
				return found.complete;
			});
		} catch (error) {
			if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			found.damage = error;
		}
		return found;
	}

	function lookupFolded(directory: Inode, name: Uint8Array): NodeId | undefined {
		if (folded?.directory !== directory) folded = loadFolded(directory);
		const key = foldedKey(name);
		let found = folded.nodes.get(key);
		if (found === undefined && !folded.complete) {
			read(directory, 0, candidate => {
				if (foldedKey(candidate.name) === key) found = candidate.node;
				return found === undefined;
			});
		}
		if (found === undefined && folded.damage !== undefined) throw folded.damage;
		return found;
	}

	function lookup(directory: Inode, name: Uint8Array): NodeId | undefined {
		if (name.length === 0 || name.length > layout.MAX_NAME_LENGTH || isDots(name, 0, name.length)) return undefined;
		const changed = volume.changes?.names.get(directory.number);
		const key = changed === undefined ? '' : nameKey(name);
		if (changed?.has(key)) return changed.get(key)?.node;
		if (volume.changes?.created.has(directory.number)) return undefined;
		if (isFolded(directory)) return lookupFolded(directory, name);
		if (directory.flags & layout.InodeFlag.inlineData) {
			const {bytes, view} = inlineBuffer(directory);
			const found = findInBlock(view, bytes, layout.INLINE_DIRECTORY_START, bytes.length, name);
			if (found === DAMAGED) throw damaged(directory, 'entry', 'a damaged entry');
			return found === 0 ? undefined : found;
		}
		// A folded name has another hash.
		if (isIndexed(volume, directory) && !(directory.flags & layout.InodeFlag.casefold)) {
			try {
				return hashTree.find(directory, name);
			} catch (error) {
				if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
			}
		}
		return lookupLinear(directory, name);
	}

	function parent(directory: Inode): NodeId {
		if (directory.number === layout.ROOT_INODE) return layout.ROOT_INODE;
		const created = volume.changes?.created.get(directory.number);
		if (created !== undefined) return created;
		let inode: number;
		if (directory.flags & layout.InodeFlag.inlineData) {
			inode = viewOf(directory.block).getUint32(0, true);
		} else {
			const buffer = blocks.lend();
			try {
				blocks.load(directory, 0, buffer);
				inode = findInBlock(buffer.view, buffer.bytes, 0, blockSize, Uint8Array.of(DOT, DOT));
			} finally {
				blocks.giveBack(buffer);
			}
		}
		if (inode < 1 || inode > inodesCount) throw damaged(directory, 'parent', 'no parent');
		return inode;
	}

	return {read, lookup, parent};
}
