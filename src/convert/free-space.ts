import {statSync} from 'node:fs';
import {performance} from 'node:perf_hooks';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {type Disk, type Finding, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {decodeText, encodeText} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Partition, PartitionTable} from '../core/partition-table.ts';
import {type Image, type OpenedDisk, openRecipe, type Volume} from '../image/image.ts';
import {NO_SCHEME} from '../partitions/index.ts';
import {gptRanges} from '../partitions/gpt/copies.ts';
import {blockDevice, deviceNumber, usesOf} from '../work/block-device.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {walk} from '../work/walk.ts';

/** What became of a volume's free space. */
export interface FreeSpace {
	readonly volume: number;
	readonly skipped: boolean;
	readonly reason: string;
	/** Where it is skipped: free bytes that the source's own map does not call zero already. */
	readonly bytes?: number;
}

/** Files whose places are held against the free space, and runs looked at of each: enough to meet a bitmap that is wrong as a whole. */
const MOST_SAMPLES = 512;
const MOST_RUNS = 64;
/** Milliseconds that telling what could be left out may take, beside the work that it is told of. */
const BUDGET = 2000;
/** Part of the name of the files in which Windows keeps shadow copies. */
const SHADOW_STORE = '{3808876b-c176-4e48-b7ae-04046e6cc752}';

export interface FreeSpaceOptions {
	/** Numbers of the volumes asked for; all when absent. */
	readonly volumes?: readonly number[];
	/** Why none is to be skipped, whatever the file systems say. */
	readonly refusal?: string;
	readonly pace: Pace;
}

/**
 * Which volumes may leave out what their file systems call free: one in doubt could call free what is in use. All of
 * what is free is looked up, so that no thread meets damage in it later.
 */
export async function judgeFreeSpace(
	image: Image,
	{volumes, refusal, pace}: FreeSpaceOptions,
): Promise<readonly FreeSpace[]> {
	const judged: FreeSpace[] = [];
	for (const volume of image.volumes) {
		const {number} = volume;
		if (volumes?.includes(number) === false) continue;
		const doubt = refusal ?? doubtOf(image, volume);
		const found = doubt === undefined ? await measure(image.disk, volume, pace) : {doubt};
		if ('bytes' in found) judged.push({volume: number, skipped: true, reason: 'clean', bytes: found.bytes});
		else judged.push({volume: number, skipped: false, reason: found.doubt});
	}
	return judged;
}

/** The volumes whose free space is left out. */
export function skippedOf(freeSpace: readonly FreeSpace[]): number[] {
	return freeSpace.filter(({skipped}) => skipped).map(({volume}) => volume);
}

/** Why the content of the new image is not that of the disk, for people; empty when it is. */
export function freeSpaceLeftOut(volumes: readonly number[]): string[] {
	return volumes.length > 0 ? [`free space of volume ${volumes.join(', ')} is left out`] : [];
}

function doubtOf(image: Image, {fileSystem, error, partition, findings}: Volume): string | undefined {
	if (fileSystem === undefined) return error?.message ?? 'its file system is not known';
	if (fileSystem.allocated === undefined) return `${fileSystem.type} does not say what is free`;
	return overlapOf(image, partition) ?? worstOf(findings);
}

function worstOf(findings: readonly Finding[]): string | undefined {
	return findings.find(({severity}) => severity !== 'note')?.message;
}

/** What lies within a volume without being its own: its file system may call it free. */
function overlapOf({disk, table}: Image, partition: Partition): string | undefined {
	const {start, length, number} = partition;
	const meets = (from: number, to: number): boolean => from < start + length && to > start;
	const other = table.partitions.find(
		candidate => candidate.number !== number && meets(candidate.start, candidate.start + candidate.length),
	);
	if (other !== undefined) return `it overlaps volume ${other.number}`;
	return tableRanges(disk, table).some(range => meets(range.start, range.end))
		? 'it overlaps the partition table'
		: undefined;
}

function tableRanges(disk: Disk, {scheme}: PartitionTable): readonly {readonly start: number; readonly end: number}[] {
	if (scheme === NO_SCHEME) return [];
	return [{start: 0, end: disk.sectorSize}, ...(scheme === 'gpt' ? gptRanges(disk) : [])];
}

type Measured = {readonly bytes: number} | {readonly doubt: string};

