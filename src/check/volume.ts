import {newSpan, SpanKind} from '../core/disk.ts';
import {type DiskError, serializeError, type SerializedError} from '../core/error.ts';
import type {FileSystem, FileSystemUsage, NodeId, Stat} from '../core/file-system.ts';
import type {Volume} from '../image/image.ts';
import type {Pace} from '../work/pace.ts';
import {walk, type WalkedEntry} from '../work/walk.ts';
import {newBits} from './bits.ts';
import {type Clusters, openClusters} from './clusters.ts';
import {type ContentReader, contentReader} from './content.ts';
import {nameCrossLinked} from './cross-links.ts';
import {openDirectories} from './directories.ts';
import {type FindingList, type Reporter, reporter} from './findings.ts';
import {countLinks} from './links.ts';
import {checkNodeTable} from './node-table.ts';

/** What a check made of one volume. */
export interface VolumeCheck {
	readonly number: number;
	readonly name: string;
	/** `ext4`, `ntfs`; absent where none was recognised or it did not open. */
	readonly fileSystem: string | undefined;
	/** Why it did not open. */
	readonly error: SerializedError | undefined;
	readonly directories: number;
	/** All that is no directory; a file with several names is one. */
	readonly files: number;
	/** Damage found in it, also what is not listed. */
	readonly damage: number;
	/** Bytes of content that were read, where that was asked for. */
	readonly read: number;
	/** Bytes by the volume's own map; undefined where it has none, or it could not be read to its end. */
	readonly map:
		| {
				readonly used: number;
				readonly free: number;
				/** Used, and no content of a file that was found: metadata, compressed files, streams, or nothing. */
				readonly other: number;
		  }
		| undefined;
}

export interface VolumeCheckOptions {
	/** Reads all content of files as well. */
	readonly content: boolean;
	readonly pace: Pace;
	/** Hears how many bytes of files were passed. */
	readonly onPosition: (position: number) => void;
}

/** Looks at all that describes the files of a volume. Only an aborted signal makes it reject. */
export async function checkVolume(
	volume: Volume,
	list: FindingList,
	options: VolumeCheckOptions,
): Promise<VolumeCheck> {
	const {number, name, fileSystem, error} = volume;
	const report = reporter(list, number);
	if (error !== undefined) report.failure(error, null);
	const toldBefore = volume.findings.length;
	for (const {severity, code, message} of volume.findings) report.finding(severity, code, message);
	const found = fileSystem && (await checkFileSystem(fileSystem, volume.source.size, report, options));
	// What the driver has met on the way.
	for (const {severity, code, message} of volume.findings.slice(toldBefore)) report.finding(severity, code, message);
	return {
		number,
		name,
		fileSystem: fileSystem?.type,
		error: error && serializeError(error),
		directories: found?.directories ?? 0,
		files: found?.files ?? 0,
		damage: report.damage,
		read: found?.read ?? 0,
		map: found?.map,
	};
}

type Found = Pick<VolumeCheck, 'directories' | 'files' | 'read' | 'map'>;

