import {linkSync, lstatSync, renameSync, symlinkSync, unlinkSync, type Stats} from 'node:fs';
import {printable} from '../core/bytes/text.ts';
import {corrupt, DiskError} from '../core/error.ts';
import type {FileSystem, NodeId, Stat} from '../core/file-system.ts';
import type {Resolved} from '../image/paths.ts';
import type {Pace} from '../work/pace.ts';
import {enteredTwice, joinPath, type ListedEntry, listDirectory} from '../work/walk.ts';
import {applyAttributes, type Ownership} from './attributes.ts';
import {copyFile, partialName} from './copy-file.ts';
import {hostName, nameKey} from './host-name.ts';
import {onHost} from './host-error.ts';
import {makeSpecial} from './special.ts';
import {enterDirectory, joinBytes, lookAt, type TargetDirectory} from './target-directory.ts';

/** Directories within directories: each level holds a descriptor, and real trees have tens of levels. */
const DEEPEST = 1000;
/** Names of hard-linked files that are remembered, about 200 bytes each; beyond it they are copied once per name. */
const MOST_LINKED = 1_000_000;

/** Which file on this system something is. */
export interface FileIdentity {
	readonly device: number;
	readonly inode: number;
}

export interface CopierOptions {
	readonly force: boolean;
	readonly owner: Ownership;
	readonly protect: readonly FileIdentity[];
	readonly pace: Pace;
	/** Takes note of what could not be copied; throws what ends everything. */
	readonly fail: (path: string, error: unknown) => void;
}

/** A directory that is being filled. */
interface Place {
	readonly directory: TargetDirectory;
	/** Names given in it by this copy, so that no entry of the image lands on another one. */
	readonly names: Set<string>;
}

interface Frame extends Place {
	readonly path: string;
	readonly entries: readonly ListedEntry[];
	next: number;
	/** What the directory becomes when it is full; absent where it was there before. */
	readonly stat: Stat | undefined;
}

