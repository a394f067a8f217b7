import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeText, encodeText} from '../../../src/core/bytes/text.ts';
import {stored} from '../../../src/core/disk.ts';
import {type Chain, type ClusterRun, openChains} from '../../../src/core/cluster-chain.ts';
import {corrupt, DiskError, located} from '../../../src/core/error.ts';
import type {DirectoryEntry, FileSystem, FileSystemContext, NodeId} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {cachedSource} from '../../../src/core/sources/cached.ts';
import {openBootSector} from './boot-sector.ts';
import {type DirectoryData, directoryScanner, shownName} from './directory.ts';
import {reportFindings, selectTable, wasClosedCleanly} from './health.ts';
import {
	CHAIN_RULES,
	ENTRY_SIZE,
	FIRST_CLUSTER,
	MAX_DIRECTORY_SIZE,
	NAME_END,
	NO_LABEL,
	PARENT_SEARCH,
} from './layout.ts';
import {nameIndex} from './name-index.ts';
import {type Node, openNodes, readFirstCluster, readNodeType, ROOT} from './node.ts';
import {isParentEntry, readLabelName} from './short-name.ts';
import {openTable} from './table.ts';
import {countFreeClusters, locateAllocated, recordedFreeClusters} from './usage.ts';
import {checkedVolume} from '../../../src/core/volume.ts';

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
const WRITE_BITS = 0o222;

type Writable<T> = {-readonly [K in keyof T]: T[K]};