async function checkFileSystem(
	fileSystem: FileSystem,
	size: number,
	report: Reporter,
	{content, pace, onPosition}: VolumeCheckOptions,
): Promise<Found> {
	const usage = attempt(report, () => fileSystem.usage());
	const clusters = openClusters({fileSystem, usage, size, report});
	const links = countLinks(report);
	const directories = openDirectories(fileSystem, report);
	const reader = content ? contentReader(fileSystem, size, report, pace) : undefined;
	/** Nodes that a name leads to. Where there is no table of nodes an entry is its node, and has no other name. */
	const named = newBits();
	const entriesAreNodes = usage !== undefined && usage.totalNodes === undefined;
	let whole = true;
	let directoryCount = 0;
	let fileCount = 0;
	let enter = true;

	function onError(path: string, error: DiskError): void {
		whole = false;
		directories.damaged();
		report.failure(error, path);
	}

	for (const entry of walk(fileSystem, rootOf(fileSystem), {onError, enter: () => enter})) {
		if (pace.due()) await pace.turn();
		const {path, node, type} = entry;
		const again = !entriesAreNodes && named.take(node, 1) > 0;
		const stat = attempt(report, () => fileSystem.stat(node), path, node);
		directories.enter(entry, stat);
		enter = stat === undefined || stat.type === 'directory';
		if (stat === undefined) {
			whole &&= type !== 'directory';
			continue;
		}
		if (stat.type !== type) {
			const message = `the directory calls it a ${type}, and it is a ${stat.type}`;
			report.finding('damage', 'check/type', message, {path, node});
		}
		if (entry.depth > 0 && fileSystem.needsName?.(node) === false) {
			const message = 'a name leads to it, and the table of nodes calls it free';
			report.finding('damage', 'check/free-node', message, {path, node});
		}
		if (stat.type !== 'directory') links.count(stat, path, again);
		if (again) continue;
		if (stat.type === 'directory') directoryCount++;
		else fileCount++;
		lookInto(fileSystem, stat, path, clusters, report);
		onPosition(clusters.bytes);
		// What maps more than there is would be read for as long.
		if (reader === undefined || !clusters.followed) continue;
		try {
			if (stat.type === 'file') await reader.file(node, stat.size, path);
			for (const stream of fileSystem.streams(node)) await reader.stream(stream, node, path);
		} catch (error) {
			report.failure(error, path, node);
		}
	}
	directories.finish();
	links.finish(whole);
	await nameCrossLinked(fileSystem, clusters, report, pace);
	await checkNodeTable({fileSystem, usage, named, report, pace});
	const map = await checkMap(fileSystem, usage, size, clusters, report, pace);
	tellLimits(clusters, reader, report);
	return {directories: directoryCount, files: fileCount, read: reader?.read ?? 0, map};
}

function rootOf({root}: FileSystem): WalkedEntry {
	return {name: new Uint8Array(0), node: root, type: 'directory', path: '/', depth: 0};
}

/** What a step gives, or undefined where it fails, which is told. */
function attempt<Result>(
	report: Reporter,
	step: () => Result,
	path: string | null = null,
	node?: NodeId,
): Result | undefined {
	try {
		return step();
	} catch (error) {
		report.failure(error, path, node);
		return undefined;
	}
}

/** All that belongs to one node: attributes, streams, where a link leads, where content lies. */
function lookInto(
	fileSystem: FileSystem,
	{node, type, size}: Stat,
	path: string,
	clusters: Clusters,
	report: Reporter,
): void {
	attempt(report, () => Array.from(fileSystem.attributes(node)), path, node);
	attempt(report, () => Array.from(fileSystem.streams(node)), path, node);
	if (type === 'symlink') attempt(report, () => fileSystem.readLink(node), path, node);
	if (type === 'file') attempt(report, () => clusters.follow(node, size, path), path, node);
}

/** Adds up the volume's own map, and holds it against what the file system says elsewhere. */
async function checkMap(
	{allocated}: FileSystem,
	usage: FileSystemUsage | undefined,
	size: number,
	clusters: Clusters,
	report: Reporter,
	pace: Pace,
): Promise<VolumeCheck['map']> {
	if (allocated === undefined) return undefined;
	const span = newSpan();
	let free = 0;
	for (let position = 0; position < size; position += span.length) {
		if (pace.due()) await pace.turn();
		try {
			allocated(position, span);
		} catch (error) {
			report.failure(error, null);
			return undefined;
		}
		if (span.kind === SpanKind.free) free += span.length;
	}
	const recorded = usage && usage.freeBlocks * usage.blockSize;
	// A map that is not trusted calls nothing free.
	if (recorded !== undefined && free > 0 && recorded !== free) {
		const message = `the file system counts ${recorded} bytes as free, and its map ${free}`;
		report.finding('warning', 'check/free-count', message);
	}
	const used = size - free;
	return {used, free, other: Math.max(0, used - clusters.bytes)};
}

function tellLimits({followed, forgotten}: Clusters, reader: ContentReader | undefined, report: Reporter): void {
	if (!followed) {
		const message = 'the files map many times what the volume can hold; not all of their maps were followed';
		report.finding('damage', 'check/map-limit', message);
	}
	if (reader?.going === false) {
		const message = 'the files hold many times what the volume can; not all of their content was read';
		report.finding('damage', 'check/content-limit', message);
	}
	if (forgotten > 0) {
		const message = `${forgotten} bytes of files were not held against each other: no more than 2,147,483,648 clusters are remembered`;
		report.finding('note', 'check/clusters-left', message);
	}
}
