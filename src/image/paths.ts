import {decodeText, parsePrintable, printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeId, NodeType} from '../core/file-system.ts';

/** Symbolic links followed on the way to one file: the kernel's own limit (MAXSYMLINKS). */
const MOST_LINKS = 40;

export interface ResolveOptions {
	/** Whether a symbolic link at the very end is followed. Links on the way always are. */
	readonly followLast: boolean;
}

export interface Resolved {
	readonly node: NodeId;
	readonly type: NodeType;
	/** The names on the way from the root of the tree, as they are on disk. */
	readonly names: readonly Uint8Array[];
	/** Whether a name was found only with its case ignored. */
	readonly caseIgnored: boolean;
}

/** `/3-Windows/Users` for names; parts that are not text appear as `\xNN`. */
export function formatPath(names: readonly Uint8Array[]): string {
	return `/${names.map(printable).join('/')}`;
}

/**
 * Finds what a person named in the tree of an image: `/3-Windows/Users/alice`, `/3/Users/alice`, or a path without a
 * volume, which is then looked for in every volume and must be found in only one.
 */
export function resolvePath(tree: FileSystem, path: string, options: ResolveOptions): Resolved {
	const names = path
		.split('/')
		.filter(part => part !== '' && part !== '.')
		.map(part => parsePrintable(part));
	const [first, ...rest] = names;
	if (first === undefined) return {node: tree.root, type: 'directory', names: [], caseIgnored: false};
	const top = topLevel(tree, first);
	if (top !== undefined) return walk(tree, top, rest, options);

	const found: Resolved[] = [];
	for (const volume of volumesOf(tree)) {
		const match = attempt(() => walk(tree, volume, names, options));
		if (match !== undefined) found.push(match);
	}
	const [only] = found;
	if (only === undefined) throw notFound(path);
	if (found.length === 1) return only;
	const exact = found.filter(match => !match.caseIgnored);
	if (exact.length === 1 && exact[0] !== undefined) return exact[0];
	const places = found.map(match => formatPath(match.names)).join(', ');
	throw new DiskError('invalid', 'path/ambiguous', `${path} is in more than one volume: ${places}`, {
		hint: 'name the volume as well',
	});
}

interface Step {
	readonly node: NodeId;
	readonly name: Uint8Array;
}

function volumesOf(tree: FileSystem): Step[] {
	const volumes: Step[] = [];
	tree.readDirectory(tree.root, 0, entry => {
		if (entry.type === 'directory') volumes.push({node: entry.node, name: entry.name});
		return true;
	});
	return volumes;
}

/** An entry of the root by its whole name, or a volume by its number alone. */
function topLevel(tree: FileSystem, name: Uint8Array): Step | undefined {
	const exact = tree.lookup(tree.root, name);
	if (exact !== undefined) return {node: exact, name};
	const number = decodeText(name);
	if (number === undefined || !/^\d+$/.test(number)) return undefined;
	return volumesOf(tree).find(volume => decodeText(volume.name)?.split('-', 1)[0] === number);
}

function walk(tree: FileSystem, start: Step, names: readonly Uint8Array[], {followLast}: ResolveOptions): Resolved {
	/** From the volume's root to here, so that `..` and relative links have somewhere to go. */
	const trail: Step[] = [start];
	const pending = names.toReversed();
	let links = 0;
	let caseIgnored = false;
	for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
		const here = trail.at(-1) ?? start;
		const text = decodeText(name);
		if (text === '' || text === '.') continue;
		if (text === '..') {
			if (trail.length > 1) trail.pop();
			continue;
		}
		const step = find(tree, here.node, name);
		if (step === undefined) throw notFound(formatPath([...trail.map(part => part.name), name]));
		if (step.caseIgnored) caseIgnored = true;
		const isLink = tree.stat(step.node).type === 'symlink';
		if (!isLink || (pending.length === 0 && !followLast)) {
			trail.push(step);
			continue;
		}
		links += 1;
		if (links > MOST_LINKS) {
			throw new DiskError(
				'invalid',
				'path/too-many-links',
				`more than ${MOST_LINKS} symbolic links on the way to ${printable(name)}`,
			);
		}
		const target = tree.readLink(step.node);
		if (target[0] === 0x2f) trail.length = 1;
		pending.push(...splitTarget(target).toReversed());
	}
	const last = trail.at(-1) ?? start;
	return {node: last.node, type: tree.stat(last.node).type, names: trail.map(part => part.name), caseIgnored};
}

function find(tree: FileSystem, directory: NodeId, name: Uint8Array): (Step & {caseIgnored: boolean}) | undefined {
	const exact = tree.lookup(directory, name);
	if (exact !== undefined) return {node: exact, name, caseIgnored: false};
	const node = tree.lookupAnyCase?.(directory, name);
	return node === undefined ? undefined : {node, name: nameOf(tree, directory, node) ?? name, caseIgnored: true};
}

/** How a node found without regard to case is really written. */
function nameOf(tree: FileSystem, directory: NodeId, node: NodeId): Uint8Array | undefined {
	let name: Uint8Array | undefined;
	tree.readDirectory(directory, 0, entry => {
		if (entry.node === node) name = entry.name.slice();
		return name === undefined;
	});
	return name;
}

function splitTarget(target: Uint8Array): Uint8Array[] {
	const parts: Uint8Array[] = [];
	let start = 0;
	for (let at = 0; at <= target.length; at++) {
		if (at < target.length && target[at] !== 0x2f) continue;
		if (at > start) parts.push(target.slice(start, at));
		start = at + 1;
	}
	return parts;
}

/** What lies in another volume, or in none, is no reason to stop looking. */
function attempt(search: () => Resolved): Resolved | undefined {
	try {
		return search();
	} catch (error) {
		const elsewhere =
			error instanceof DiskError && (error.family === 'not-found' || error.family === 'not-a-directory');
		if (elsewhere) return undefined;
		throw error;
	}
}

function notFound(path: string): DiskError {
	return new DiskError('not-found', 'path/not-found', `there is no ${path} in this image`, {
		hint: 'look around with tintype ls IMAGE /',
	});
}
