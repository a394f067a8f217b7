import {existsSync} from 'node:fs';
import process from 'node:process';
import {encodeText, sameBytes} from '../../src/core/bytes/text.ts';
import {stored} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {Attribute, DirectoryEntry, FileSystem, NodeId, NodeType} from '../../src/core/file-system.ts';
import {contentByte} from './memory-file-system.ts';

/**
 * A file system as damage or malice would have it: what no driver should ever answer, and the mount must survive.
 */
export interface HostileOptions {
	/** While this file exists, the file system does not open. */
	readonly refuseWhile?: string;
}

interface HostileNode {
	readonly type: NodeType;
	readonly entries?: readonly (readonly [name: string, node: NodeId, cursor?: number])[];
	readonly parent?: NodeId;
	readonly size?: number;
	readonly mode?: number;
	/** Bytes that `read` gives, where that is not the size. */
	readonly content?: number;
	/** Reads that touch this part fail. */
	readonly unreadable?: {readonly from: number; readonly to: number};
	readonly target?: string;
	readonly attributes?: readonly Attribute[];
	/** Reading it ends the worker. */
	readonly deadly?: boolean;
}

export const ATTRIBUTES_TOO_MANY = 3000;
export const UNREADABLE = {from: 400 * 1024, to: 404 * 1024} as const;

/** Of 0640 root:root: the user 1000 may read, the group may not, whatever the mask says in its bits of the mode. */
const ACCESS_LIST = accessList([
	[1, 6, 0xffff_ffff],
	[2, 4, 1000],
	[4, 0, 0xffff_ffff],
	[0x10, 4, 0xffff_ffff],
	[0x20, 0, 0xffff_ffff],
]);

/** posix_acl_xattr: version 2, then tag, permissions and id of each entry. */
function accessList(entries: readonly (readonly [tag: number, permissions: number, id: number])[]): Uint8Array {
	const view = new DataView(new ArrayBuffer(4 + entries.length * 8));
	view.setUint32(0, 2, true);
	for (const [index, [tag, permissions, id]] of entries.entries()) {
		view.setUint16(4 + index * 8, tag, true);
		view.setUint16(6 + index * 8, permissions, true);
		view.setUint32(8 + index * 8, id, true);
	}
	return new Uint8Array(view.buffer);
}

const NODES: Readonly<Record<NodeId, HostileNode>> = {
	1: {
		type: 'directory',
		entries: [
			['cycle', 10],
			['shared-a', 20],
			['shared-b', 21],
			['twice', 30],
			['long', 40],
			['too-long', 41],
			['shorter', 50],
			['longer', 51],
			['unreadable', 52],
			['empty-link', 60],
			['long-link', 61],
			['longest-link', 62],
			['many-attributes', 70],
			['large-attribute', 71],
			['stands-still', 80],
			['turns-back', 81],
			['goes-too-far', 82],
			['negative', 90],
			['enormous', 91],
			['deadly', 92],
			['fine', 23],
			['listed', 25],
			['root', 1],
		],
	},
	10: {
		type: 'directory',
		entries: [
			['itself', 10],
			['root', 1],
			['child', 11],
		],
	},
	11: {
		type: 'directory',
		parent: 10,
		entries: [
			['back', 10],
			['file', 23],
		],
	},
	20: {type: 'directory', entries: [['common', 22]]},
	21: {type: 'directory', entries: [['common', 22]]},
	22: {type: 'directory', parent: 20, entries: [['file', 23]]},
	23: {type: 'file', size: 5},
	24: {type: 'file', size: 6},
	25: {type: 'file', size: 7, mode: 0o640, attributes: [{name: 'system.posix_acl_access', value: ACCESS_LIST}]},
	30: {
		type: 'directory',
		entries: [
			['same', 23],
			['same', 24],
			['same', 33],
			['last', 23],
		],
	},
	33: {type: 'directory', parent: 30, entries: []},
	40: {
		type: 'directory',
		entries: [
			['n'.repeat(1000), 23],
			['m'.repeat(1024), 24],
			['last', 23],
		],
	},
	41: {
		type: 'directory',
		entries: [
			['first', 23],
			['m'.repeat(1025), 24],
		],
	},
	50: {type: 'file', size: 300_000, content: 100_000},
	51: {type: 'file', size: 1000, content: 300_000},
	52: {type: 'file', size: 2 ** 20, unreadable: UNREADABLE},
	60: {type: 'symlink', target: ''},
	61: {type: 'symlink', target: 'x'.repeat(4096)},
	62: {type: 'symlink', target: 'x'.repeat(4095)},
	70: {
		type: 'file',
		attributes: Array.from({length: ATTRIBUTES_TOO_MANY}, (_, index) => ({
			name: `user.attribute-number-${index}`,
			value: encodeText('v'),
		})),
	},
	71: {
		type: 'file',
		attributes: [
			{name: 'user.large', value: new Uint8Array(65_537)},
			{name: 'user.fits', value: new Uint8Array(65_536)},
		],
	},
	80: {
		type: 'directory',
		entries: [
			['first', 23, 0],
			['second', 24, 0],
		],
	},
	81: {
		type: 'directory',
		entries: [
			['first', 23, 1],
			['second', 24, 1],
		],
	},
	82: {type: 'directory', entries: [['first', 23, 2 ** 53 - 1]]},
	90: {type: 'file', size: -1},
	91: {type: 'file', size: 2 ** 60},
	92: {type: 'file', size: 4096, deadly: true},
};

