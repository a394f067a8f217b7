import {availableParallelism} from 'node:os';
import {performance} from 'node:perf_hooks';
import {sameBytes} from '../core/bytes/text.ts';
import {contentId} from '../core/codecs/content-id.ts';
import {type Disk, type Finding, newSpan, readsAsZero} from '../core/disk.ts';
import type {SerializedError} from '../core/error.ts';
import type {RecordedHashes, Upkeep} from '../core/upkeep.ts';
import {type DamageReport, explainDamage} from '../damage/explain.ts';
import {collectRanges} from '../damage/ranges.ts';
import {compareFully, type FullComparison} from '../compare/compare.ts';
import {explainDifferences, type ImageComparison, MOST_EXPLAINED} from '../compare/explain.ts';
import type {Image, OpenedDisk} from '../image/image.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {runSteps, upkeepOf} from '../work/upkeep.ts';
import {walkable} from './content.ts';
import {type DamagedRun, damageList} from './damage-list.ts';
import {readSurface, verifyHere} from './surface.ts';
import {verifyInThreads} from './threads.ts';
import {verifyVolume, type VolumeReport} from './volume.ts';

/** Damaged ranges and findings listed; all are counted. */
const MOST_RANGES = 1000;
/** Less content than this is verified before threads have started. */
const LEAST_FOR_THREADS = 64 << 20;
/** Threads beyond this only wait for each other and for the disk. */
const MOST_WORKERS = 64;

