import {encodeText, sameBytes} from '../../src/core/bytes/text.ts';
import {SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {Attribute, FileSystem, NodeId, NodeType, Stat, Timestamp} from '../../src/core/file-system.ts';

/**
 * A file system without a disk, for tests of the mount: every type of node, awkward names, holes, and files that
 * misbehave when they are read. Every worker builds the same one.
 */
export interface MemoryOptions {
	/** The root's own id; the file system then also has nodes 0 and 1, named `zero` and `one`. */
	readonly root?: number;
	/** Throw when it is opened. */
	readonly refuse?: boolean;
}

interface MemoryNode {
	readonly id: NodeId;
	readonly stat: Stat;
	readonly parent: NodeId;
	readonly entries: {name: Uint8Array; node: NodeId}[];
	readonly target: Uint8Array;
	readonly attributes: readonly Attribute[];
	/** Pieces of content; all between them is a hole. */
	readonly data: readonly {from: number; to: number}[];
	readonly behaviour: Behaviour | undefined;
}

type Behaviour = 'corrupt' | 'type-error' | 'loop' | 'exhaust' | 'damaged-directory' | 'damaged-stat';

const MODIFIED: Timestamp = {seconds: 1_700_000_000, nanoseconds: 123_456_789};
export const MANY_FILES = 10_000;
export const BIG_SIZE = 6_000_003;
export const SPARSE_SIZE = 5 * 2 ** 30 + 1;
/** Where sparse.bin has data; holes elsewhere. */
export const SPARSE_DATA = [
	{from: 2 ** 20, to: 2 ** 20 + 65_536},
	{from: 2 ** 32 + 4096, to: 2 ** 32 + 8192},
] as const;
export const LONG_NAME = 'n'.repeat(255);
export const LARGE_ATTRIBUTE_SIZE = 3000;

/** The byte at a position of any file here; 251 is prime, so that no block equals its neighbour. */
export function contentByte(position: number): number {
	return (position + Math.floor(position / 4096)) % 251;
}

/** Names that the kernel would reject or that look like their escaped forms, with what the mount shows. */
export const AWKWARD_NAMES: readonly (readonly [name: Uint8Array, shown: string])[] = [
	[encodeText(''), '\\x'],
	[encodeText('.'), '\\x2e'],
	[encodeText('..'), '\\x2e\\x2e'],
	[encodeText('a/b'), 'a\\x2fb'],
	[encodeText('a\\x2fb'), 'a\\x5cx2fb'],
	[encodeText('nul\0nul'), 'nul\\x00nul'],
	[encodeText('dev\\x2dsda'), 'dev\\x2dsda'],
	[encodeText('back\\slash'), 'back\\slash'],
	[encodeText('new\nline'), 'new\nline'],
	[encodeText('…'), '…'],
];

function misbehave(behaviour: Behaviour | undefined): void {
	switch (behaviour) {
		case 'corrupt':
			throw corrupt('memory/corrupt', 'this file is damaged');
		case 'type-error':
			throw new TypeError('a defect');
		case 'loop':
			for (;;);
		// oxlint-disable-next-line no-fallthrough -- the loop above never ends
		case 'exhaust': {
			const kept: object[] = [];
			for (;;) kept.push(Array.from({length: 1000}, () => ({})));
		}
		// oxlint-disable-next-line no-fallthrough -- nor does this one
		default:
	}
}

export function openMemoryFileSystem(options: MemoryOptions = {}): FileSystem {
	if (options.refuse) throw corrupt('memory/refused', 'this file system does not open');
	const root = options.root ?? 1;
	const nodes = new Map<NodeId, MemoryNode>();
	let next = 100;

	type Extra = Partial<Omit<MemoryNode, 'stat' | 'id' | 'parent'>> & Partial<Omit<Stat, 'type'>>;

	function add(parent: NodeId, name: string | Uint8Array, type: NodeType, extra: Extra = {}, id = next++): NodeId {
		const {entries = [], target = new Uint8Array(), attributes = [], data, behaviour, ...stat} = extra;
		const size = stat.size ?? (type === 'symlink' ? target.length : 0);
		const node: MemoryNode = {
			id,
			parent,
			entries,
			target,
			attributes,
			data: data ?? [{from: 0, to: size}],
			behaviour,
			stat: {
				node: id,
				type,
				mode: type === 'directory' ? 0o750 : 0o640,
				links: 1,
				uid: 1000,
				gid: 100,
				allocated: Math.ceil(size / 4096) * 4096,
				modified: MODIFIED,
				...stat,
				size,
			},
		};
		nodes.set(id, node);
		const bytes = typeof name === 'string' ? encodeText(name) : name;
		if (id !== root) nodes.get(parent)?.entries.push({name: bytes, node: id});
		return id;
	}

	add(root, '', 'directory', {mode: 0o755}, root);
	add(root, 'hello.txt', 'file', {size: 1000});
	add(root, 'empty', 'file');
	add(root, 'program', 'file', {size: 10, mode: 0o4711});
	add(root, 'big.bin', 'file', {size: BIG_SIZE});
	add(root, 'sparse.bin', 'file', {size: SPARSE_SIZE, allocated: 65_536 + 4096, data: SPARSE_DATA});
	add(root, 'link', 'symlink', {target: encodeText('sub/deep/file')});
	add(root, 'nul-link', 'symlink', {target: encodeText('a\0b')});
	add(root, 'fifo', 'fifo');
	add(root, 'socket', 'socket');
	add(root, 'null', 'character-device', {device: {major: 1, minor: 3}});
	add(root, 'disk', 'block-device', {device: {major: 259, minor: 0x12345}});
	add(root, 'old', 'file', {modified: {seconds: -2_000_000_000, nanoseconds: 5}});
	add(root, 'new', 'file', {
		modified: {seconds: 2 ** 33, nanoseconds: 999_999_999},
		accessed: {seconds: 2 ** 33 + 1, nanoseconds: 1},
		changed: {seconds: 2 ** 33 + 2, nanoseconds: 2},
		created: {seconds: 1_000_000_000, nanoseconds: 3},
	});
	add(root, 'attributes', 'file', {
		attributes: [
			{name: 'user.comment', value: encodeText('hello')},
			{name: 'user.empty', value: new Uint8Array()},
			{name: 'user.large', value: new Uint8Array(LARGE_ATTRIBUTE_SIZE).fill(0x61)},
		],
	});
	const sub = add(root, 'sub', 'directory');
	add(add(sub, 'deep', 'directory'), 'file', 'file', {size: 5000});
	const names = add(root, 'names', 'directory');
	for (const [name] of AWKWARD_NAMES) add(names, name, 'file', {size: name.length});
	add(names, Uint8Array.of(0xff, 0xfe), 'file', {size: 2});
	add(names, LONG_NAME, 'file', {size: 3});
	const many = add(root, 'many', 'directory');
	for (let i = 0; i < MANY_FILES; i++) add(many, `file-${i}`, 'file', {size: i});
	const bad = add(root, 'bad', 'directory');
	add(bad, 'corrupt', 'file', {size: 4096, behaviour: 'corrupt'});
	add(bad, 'type-error', 'file', {size: 4096, behaviour: 'type-error'});
	for (const i of [1, 2, 3]) add(bad, `loop-${i}`, 'file', {size: 4096, behaviour: 'loop'});
	add(bad, 'exhaust', 'file', {size: 4096, behaviour: 'exhaust'});
	add(bad, 'stat', 'file', {behaviour: 'damaged-stat'});
	const damaged = add(bad, 'directory', 'directory', {behaviour: 'damaged-directory'});
	for (let i = 0; i < 3; i++) add(damaged, `readable-${i}`, 'file');
	if (root !== 1) {
		add(root, 'zero', 'file', {size: 11}, 0);
		add(root, 'one', 'file', {size: 12}, 1);
	}

	function find(id: NodeId): MemoryNode {
		const node = nodes.get(id);
		if (!node) throw new DiskError('not-found', 'memory/no-node', `there is no node ${id}`);
		return node;
	}

	function directory(id: NodeId): MemoryNode {
		const node = find(id);
		if (node.stat.type !== 'directory')
			throw new DiskError('not-a-directory', 'memory/not-a-directory', 'no directory');
		return node;
	}

	const byName = new Map<NodeId, Map<string, NodeId>>();
	function nameTable(node: MemoryNode): Map<string, NodeId> {
		let table = byName.get(node.id);
		if (!table) {
			table = new Map(node.entries.map(entry => [Buffer.from(entry.name).toString('latin1'), entry.node]));
			byName.set(node.id, table);
		}
		return table;
	}

	return {
		type: 'memory',
		root,
		label: 'memory',
		identifier: '',
		lookup(id, name) {
			const found = nameTable(directory(id)).get(Buffer.from(name).toString('latin1'));
			const entry = found === undefined ? undefined : nodes.get(id)?.entries.find(each => each.node === found);
			return entry && sameBytes(entry.name, name) ? found : undefined;
		},
		stat(id) {
			const node = find(id);
			if (node.behaviour === 'damaged-stat') throw corrupt('memory/stat', 'this node is damaged');
			return node.stat;
		},
		readDirectory(id, cursor, visit) {
			const {entries, behaviour} = directory(id);
			for (let i = cursor; i < entries.length; i++) {
				const {name, node} = entries[i];
				if (!visit({name, node, type: find(node).stat.type, cursor: i + 1})) return;
			}
			if (behaviour === 'damaged-directory') throw corrupt('memory/directory', 'the rest of this directory is damaged');
		},
		parent: id => directory(id).parent,
		readLink: id => find(id).target,
		locate(id, position, span) {
			const {data, stat} = find(id);
			for (const {from, to} of data) {
				if (position < from) return unstored(span, SpanKind.zero, from - position);
				if (position < to) return stored(span, to - position, 0, position);
			}
			return unstored(span, SpanKind.zero, stat.size - position);
		},
		attributes: id => find(id).attributes,
		streams: () => [],
		read(id, position, target) {
			const {data, stat, behaviour} = find(id);
			misbehave(behaviour);
			const count = Math.max(0, Math.min(target.length, stat.size - position));
			target.fill(0, 0, count);
			for (const {from, to} of data) {
				const end = Math.min(to, position + count);
				for (let at = Math.max(from, position); at < end; at++) target[at - position] = contentByte(at);
			}
			return count;
		},
		usage: () => ({blockSize: 4096, totalBlocks: 1_000_000, freeBlocks: 400_000, totalNodes: 20_000, freeNodes: 5000}),
	};
}
