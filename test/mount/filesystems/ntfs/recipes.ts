import {spawnSync} from 'node:child_process';
import {closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmdirSync, writeSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import type {Finding} from '../../../../src/core/disk.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {checked} from '../../../../src/core/sources/checked.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {ntfs} from '../../../../mount/filesystems/ntfs/index.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {cachedFile} from '../../../helpers/temporary.ts';
import {run} from '../../../helpers/tools.ts';

export const TOOLS = ['mkntfs', 'ntfs-3g', 'setfattr', 'umount'];

export interface Recipe {
	readonly name: string;
	/** MiB. */
	readonly size: number;
	/** Arguments of mkntfs. */
	readonly format?: readonly string[];
	/** Mount options of ntfs-3g. */
	readonly mount?: string;
	/** Fills the mounted volume. Its text is part of what names the cached image. */
	readonly build: (folder: string) => void;
}

/** Whether a process named ntfs-3g still holds the image: it goes on writing after umount has returned. */
function isServed(image: string): boolean {
	return readdirSync('/proc').some(name => {
		if (!/^\d+$/.test(name)) return false;
		try {
			const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
			return words.length > 1 && (words[0] ?? '').endsWith('ntfs-3g') && words.includes(image);
		} catch {
			return false;
		}
	});
}

/** Mounts an image with ntfs-3g while `work` runs. */
export function whileMounted<T>(image: string, options: string, work: (folder: string) => T): T {
	const folder = mkdtempSync(join(tmpdir(), 'tintype-ntfs-'));
	try {
		run('ntfs-3g', ['-o', options, image, folder]);
		try {
			return work(folder);
		} finally {
			try {
				run('umount', [folder]);
			} catch {
				run('umount', ['-l', folder]);
			}
			for (let i = 0; i < 500 && isServed(image); i++) spawnSync('sleep', ['0.02']);
		}
	} finally {
		rmdirSync(folder);
	}
}

/** Bytes that no method compresses, the same on every run. */
export function noise(length: number, start = 1): Uint8Array {
	const bytes = new Uint8Array(length);
	let state = start | 0x10_0000;
	for (let i = 0; i < length; i++) {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		bytes[i] = state;
	}
	return bytes;
}

/** Writes pieces of a file at positions, in that order. */
export function writePieces(path: string, pieces: readonly (readonly [position: number, bytes: Uint8Array])[]): void {
	const descriptor = openSync(path, 'a+');
	closeSync(descriptor);
	const writable = openSync(path, 'r+');
	for (const [position, bytes] of pieces) writeSync(writable, bytes, 0, bytes.length, position);
	closeSync(writable);
}

/** The image that a recipe makes; made once. */
export function makeVolume(recipe: Recipe): string {
	return cachedFile(`${recipe.name}.raw`, `${JSON.stringify(recipe)}${recipe.build.toString()}`, path => {
		run('truncate', ['-s', `${recipe.size}M`, path]);
		run('mkntfs', ['-F', '-Q', '-q', '-p', '0', '-H', '0', '-S', '0', ...(recipe.format ?? []), path]);
		whileMounted(path, recipe.mount ?? 'rw', recipe.build);
	});
}

export interface Opened {
	readonly fileSystem: FileSystem;
	readonly findings: Finding[];
}

export function openSource(source: ByteSource): Opened {
	const findings: Finding[] = [];
	return {fileSystem: ntfs.open(checked(source), {warn: finding => findings.push(finding)}), findings};
}

export function openImage(path: string): Opened {
	return openSource(openTestFile(path));
}

export function openBytes(bytes: Uint8Array): Opened {
	return openSource(memorySource(bytes));
}

const encoder = new TextEncoder();

/** Goes down a path by exact names. */
export function nodeAt(fileSystem: FileSystem, path: string): NodeId {
	let node = fileSystem.root;
	for (const part of path.split('/')) {
		const child = fileSystem.lookup(node, encoder.encode(part));
		if (child === undefined) throw new Error(`${path}: no ${part}`);
		node = child;
	}
	return node;
}

export function readAll(fileSystem: FileSystem, node: NodeId): Uint8Array {
	const bytes = new Uint8Array(fileSystem.stat(node).size);
	if (fileSystem.read(node, 0, bytes) !== bytes.length) throw new Error('read short');
	return bytes;
}

/** Names in a directory, read `step` entries at a time. */
export function listNames(fileSystem: FileSystem, directory: NodeId, step = Number.POSITIVE_INFINITY): string[] {
	const names: string[] = [];
	for (let cursor = 0; ; ) {
		let count = 0;
		fileSystem.readDirectory(directory, cursor, entry => {
			if (count === step) return false;
			names.push(Buffer.from(entry.name).toString());
			cursor = entry.cursor;
			count++;
			return true;
		});
		if (count < step) return names;
	}
}

const decoder = new TextDecoder();

export function linkText(fileSystem: FileSystem, path: string): string {
	return decoder.decode(fileSystem.readLink(nodeAt(fileSystem, path)));
}

/** Byte position of an MFT record on a volume whose $MFT is one run. */
export function recordPosition(image: Uint8Array, record: number): number {
	const view = new DataView(image.buffer, image.byteOffset);
	const clusterSize = view.getUint16(11, true) * view.getUint8(13);
	const code = view.getInt8(64);
	const recordSize = code < 0 ? 2 ** -code : code * clusterSize;
	return Number(view.getBigUint64(48, true)) * clusterSize + record * recordSize;
}

/** Position in the image of an attribute of a record, found by its type. */
export function attributePosition(image: Uint8Array, record: number, type: number): number {
	const view = new DataView(image.buffer, image.byteOffset);
	const base = recordPosition(image, record);
	for (let at = base + view.getUint16(base + 20, true); view.getUint32(at, true) !== 0xffff_ffff; ) {
		if (view.getUint32(at, true) === type) return at;
		at += view.getUint16(at + 4, true);
	}
	throw new Error(`record ${record} has no attribute ${type}`);
}

export const seed = Number(process.env['SEED'] ?? 20_260_101);
