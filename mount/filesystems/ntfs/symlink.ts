import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16, encodeText} from '../../../src/core/bytes/text.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import {type Inode, type Inodes, stale} from './inode.ts';
import {
	FileAttribute,
	LinkNames,
	LX_SYMLINK_TARGET_AT,
	MOUNT_POINT_NAMES_AT,
	NfsReparseData,
	PATH_DEPTH_MAX,
	ReparseTag,
	SYMBOLIC_LINK_NAMES_AT,
	SYMBOLIC_LINK_RELATIVE,
	SymbolicLinkFlags,
	SystemRecord,
} from './layout.ts';
import {appTarget, type Reparse} from './reparse.ts';

/** Finds an entry whatever its case; answers with its record and the name as it is stored. */
export type FindAnyCase = (
	directory: number,
	name: string,
) => {readonly record: number; readonly name: string} | undefined;

export interface Symlinks {
	/** The target of a link made of a reparse point, as WTF-8. */
	target(inode: Inode, reparse: Reparse): Uint8Array;
}

/** The record of the directory that holds a node. */
export function parentRecord(inodes: Inodes, sequenceOf: (record: number) => number, inode: Inode): number {
	if (inode.record === SystemRecord.root) return inode.record;
	const parent = inodes.parent(inode);
	if (parent === undefined) throw stale(inode.record, 'is wrong: the record has no name');
	const sequence = sequenceOf(parent.record);
	if (sequence === -1 || (parent.sequence !== 0 && sequence !== 0 && sequence !== parent.sequence)) {
		throw stale(parent.record, `from MFT record ${inode.record} is stale`);
	}
	return parent.record;
}

/** The path that the substitute name gives. */
interface WindowsPath {
	/** Whether it starts at the root of the volume that `prefix` names, else at the link. */
	readonly rooted: boolean;
	/** Drive, `Volume{...}`, server: as the target starts where the path is not on this volume. */
	readonly prefix: string;
	readonly parts: readonly string[];
}

function splitPath(path: string): string[] {
	return path.split('\\').filter(part => part !== '');
}

/** Takes a Windows path apart: `\??\C:\x`, `\??\Volume{...}\x`, `\??\UNC\server\x`, `\x`, `..\x`. */
function parsePath(substitute: string): WindowsPath {
	const name = substitute.replace(/\0+$/, '');
	const device = /^\\(?:\?\?|\\\?|\\\.)\\(?:([^\\]+))(.*)$/s.exec(name);
	if (device !== null) {
		const [, prefix = '', rest = ''] = device;
		if (prefix.toUpperCase() === 'UNC') return {rooted: true, prefix: '/', parts: splitPath(rest)};
		return {rooted: true, prefix, parts: splitPath(rest)};
	}
	if (name.startsWith('\\\\')) return {rooted: true, prefix: '/', parts: splitPath(name)};
	const drive = /^([A-Za-z]:)(.*)$/s.exec(name);
	if (drive !== null) return {rooted: true, prefix: drive[1] ?? '', parts: splitPath(drive[2] ?? '')};
	return {rooted: name.startsWith('\\'), prefix: '', parts: splitPath(name)};
}

function substituteName(inode: Inode, data: Uint8Array, namesAt: number): string {
	const view = viewOf(data);
	const {substituteOffset, substituteLength} = LinkNames.read(view);
	const at = namesAt + substituteOffset;
	if (at + substituteLength > data.length || substituteLength % 2 !== 0) {
		throw corrupt('ntfs/reparse-point', `the link of MFT record ${inode.record} has a name outside its data`, {
			structure: LinkNames.name,
			node: inode.record,
		});
	}
	return decodeUtf16(view, at, substituteLength / 2);
}

export function openSymlinks(inodes: Inodes, sequenceOf: (record: number) => number, find: FindAnyCase): Symlinks {
	const parentOf = (record: number) => parentRecord(inodes, sequenceOf, inodes.get(record));

	/** How many directories lie between a node and the root, the root not counted. */
	function depthOf(inode: Inode): number {
		let record = parentRecord(inodes, sequenceOf, inode);
		for (let depth = 0; depth < PATH_DEPTH_MAX; depth++) {
			if (record === SystemRecord.root) return depth;
			record = parentOf(record);
		}
		throw corrupt('ntfs/directory-loop', `MFT record ${inode.record} is its own ancestor`, {node: inode.record});
	}

	/** The parts as they are stored, when all of them exist below `start`; behind another link they stay as they are. */
	function resolve(start: number, parts: readonly string[]): string[] | undefined {
		const names: string[] = [];
		let record = start;
		for (const [index, part] of parts.entries()) {
			const inode = inodes.get(record);
			if (index > 0 && (inode.fileAttributes & FileAttribute.reparsePoint) !== 0) {
				return [...names, ...parts.slice(index)];
			}
			if (part === '.' || part === '..') {
				if (part === '..') record = parentOf(record);
				names.push(part);
				continue;
			}
			if (!inode.isDirectory) return undefined;
			const found = find(record, part);
			if (found === undefined) return undefined;
			record = found.record;
			names.push(found.name);
		}
		return names;
	}

	/** A path that cannot be followed is left as it is: the link dangles, which is no error. */
	function tryResolve(start: () => number, parts: readonly string[]): string[] | undefined {
		try {
			return resolve(start(), parts);
		} catch (error) {
			if (error instanceof DiskError) return undefined;
			throw error;
		}
	}

	function windowsTarget(inode: Inode, {rooted, prefix, parts}: WindowsPath): string {
		if (!rooted) return (tryResolve(() => parentRecord(inodes, sequenceOf, inode), parts) ?? parts).join('/');
		// Which drive letter this volume had is not known, so what exists here is taken to be meant.
		if (/^[A-Za-z]:$|^$/.test(prefix)) {
			const names = tryResolve(() => SystemRecord.root, parts) ?? (prefix === '' ? parts : undefined);
			if (names !== undefined) {
				const up = Array.from({length: depthOf(inode)}, () => '..');
				return [...up, ...names].join('/') || '.';
			}
		}
		return [prefix, ...parts].join('/');
	}

	return {
		target(inode, reparse) {
			const {tag, data} = reparse;
			if (tag === ReparseTag.nfs) {
				const at = NfsReparseData.size;
				return encodeText(decodeUtf16(viewOf(data), at, Math.floor((data.length - at) / 2)).replace(/\0+$/, ''));
			}
			if (tag === ReparseTag.appExecLink) return encodeText(windowsTarget(inode, parsePath(appTarget(reparse) ?? '')));
			if (tag === ReparseTag.lxSymlink) return data.slice(LX_SYMLINK_TARGET_AT);
			if (tag === ReparseTag.mountPoint) {
				return encodeText(windowsTarget(inode, parsePath(substituteName(inode, data, MOUNT_POINT_NAMES_AT))));
			}
			const name = substituteName(inode, data, SYMBOLIC_LINK_NAMES_AT);
			const relative = (SymbolicLinkFlags.read(viewOf(data)).flags & SYMBOLIC_LINK_RELATIVE) !== 0;
			if (!relative) return encodeText(windowsTarget(inode, parsePath(name)));
			const rooted = name.startsWith('\\');
			return encodeText(windowsTarget(inode, {rooted, prefix: '', parts: splitPath(name)}));
		},
	};
}