export function openFileSystem(source: ByteSource, context: FileSystemContext): FileSystem {
	const geometry = openBootSector(source, context);
	const {dataStart, clusterSize, clusterCount, rootStart, rootSize} = geometry;
	const volume = checkedVolume(source, 'fat');
	const metadata = checkedVolume(cachedSource(source, {blockSize: 4096, blocks: 64}), 'fat');
	const table = openTable(volume, geometry, selectTable(source, geometry, context));
	const chains = openChains(table, CHAIN_RULES);
	const nodes = openNodes(metadata, geometry);
	const scanner = directoryScanner(volume);
	const index = nameIndex(scanner);
	const clean = wasClosedCleanly(table, geometry);
	reportFindings(source, geometry, clean, context);

	const run: ClusterRun = {cluster: 0, length: 0};
	const directoryClusters = Math.max(1, Math.floor(MAX_DIRECTORY_SIZE / clusterSize));
	let freeClusters: number | undefined;

	function clusterPosition(cluster: number): number {
		return dataStart + (cluster - FIRST_CLUSTER) * clusterSize;
	}

	function fileOf(id: NodeId): Node {
		const node = nodes.get(id);
		if (node.type === 'file') return node;
		throw new DiskError('is-a-directory', 'fat/is-a-directory', 'this is a directory', {where: {node: id}});
	}

	function directoryOf(id: NodeId): Node {
		const node = nodes.get(id);
		if (node.type === 'directory') return node;
		throw new DiskError('not-a-directory', 'fat/not-a-directory', 'this is not a directory', {where: {node: id}});
	}

	/** Space that content of `size` bytes takes. */
	function clustersFor(size: number): number {
		return Math.ceil(size / clusterSize);
	}

	function fileChain(node: Node): Chain {
		return chains.resolve(node.firstCluster, clustersFor(node.size), false);
	}

	/** The bytes of a directory by its first cluster; 0 is the root. */
	function dataOfCluster(first: number): DirectoryData {
		if (first === 0 && geometry.bits !== 32) {
			return {
				size: rootSize,
				fault: undefined,
				locate(position, piece) {
					piece.at = rootStart + position;
					piece.length = rootSize - position;
				},
			};
		}
		const chain = chains.resolve(first === 0 ? geometry.rootCluster : first, directoryClusters, true);
		const place: ClusterRun = {cluster: 0, length: 0};
		return {
			size: chain.length * clusterSize,
			fault: chain.fault,
			locate(position, piece) {
				const at = Math.floor(position / clusterSize);
				const within = position - at * clusterSize;
				chains.find(chain, at, place);
				piece.at = clusterPosition(place.cluster) + within;
				piece.length = place.length * clusterSize - within;
			},
		};
	}

	function dataOf(node: Node): DirectoryData {
		if (node.id !== ROOT && node.firstCluster === 0) {
			return {
				size: 0,
				fault: corrupt('fat/directory-without-cluster', 'the directory has no cluster'),
				locate() {},
			};
		}
		return dataOfCluster(node.firstCluster);
	}

	/** Names the node in errors that come from deeper down. */
	function about<T>(id: NodeId, action: () => T): T {
		try {
			return action();
		} catch (error) {
			throw error instanceof DiskError ? located(error, {file: source.name, node: id}) : error;
		}
	}

	function faultOf(chain: Chain, node: Node, position: number): DiskError {
		const fault = chain.fault ?? corrupt('fat/chain-too-short', 'the cluster chain is too short');
		return located(fault, {file: source.name, node: node.id, position});
	}

	/** The first cluster that the `..` entry of the directory at `first` names; 0 for the root. */
	function clusterAbove(first: number): number {
		if (first < FIRST_CLUSTER || first > table.last) {
			throw corrupt('fat/chain-out-of-range', `the first cluster ${first} lies outside the volume`);
		}
		const start = clusterPosition(first);
		const entries = new Uint8Array(PARENT_SEARCH);
		metadata.read(start, entries);
		const view = viewOf(entries);
		for (let at = 0; at < PARENT_SEARCH && entries[at] !== NAME_END; at += ENTRY_SIZE) {
			if (!isParentEntry(view, at)) continue;
			const above = readFirstCluster(view, at, geometry);
			return above === geometry.rootCluster ? 0 : above;
		}
		throw corrupt('fat/no-parent-entry', 'the directory has no entry for its parent', {
			position: start,
			structure: 'directory entry',
		});
	}

	function parentOf(node: Node): NodeId {
		const parent = clusterAbove(node.firstCluster);
		if (parent === 0) return ROOT;
		let found: NodeId | undefined;
		scanner.scan(dataOfCluster(clusterAbove(parent)), 0, 'files', ({view, at, position}) => {
			if (readNodeType(view, at) === 'directory' && readFirstCluster(view, at, geometry) === parent) {
				found = position / ENTRY_SIZE;
			}
			return found === undefined;
		});
		if (found !== undefined) return found;
		throw corrupt('fat/parent-not-found', `no directory entry leads to the parent at cluster ${parent}`);
	}

	function rootLabel(): string | undefined {
		let label: string | undefined;
		try {
			scanner.scan(dataOfCluster(0), 0, 'labels', ({view, at}) => {
				label = readLabelName(view, at);
				return false;
			});
		} catch (error) {
			// Whoever lists the root meets the same error.
			if (!(error instanceof DiskError)) throw error;
		}
		return label === NO_LABEL ? '' : label;
	}

	return {
		type: geometry.type,
		root: ROOT,
		label: rootLabel() ?? geometry.label,
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
			const size = isFile ? node.size : dataOf(node).size;
			const clusters = node.firstCluster === 0 ? 0 : clustersFor(node.size);
			return {
				node: id,
				type,
				mode: readOnly ? mode & ~WRITE_BITS : mode,
				links: 1,
				uid: 0,
				gid: 0,
				size,
				allocated: isFile ? clusters * clusterSize : size,
				modified,
				...(accessed && {accessed}),
				...(created && {created}),
			};
		},
		readDirectory(directory, cursor, visit) {
			const data = dataOf(directoryOf(directory));
			const shown: Writable<DirectoryEntry> = {name: new Uint8Array(), node: 0, type: 'file', cursor: 0};
			about(directory, () =>
				scanner.scan(data, cursor, 'files', entry => {
					shown.name = encodeText(shownName(entry));
					shown.node = entry.position / ENTRY_SIZE;
					shown.type = readNodeType(entry.view, entry.at);
					shown.cursor = entry.cursor;
					return visit(shown);
				}),
			);
		},
		parent(directory) {
			const node = directoryOf(directory);
			return node.id === ROOT ? ROOT : about(directory, () => parentOf(node));
		},
		readLink(id) {
			nodes.get(id);
			throw new DiskError('invalid', 'fat/no-links', 'FAT has no symbolic links', {where: {node: id}});
		},
		locate(id, position, span) {
			const node = fileOf(id);
			const chain = fileChain(node);
			const at = Math.floor(position / clusterSize);
			if (at >= chain.length) throw faultOf(chain, node, position);
			chains.find(chain, at, run);
			const within = position - at * clusterSize;
			const length = Math.min(run.length * clusterSize - within, node.size - position);
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
			const chain = fileChain(node);
			for (let done = 0; done < length; ) {
				const from = position + done;
				const at = Math.floor(from / clusterSize);
				if (at >= chain.length) throw faultOf(chain, node, from);
				chains.find(chain, at, run);
				const within = from - at * clusterSize;
				const count = Math.min(run.length * clusterSize - within, length - done);
				const whole = count === target.length;
				volume.read(clusterPosition(run.cluster) + within, whole ? target : target.subarray(done, done + count));
				done += count;
			}
			return length;
		},
		usage() {
			freeClusters ??= (clean ? recordedFreeClusters(volume, geometry) : undefined) ?? countFreeClusters(table);
			return {blockSize: clusterSize, totalBlocks: clusterCount, freeBlocks: freeClusters, volumeSize: geometry.size};
		},
		allocated: (position, span) => locateAllocated(source.size, geometry, table, position, span),
	};
}
