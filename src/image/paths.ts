import {decodeText, parsePrintable, printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import {type FileSystem, NODE_ID_LIMIT, type NodeId, type NodeType} from '../core/file-system.ts';

/** Symbolic links followed on the way to one file: the kernel's own limit (MAXSYMLINKS). */
const MOST_LINKS = 40;

export interface ResolveOptions {
	/** Whether a symbolic link at the very end is followed. Links on the way always are. */
	readonly followLast: boolean;
}

export interface Resolved {
	readonly node: NodeId;
	readonly type: NodeType;
	/**
	 * The names on the way from the root of the tree, links followed; as they are on disk, but as they were written where
	 * the file system itself takes both for one (FAT).
	 */
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
	const written = path.split('/').filter(part => part !== '');
	// As everywhere, a slash at the end asks for a directory.
	if (path.endsWith('/')) written.push('.');
	const start = written.findIndex(part => part !== '.' && part !== '..');
	const names = start < 0 ? [] : written.slice(start).map(part => parsePrintable(part));
	const [first] = names;
	if (first === undefined) return {node: tree.root, type: 'directory', names: [], caseIgnored: false};
	if (topLevel(tree, first) !== undefined) return walk(tree, [], names, options);

	const found: Resolved[] = [];
	for (const volume of volumesOf(tree)) {
		// What stands in for a volume that cannot be read is not what a person looks for.
		if (volume.node < NODE_ID_LIMIT) continue;
		const match = attempt(() => walk(tree, [volume], names, options));
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
		if (entry.type === 'directory') volumes.push({node: entry.node, name: entry.name.slice()});
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

/**
 * Goes from `from`, the root of the tree (nothing) or of a volume, along `names`. A person's `..` goes up to where they
 * started; one in a link stays in its volume, as absolute links do: its author knew of no other.
 */
function walk(
	tree: FileSystem,
	from: readonly Step[],
	names: readonly Uint8Array[],
	options: ResolveOptions,
): Resolved {
	/** From the root of the tree to here, so that `..` and relative links have somewhere to go. */
	const trail: Step[] = [...from];
	const pending = names.toReversed();
	/** How many of them a person wrote; the names of links come on top. */
	let written = pending.length;
	let links = 0;
	let caseIgnored = false;
	for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
		const isWritten = pending.length < written;
		if (isWritten) written = pending.length;
		const here = trail.at(-1)?.node ?? tree.root;
		const text = decodeText(name);
		if (text === '.' || text === '..') {
			if (tree.stat(here).type !== 'directory') throw notADirectory(trail);
			if (text === '..' && trail.length > (isWritten ? from.length : 1)) trail.pop();
			continue;
		}
		const step = trail.length === 0 ? topLevel(tree, name) : find(tree, here, name);
		if (step === undefined) throw notFound(formatPath([...trail.map(part => part.name), name]));
		if ('caseIgnored' in step) caseIgnored = true;
		const isLink = tree.stat(step.node).type === 'symlink';
		if (!isLink || (pending.length === 0 && !options.followLast)) {
			trail.push(step);
			continue;
		}
		links += 1;
		if (links > MOST_LINKS) {
			throw new DiskError(
				'invalid',
				TOO_MANY_LINKS,
				`more than ${MOST_LINKS} symbolic links on the way to ${printable(name)}`,
			);
		}
		const target = tree.readLink(step.node);
		if (target.length === 0) throw notFound(formatPath([...trail.map(part => part.name), name]));
		if (target[0] === SLASH) trail.length = 1;
		pending.push(...splitTarget(target).toReversed());
	}
	const node = trail.at(-1)?.node ?? tree.root;
	return {node, type: tree.stat(node).type, names: trail.map(part => part.name), caseIgnored};
}

function find(tree: FileSystem, directory: NodeId, name: Uint8Array): (Step & {caseIgnored?: true}) | undefined {
	const exact = tree.lookup(directory, name);
	if (exact !== undefined) return {node: exact, name};
	const node = tree.lookupAnyCase?.(directory, name);
	return node === undefined ? undefined : {node, name: nameOf(tree, directory, node, name), caseIgnored: true};
}

function fold(name: Uint8Array): string | undefined {
	return decodeText(name)?.toUpperCase();
}

/** How what was found without regard to case is really written: one of the node's names, the likest if it has more. */
function nameOf(tree: FileSystem, directory: NodeId, node: NodeId, written: Uint8Array): Uint8Array {
	const wanted = fold(written);
	let name: Uint8Array | undefined;
	try {
		tree.readDirectory(directory, 0, entry => {
			if (entry.node !== node) return true;
			const isWanted = fold(entry.name) === wanted;
			if (isWanted || name === undefined) name = entry.name.slice();
			return !isWanted;
		});
	} catch (error) {
		// Damage elsewhere in the directory does not hinder: the node itself was found.
		if (!(error instanceof DiskError)) throw error;
	}
	return name ?? written;
}

const SLASH = 0x2f;

function splitTarget(target: Uint8Array): Uint8Array[] {
	const parts: Uint8Array[] = [];
	let start = 0;
	for (let at = 0; at <= target.length; at++) {
		if (at < target.length && target[at] !== SLASH) continue;
		if (at > start) parts.push(target.slice(start, at));
		start = at + 1;
	}
	return parts;
}

const TOO_MANY_LINKS = 'path/too-many-links';

/** What lies in another volume, in none, or behind links that lead nowhere is no reason to stop looking. */
function attempt(search: () => Resolved): Resolved | undefined {
	try {
		return search();
	} catch (error) {
		const elsewhere =
			error instanceof DiskError &&
			(error.family === 'not-found' || error.family === 'not-a-directory' || error.code === TOO_MANY_LINKS);
		if (elsewhere) return undefined;
		throw error;
	}
}

function notFound(path: string): DiskError {
	return new DiskError('not-found', 'path/not-found', `there is no ${path} in this image`, {
		hint: 'look around with tintype ls IMAGE /',
	});
}

function notADirectory(trail: readonly Step[]): DiskError {
	const path = formatPath(trail.map(step => step.name));
	return new DiskError('not-a-directory', 'path/not-a-directory', `${path} is not a directory`);
}