function nodeOf(id: NodeId): HostileNode {
	const node = NODES[id];
	if (!node) throw new DiskError('not-found', 'hostile/no-node', `there is no node ${id}`);
	return node;
}

function entriesOf(id: NodeId): NonNullable<HostileNode['entries']> {
	const {entries} = nodeOf(id);
	if (!entries) throw new DiskError('not-a-directory', 'hostile/not-a-directory', 'this is not a directory');
	return entries;
}

export function openHostileFileSystem({refuseWhile}: HostileOptions = {}): FileSystem {
	if (refuseWhile !== undefined && existsSync(refuseWhile)) throw corrupt('hostile/refused', 'this does not open');
	return {
		type: 'hostile',
		root: 1,
		label: '',
		identifier: '',
		lookup: (directory, name) => entriesOf(directory).find(entry => sameBytes(encodeText(entry[0]), name))?.[1],
		stat(id) {
			const {type, mode = 0o755, target, size = target?.length ?? 0} = nodeOf(id);
			const modified = {seconds: 1_700_000_000, nanoseconds: 0};
			return {node: id, type, mode, links: 1, uid: 0, gid: 0, size, allocated: Math.max(0, size), modified};
		},
		readDirectory(directory, cursor, visit) {
			const entries = entriesOf(directory);
			for (let index = cursor; index < entries.length; index++) {
				const [name, node, next = index + 1] = entries[index];
				const entry: DirectoryEntry = {name: encodeText(name), node, type: nodeOf(node).type, cursor: next};
				if (!visit(entry)) return;
			}
		},
		parent: directory => nodeOf(directory).parent ?? 1,
		readLink: id => encodeText(nodeOf(id).target ?? ''),
		locate: (id, position, span) => stored(span, Math.max(1, (nodeOf(id).size ?? 0) - position), 0, position),
		attributes: id => nodeOf(id).attributes ?? [],
		streams: () => [],
		read(id, position, target) {
			const {size = 0, content = size, unreadable, deadly} = nodeOf(id);
			// In a worker this ends the thread alone.
			if (deadly) process.exit(1);
			const count = Math.max(0, Math.min(target.length, content - position));
			if (unreadable && position < unreadable.to && position + count > unreadable.from) {
				throw new DiskError('io', 'hostile/unreadable', `the disk cannot be read at ${position}`, {where: {position}});
			}
			for (let at = 0; at < count; at++) target[at] = contentByte(position + at);
			return count;
		},
		usage: () => ({blockSize: 4096, totalBlocks: 10, freeBlocks: 5}),
	};
}