/** Copies entries of an image's tree into directories of this system. */
export function newCopier(tree: FileSystem, options: CopierOptions) {
	const {force, owner, protect, pace, fail} = options;
	const counts = {files: 0, directories: 0, links: 0, skipped: 0, bytes: 0};
	const places = new Map<TargetDirectory, Place>();
	const entered = new Set<NodeId>();
	const linked = new Map<NodeId, {path: Buffer} & FileIdentity>();

	function placeOf(directory: TargetDirectory): Place {
		let place = places.get(directory);
		if (place === undefined) {
			place = {directory, names: new Set()};
			places.set(directory, place);
		}
		return place;
	}

	/** The entry's place, when nothing there forbids to put it there. */
	function claim({directory, names}: Place, name: Uint8Array, type: Stat['type']): Buffer {
		const shown = joinBytes(directory.path, name);
		const key = nameKey(name);
		if (names.has(key)) {
			throw refused('same-name', `${printable(shown)} was already taken by another entry of the image`);
		}
		names.add(key);
		const place = directory.entry(name);
		const existing = onHost(shown, () => lookAt(place));
		if (existing !== undefined && type !== 'directory') checkReplaceable(shown, existing);
		return place;
	}

	function checkReplaceable(shown: Buffer, existing: Stats): void {
		const name = printable(shown);
		if (protect.some(file => isSameFile(file, existing))) {
			throw refused('is-the-image', `${name} is the image itself`, 'copy to another place');
		}
		if (existing.isDirectory()) throw refused('is-a-directory', `${name} is a directory`, 'copy to another place');
		if (!force) throw refused('exists', `${name} exists already`, 'replace it with --force, or copy to another place');
	}

	async function copyContent(place: Place, name: Uint8Array, stat: Stat): Promise<void> {
		const final = claim(place, name, 'file');
		const shown = joinBytes(place.directory.path, name);
		if (stat.links > 1 && linkToCopy(stat.node, final)) {
			counts.files += 1;
			return;
		}
		const partial = place.directory.entry(partialName(name, candidate => place.names.has(nameKey(candidate))));
		await copyFile(tree, stat, {partial, final, shown, owner}, pace, count => {
			counts.bytes += count;
		});
		counts.files += 1;
		if (stat.links > 1 && linked.size < MOST_LINKED) {
			const {dev, ino} = lstatSync(final);
			linked.set(stat.node, {path: shown, device: dev, inode: ino});
		}
	}

	/** A further name for what was copied before. Where this system will not have it, the content is copied again. */
	function linkToCopy(node: NodeId, final: Buffer): boolean {
		const first = linked.get(node);
		if (first === undefined) return false;
		try {
			if (!isSameFile(first, lstatSync(first.path))) return false;
			if (lookAt(final) !== undefined) unlinkSync(final);
			linkSync(first.path, final);
			return true;
		} catch {
			return false;
		}
	}

	function copyLink(place: Place, name: Uint8Array, stat: Stat): void {
		const target = Buffer.from(tree.readLink(stat.node));
		if (target.length === 0 || target.includes(0)) {
			throw corrupt('extract/link-target', 'the target of this symbolic link is empty or holds a NUL', {
				node: stat.node,
			});
		}
		const final = claim(place, name, 'symlink');
		makeBeside(place, name, final, stat, partial => symlinkSync(target, partial));
		counts.links += 1;
	}

	function copySpecial(place: Place, name: Uint8Array, stat: Stat): void {
		if (owner !== 'image') {
			counts.skipped += 1;
			return;
		}
		const final = claim(place, name, stat.type);
		makeBeside(place, name, final, stat, partial => makeSpecial(partial, stat));
		counts.files += 1;
	}

	/** What is made in one step is made beside, too, so that it replaces the old one in one step. */
	function makeBeside(
		place: Place,
		name: Uint8Array,
		final: Buffer,
		stat: Stat,
		make: (partial: Buffer) => void,
	): void {
		const partial = place.directory.entry(partialName(name, candidate => place.names.has(nameKey(candidate))));
		onHost(joinBytes(place.directory.path, name), () => {
			if (lookAt(partial)?.isDirectory() === false) unlinkSync(partial);
			make(partial);
			try {
				applyAttributes({descriptor: undefined, place: partial}, stat, owner);
				renameSync(partial, final);
			} catch (error) {
				unlinkSync(partial);
				throw error;
			}
		});
	}

	/** Enters a directory of the image; its entries follow. */
	function enter(place: Place, name: Uint8Array, stat: Stat, path: string): Frame {
		if (entered.has(stat.node)) throw enteredTwice(path, stat.node);
		entered.add(stat.node);
		claim(place, name, 'directory');
		const directory = onHost(joinBytes(place.directory.path, name), () => enterDirectory(place.directory, name));
		counts.directories += 1;
		const {entries, error} = listDirectory(tree, stat.node);
		if (error !== undefined) fail(path, error);
		return {directory, names: new Set(), path, entries, next: 0, stat: directory.made ? stat : undefined};
	}

	function leave({directory, stat}: Frame): void {
		try {
			if (stat === undefined) return;
			const {descriptor, path} = directory;
			onHost(path, () => applyAttributes({descriptor, place: path}, stat, owner));
		} finally {
			directory.close();
		}
	}

	function tryLeave(frame: Frame): void {
		try {
			leave(frame);
		} catch (error) {
			fail(frame.path, error);
		}
	}

	/** Copies one entry; a directory comes back as a frame whose entries are still to be copied. */
	async function copyEntry(
		place: Place,
		entry: ListedEntry,
		name: Uint8Array,
		path: string,
	): Promise<Frame | undefined> {
		const stat = tree.stat(entry.node);
		if (stat.type === 'directory') return enter(place, name, stat, path);
		if (stat.type === 'file') await copyContent(place, name, stat);
		else if (stat.type === 'symlink') copyLink(place, name, stat);
		else copySpecial(place, name, stat);
		return undefined;
	}

	async function tryEntry(
		place: Place,
		entry: ListedEntry,
		name: Uint8Array,
		path: string,
	): Promise<Frame | undefined> {
		try {
			return await copyEntry(place, entry, name, path);
		} catch (error) {
			fail(path, error);
			return undefined;
		}
	}

	/** Fills a directory and all below it, depth first; whatever happens, the directories made get their attributes. */
	async function fill(first: Frame): Promise<void> {
		const frames: Frame[] = [first];
		try {
			for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
				if (pace.due()) await pace.turn();
				const entry = frame.entries[frame.next];
				if (entry === undefined) {
					frames.pop();
					tryLeave(frame);
					continue;
				}
				frame.next += 1;
				const path = joinPath(frame.path, entry.name);
				if (frames.length >= DEEPEST && entry.type === 'directory') {
					const message = `${path} lies deeper than ${DEEPEST} directories`;
					fail(path, new DiskError('unsupported', 'extract/too-deep', message, {hint: 'copy it alone'}));
					continue;
				}
				const below = await tryEntry(frame, entry, hostName(entry.name), path);
				if (below !== undefined) frames.push(below);
			}
		} finally {
			for (const frame of frames.toReversed()) leave(frame);
		}
	}

	return {
		counts,
		/** Copies one entry into a directory, under a name of this system. */
		async copyAs(into: TargetDirectory, entry: ListedEntry, path: string): Promise<void> {
			entered.clear();
			const below = await tryEntry(placeOf(into), entry, entry.name, path);
			if (below !== undefined) await fill(below);
		},
		/** Copies the entries of a directory that `keep` lets through. */
		async copyInto(
			into: TargetDirectory,
			{source, keep}: {source: Resolved; keep: (entry: ListedEntry) => boolean},
			path: string,
		): Promise<void> {
			entered.clear();
			const {entries, error} = listDirectory(tree, source.node);
			if (error !== undefined) fail(path, error);
			const {names} = placeOf(into);
			// The caller closes its own directory.
			const directory = {...into, close() {}};
			await fill({directory, names, path, entries: entries.filter(keep), next: 0, stat: undefined});
		},
	};
}

function isSameFile(file: FileIdentity, {dev, ino}: Stats): boolean {
	return file.device === dev && file.inode === ino;
}

function refused(check: string, message: string, hint?: string): DiskError {
	return new DiskError('refused', `extract/${check}`, message, hint === undefined ? {} : {hint});
}