/** Looks up all of the free space of a volume. */
async function measure(disk: Disk, {fileSystem, partition, findings}: Volume, pace: Pace): Promise<Measured> {
	const use = newSpan();
	const span = newSpan();
	const {start, length} = partition;
	let bytes = 0;
	try {
		const wrong = fileSystem && (await contradictionIn(fileSystem, pace));
		if (wrong !== undefined) return {doubt: wrong};
		for (let position = 0; position < length; position += use.length) {
			fileSystem?.allocated?.(position, use);
			const end = start + Math.min(position + use.length, length);
			if (use.kind === SpanKind.free) {
				for (let at = start + position; at < end; at += span.length) {
					disk.locate(at, span);
					if (!readsAsZero(span.kind)) bytes += Math.min(span.length, end - at);
					if (pace.due()) await pace.turn();
				}
			}
			if (pace.due()) await pace.turn();
		}
	} catch (error) {
		if (error instanceof DiskError) return {doubt: error.message};
		throw error;
	}
	// Drivers tell damage to their bitmaps when they meet it.
	const doubt = worstOf(findings);
	return doubt === undefined ? {bytes} : {doubt};
}

/** Content that lies in what is called free; undefined where none is found among the first files. */
async function contradictionIn(fileSystem: FileSystem, pace: Pace): Promise<string | undefined> {
	const file = newSpan();
	const use = newSpan();
	const isFree = (position: number): boolean => {
		fileSystem.allocated?.(position, use);
		return use.kind === SpanKind.free;
	};
	if (isFree(0)) return `${fileSystem.type} calls its own first block free`;
	const root = {name: new Uint8Array(0), node: fileSystem.root, type: 'directory', path: '/', depth: 0} as const;
	let left = MOST_SAMPLES;
	for (const {node, path, type} of walk(fileSystem, root, {onError() {}})) {
		if (left-- === 0) break;
		if (pace.due()) await pace.turn();
		if (type !== 'file') continue;
		try {
			const {size} = fileSystem.stat(node);
			for (let position = 0, runs = 0; position < size && runs < MOST_RUNS; position += file.length, runs++) {
				fileSystem.locate(node, position, file);
				if (file.kind === SpanKind.stored && isFree(file.at))
					return `${path} lies in what ${fileSystem.type} calls free`;
			}
		} catch (error) {
			// A file that cannot be read says nothing of what is free.
			if (!(error instanceof DiskError)) throw error;
		}
	}
	return undefined;
}

/** Shadow copies read from the free space what has been deleted since they were made: they are lost with it. */
export function shadowCopies(image: Image, volumes: readonly number[]): Finding[] {
	return image.volumes
		.filter(({number, fileSystem}) => volumes.includes(number) && hasShadowCopies(fileSystem))
		.map(({number}) => ({
			code: 'convert/shadow-copies',
			severity: 'warning',
			message: `volume ${number} has shadow copies (restore points), which need its free space: they are of no use in the result`,
		}));
}

function hasShadowCopies(fileSystem: FileSystem | undefined): boolean {
	let found = false;
	try {
		const folder = fileSystem?.lookupAnyCase?.(fileSystem.root, encodeText('System Volume Information'));
		if (folder === undefined) return false;
		fileSystem?.readDirectory(folder, 0, ({name}) => {
			const text = decodeText(name)?.toLowerCase() ?? '';
			found = text.endsWith(SHADOW_STORE) && text.length > SHADOW_STORE.length;
			return !found;
		});
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
	return found;
}

/** Whether a source is a device that the system uses: then what is free changes meanwhile. */
export function isInUse(source: string): boolean {
	const stat = statSync(source);
	const device = stat.isBlockDevice() ? blockDevice(deviceNumber(stat.rdev)) : undefined;
	return device !== undefined && usesOf(device).length > 0;
}

/** Told by the pace of work that is worth only so much time. */
class Enough extends Error {}

/**
 * How many bytes would be left out without free space. It reads file systems' bitmaps alone, while threads work;
 * undefined where no volume is understood, or it would take long.
 */
export async function sparableBytes(
	{recipe}: OpenedDisk,
	signal: AbortSignal,
	budget = BUDGET,
): Promise<number | undefined> {
	const end = performance.now() + budget;
	const pace = newPace({
		signal,
		onTurn() {
			if (performance.now() > end) throw new Enough();
		},
	});
	try {
		await nextTurn();
		signal.throwIfAborted();
		const judged = await judgeFreeSpace(openRecipe(recipe), {pace});
		const known = judged.flatMap(({bytes}) => bytes ?? []);
		return known.length === 0 ? undefined : known.reduce((sum, bytes) => sum + bytes, 0);
	} catch (error) {
		if (error instanceof Enough || error instanceof DiskError || signal.aborted) return undefined;
		throw error;
	}
}
