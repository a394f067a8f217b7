import {newSpan} from '../core/disk.ts';
import {DiskError, serializeError, type SerializedError} from '../core/error.ts';
import type {FileSystem, NodeId, Stat} from '../core/file-system.ts';
import type {Volume} from '../image/image.ts';
import {PIECE, readExactly, runAt} from '../work/content.ts';
import type {Pace} from '../work/pace.ts';
import {walk} from '../work/walk.ts';

/** Damaged paths listed of one volume; all are counted. */
const MOST_PROBLEMS = 1000;

/** Something in a file system that could not be read. */
export interface Problem {
	/** Within the volume: `/Users/alice`. */
	readonly path: string;
	readonly error: SerializedError;
}

export interface VolumeReport {
	readonly number: number;
	readonly name: string;
	/** `ext4`, `ntfs`; absent where none was recognised or it did not open. */
	readonly fileSystem: string | undefined;
	/** Why it did not open. */
	readonly error: SerializedError | undefined;
	readonly directories: number;
	/** All that is no directory. */
	readonly files: number;
	/** Bytes of file content that were read, when it was asked for. */
	readonly read: number;
	readonly problems: readonly Problem[];
	readonly problemCount: number;
}

/** Visits all directories and nodes of a volume, and reads its files where told to. */
export async function verifyVolume(volume: Volume, withContent: boolean, pace: Pace): Promise<VolumeReport> {
	const {number, name, fileSystem, error} = volume;
	const problems: Problem[] = [];
	const seen = new Set<NodeId>();
	const buffer = new Uint8Array(withContent ? PIECE : 0);
	let problemCount = 0;
	let directories = 0;
	let files = 0;
	let read = 0;

	function onError(path: string, thrown: unknown): void {
		if (!(thrown instanceof DiskError)) throw thrown;
		problemCount += 1;
		if (problems.length < MOST_PROBLEMS) problems.push({path, error: serializeError(thrown)});
	}

	if (fileSystem !== undefined) {
		const start = {name: new Uint8Array(0), node: fileSystem.root, type: 'directory', path: '/', depth: 0} as const;
		for (const {path, node, type} of walk(fileSystem, start, {onError})) {
			if (pace.due()) await pace.turn();
			if (type === 'directory') directories += 1;
			else files += 1;
			try {
				const stat = fileSystem.stat(node);
				if (stat.type === 'symlink') fileSystem.readLink(node);
				if (!withContent || stat.type !== 'file' || isSeenLink(seen, node, stat.links)) continue;
				read += await readStored(fileSystem, stat, buffer, pace);
			} catch (thrown) {
				onError(path, thrown);
			}
		}
	}
	return {
		number,
		name,
		fileSystem: fileSystem?.type,
		error: error && serializeError(error),
		directories,
		files,
		read,
		problems,
		problemCount,
	};
}

/** Content under several names is read once. */
function isSeenLink(seen: Set<NodeId>, node: NodeId, links: number): boolean {
	if (links <= 1) return false;
	if (seen.has(node)) return true;
	seen.add(node);
	return false;
}

/** Reads all that is stored of a file; returns the bytes read. */
async function readStored(fileSystem: FileSystem, {node, size}: Stat, buffer: Uint8Array, pace: Pace): Promise<number> {
	const span = newSpan();
	let read = 0;
	for (let position = 0; position < size; ) {
		const {length, hole} = runAt(fileSystem, node, position, size, span);
		if (!hole) {
			readExactly(fileSystem, node, position, buffer.subarray(0, length));
			read += length;
		}
		position += length;
		if (pace.due()) await pace.turn();
	}
	return read;
}
