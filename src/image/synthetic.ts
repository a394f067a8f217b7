import {encodeText, sameBytes} from '../core/bytes/text.ts';
import {SpanKind, unstored} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {
	type FileSystem,
	NODE_ID_LIMIT,
	type NodeId,
	type NodeType,
	type Stat,
	type Timestamp,
} from '../core/file-system.ts';
import {explainVolume} from './explain-volume.ts';
import type {Image, Volume} from './image.ts';
import {type WholeDisk, wholeDisks} from './whole-disk.ts';

const ROOT = 1;
/** The whole disk, as files of one kind or another: up to `FIRST_EXPLANATION`. */
const FIRST_DISK = 2;
/** A volume that cannot be read has a directory and a README: two ids each, from here. */
const FIRST_EXPLANATION = 16;

const README_NAME = 'README.txt';

interface Entry {
	readonly name: Uint8Array;
	readonly node: NodeId;
	readonly type: NodeType;
}

const isDisk = (node: NodeId): boolean => node >= FIRST_DISK && node < FIRST_EXPLANATION;
const isReadme = (node: NodeId): boolean => node >= FIRST_EXPLANATION && node % 2 === 1;

/**
 * Volume 0 of the tree: the root with a directory per volume, the disk itself as files, and the explanations of volumes that
 * cannot be read. Its root's entries lead into the other volumes, by their packed ids.
 */
export function syntheticFileSystem(
	image: Image,
	volumes: readonly Volume[],
	allocated?: readonly number[],
): FileSystem {
	const {disk, table} = image;
	const byNumber = new Map(volumes.map(volume => [volume.number, volume]));
	const disks = wholeDisks(image, allocated);
	const modified = newestOf(image);
	const directory = {type: 'directory', mode: 0o755, size: 0, allocated: 0} as const;
	const file = {type: 'file', mode: 0o644, links: 1} as const;
	const rootEntries: readonly Entry[] = [
		...volumes.map(({name, number, fileSystem}) => ({
			name: encodeText(name),
			node: fileSystem === undefined ? FIRST_EXPLANATION + number * 2 : number * NODE_ID_LIMIT + fileSystem.root,
			type: 'directory' as const,
		})),
		...disks.map(({name}, index) => ({name: encodeText(name), node: FIRST_DISK + index, type: 'file' as const})),
	];

	function wholeDisk(node: NodeId): WholeDisk {
		const found = disks[node - FIRST_DISK];
		if (found === undefined) throw noNode(node);
		return found;
	}

	/** The unreadable volume whose directory or README a node is. */
	function explained(node: NodeId): Volume {
		const volume = byNumber.get(Math.floor((node - FIRST_EXPLANATION) / 2));
		if (volume === undefined || volume.fileSystem !== undefined) throw noNode(node);
		return volume;
	}

	const readme = (node: NodeId): Uint8Array => encodeText(explainVolume(explained(node), table));

	function entriesOf(node: NodeId): readonly Entry[] {
		if (node === ROOT) return rootEntries;
		if (isDisk(node) || isReadme(node)) {
			throw new DiskError('not-a-directory', 'tree/not-a-directory', 'this is not a directory', {where: {node}});
		}
		explained(node);
		return [{name: encodeText(README_NAME), node: node + 1, type: 'file'}];
	}

	function stat(node: NodeId): Stat {
		const common = {node, uid: 0, gid: 0, modified};
		if (node === ROOT) return {...common, ...directory, links: 2 + volumes.length};
		if (isDisk(node)) {
			const whole = wholeDisk(node);
			return {...common, ...file, size: whole.size, allocated: whole.allocated()};
		}
		if (isReadme(node)) {
			const {length} = readme(node);
			return {...common, ...file, size: length, allocated: length};
		}
		explained(node);
		return {...common, ...directory, links: 2};
	}

	return {
		type: 'image',
		root: ROOT,
		label: '',
		identifier: table.identifier,
		lookup: (parent, name) => entriesOf(parent).find(entry => sameBytes(entry.name, name))?.node,
		stat,
		readDirectory(node, cursor, visit) {
			const entries = entriesOf(node);
			for (let index = cursor; index < entries.length; index++) {
				if (!visit({...entries[index], cursor: index + 1})) return;
			}
		},
		parent: () => ROOT,
		readLink(node) {
			throw new DiskError('invalid', 'tree/not-a-link', 'this is not a symbolic link', {where: {node}});
		},
		locate(node, position, span) {
			// A README is made up: it lies nowhere on the disk.
			if (!isDisk(node)) return unstored(span, SpanKind.encoded, stat(node).size - position);
			wholeDisk(node).locate(position, span);
		},
		attributes: () => [],
		streams: () => [],
		read(node, position, target) {
			if (isDisk(node)) {
				const whole = wholeDisk(node);
				const count = Math.max(0, Math.min(target.length, whole.size - position));
				if (count > 0) whole.readAt(position, count === target.length ? target : target.subarray(0, count));
				return count;
			}
			if (!isReadme(node)) {
				throw new DiskError('is-a-directory', 'tree/is-a-directory', 'this is a directory', {where: {node}});
			}
			const part = readme(node).subarray(position, position + target.length);
			target.set(part);
			return part.length;
		},
		usage() {
			const blockSize = 4096;
			const totalBlocks = Math.ceil(disk.size / blockSize);
			let freeBytes = 0;
			for (const {fileSystem} of volumes) freeBytes += freeBytesOf(fileSystem);
			return {blockSize, totalBlocks, freeBlocks: Math.min(totalBlocks, Math.floor(freeBytes / blockSize))};
		},
	};
}

function noNode(node: NodeId): DiskError {
	return new DiskError('not-found', 'tree/no-node', `there is no node ${node}`, {where: {node}});
}

/** A volume whose damage hides how much is free counts as full; the others still have their say. */
function freeBytesOf(fileSystem: FileSystem | undefined): number {
	try {
		const usage = fileSystem?.usage();
		return usage === undefined ? 0 : usage.freeBlocks * usage.blockSize;
	} catch (error) {
		if (error instanceof DiskError) return 0;
		throw error;
	}
}

/** Synthetic nodes carry the time of the image file: the moment of its last change is the one that is known. */
function newestOf(image: Image): Timestamp {
	const milliseconds = Math.max(...image.recipe.file.parts.map(part => part.modified));
	const seconds = Math.floor(milliseconds / 1000);
	return {seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1_000_000)};
}