export interface VerifyOptions {
	/**
	 * `fast` compares what is stored with its checksums, without decoding it or looking into volumes; formats without
	 * checksums are verified in full. `full`, the default, proves the content and walks the volumes.
	 */
	readonly depth?: 'fast' | 'full';
	/** Reads the content of every file as well, not only of the disk. */
	readonly files?: boolean;
	/**
	 * Another image, whose content this one is to have: all of both is read and compared, instead of being held against
	 * the hashes that are recorded.
	 */
	readonly against?: OpenedDisk;
	/** Ranges listed where both differ. */
	readonly ranges?: number;
	/** Threads; the number of processors when absent. */
	readonly workers?: number;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

/** A part of the disk that is lost or doubtful. */
export interface UnreadableRange {
	readonly position: number;
	readonly length: number;
	/** Volumes that it touches. */
	readonly volumes: readonly number[];
	readonly error: SerializedError;
}

export interface VerifyReport {
	/** Whether nothing is missing, doubtful or other than in the image it is held against. A file system that is not supported is no damage; its volume's bytes were read. */
	readonly good: boolean;
	/** What was done, which is `full` also where `fast` was asked for in vain. */
	readonly depth: 'fast' | 'full';
	/** The content id, where the content was proven to have the one that is recorded. */
	readonly proven: string | undefined;
	/** Bytes of the disk that were read; the rest reads as zeros without being stored. */
	readonly read: number;
	readonly unreadable: readonly UnreadableRange[];
	readonly unreadableCount: number;
	readonly unreadableBytes: number;
	/** What these ranges are; undefined where there are none. */
	readonly damage: DamageReport | undefined;
	/** With `against`: where both differ, and what could not be compared. */
	readonly against: ImageComparison | undefined;
	/** Of the check; those of opening are in the image. */
	readonly findings: readonly Finding[];
	readonly volumes: readonly VolumeReport[];
	readonly seconds: number;
}

/**
 * Verifies all that an image stores. Damage is collected, told as files, and the rest goes on; only an aborted signal
 * makes it reject.
 */
export async function verifyImage(image: Image, options: VerifyOptions = {}): Promise<VerifyReport> {
	const {files = false, depth = 'full', against, onProgress, signal} = options;
	signal?.throwIfAborted();
	const started = performance.now();
	const {disk} = image;
	const upkeep = upkeepOf(disk);
	const fast = depth === 'fast' && upkeep?.check !== undefined;
	const progress = {position: 0, total: disk.size};
	const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
	const checked = await checkFiles(image, upkeep, fast, pace, progress);
	const compared = against && (await compareWith(image, against, options, progress));
	const content = compared ?? (fast ? undefined : await verifyContent(image, upkeep, options, pace, progress));
	const damage = [...checked.damage, ...(content?.damage ?? [])];
	const findings = [...checked.findings, ...(content?.findings ?? [])];
	const volumes: VolumeReport[] = [];
	if (!fast) for (const volume of image.volumes) volumes.push(await verifyVolume(volume, files, pace));
	const explained = await explain(image, damage, pace);
	const differences = compared && (await explainDifferences(image, compared.full, pace));
	onProgress?.({position: progress.total, total: progress.total});

	const allFindings = [...image.findings, ...findings, ...image.volumes.flatMap(volume => volume.findings)];
	const forgotten = checked.forgotten + (content?.forgotten ?? 0);
	const good =
		damage.length === 0 &&
		(compared?.full.comparison.identical ?? true) &&
		volumes.every(
			({error, problemCount}) => (error?.family ?? 'unsupported') === 'unsupported' && problemCount === 0,
		) &&
		allFindings.every(finding => finding.severity !== 'damage');
	return {
		good,
		depth: fast ? 'fast' : 'full',
		proven: content?.proven,
		read: content?.read ?? 0,
		unreadable: damage.slice(0, MOST_RANGES).map(run => rangeOf(image, run)),
		unreadableCount: damage.length,
		unreadableBytes: damage.reduce((sum, {length}) => sum + length, forgotten),
		damage: explained,
		against: compared && {...compared.full.comparison, differences},
		findings,
		volumes,
		seconds: (performance.now() - started) / 1000,
	};
}

interface Checked {
	readonly findings: readonly Finding[];
	readonly damage: readonly DamagedRun[];
	readonly forgotten: number;
}

type ProgressState = {position: number; total: number};

/** The files themselves; with `map` whether they have all that the disk needs. */
async function checkFiles(
	{disk}: Image,
	upkeep: Upkeep | undefined,
	map: boolean,
	pace: Pace,
	progress: ProgressState,
): Promise<Checked> {
	const findings: Finding[] = [];
	const list = damageList();
	let left = 0;
	const listener = {
		finding(finding: Finding): void {
			if (findings.length < MOST_RANGES) findings.push(finding);
			else left++;
		},
		damage: ({position, length, error}: {position: number; length: number; error: Parameters<typeof list.add>[2]}) =>
			list.add(position, length, error),
	};
	const steps = upkeep?.check?.(disk, map, listener);
	if (steps !== undefined) {
		await runSteps(steps, pace, (position, total) => {
			progress.position = position;
			progress.total = map ? total : total + disk.size;
		});
	}
	if (left > 0) findings.push({code: 'verify/more', severity: 'damage', message: `${left} more findings of this kind`});
	return {findings, damage: list.runs(), forgotten: list.forgotten()};
}

async function verifyContent(
	image: Image,
	upkeep: Upkeep | undefined,
	{workers, signal, onProgress}: VerifyOptions,
	pace: Pace,
	progress: ProgressState,
): Promise<Checked & {readonly read: number; readonly proven: string | undefined}> {
	const {disk, recipe} = image;
	const before = progress.position;
	progress.total = before + disk.size;
	const onPosition = (position: number): void => {
		progress.position = before + position;
	};
	const hashes = upkeep?.hashes?.(disk);
	if (hashes === undefined) {
		return {...(await readSurface(disk, pace, onPosition)), findings: [], proven: undefined};
	}
	const count = Math.min(workers ?? availableParallelism(), MOST_WORKERS);
	const threads = count > 1 && (await paysThreads(disk, pace));
	const verified = threads
		? await verifyInThreads(recipe, disk.size, {
				workers: count,
				signal,
				onPosition: position => {
					onPosition(position);
					onProgress?.({...progress});
				},
			})
		: await verifyHere(disk, hashes, pace, onPosition);
	const whole = verified.damage.every(({error}) => error.code === 'disk/unreadable') && verified.forgotten === 0;
	const isProven = whole && sameBytes(contentId(disk.size, verified.root), hashes.contentId);
	const findings: Finding[] = [];
	if (whole && !isProven) findings.push(otherContent(disk, hashes));
	return {...verified, findings, proven: isProven ? hexadecimal(hashes.contentId) : undefined};
}

interface ComparedContent extends Checked {
	readonly full: FullComparison;
	readonly read: number;
	readonly proven: undefined;
}

/** Reads all of the image beside all of the other one, by their maps. */
async function compareWith(
	{disk, recipe}: Image,
	other: OpenedDisk,
	{workers, ranges, signal, onProgress}: VerifyOptions,
	progress: ProgressState,
): Promise<ComparedContent> {
	const before = progress.position;
	const full = await compareFully(
		disk,
		other.disk,
		{
			bytes: true,
			recipes: [recipe, other.recipe],
			...(workers !== undefined && {workers}),
			...(ranges !== undefined && {ranges}),
			...(signal !== undefined && {signal}),
			onProgress({position, total}) {
				progress.position = before + position;
				progress.total = before + total;
				onProgress?.({...progress});
			},
		},
		MOST_EXPLAINED,
	);
	const {comparison, unreadable, forgotten} = full;
	return {
		full,
		read: comparison.read,
		proven: undefined,
		findings: [],
		damage: unreadable[0],
		forgotten: forgotten[0],
	};
}

function otherContent({name}: Disk, {contentId: recorded}: RecordedHashes): Finding {
	const message = `the content of ${name} does not have the recorded content id, ${hexadecimal(recorded)}`;
	return {code: 'verify/content-id', severity: 'damage', message};
}

/** Looks at the map alone, until it knows. */
async function paysThreads(disk: Disk, pace: Pace): Promise<boolean> {
	const map = walkable(disk);
	const span = newSpan();
	let data = 0;
	for (let position = 0; position < disk.size && data < LEAST_FOR_THREADS; position += span.length) {
		if (pace.due()) await pace.turn();
		map.locate(position, span);
		if (!readsAsZero(span.kind)) data += span.length;
	}
	return data >= LEAST_FOR_THREADS;
}

async function explain(image: Image, damage: readonly DamagedRun[], pace: Pace): Promise<DamageReport | undefined> {
	if (damage.length === 0) return undefined;
	const collector = collectRanges();
	for (const {position, length} of damage) collector.add(position, length);
	return explainDamage(image, collector.ranges(), pace);
}

function rangeOf(image: Image, run: DamagedRun): UnreadableRange {
	const {position, length, error} = run;
	return {position, length, volumes: volumesAt(image, run), error};
}

function volumesAt({volumes, disk}: Image, {position, length}: DamagedRun): number[] {
	const end = Math.min(position + length, disk.size);
	return volumes
		.filter(({partition}) => partition.start < end && position < partition.start + partition.length)
		.map(volume => volume.number);
}

function hexadecimal(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}
