import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {DiskError} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import {formatPath, type Resolved} from '../image/paths.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {type ListedEntry, walk} from '../work/walk.ts';
import type {Ownership} from './attributes.ts';
import {newCopier, type FileIdentity} from './copier.ts';
import {isFatal} from './host-error.ts';
import {planTargets} from './plan-targets.ts';

/** Failures listed; all are counted. */
const MOST_FAILURES = 1000;

export interface ExtractOptions {
	/** Takes directories with all that is in them, and symbolic links as links. */
	readonly recursive?: boolean;
	/** Replaces existing files; never directories. */
	readonly force?: boolean;
	/** `image` keeps owners, setuid bits and devices; that is for root alone. */
	readonly owner?: Ownership;
	/** Files that must not be replaced: those of the image itself. */
	readonly protect?: readonly FileIdentity[];
	readonly onProgress?: (progress: ExtractProgress) => void;
	/** Hears of every failure as it happens. */
	readonly onFailure?: (failure: ExtractFailure) => void;
	/** Ends the copy early; no partial file is left, whole ones stay. */
	readonly signal?: AbortSignal;
}

export interface ExtractProgress {
	/** Bytes of files dealt with, holes included, and bytes of all of them. */
	readonly position: number;
	readonly total: number;
}

export interface ExtractFailure {
	/** In the image. */
	readonly path: string;
	readonly error: DiskError;
}

export interface ExtractResult {
	readonly files: number;
	readonly directories: number;
	/** Symbolic links. */
	readonly links: number;
	/** Devices, FIFOs and sockets, which only `owner: 'image'` copies. */
	readonly skipped: number;
	/** Bytes of the files copied, holes included. */
	readonly bytes: number;
	/** What was not copied, and why; capped at 1000. */
	readonly failures: readonly ExtractFailure[];
	readonly failureCount: number;
	readonly seconds: number;
}

/**
 * Copies files out of an image. `target` is an existing directory, or the name that a single source gets. What is
 * damaged is left out and listed, the rest goes on. Rejects where nothing can be done: no such target, no
 * space, an aborted signal.
 */
export async function extract(
	tree: FileSystem,
	sources: readonly Resolved[],
	target: string,
	options: ExtractOptions = {},
): Promise<ExtractResult> {
	const {recursive = false, owner = 'mounter', onProgress, onFailure, signal} = options;
	const started = performance.now();
	checkSources(sources, recursive);
	if (owner === 'image' && process.geteuid?.() !== 0) {
		throw new DiskError(
			'refused',
			'extract/owner',
			'only root can give files to the owners that they have in the image',
			{
				hint: 'run as root, or leave out --owner image',
			},
		);
	}

	const failures: ExtractFailure[] = [];
	let failureCount = 0;
	function fail(path: string, error: unknown): void {
		if (!(error instanceof DiskError) || isFatal(error)) throw error;
		const failure = {path, error};
		failureCount += 1;
		if (failures.length < MOST_FAILURES) failures.push(failure);
		onFailure?.(failure);
	}

	let total = 0;
	const copier = newCopier(tree, {
		force: options.force ?? false,
		owner,
		protect: options.protect ?? [],
		pace: newPace({signal, onTurn: () => onProgress?.({position: copier.counts.bytes, total})}),
		fail,
	});
	if (onProgress !== undefined) total = await countBytes(tree, sources, newPace({signal}));

	const targets = planTargets(sources, target);
	try {
		for (const {source, into, name} of targets.copies) {
			const path = formatPath(source.names);
			if (name === undefined) await copier.copyInto(into, withoutDisk(source), path);
			else await copier.copyAs(into, {name, node: source.node, type: source.type}, path);
		}
	} finally {
		targets.close();
	}
	const {files, directories, links, skipped, bytes} = copier.counts;
	onProgress?.({position: bytes, total: Math.max(total, bytes)});
	const seconds = (performance.now() - started) / 1000;
	return {files, directories, links, skipped, bytes, failures, failureCount, seconds};
}

function checkSources(sources: readonly Resolved[], recursive: boolean): void {
	const directory = recursive ? undefined : sources.find(source => source.type === 'directory');
	if (directory === undefined) return;
	throw new DiskError('is-a-directory', 'extract/is-a-directory', `${formatPath(directory.names)} is a directory`, {
		hint: 'copy it with all that is in it by -r',
	});
}

/** The whole image is its volumes: the files of the disk itself would be everything once more. They are copied when they are named. */
function withoutDisk(source: Resolved): {source: Resolved; keep: (entry: ListedEntry) => boolean} {
	const isRoot = source.names.length === 0;
	return {source, keep: entry => !isRoot || entry.type === 'directory'};
}

async function countBytes(tree: FileSystem, sources: readonly Resolved[], pace: Pace): Promise<number> {
	let total = 0;
	for (const {node, type, names} of sources) {
		const start = {node, type, name: new Uint8Array(0), path: formatPath(names), depth: 0};
		for (const entry of walk(tree, start, {onError() {}})) {
			if (pace.due()) await pace.turn();
			const isDisk = names.length === 0 && entry.depth === 1;
			if (entry.type === 'file' && !isDisk) total += sizeOf(tree, entry.node);
		}
	}
	return total;
}

/** A node that cannot be read counts nothing here; the copy itself reports it. */
function sizeOf(tree: FileSystem, node: number): number {
	try {
		return tree.stat(node).size;
	} catch (error) {
		if (error instanceof DiskError) return 0;
		throw error;
	}
}
