import {encodeText, sameBytes} from '../core/bytes/text.ts';
import {SpanKind, stored, unstored} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {
	type DirectoryEntry,
	type FileSystem,
	NODE_ID_LIMIT,
	type NodeId,
	type NodeType,
	type Stat,
	type Timestamp,
} from '../core/file-system.ts';
import type {Image, Volume} from './image.ts';
import {explainVolume} from './explain-volume.ts';

/** Highest volume number whose packed ids stay safe integers: 511 x 2^44 + 2^44 = 2^53. */
export const LAST_VOLUME = 511;

const ROOT = 1;
const DISK = 2;
/** Volumes that cannot be read have a directory and a README in volume 0: two ids each, from here. */
const FIRST_EXPLANATION = 16;

export const DISK_NAME = 'disk.raw';
const README_NAME = 'README.txt';

function pack(volume: number, local: NodeId): NodeId {
	if (local >= NODE_ID_LIMIT) throw new DiskError('corrupt', 'tree/node-id', `node ${local} is beyond 2^44`);
	return volume * NODE_ID_LIMIT + local;
}

/**
 * The whole image as one tree: the root holds a directory per volume and the disk itself as `disk.raw`. It is what
 * the mount shows and what paths on the command line name. Ids are volume x 2^44 + local; volume 0 is synthetic.
 */
