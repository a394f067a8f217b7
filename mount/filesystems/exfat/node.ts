import {EPOCH} from '../../../src/core/bytes/times.ts';
import type {ClusterTable} from '../../../src/core/cluster-chain.ts';
import {corrupt, DiskError, located} from '../../../src/core/error.ts';
import type {NodeId, Timestamp} from '../../../src/core/file-system.ts';
import type {Geometry} from './boot-region.ts';
import {type EntrySet, faultOfSet, isSecondaryInUse, newEntrySet, readSetType, STREAM_AT} from './entry-set.ts';
import {
	ENTRY_SIZE,
	EntryType,
	FileAttribute,
	FileEntry,
	FIRST_CLUSTER,
	PrimaryEntry,
	StreamEntry,
	StreamFlag,
} from './layout.ts';
import {readTime} from './times.ts';
import type {Volume} from '../../../src/core/volume.ts';

/** The root has no entry; entries start behind the boot regions, so 0 is free for it. */
export const ROOT: NodeId = 0;

/** What an entry set says of its file. */
export interface Node {
	readonly id: NodeId;
	readonly type: 'file' | 'directory';
	readonly readOnly: boolean;
	/** 0 where there is no content. */
	readonly firstCluster: number;
	/** The clusters follow one another, and the FAT says nothing of them. */
	readonly contiguous: boolean;
	/** Bytes; 0 for the root, which does not record it. */
	readonly size: number;
	/** Bytes that have been written; what is behind them reads as zeros. */
	readonly validSize: number;
	readonly modified: Timestamp;
	readonly accessed: Timestamp | undefined;
	readonly created: Timestamp | undefined;
}

function parseNode(set: EntrySet, id: NodeId): Node {
	const {view} = set;
	const file = FileEntry.read(view);
	const stream = StreamEntry.read(view, STREAM_AT);
	const {createdDate, createdTime, createdTens, createdOffset} = file;
	const {accessedDate, accessedTime, accessedOffset} = file;
	return {
		id,
		type: readSetType(set),
		readOnly: (file.attributes & FileAttribute.readOnly) !== 0,
		firstCluster: stream.firstCluster,
		contiguous: (stream.flags & StreamFlag.noFatChain) !== 0,
		size: stream.dataLength,
		validSize: Math.min(stream.validDataLength, stream.dataLength),
		modified: readTime(file.modifiedDate, file.modifiedTime, file.modifiedTens, file.modifiedOffset),
		accessed: accessedDate === 0 ? undefined : readTime(accessedDate, accessedTime, 0, accessedOffset),
		created: createdDate === 0 ? undefined : readTime(createdDate, createdTime, createdTens, createdOffset),
	};
}

export interface Nodes {
	/** The node with this id; throws `not-found` where no file entry in use lies. */
	get(id: NodeId): Node;
}

/** `metadata` is read in pieces of a few entries. */
export function openNodes(metadata: Volume, geometry: Geometry, table: ClusterTable): Nodes {
	const {heapStart, clusterSize, clusterCount, rootCluster} = geometry;
	const heapEnd = heapStart + clusterCount * clusterSize;
	const set = newEntrySet();
	const root: Node = {
		id: ROOT,
		type: 'directory',
		readOnly: false,
		firstCluster: rootCluster,
		contiguous: false,
		size: 0,
		validSize: 0,
		modified: EPOCH,
		accessed: undefined,
		created: undefined,
	};
	/** Reads come many to one file. */
	let latest = root;

	/** Reads the entries behind the first, which may go on in another cluster; false where that is none. */
	function gather(position: number, size: number, next: (cluster: number) => number): boolean {
		let from = position;
		for (let done = 0; done < size; ) {
			const cluster = Math.floor((from - heapStart) / clusterSize);
			const end = heapStart + (cluster + 1) * clusterSize;
			const length = Math.min(size - done, end - from);
			metadata.read(from, set.bytes.subarray(done, done + length));
			done += length;
			if (done === size) break;
			const following = next(cluster + FIRST_CLUSTER);
			if (following < FIRST_CLUSTER || following > table.last) return false;
			from = heapStart + (following - FIRST_CLUSTER) * clusterSize;
		}
		return true;
	}

	/** Fills `set` from `position` on; the entry alone does not say whether its directory is a chain, its checksum does. */
	function readSet(position: number, count: number): DiskError | undefined {
		const size = count * ENTRY_SIZE;
		let fault: DiskError | undefined;
		for (const next of [(cluster: number) => table.entry(cluster), (cluster: number) => cluster + 1]) {
			set.count = count;
			const whole = gather(position, size, next);
			const wrong = whole ? faultOfGathered() : undefined;
			if (whole && wrong === undefined) return undefined;
			fault ??= wrong;
			if ((position - heapStart) % clusterSize <= clusterSize - size) break;
		}
		return fault ?? corrupt('exfat/entry-set', 'a directory entry set is cut short');
	}

	function faultOfGathered(): DiskError | undefined {
		for (let index = 1; index < set.count; index++) {
			if (isSecondaryInUse(set.bytes[index * ENTRY_SIZE])) continue;
			return corrupt('exfat/entry-set', `a directory entry set ends ${index} entries after its start`);
		}
		return faultOfSet(set);
	}

	return {
		get(id) {
			if (id === latest.id) return latest;
			if (id === ROOT) return root;
			const position = id * ENTRY_SIZE;
			if (!Number.isSafeInteger(id) || position < heapStart || position >= heapEnd) throw noSuchNode(metadata, id);
			metadata.read(position, set.bytes.subarray(0, ENTRY_SIZE));
			if (set.bytes[0] !== EntryType.file) throw noSuchNode(metadata, id);
			const fault = readSet(position, 1 + PrimaryEntry.fields.secondaryCount.read(set.view, 0));
			if (fault !== undefined) throw located(fault, {file: metadata.name, node: id, position});
			latest = parseNode(set, id);
			return latest;
		},
	};
}

function noSuchNode(volume: Volume, id: NodeId): DiskError {
	return new DiskError('not-found', 'exfat/no-such-node', `no file entry in use lies at node ${id}`, {
		where: {file: volume.name, node: id, position: id * ENTRY_SIZE},
	});
}
