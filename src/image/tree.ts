import {SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {type FileSystem, NODE_ID_LIMIT, type NodeId, type NodeType} from '../core/file-system.ts';
import type {Image} from './image.ts';
import {syntheticFileSystem} from './synthetic.ts';

/** Highest volume number whose packed ids stay safe integers: 511 x 2^44 + 2^44 = 2^53. */
const LAST_VOLUME = 511;

const EMPTY: Uint8Array = new Uint8Array(0);

const volumeOf = (node: NodeId): number => Math.floor(node / NODE_ID_LIMIT);
const localOf = (node: NodeId): NodeId => node % NODE_ID_LIMIT;

function pack(volume: number, local: NodeId): NodeId {
	// Volume 0 hands out ids that are packed already: its root leads into the other volumes.
	if (volume === 0) return local;
	if (local >= NODE_ID_LIMIT) throw new DiskError('corrupt', 'tree/node-id', `node ${local} is beyond 2^44`);
	return volume * NODE_ID_LIMIT + local;
}

function packFound(directory: NodeId, found: NodeId | undefined): NodeId | undefined {
	return found === undefined ? undefined : pack(volumeOf(directory), found);
}

/**
 * The whole image as one tree: the root holds a directory per volume and the disk itself, as `disk.raw` and as a
 * file of every format that can show it. It is what the mount shows and what paths on the command line name. Ids are volume x 2^44 + local; volume 0 is synthetic.
 * `allocated`: see `wholeDisks`.
 */
export function imageTree(image: Image, allocated?: readonly number[]): FileSystem {
	const volumes = image.volumes.filter(volume => volume.number <= LAST_VOLUME);
	const synthetic = syntheticFileSystem(image, volumes, allocated);
	const starts = new Map(volumes.map(({number, partition}) => [number, partition.start]));
	const fileSystems = new Map<number, FileSystem>([[0, synthetic]]);
	for (const {number, fileSystem} of volumes) if (fileSystem !== undefined) fileSystems.set(number, fileSystem);

	function fileSystemOf(node: NodeId): FileSystem {
		const fileSystem = fileSystems.get(volumeOf(node));
		if (fileSystem === undefined) {
			throw new DiskError('not-found', 'tree/no-node', `there is no node ${node}`, {where: {node}});
		}
		return fileSystem;
	}

	return {
		type: synthetic.type,
		root: synthetic.root,
		label: synthetic.label,
		identifier: synthetic.identifier,
		lookup: (directory, name) => packFound(directory, fileSystemOf(directory).lookup(localOf(directory), name)),
		lookupAnyCase: (directory, name) =>
			packFound(directory, fileSystemOf(directory).lookupAnyCase?.(localOf(directory), name)),
		stat: node => ({...fileSystemOf(node).stat(localOf(node)), node}),
		readDirectory(directory, cursor, visit) {
			const volume = volumeOf(directory);
			const entry = {name: EMPTY, node: 0, type: 'file' as NodeType, cursor: 0};
			fileSystemOf(directory).readDirectory(localOf(directory), cursor, found => {
				entry.name = found.name;
				entry.node = pack(volume, found.node);
				entry.type = found.type;
				entry.cursor = found.cursor;
				return visit(entry);
			});
		},
		parent(directory) {
			const fileSystem = fileSystemOf(directory);
			const local = localOf(directory);
			return local === fileSystem.root ? synthetic.root : pack(volumeOf(directory), fileSystem.parent(local));
		},
		readLink: node => fileSystemOf(node).readLink(localOf(node)),
		/** Positions are on the disk: what a file system says of its volume is moved by the volume's start. */
		locate(node, position, span) {
			fileSystemOf(node).locate(localOf(node), position, span);
			if (span.kind === SpanKind.stored) span.at += starts.get(volumeOf(node)) ?? 0;
		},
		attributes: node => fileSystemOf(node).attributes(localOf(node)),
		streams: node => fileSystemOf(node).streams(localOf(node)),
		read: (node, position, target) => fileSystemOf(node).read(localOf(node), position, target),
		usage: () => synthetic.usage(),
	};
}
