import {viewOf} from '../../../src/core/bytes/layout.ts';
import {EPOCH, readDosTime} from '../../../src/core/bytes/times.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {NodeId, NodeType, Timestamp} from '../../../src/core/file-system.ts';
import type {Geometry} from './boot-sector.ts';
import {ATTRIBUTE_DIRECTORY, ATTRIBUTE_READ_ONLY, ENTRY_SIZE, NAME_DELETED, NAME_END, ShortEntry} from './layout.ts';
import {isDotEntry, isLabelEntry, isLongEntry} from './short-name.ts';
import type {Volume} from '../../../src/core/volume.ts';

const {attributes, firstClusterHigh, firstClusterLow, size} = ShortEntry.fields;

/** The root has no entry; entries start behind the boot sector, so 0 is free for it. */
export const ROOT: NodeId = 0;

/** What a short entry says of its file. */
export interface Node {
	readonly id: NodeId;
	readonly type: NodeType & ('file' | 'directory');
	readonly readOnly: boolean;
	/** 0 where there is no content. */
	readonly firstCluster: number;
	/** Bytes; of no meaning for directories. */
	readonly size: number;
	readonly modified: Timestamp;
	readonly accessed: Timestamp | undefined;
	readonly created: Timestamp | undefined;
}

export function readNodeType(view: DataView, at: number): 'file' | 'directory' {
	return (attributes.read(view, at) & ATTRIBUTE_DIRECTORY) === 0 ? 'file' : 'directory';
}

/** The upper half of a first cluster is FAT32's alone; other systems keep other things there on FAT12 and FAT16. */
export function readFirstCluster(view: DataView, at: number, geometry: Geometry): number {
	const low = firstClusterLow.read(view, at);
	return geometry.bits === 32 ? firstClusterHigh.read(view, at) * 0x1_0000 + low : low;
}

export interface Nodes {
	/** The node with this id; throws `not-found` where no entry in use lies. */
	get(id: NodeId): Node;
}

/** `metadata` is read in pieces of one entry. */
export function openNodes(metadata: Volume, geometry: Geometry): Nodes {
	const bytes = new Uint8Array(ENTRY_SIZE);
	const view = viewOf(bytes);
	const root: Node = {
		id: ROOT,
		type: 'directory',
		readOnly: false,
		firstCluster: geometry.rootCluster,
		size: 0,
		modified: EPOCH,
		accessed: undefined,
		created: undefined,
	};
	/** Reads come many to one file. */
	let latest = root;

	return {
		get(id) {
			if (id === latest.id) return latest;
			if (id === ROOT) return root;
			const position = id * ENTRY_SIZE;
			if (!Number.isSafeInteger(id) || !mayHoldEntry(geometry, position)) throw noSuchNode(metadata, id);
			metadata.read(position, bytes);
			const first = bytes[0];
			if (first === NAME_END || first === NAME_DELETED) throw noSuchNode(metadata, id);
			if (isLongEntry(view, 0) || isLabelEntry(view, 0) || isDotEntry(view, 0)) throw noSuchNode(metadata, id);
			latest = parseNode(view, id, geometry);
			return latest;
		},
	};
}

function parseNode(view: DataView, id: NodeId, geometry: Geometry): Node {
	const entry = ShortEntry.read(view);
	const {createdDate, createdTime, createdTens, accessedDate, modifiedDate, modifiedTime} = entry;
	return {
		id,
		type: readNodeType(view, 0),
		readOnly: (entry.attributes & ATTRIBUTE_READ_ONLY) !== 0,
		firstCluster: readFirstCluster(view, 0, geometry),
		size: size.read(view, 0),
		modified: readDosTime(modifiedDate, modifiedTime),
		accessed: accessedDate === 0 ? undefined : readDosTime(accessedDate, 0),
		created: createdDate === 0 ? undefined : readDosTime(createdDate, createdTime, createdTens),
	};
}

function mayHoldEntry(geometry: Geometry, position: number): boolean {
	const {rootStart, rootSize, dataStart, clusterCount, clusterSize} = geometry;
	if (position >= rootStart && position < rootStart + rootSize) return true;
	return position >= dataStart && position < dataStart + clusterCount * clusterSize;
}

function noSuchNode(volume: Volume, id: NodeId): DiskError {
	return new DiskError('not-found', 'fat/no-such-node', `no directory entry in use lies at node ${id}`, {
		where: {file: volume.name, node: id, position: id * ENTRY_SIZE},
	});
}
