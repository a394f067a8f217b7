import {createHash} from 'node:crypto';
import {lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {join} from 'node:path';
import {printable} from '../../src/core/bytes/text.ts';
import {DiskError} from '../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../src/core/file-system.ts';

/** One line of a tree, comparable with deepEqual. */
export interface TreeEntry {
	readonly path: string;
	readonly type: string;
	readonly size: number;
	readonly mode: number;
	/** Seconds with all digits: `1700000000.123456789`. */
	readonly modified: string;
	/** Of the content; of the target for a symlink; empty for directories and devices; `!code` where reading failed. */
	readonly sha256: string;
}

/** Shared by all files of a walk: allocating it for each took most of the time. */
const buffer = new Uint8Array(1 << 20);

export function hashNode(fileSystem: FileSystem, node: NodeId): string {
	const hash = createHash('sha256');
	for (let position = 0; ; ) {
		const count = fileSystem.read(node, position, buffer);
		if (count === 0) return hash.digest('hex');
		hash.update(buffer.subarray(0, count));
		position += count;
	}
}

function hashOrCode(fileSystem: FileSystem, node: NodeId): string {
	try {
		return hashNode(fileSystem, node);
	} catch (error) {
		if (error instanceof DiskError) return `!${error.code}`;
		throw error;
	}
}

function seconds(whole: number, nanoseconds: number): string {
	return `${whole}.${String(nanoseconds).padStart(9, '0')}`;
}

/** Everything below the root of a file system that a driver opened, sorted by path. */
export function walkFileSystem(fileSystem: FileSystem): TreeEntry[] {
	const entries: TreeEntry[] = [];
	const pending: {node: NodeId; path: string}[] = [{node: fileSystem.root, path: ''}];
	/** Damaged directories can lead back to one above them. */
	const seen = new Set([fileSystem.root]);
	for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
		const {node: directory, path: base} = next;
		const children: {name: string; node: NodeId}[] = [];
		fileSystem.readDirectory(directory, 0, entry => children.push({name: printable(entry.name), node: entry.node}) > 0);
		for (const {name, node} of children) {
			const path = base === '' ? name : `${base}/${name}`;
			const stat = fileSystem.stat(node);
			let sha256 = '';
			if (stat.type === 'file') sha256 = hashOrCode(fileSystem, node);
			if (stat.type === 'symlink') sha256 = createHash('sha256').update(fileSystem.readLink(node)).digest('hex');
			entries.push({
				path,
				type: stat.type,
				size: stat.type === 'directory' ? 0 : stat.size,
				mode: stat.mode,
				modified: seconds(stat.modified.seconds, stat.modified.nanoseconds),
				sha256,
			});
			if (stat.type !== 'directory' || seen.has(node)) continue;
			seen.add(node);
			pending.push({node, path});
		}
	}
	return entries.sort(byPath);
}

/** The same of a folder that the system has mounted or holds. */
export function walkFolder(folder: string): TreeEntry[] {
	const entries: TreeEntry[] = [];
	const pending = [''];
	for (let base = pending.pop(); base !== undefined; base = pending.pop()) {
		for (const name of readdirSync(join(folder, base))) {
			const path = base === '' ? name : `${base}/${name}`;
			const full = join(folder, path);
			const stat = lstatSync(full, {bigint: true});
			let type = 'file';
			let sha256 = '';
			if (stat.isDirectory()) type = 'directory';
			else if (stat.isSymbolicLink()) type = 'symlink';
			else if (stat.isFIFO()) type = 'fifo';
			else if (stat.isSocket()) type = 'socket';
			else if (stat.isCharacterDevice()) type = 'character-device';
			else if (stat.isBlockDevice()) type = 'block-device';
			if (type === 'file') sha256 = createHash('sha256').update(readFileSync(full)).digest('hex');
			if (type === 'symlink')
				sha256 = createHash('sha256')
					.update(readlinkSync(full, {encoding: 'buffer'}))
					.digest('hex');
			const modified = stat.mtimeNs;
			const whole = modified >= 0n ? modified / 1_000_000_000n : (modified - 999_999_999n) / 1_000_000_000n;
			entries.push({
				path,
				type,
				size: type === 'directory' ? 0 : Number(stat.size),
				mode: Number(stat.mode & 0o7777n),
				modified: seconds(Number(whole), Number(modified - whole * 1_000_000_000n)),
				sha256,
			});
			if (type === 'directory') pending.push(path);
		}
	}
	return entries.sort(byPath);
}

function byPath(a: TreeEntry, b: TreeEntry): number {
	if (a.path === b.path) return 0;
	return a.path < b.path ? -1 : 1;
}
