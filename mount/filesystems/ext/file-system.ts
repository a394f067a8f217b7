import {crc32cRaw} from '../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {roundUp} from '../../../src/core/bytes/u64.ts';
import {newSpan, type Span, SpanKind} from '../../../src/core/disk.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import type {FileSystem, NodeId, Stat} from '../../../src/core/file-system.ts';
import {openAllocation} from './allocation.ts';
import {readAttributes} from './attributes.ts';
import {openBlockMap} from './block-map.ts';
import {openDirectories} from './directory.ts';
import {openGroups} from './groups.ts';
import {inlineData, locateInline} from './inline-data.ts';
import type {Inode} from './inode.ts';
import {openInodeTable} from './inode-table.ts';
import {InodeFlag, ROOT_INODE, SECTOR} from './layout.ts';
import {reportOrphans} from './orphans.ts';
import {readLink} from './symlink.ts';
import {openNamed} from './named.ts';
import {usageOf} from './usage.ts';
import type {Volume} from './volume.ts';

export function openFileSystem(volume: Volume): FileSystem {
	const {superblock} = volume;
	const groups = openGroups(volume);
	const inodes = openInodeTable(volume, groups);
	const map = openBlockMap(volume, inodes);
	const directories = openDirectories(volume, map, typeOf);
	const span = newSpan();

	/** For entries that record no type; a damaged inode is told when it is opened. */
	function typeOf(node: number): Stat['type'] {
		try {
			return inodes.get(node).type;
		} catch (error) {
			if (error instanceof DiskError) return 'file';
			throw error;
		}
	}

	function getDirectory(node: NodeId): Inode {
		const inode = inodes.get(node);
		if (inode.type !== 'directory') {
			throw new DiskError('not-a-directory', 'ext/not-a-directory', `inode ${node} is not a directory`, {
				where: {node},
			});
		}
		return inode;
	}

	/** Reads from an inode's content, whatever its type. */
	function readContent(inode: Inode, position: number, target: Uint8Array): number {
		if (position >= inode.size) return 0;
		const length = Math.min(target.length, inode.size - position);
		if (inode.flags & InodeFlag.inlineData) {
			target.set(inlineData(volume, inode).content.subarray(position, position + length));
			return length;
		}
		for (let done = 0; done < length; ) {
			map.locate(inode, position + done, span);
			const count = Math.min(span.length, length - done);
			if (span.kind !== SpanKind.stored) target.fill(0, done, done + count);
			else volume.readContent(span.at, count === target.length ? target : target.subarray(done, done + count));
			done += count;
		}
		return length;
	}

	function read(node: NodeId, position: number, target: Uint8Array): number {
		const inode = inodes.get(node);
		if (inode.type !== 'file') throw wrongType(inode);
		if (inode.flags & InodeFlag.encrypted) throw encrypted(node, 'content');
		return readContent(inode, position, target);
	}

	function locate(node: NodeId, position: number, into: Span): void {
		const inode = inodes.get(node);
		if (inode.type !== 'file') throw wrongType(inode);
		if (inode.flags & InodeFlag.inlineData) locateInline(volume, inode, position, into);
		else map.locate(inode, position, into);
		if (into.length > inode.size - position) into.length = inode.size - position;
		volume.relocate(into);
		if (inode.flags & InodeFlag.encrypted && into.kind === SpanKind.stored) into.kind = SpanKind.encoded;
	}

	/** ea_inode: the value of an attribute is the content of an inode that no directory names. */
	function readValueInode(number: number, size: number, owner: number): Uint8Array {
		const inode = inodes.get(number);
		if (!(inode.flags & InodeFlag.eaInode)) {
			throw corrupt('ext/attribute-inode', `inode ${number} holds no attribute`, {node: number});
		}
		const value = new Uint8Array(Math.min(size, inode.size));
		readContent(inode, 0, value);
		// Lustre has its owner where others have nothing, and no hash.
		const hash = crc32cRaw(value, superblock.checksumSeed);
		if (value.length === size && hash !== inode.accessed.seconds >>> 0 && inode.modified.seconds >>> 0 !== owner) {
			throw corrupt('ext/attribute-hash', `the attribute in inode ${number} does not match its hash`, {node: owner});
		}
		return value;
	}

	function stat(node: NodeId): Stat {
		const inode = inodes.get(node);
		const {type, mode, links, uid, gid, modified, accessed, changed, created} = inode;
		const isDevice = type === 'character-device' || type === 'block-device';
		const hasContent = type === 'file' || type === 'directory' || type === 'symlink';
		return {
			node,
			type,
			mode,
			links,
			uid,
			gid,
			size: hasContent ? inode.size : 0,
			allocated: inode.allocated + inlineSectors(inode),
			modified,
			accessed,
			changed,
			...(created !== undefined && {created}),
			...(isDevice && {device: readDevice(inode)}),
		};
	}

	function journalBlocks(): number {
		const {names, journalInode, blockSize} = superblock;
		if (!names.has('has_journal') || journalInode === 0) return 0;
		try {
			return Math.ceil(inodes.getAny(journalInode).size / blockSize);
		} catch (error) {
			if (error instanceof DiskError) return 0;
			throw error;
		}
	}

	reportOrphans(volume, inodes, readContent);
	return {
		type: superblock.type,
		root: ROOT_INODE,
		label: superblock.label,
		identifier: superblock.identifier,
		lookup: (directory, name) => directories.lookup(getDirectory(directory), name),
		stat,
		readDirectory: (directory, cursor, visit) => directories.read(getDirectory(directory), cursor, visit),
		parent: directory => directories.parent(getDirectory(directory)),
		readLink(node) {
			const inode = inodes.get(node);
			if (inode.type !== 'symlink') {
				throw new DiskError('invalid', 'ext/not-a-symlink', `inode ${node} is not a symbolic link`, {where: {node}});
			}
			if (inode.flags & InodeFlag.encrypted) throw encrypted(node, 'target');
			return readLink(superblock, inode, readContent);
		},
		locate,
		attributes: node => readAttributes(volume, inodes.get(node), readValueInode),
		streams: () => [],
		read,
		usage: () => usageOf(superblock, journalBlocks(), volume.replayed ? groups : undefined),
		allocated: openAllocation(volume, groups),
		needsName: openNamed(volume, groups, inodes),
	};
}

/** As the kernel counts: a file that has content but no blocks would be taken for sparse. */
function inlineSectors({type, flags, size}: Inode): number {
	return type === 'file' && flags & InodeFlag.inlineData ? roundUp(size, SECTOR) : 0;
}

function wrongType({number: node, type}: Inode): DiskError {
	if (type === 'directory') {
		return new DiskError('is-a-directory', 'ext/is-a-directory', `inode ${node} is a directory`, {where: {node}});
	}
	return new DiskError('invalid', 'ext/not-a-file', `inode ${node} is a ${type}, which has no content`, {
		where: {node},
	});
}

function encrypted(node: NodeId, what: string): DiskError {
	return unsupported('ext/encrypted', `the ${what} of inode ${node} is encrypted`, {node});
}

/** inodes.rst: the old encoding has 8 bits each in the first word, the new one 12 and 20 bits in the second. */
function readDevice(inode: Inode): {major: number; minor: number} {
	const view = viewOf(inode.block);
	const old = view.getUint32(0, true);
	if (old !== 0) return {major: (old >>> 8) & 0xff, minor: old & 0xff};
	const device = view.getUint32(4, true);
	return {major: (device >>> 8) & 0xfff, minor: ((device & 0xff) | ((device >>> 12) & 0xf_ff00)) >>> 0};
}
