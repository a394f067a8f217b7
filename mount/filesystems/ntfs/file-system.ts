import {decodeText, encodeText} from '../../../src/core/bytes/text.ts';
import {SpanKind, unstored} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystem, FileSystemContext, NodeId, NodeType, Stat} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import type {Attribute, AttributeFacts} from './attribute.ts';
import {openBitmaps} from './bitmap.ts';
import {readCollation} from './collation.ts';
import {extentsReader, openData} from './data.ts';
import {openDirectories} from './directory.ts';
import {readLxDevice, readLxFacts} from './extended-attributes.ts';
import {readGeometry} from './geometry.ts';
import {openIndexBlocks} from './index-block.ts';
import {derive, type Inode, openInodes} from './inode.ts';
import {
	AttributeType,
	DIRECTORY_INDEX,
	FileAttribute,
	FIRST_USER_RECORD,
	HIBERNATION_FILE,
	NAME_UNITS_MAX,
	OBJECT_ID_FILE,
	ReparseTag,
	SystemRecord,
	WIM_OVERLAY_MAX,
	WIM_OVERLAY_PATH,
} from './layout.ts';
import {warnIfLogOpen} from './log-file.ts';
import {openMft} from './mft.ts';
import {needsName} from './named.ts';
import {nodeAttributes} from './node-attributes.ts';
import {contentRefusal, readReparse, reparseDevice, reparseNodeType} from './reparse.ts';
import {type Device, readInterix} from './special.ts';
import {openVolumeTables} from './security.ts';
import {hiddenStreamOf, namedStreams} from './streams.ts';
import {openSymlinks, parentRecord} from './symlink.ts';
import {readVolume, warnIfHibernated} from './volume.ts';
import {wimName} from './wim-overlay.ts';
import {openWof, type SystemCompressed} from './wof.ts';

