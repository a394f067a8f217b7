import {newSpan, SpanKind} from '../core/disk.ts';
import {DiskError, serializeError, type SerializedError} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Image, Volume} from '../image/image.ts';
import type {Pace} from '../work/pace.ts';
import {walk} from '../work/walk.ts';
import {type FileHit, fileProbe} from './file-hit.ts';
import {bytesWithin, type Ranges} from './ranges.ts';

/** Paths listed of one volume; all are counted. */
const MOST_PATHS = 1000;

/** A file of which parts are lost. */
export interface DamagedFile extends FileHit {
	/** Within the volume: `/Users/alice/letter.txt`; a named stream follows a colon. */
	readonly path: string;
	readonly size: number;
}

/** A directory, link or file that cannot be read at all, or not to its end, because what describes it is damaged. */
export interface LostPath {
	readonly path: string;
	readonly error: SerializedError;
}

export interface VolumeDamage {
	readonly number: number;
	readonly name: string;
	/** Undefined where none is known or it did not open: then the bytes cannot be told apart. */
	readonly fileSystem: string | undefined;
	readonly error: SerializedError | undefined;
	/** Bytes of the volume that are damaged, and what they are to the file system. */
	readonly bytes: number;
	readonly fileBytes: number;
	readonly freeBytes: number;
	/** Directories, tables, journals, and all else that is in use and no content of a file that was found. */
	readonly metadataBytes: number;
	readonly files: readonly DamagedFile[];
	readonly fileCount: number;
	readonly lost: readonly LostPath[];
	readonly lostCount: number;
}

/** What damage to a disk comes to for whoever wants files from it. */
export interface DamageReport {
	readonly bytes: number;
	readonly rangeCount: number;
	/** False where there were more ranges than can be kept: then there may be more files. */
	readonly complete: boolean;
	/** Bytes outside all volumes, and whether the partition table is among them. */
	readonly outsideBytes: number;
	readonly partitionTable: boolean;
	/** Those that are touched. */
	readonly volumes: readonly VolumeDamage[];
}

/** Names the files behind damaged ranges of a disk: each volume that is touched is walked once. */
export async function explainDamage(image: Image, ranges: Ranges, pace: Pace): Promise<DamageReport> {
	const volumes: VolumeDamage[] = [];
	let inside = 0;
	for (const volume of image.volumes) {
		const {start, length} = volume.partition;
		const bytes = bytesWithin(ranges, start, start + length);
		if (bytes === 0) continue;
		inside += bytes;
		volumes.push(await explainVolume(volume, ranges, bytes, pace));
	}
	return {
		bytes: ranges.bytes,
		rangeCount: ranges.count,
		complete: ranges.complete,
		// Volumes may overlap in tables that are damaged themselves.
		outsideBytes: Math.max(0, ranges.bytes - inside),
		partitionTable: touchesTable(image, ranges),
		volumes,
	};
}

/** GPT: protective MBR, header and 128 entries in the first 34 sectors, the same but for the MBR in the last 33. */
const TABLE_SECTORS = 34;

function touchesTable({disk, table}: Image, ranges: Ranges): boolean {
	if (table.partitions.length === 0 || table.scheme === 'none') return false;
	if (bytesWithin(ranges, 0, table.scheme === 'gpt' ? TABLE_SECTORS * disk.sectorSize : disk.sectorSize) > 0)
		return true;
	if (table.scheme !== 'gpt') return false;
	return bytesWithin(ranges, disk.size - (TABLE_SECTORS - 1) * disk.sectorSize, disk.size) > 0;
}

async function explainVolume(volume: Volume, ranges: Ranges, bytes: number, pace: Pace): Promise<VolumeDamage> {
	const {number, name, fileSystem, error, partition} = volume;
	const facts = {number, name, bytes, fileSystem: fileSystem?.type, error: error && serializeError(error)};
	if (fileSystem === undefined) {
		return {...facts, fileBytes: 0, freeBytes: 0, metadataBytes: 0, files: [], fileCount: 0, lost: [], lostCount: 0};
	}
	const found = await explainFiles(fileSystem, ranges, partition.start, pace);
	const freeBytes = await freeWithin(fileSystem, ranges, partition, pace);
	const {slackBytes, ...rest} = found;
	// Of compressed files the plain bytes are counted, which can be more than lie on the disk.
	const fileBytes = Math.min(rest.fileBytes, bytes - freeBytes);
	return {
		...facts,
		...rest,
		fileBytes,
		freeBytes,
		metadataBytes: Math.max(0, bytes - fileBytes - slackBytes - freeBytes),
	};
}

async function explainFiles(fileSystem: FileSystem, ranges: Ranges, start: number, pace: Pace) {
	const files: DamagedFile[] = [];
	const lost: LostPath[] = [];
	let fileCount = 0;
	let lostCount = 0;

	function lose(path: string, error: unknown): void {
		if (!(error instanceof DiskError)) throw error;
		// What is not supported is whole.
		if (error.family === 'unsupported') return;
		lostCount++;
		if (lost.length < MOST_PATHS) lost.push({path, error: serializeError(error)});
	}

	function hit(path: string, size: number, found: FileHit): void {
		if (found.damaged === 0) return;
		fileCount++;
		if (files.length < MOST_PATHS) files.push({path, size, ...found});
	}

	const probe = fileProbe(fileSystem, ranges, start, pace);
	const root = {name: new Uint8Array(0), node: fileSystem.root, type: 'directory', path: '/', depth: 0} as const;
	for (const {path, node, type} of walk(fileSystem, root, {onError: lose})) {
		if (pace.due()) await pace.turn();
		try {
			const stat = fileSystem.stat(node);
			if (stat.type === 'symlink') fileSystem.readLink(node);
			if (type !== 'file' || stat.type !== 'file') continue;
			hit(path, stat.size, await probe.file(stat));
			for (const stream of fileSystem.streams(node)) {
				hit(`${path}:${stream.name}`, stream.size, await probe.stream(stream));
			}
		} catch (error) {
			lose(path, error);
		}
	}
	return {files, fileCount, lost, lostCount, fileBytes: probe.bytes(), slackBytes: probe.slack()};
}

/** Damaged bytes that the file system says it does not use; 0 where it cannot say. */
async function freeWithin(
	{allocated}: FileSystem,
	ranges: Ranges,
	{start, length}: Volume['partition'],
	pace: Pace,
): Promise<number> {
	if (allocated === undefined) return 0;
	const span = newSpan();
	const runs: [number, number][] = [];
	ranges.within(start, start + length, (position, run) => runs.push([position - start, run]));
	let free = 0;
	for (const [from, run] of runs) {
		for (let position = from; position < from + run; ) {
			try {
				allocated(position, span);
			} catch (error) {
				if (error instanceof DiskError) break;
				throw error;
			}
			const part = Math.min(span.length, from + run - position);
			if (span.kind === SpanKind.free) free += part;
			position += part;
			if (pace.due()) await pace.turn();
		}
	}
	return free;
}