export function imageTree(image: Image): FileSystem {
	const {disk} = image;
	const volumes = image.volumes.filter(volume => volume.number <= LAST_VOLUME);
	const byNumber = new Map(volumes.map(volume => [volume.number, volume]));
	const readable = volumes.filter(volume => volume.fileSystem !== undefined);
	const modified = newestOf(image);
	const explanations = new Map<number, Uint8Array>();

	function explanationOf(volume: Volume): Uint8Array {
		let text = explanations.get(volume.number);
		if (text === undefined) {
			text = encodeText(explainVolume(volume, image.table));
			explanations.set(volume.number, text);
		}
		return text;
	}

	const directoryOf = (volume: Volume): NodeId =>
		volume.fileSystem === undefined
			? FIRST_EXPLANATION + volume.number * 2
			: pack(volume.number, volume.fileSystem.root);

	/** The unreadable volume that a synthetic id belongs to. */
	function explained(node: NodeId): Volume {
		const volume = byNumber.get(Math.floor((node - FIRST_EXPLANATION) / 2));
		if (volume === undefined || volume.fileSystem !== undefined) throw noNode(node);
		return volume;
	}

	function fileSystemOf(node: NodeId): FileSystem {
		const fileSystem = byNumber.get(Math.floor(node / NODE_ID_LIMIT))?.fileSystem;
		if (fileSystem === undefined) throw noNode(node);
		return fileSystem;
	}

	const isSynthetic = (node: NodeId): boolean => node < NODE_ID_LIMIT;
	const isReadme = (node: NodeId): boolean => node >= FIRST_EXPLANATION && node % 2 === 1;
	const rootEntries = [
		...volumes.map(volume => ({
			name: encodeText(volume.name),
			node: directoryOf(volume),
			type: 'directory' as NodeType,
		})),
		{name: encodeText(DISK_NAME), node: DISK, type: 'file' as NodeType},
	];

	function syntheticEntries(directory: NodeId): {name: Uint8Array; node: NodeId; type: NodeType}[] {
		if (directory === ROOT) return rootEntries;
		if (directory === DISK || isReadme(directory)) throw notADirectory(directory);
		explained(directory);
		return [{name: encodeText(README_NAME), node: directory + 1, type: 'file'}];
	}

	function syntheticStat(node: NodeId): Stat {
		const common = {node, uid: 0, gid: 0, modified};
		if (node === ROOT)
			return {...common, type: 'directory', mode: 0o755, links: 2 + volumes.length, size: 0, allocated: 0};
		if (node === DISK) {
			return {...common, type: 'file', mode: 0o644, links: 1, size: disk.size, allocated: disk.size};
		}
		const volume = explained(node);
		if (!isReadme(node)) return {...common, type: 'directory', mode: 0o755, links: 2, size: 0, allocated: 0};
		const {length} = explanationOf(volume);
		return {...common, type: 'file', mode: 0o644, links: 1, size: length, allocated: length};
	}

	function readSynthetic(node: NodeId, position: number, target: Uint8Array): number {
		if (node === DISK) {
			const count = Math.max(0, Math.min(target.length, disk.size - position));
			if (count > 0) disk.readAt(position, count === target.length ? target : target.subarray(0, count));
			return count;
		}
		if (node === ROOT || !isReadme(node)) throw isADirectory(node);
		const part = explanationOf(explained(node)).subarray(position, position + target.length);
		target.set(part);
		return part.length;
	}

	/** Reused for every entry of every listing; visitors may not keep it. */
	const entry = {name: new Uint8Array(0), node: 0, type: 'file' as NodeType, cursor: 0};

	return {
		type: 'image',
		root: ROOT,
		label: '',
		identifier: image.table.identifier,
		lookup(directory, name) {
			if (isSynthetic(directory)) {
				return syntheticEntries(directory).find(candidate => sameBytes(candidate.name, name))?.node;
			}
			const found = fileSystemOf(directory).lookup(directory % NODE_ID_LIMIT, name);
			return found === undefined ? undefined : pack(Math.floor(directory / NODE_ID_LIMIT), found);
		},
		lookupAnyCase(directory, name) {
			if (isSynthetic(directory)) return undefined;
			const found = fileSystemOf(directory).lookupAnyCase?.(directory % NODE_ID_LIMIT, name);
			return found === undefined ? undefined : pack(Math.floor(directory / NODE_ID_LIMIT), found);
		},
		stat(node) {
			if (isSynthetic(node)) return syntheticStat(node);
			return {...fileSystemOf(node).stat(node % NODE_ID_LIMIT), node};
		},
		readDirectory(directory, cursor, visit) {
			if (isSynthetic(directory)) {
				const entries = syntheticEntries(directory);
				for (let index = cursor; index < entries.length; index++) {
					if (!visit({...(entries[index] as DirectoryEntry), cursor: index + 1})) return;
				}
				return;
			}
			const volume = Math.floor(directory / NODE_ID_LIMIT);
			fileSystemOf(directory).readDirectory(directory % NODE_ID_LIMIT, cursor, found => {
				entry.name = found.name as Uint8Array<ArrayBuffer>;
				entry.node = pack(volume, found.node);
				entry.type = found.type;
				entry.cursor = found.cursor;
				return visit(entry);
			});
		},
		parent(directory) {
			if (isSynthetic(directory)) return ROOT;
			const fileSystem = fileSystemOf(directory);
			const local = directory % NODE_ID_LIMIT;
			if (local === fileSystem.root) return ROOT;
			return pack(Math.floor(directory / NODE_ID_LIMIT), fileSystem.parent(local));
		},
		readLink(node) {
			if (isSynthetic(node))
				throw new DiskError('invalid', 'tree/not-a-link', 'this is not a symbolic link', {where: {node}});
			return fileSystemOf(node).readLink(node % NODE_ID_LIMIT);
		},
		locate(node, position, span) {
			if (node === DISK) disk.locate(position, span);
			else if (isSynthetic(node)) stored(span, syntheticStat(node).size - position, 0, position);
			else {
				const volume = byNumber.get(Math.floor(node / NODE_ID_LIMIT));
				fileSystemOf(node).locate(node % NODE_ID_LIMIT, position, span);
				if (volume !== undefined && span.kind === SpanKind.stored) span.at += volume.partition.start;
			}
			if (span.length <= 0) unstored(span, SpanKind.zero, 1);
		},
		attributes: node => (isSynthetic(node) ? [] : fileSystemOf(node).attributes(node % NODE_ID_LIMIT)),
		streams: node => (isSynthetic(node) ? [] : fileSystemOf(node).streams(node % NODE_ID_LIMIT)),
		read(node, position, target) {
			if (isSynthetic(node)) return readSynthetic(node, position, target);
			return fileSystemOf(node).read(node % NODE_ID_LIMIT, position, target);
		},
		usage() {
			const blockSize = 4096;
			const totalBlocks = Math.ceil(disk.size / blockSize);
			let freeBytes = 0;
			for (const volume of readable) {
				const usage = volume.fileSystem?.usage();
				if (usage !== undefined) freeBytes += usage.freeBlocks * usage.blockSize;
			}
			return {blockSize, totalBlocks, freeBlocks: Math.min(totalBlocks, Math.floor(freeBytes / blockSize))};
		},
	};
}

/** Synthetic nodes carry the time of the image file: the moment of its last change is the one that is known. */
function newestOf(image: Image): Timestamp {
	const milliseconds = Math.max(...image.recipe.file.parts.map(part => part.modified));
	const seconds = Math.floor(milliseconds / 1000);
	return {seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1_000_000)};
}

function noNode(node: NodeId): DiskError {
	return new DiskError('not-found', 'tree/no-node', `there is no node ${node}`, {where: {node}});
}

function notADirectory(node: NodeId): DiskError {
	return new DiskError('not-a-directory', 'tree/not-a-directory', 'this is not a directory', {where: {node}});
}

function isADirectory(node: NodeId): DiskError {
	return new DiskError('is-a-directory', 'tree/is-a-directory', 'this is a directory', {where: {node}});
}