/** NTFS keeps access lists instead of modes; see README.md. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;
const READ_ONLY_MODE = 0o444;
const SYMLINK_MODE = 0o777;

function wrongType(node: NodeId, family: 'not-a-directory' | 'is-a-directory' | 'invalid', message: string): DiskError {
	return new DiskError(family, `ntfs/${family}`, `MFT record ${node} ${message}`, {where: {node}});
}

function modeOf(inode: Inode, type: NodeType): number {
	if (type === 'directory') return DIRECTORY_MODE;
	if (type === 'symlink') return SYMLINK_MODE;
	return (inode.fileAttributes & FileAttribute.readOnly) === 0 ? FILE_MODE : READ_ONLY_MODE;
}

export function openFileSystem(volume: ByteSource, context: FileSystemContext): FileSystem {
	const geometry = readGeometry(volume, context);
	const mft = openMft(volume, geometry, context);
	const readExtents = extentsReader(volume, geometry);
	const inodes = openInodes(mft, geometry, readExtents);
	const data = openData(inodes, geometry, readExtents);
	const mftInode = inodes.get(SystemRecord.mft);
	const mftData = inodes.find(mftInode, AttributeType.data, '');
	if (mftData === undefined || mftData.facts?.resident !== false) {
		throw new DiskError('corrupt', 'ntfs/mft', '$MFT does not say where it lies', {
			where: {structure: '$MFT', node: 0},
		});
	}
	if (mftData.facts.size > volume.size) {
		throw new DiskError('corrupt', 'ntfs/mft', `$MFT claims ${mftData.facts.size} bytes, more than the volume has`, {
			where: {structure: '$MFT', field: 'size', node: 0},
		});
	}
	try {
		mft.setExtents(inodes.extents(mftInode, mftData), mftData.facts.size);
	} catch (error) {
		// The parts of the run list before the damage are known by now, and many files may be found with them.
		if (!(error instanceof DiskError) || mft.reachable() < FIRST_USER_RECORD) throw error;
		context.warn({
			code: 'ntfs/mft-runs',
			severity: 'damage',
			message: `the run list of $MFT is damaged: ${error.message}`,
		});
	}
	if (mft.reachable() < mft.count()) {
		context.warn({
			code: 'ntfs/mft-short',
			severity: 'damage',
			message: `only ${mft.reachable()} of ${mft.count()} MFT records can be found; the other files cannot be read`,
		});
	}
	const collation = readCollation(inodes, data, context);
	const blocks = openIndexBlocks(inodes, data, geometry);
	const directories = openDirectories(mft, blocks, collation, entryType);
	const symlinks = openSymlinks(
		inodes,
		record => mft.sequence(record),
		(record, name) => directories.lookupName(inodes.get(record), name),
	);
	const bitmaps = openBitmaps(volume, inodes, data, mft, geometry);
	const tables = openVolumeTables(inodes, data, blocks, () => find(SystemRecord.extend, OBJECT_ID_FILE, false));
	const wof = openWof(inodes, data, reparse => wimName(reparse, readWimOverlays));
	const label = readVolume(inodes, data, context);
	warnIfLogOpen(inodes, data, context);
	warnIfHibernated(inodes, data, () => find(SystemRecord.root, HIBERNATION_FILE, true), context);

	/** The node's type, but for what a file's content would tell. */
	function nodeType(inode: Inode): NodeType {
		if ((inode.fileAttributes & FileAttribute.reparsePoint) !== 0) {
			const type = reparseNodeType(readReparse(inodes, data, inode));
			if (type !== undefined) return type;
		}
		if (inode.isDirectory) return 'directory';
		return readInterix(inodes, data, inode)?.type ?? 'file';
	}

	function entryType(record: number, fileAttributes: number): NodeType {
		const plain = (fileAttributes & FileAttribute.directory) === 0 ? 'file' : 'directory';
		if ((fileAttributes & (FileAttribute.reparsePoint | FileAttribute.system)) === 0) return plain;
		try {
			return nodeType(inodes.get(record));
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			// The entry is sound, the node is not: `stat` tells.
			return plain;
		}
	}

	function directory(node: NodeId): Inode {
		const inode = inodes.get(node);
		if (!inode.isDirectory || nodeType(inode) !== 'directory') {
			throw wrongType(node, 'not-a-directory', 'is not a directory');
		}
		return inode;
	}

	function find(node: NodeId, name: string, anyCase: boolean): NodeId | undefined {
		if (name.length === 0 || name.length > NAME_UNITS_MAX || name === '.' || name === '..') return undefined;
		return directories.lookup(directory(node), name, anyCase);
	}

	function lookup(node: NodeId, bytes: Uint8Array, anyCase: boolean): NodeId | undefined {
		const name = decodeText(bytes);
		if (name === undefined) {
			directory(node);
			return undefined;
		}
		if (anyCase) return find(node, name, false) ?? find(node, name, true);
		return find(node, name, false);
	}

	/** The volume's list of WIM files. */
	function readWimOverlays(): Uint8Array | undefined {
		let node: NodeId | undefined = SystemRecord.root;
		for (const name of WIM_OVERLAY_PATH) node = node === undefined ? undefined : find(node, name, true);
		if (node === undefined) return undefined;
		const inode = inodes.get(node);
		const attribute = inodes.find(inode, AttributeType.data, '');
		return attribute === undefined ? undefined : data.value(inode, attribute, WIM_OVERLAY_MAX);
	}

	/** How a file that the system compressed is stored, or undefined where it did not. */
	function systemCompressed(inode: Inode): SystemCompressed | undefined {
		if ((inode.fileAttributes & FileAttribute.reparsePoint) === 0) return undefined;
		const reparse = readReparse(inodes, data, inode);
		return reparse.tag === ReparseTag.wof ? wof.find(inode, reparse) : undefined;
	}

	/** The content of a file, or undefined where it has none; throws where $DATA is not what the file stands for. */
	function content(inode: Inode): Attribute | undefined {
		const type = nodeType(inode);
		if (type === 'directory') throw wrongType(inode.record, 'is-a-directory', 'is a directory');
		if (type !== 'file') throw wrongType(inode.record, 'invalid', `is a ${type} and has no content`);
		const attribute = inodes.find(inode, AttributeType.data, '');
		if ((inode.fileAttributes & FileAttribute.reparsePoint) !== 0) {
			const reparse = readReparse(inodes, data, inode);
			const refusal = reparse.tag === ReparseTag.wof ? undefined : contentRefusal(inode, reparse, attribute?.facts);
			if (refusal !== undefined) throw refusal;
		}
		return attribute;
	}

	function linkTarget(inode: Inode): Uint8Array {
		return derive(inode, 'target', () => {
			const interix = readInterix(inodes, data, inode)?.target;
			const target =
				interix === undefined ? symlinks.target(inode, readReparse(inodes, data, inode)) : encodeText(interix);
			inodes.weigh(inode, target.length);
			return target;
		});
	}

	function deviceOf(inode: Inode): Device {
		const interix = readInterix(inodes, data, inode)?.device;
		if (interix !== undefined) return interix;
		return reparseDevice(readReparse(inodes, data, inode)) ?? readLxDevice(inodes, data, inode);
	}

	/**
	 * The size of a file whose $DATA is empty. Where its content is elsewhere it has that of its reparse point: nobody
	 * reads what has no bytes, and it would pass for an empty file.
	 */
	function emptySize(inode: Inode, facts: AttributeFacts | undefined): number {
		if ((inode.fileAttributes & FileAttribute.reparsePoint) === 0) return 0;
		const reparse = readReparse(inodes, data, inode);
		if (reparse.tag === ReparseTag.wof || contentRefusal(inode, reparse, facts) === undefined) return 0;
		return reparse.bytes.length;
	}

	/** What a directory occupies is its index. */
	function sizeOf(inode: Inode, type: NodeType): {size: number; allocated: number} {
		if (type === 'directory') {
			const allocation = inodes.find(inode, AttributeType.indexAllocation, DIRECTORY_INDEX);
			return {size: allocation?.facts?.size ?? 0, allocated: allocation?.facts?.allocated ?? 0};
		}
		const facts = inodes.find(inode, AttributeType.data, '')?.facts;
		const allocated = (facts?.allocated ?? 0) + hiddenStreamOf(inodes, data, inode);
		if (type === 'symlink') return {size: linkTarget(inode).length, allocated};
		if (type !== 'file') return {size: 0, allocated};
		return {size: facts === undefined || facts.size === 0 ? emptySize(inode, facts) : facts.size, allocated};
	}

	function stat(node: NodeId): Stat {
		const inode = inodes.get(node);
		const type = nodeType(inode);
		const {size, allocated} = sizeOf(inode, type);
		const {uid = 0, gid = 0, mode} = readLxFacts(inodes, data, inode);
		const isDevice = type === 'character-device' || type === 'block-device';
		return {
			node,
			type,
			mode: mode ?? modeOf(inode, type),
			links: type === 'directory' ? 1 : inodes.links(inode),
			uid,
			gid,
			size,
			allocated,
			modified: inode.modified,
			accessed: inode.accessed,
			changed: inode.changed,
			created: inode.created,
			...(isDevice && {device: deviceOf(inode)}),
		};
	}

	return {
		type: 'ntfs',
		root: SystemRecord.root,
		label,
		identifier: geometry.serial,
		lookup: (node, name) => lookup(node, name, false),
		lookupAnyCase: (node, name) => lookup(node, name, true),
		stat,
		readDirectory: (node, cursor, visit) => directories.read(directory(node), cursor, visit),
		parent: node => parentRecord(inodes, record => mft.sequence(record), directory(node)),
		readLink(node) {
			const inode = inodes.get(node);
			if (nodeType(inode) !== 'symlink') throw wrongType(node, 'invalid', 'is not a symbolic link');
			return linkTarget(inode).slice();
		},
		locate(node, position, span) {
			const inode = inodes.get(node);
			const attribute = content(inode);
			const packed = systemCompressed(inode);
			if (packed !== undefined) unstored(span, SpanKind.encoded, Math.max(1, packed.size - position));
			else if (attribute === undefined) unstored(span, SpanKind.zero, 1);
			else data.locate(inode, attribute, position, span);
		},
		attributes: node => nodeAttributes(inodes, data, tables, inodes.get(node)),
		streams: node => namedStreams(inodes, data, inodes.get(node)),
		read(node, position, target) {
			const inode = inodes.get(node);
			const attribute = content(inode);
			const packed = systemCompressed(inode);
			if (packed !== undefined) return wof.read(inode, packed, position, target);
			return attribute === undefined ? 0 : data.read(inode, attribute, position, target);
		},
		usage: () => bitmaps.usage(),
		allocated: (position, span) => bitmaps.allocated(position, span),
		needsName: node => needsName(mft, inodes, node),
	};
}
