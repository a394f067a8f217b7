import {decodeText, encodeText} from '../../../src/core/bytes/text.ts';
import {type ClusterRun, openChains} from '../../../src/core/cluster-chain.ts';
import {SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import {corrupt, DiskError, located} from '../../../src/core/error.ts';
import type {DirectoryEntry, FileSystem, FileSystemContext, NodeId} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {cachedSource} from '../../../src/core/sources/cached.ts';
import {type Allocation, openAllocations} from './allocation.ts';
import {openBootRegion} from './boot-region.ts';
import {type DirectoryData, directoryScanner} from './directory.ts';
import {readSetName, readSetType} from './entry-set.ts';
import {behindEndReport, checkTable, reportFindings, tellGuid, usesSecondTable} from './health.ts';
import {CHAIN_RULES, ENTRY_SIZE, FIRST_CLUSTER, MAX_DIRECTORY_SIZE} from './layout.ts';
import {nameCheck} from './name-check.ts';
import {nameIndex} from './name-index.ts';
import {type Node, openNodes, ROOT} from './node.ts';
import {openParents} from './parents.ts';
import {readRootEntries} from './root-entries.ts';
import {openTable} from './table.ts';
import {openVolumeData} from './volume-data.ts';
import {checkedVolume} from '../../../src/core/volume.ts';

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
const WRITE_BITS = 0o222;

type Writable<T> = {-readonly [K in keyof T]: T[K]};

export function openFileSystem(source: ByteSource, context: FileSystemContext): FileSystem {
	const boot = openBootRegion(source, context);
	const {geometry} = boot;
	const {heapStart, clusterSize, clusterCount, tableStart, tableSize, rootCluster} = geometry;
	reportFindings(source, boot, context);
	const second = usesSecondTable(boot, context);
	const volume = checkedVolume(source, 'exfat');
	const metadata = checkedVolume(cachedSource(source, {blockSize: 4096, blocks: 64}), 'exfat');
	const table = openTable(volume, geometry, tableStart + (second ? tableSize : 0));
	checkTable(table, context);
	const allocations = openAllocations(table, openChains(table, CHAIN_RULES));
	const nodes = openNodes(metadata, geometry, table);
	const scanner = directoryScanner(volume, behindEndReport(context));
	const rootEntries = readRootEntries(scanner, dataOf(nodes.get(ROOT)), second, context);
	tellGuid(rootEntries.guid, context);
	const {bitmap, upcase} = openVolumeData(volume, geometry, allocations, rootEntries, context);
	const index = nameIndex(scanner, upcase);
	const checkName = nameCheck(upcase, context);
	const parents = openParents(scanner, directory => dataOf(directoryOf(directory)));

	const run: ClusterRun = {cluster: 0, length: 0};
	/** Reads come many to one file. */
	let latest: {readonly node: Node; readonly allocation: Allocation} | undefined;
	let freeClusters: number | undefined;

	function clusterPosition(cluster: number): number {
		return heapStart + (cluster - FIRST_CLUSTER) * clusterSize;
	}

	function fileOf(id: NodeId): Node {
		const node = nodes.get(id);
		if (node.type === 'file') return node;
		throw new DiskError('is-a-directory', 'exfat/is-a-directory', 'this is a directory', {where: {node: id}});
	}

	function directoryOf(id: NodeId): Node {
		const node = nodes.get(id);
		if (node.type === 'directory') return node;
		throw new DiskError('not-a-directory', 'exfat/not-a-directory', 'this is not a directory', {where: {node: id}});
	}

	function allocationOf(node: Node): Allocation {
		if (latest?.node === node) return latest.allocation;
		const wanted = Math.ceil(node.size / clusterSize);
		const {firstCluster, contiguous} = node;
		const allocation = contiguous
			? allocations.contiguous(firstCluster, wanted)
			: allocations.chained(firstCluster, wanted, false);
		// A fault of the source may pass.
		if (allocation.fault?.family !== 'io') latest = {node, allocation};
		return allocation;
	}

	function dataOf(node: Node): DirectoryData {
		if (node.id === ROOT) {
			const allocation = allocations.chained(rootCluster, MAX_DIRECTORY_SIZE / clusterSize, true);
			return directoryData(allocation, allocation.length * clusterSize, allocation.fault, true);
		}
		const {size, firstCluster, contiguous} = node;
		const bounded = Math.min(size, MAX_DIRECTORY_SIZE);
		const wanted = Math.ceil(bounded / clusterSize);
		const allocation = contiguous
			? allocations.contiguous(firstCluster, wanted)
			: allocations.chained(firstCluster, wanted, false);
		const tooLong =
			size > bounded ? corrupt('exfat/directory-size', `a directory of ${size} bytes is impossible`) : undefined;
		const fault = allocation.fault ?? tooLong;
		return directoryData(allocation, Math.min(bounded, allocation.length * clusterSize), fault, false);
	}

	function directoryData(
		allocation: Allocation,
		size: number,
		fault: DiskError | undefined,
		isRoot: boolean,
	): DirectoryData {
		const place: ClusterRun = {cluster: 0, length: 0};
		return {
			size: size - (size % ENTRY_SIZE),
			fault,
			isRoot,
			locate(position, piece) {
				const at = Math.floor(position / clusterSize);
				const within = position - at * clusterSize;
				allocations.find(allocation, at, place);
				piece.at = clusterPosition(place.cluster) + within;
				piece.length = place.length * clusterSize - within;
			},
		};
	}

	/** Names the node in errors that come from deeper down. */
	function about<T>(id: NodeId, action: () => T): T {
		try {
			return action();
		} catch (error) {
			throw error instanceof DiskError ? located(error, {file: source.name, node: id}) : error;
		}
	}

	/** Finds where cluster `index` of a file lies, for `run`. */
	function findRun(node: Node, cluster: number, position: number): void {
		const allocation = allocationOf(node);
		if (cluster < allocation.length) return allocations.find(allocation, cluster, run);
		const fault = allocation.fault ?? corrupt('exfat/chain-too-short', 'the cluster chain is too short');
		throw located(fault, {file: source.name, node: node.id, position});
	}

	return {
		type: 'exfat',
		root: ROOT,
		label: rootEntries.label,
		identifier: geometry.serial,
		lookup(directory, name) {
			const node = directoryOf(directory);
			const text = decodeText(name);
			if (text === undefined) return undefined;
			return about(directory, () => index.find(directory, () => dataOf(node), text));
		},
		stat(id) {
			const node = nodes.get(id);
			const {type, readOnly, modified, accessed, created} = node;
			const isFile = type === 'file';
			const mode = isFile ? FILE_MODE : DIRECTORY_MODE;
			const size = id === ROOT ? dataOf(node).size : node.size;
			return {
				node: id,
				type,
				mode: readOnly ? mode & ~WRITE_BITS : mode,
				links: 1,
				uid: 0,
				gid: 0,
				size,
				allocated: Math.ceil(size / clusterSize) * clusterSize,
				modified,
				...(accessed && {accessed}),
				...(created && {created}),
			};
		},
		readDirectory(directory, cursor, visit) {
			const data = dataOf(directoryOf(directory));
			const shown: Writable<DirectoryEntry> = {name: new Uint8Array(), node: 0, type: 'file', cursor: 0};
			about(directory, () =>
				scanner.scan(data, cursor, {
					file(entry) {
						const name = readSetName(entry.set);
						checkName(name, entry.set);
						shown.name = encodeText(name);
						shown.node = entry.position / ENTRY_SIZE;
						shown.type = readSetType(entry.set);
						shown.cursor = entry.cursor;
						if (shown.type === 'directory') parents.learn(shown.node, directory);
						return visit(shown);
					},
				}),
			);
		},
		parent(directory) {
			const node = directoryOf(directory);
			return node.id === ROOT ? ROOT : about(directory, () => parents.find(directory));
		},
		readLink(id) {
			nodes.get(id);
			throw new DiskError('invalid', 'exfat/no-links', 'exFAT has no symbolic links', {where: {node: id}});
		},
		locate(id, position, span) {
			const node = fileOf(id);
			if (position >= node.validSize) return unstored(span, SpanKind.zero, node.size - position);
			const cluster = Math.floor(position / clusterSize);
			findRun(node, cluster, position);
			const within = position - cluster * clusterSize;
			const length = Math.min(run.length * clusterSize - within, node.validSize - position);
			stored(span, length, 0, clusterPosition(run.cluster) + within);
		},
		attributes(id) {
			nodes.get(id);
			return [];
		},
		streams(id) {
			nodes.get(id);
			return [];
		},
		read(id, position, target) {
			const node = fileOf(id);
			if (position >= node.size) return 0;
			const length = Math.min(target.length, node.size - position);
			const valid = Math.min(length, Math.max(0, node.validSize - position));
			for (let done = 0; done < valid; ) {
				const from = position + done;
				const cluster = Math.floor(from / clusterSize);
				findRun(node, cluster, from);
				const within = from - cluster * clusterSize;
				const count = Math.min(run.length * clusterSize - within, valid - done);
				const whole = count === target.length;
				volume.read(clusterPosition(run.cluster) + within, whole ? target : target.subarray(done, done + count));
				done += count;
			}
			if (valid < length) target.fill(0, valid, length);
			return length;
		},
		usage() {
			freeClusters ??= bitmap.freeClusters();
			return {blockSize: clusterSize, totalBlocks: clusterCount, freeBlocks: freeClusters, volumeSize: geometry.size};
		},
		allocated: (position, span) => bitmap.allocated(position, span),
	};
}
