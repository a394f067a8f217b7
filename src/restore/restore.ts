import {ALL_FILE_SYSTEMS} from '../../mount/filesystems/index.ts';
import {type Disk, type Finding, newSpan, SpanKind} from '../core/disk.ts';
import {DiskError, deserializeError} from '../core/error.ts';
import type {Partition} from '../core/partition-table.ts';
import type {OpenedFile} from '../core/recipe.ts';
import type {ByteSource} from '../core/source.ts';
import {errnoName} from '../core/system/libc.ts';
import {openDisk, type OpenedDisk, type OpenImageOptions} from '../image/image.ts';
import {readPartitionTable} from '../partitions/index.ts';
import {type BackupMove, moveBackup} from '../partitions/gpt/relocate.ts';
import {newPace} from '../work/pace.ts';
import {MOST_RANGES} from './content.ts';
import {
	type BadRange,
	type DamagedRange,
	newSharedState,
	openState,
	type RestoreRange,
	type RestoreReport,
	type RestoreTask,
	type WriteOutcome,
} from './job.ts';
import {changes, refuseUnreadable, unfinished, withAdvice} from './explain.ts';
import {rereadPartitions} from './system.ts';
import {checkDevice, type DeviceDescription, isDeviceTarget, openFileTarget, type Target} from './target.ts';
import {runWorker} from '../work/run-worker.ts';

export interface RestoreOptions extends OpenImageOptions {
	/** Replaces an existing file; with `differences` it is changed in place. */
	readonly force?: boolean;
	/** Reads the target and writes only blocks of 64 KiB that differ. */
	readonly differences?: boolean;
	/** On devices, zeros what was free space when the image was taken; otherwise that is left as it is. */
	readonly zeroFree?: boolean;
	/** Zeros what could not be read when the image was taken; otherwise such an image is refused. */
	readonly zeroUnreadable?: boolean;
	/** Zeros what the image cannot give because it is damaged, and goes on. */
	readonly keepGoing?: boolean;
	/** Leaves the backup GPT where it is when the target is larger. */
	readonly keepGpt?: boolean;
	/** Reads everything back and compares. */
	readonly verify?: boolean;
	/** Asked before a device is overwritten; without it a device is refused. */
	readonly confirm?: (device: DeviceDescription) => Promise<boolean> | boolean;
	/** Told as they come; they are in the result too. */
	readonly onFinding?: (finding: Finding) => void;
	/** Called a few times a second, and once at the end. */
	readonly onProgress?: (progress: RestoreProgress) => void;
	/** Ends the work early. What has been written to a device stays there; a new file is removed. */
	readonly signal?: AbortSignal;
}

export interface RestoreProgress {
	/** Bytes of the disk dealt with; with `verify` every byte counts twice. */
	readonly position: number;
	readonly total: number;
}

export interface RestoreResult {
	/** As the user named it. */
	readonly target: string;
	readonly device: boolean;
	/** Bytes of the disk, and of the target. */
	readonly size: number;
	readonly targetSize: number;
	/** Bytes of content written; made zeros; of free space left as they were; right already. */
	readonly written: number;
	readonly zeroed: number;
	readonly left: number;
	readonly unchanged: number;
	/** What could not be read when the image was taken, and is zeros now. The first 1000 ranges. */
	readonly unreadable: readonly RestoreRange[];
	readonly unreadableBytes: number;
	/** What the image should have and could not give, and is zeros now. The first 1000 ranges. */
	readonly damaged: readonly (RestoreRange & DamagedRange)[];
	readonly damagedBytes: number;
	/** The sectors from which and to which the backup GPT moved. */
	readonly movedBackup: {readonly from: number; readonly to: number; readonly sectorSize: number} | undefined;
	/** What came back other than it was written; undefined without `verify`. */
	readonly wrong: readonly RestoreRange[] | undefined;
	readonly wrongBytes: number;
	readonly seconds: number;
	readonly findings: readonly Finding[];
}

const PROGRESS_MILLISECONDS = 100;

/**
 * Writes the disk in an image to a block device or a raw file. Whatever the target holds is taken for content: zeros
 * are written as such.
 *
 * Throws DiskError: `refused` where the target is in use, too small, the source, read-only or changed meanwhile, where
 * it was not confirmed, or where the image has unreadable ranges; `io` with code `output/...` where it cannot be
 * written; whatever reading the image throws. When that happens after a device has begun to change, a finding
 * `restore/incomplete` comes before it. Rejects with the signal's reason when it is aborted.
 */
export async function restore(image: string, named: string, options: RestoreOptions = {}): Promise<RestoreResult> {
	const start = performance.now();
	options.signal?.throwIfAborted();
	// Which ranges could not be read is told and asked about here.
	const opened = openDisk(image, {...options, zeroUnreadable: false});
	try {
		const {disk} = opened;
		const findings: Finding[] = [];
		const warn = (finding: Finding): void => {
			findings.push(finding);
			options.onFinding?.(finding);
		};
		opened.findings.forEach(warn);
		const partitions = findPartitions(disk, warn);
		const unreadable = await checkUnreadable(disk, partitions, options);
		const sources = [opened.recipe.file, ...opened.recipe.related.map(({file}) => file)].flatMap(file => file.parts);
		const target = await openTarget(named, disk, sources, options);
		const {move, outcome} = await write(opened, target, options, warn);
		changes(sources).forEach(warn);
		return {
			target: named,
			device: target.file.isDevice,
			size: disk.size,
			targetSize: target.file.size,
			written: outcome.written,
			zeroed: outcome.zeroed,
			left: outcome.left,
			unchanged: outcome.unchanged,
			...unreadable,
			damaged: outcome.damaged.map(range => ({...range, volumes: volumesAt(partitions, range)})),
			damagedBytes: outcome.damagedBytes,
			movedBackup: move && {from: move.from, to: move.to, sectorSize: move.sectorSize},
			wrong: outcome.wrong?.map(range => ({...range, volumes: volumesAt(partitions, range)})),
			wrongBytes: outcome.wrongBytes,
			seconds: (performance.now() - start) / 1000,
			findings,
		};
	} finally {
		opened[Symbol.dispose]();
	}
}

function driverOf(source: ByteSource): string | undefined {
	return ALL_FILE_SYSTEMS.find(driver => driver.probe(source))?.name;
}

/** The partitions, to say which of them a range touches. A table that is damaged is restored as it is. */
function findPartitions(disk: Disk, warn: (finding: Finding) => void): readonly Partition[] {
	try {
		return readPartitionTable(disk, {warn() {}}, driverOf).partitions;
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		const message = `the partition table in the image cannot be read and is restored as it is: ${error.message}`;
		warn({code: 'restore/table', severity: 'warning', message});
		return [];
	}
}

function volumesAt(partitions: readonly Partition[], {position, length}: BadRange): number[] {
	return partitions
		.filter(({start, length: size}) => start < position + length && position < start + size)
		.map(({number}) => number);
}

/** Goes through the image's map before anything is written: what nobody could read is not replaced without being told. */
async function checkUnreadable(
	disk: Disk,
	partitions: readonly Partition[],
	{zeroUnreadable = false, signal}: RestoreOptions,
): Promise<{unreadable: RestoreRange[]; unreadableBytes: number}> {
	const pace = newPace({signal});
	const span = newSpan();
	const ranges: {position: number; length: number}[] = [];
	let unreadableBytes = 0;
	for (let position = 0; position < disk.size; position += span.length) {
		if (pace.due()) await pace.turn();
		try {
			disk.locate(position, span);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			// Damage of the map itself: whether it is to go on is decided when it is read.
			span.length = Math.min(1 << 16, disk.size - position);
			continue;
		}
		if (span.kind !== SpanKind.unreadable) continue;
		unreadableBytes += span.length;
		const last = ranges.at(-1);
		if (last !== undefined && last.position + last.length === position) last.length += span.length;
		else if (ranges.length < MOST_RANGES) ranges.push({position, length: span.length});
	}
	const unreadable = ranges.map(({position, length}) => {
		return {position, length, volumes: volumesAt(partitions, {position, length})};
	});
	if (unreadableBytes > 0 && !zeroUnreadable) throw refuseUnreadable(disk, unreadable, unreadableBytes);
	return {unreadable, unreadableBytes};
}

async function openTarget(
	named: string,
	disk: Disk,
	sources: readonly OpenedFile[],
	options: RestoreOptions,
): Promise<Target> {
	const {force = false, differences = false, confirm, signal} = options;
	if (!isDeviceTarget(named)) return openFileTarget(named, {force, differences, diskSize: disk.size, sources});
	const device = checkDevice(named, disk.size, sources);
	const confirmed = (await confirm?.(device.description)) ?? false;
	signal?.throwIfAborted();
	if (!confirmed) {
		throw new DiskError('refused', 'restore/unconfirmed', `${device.description.path} was not confirmed`, {
			where: {file: named},
			hint: 'nothing was written',
		});
	}
	return device.open();
}

async function write(
	opened: OpenedDisk,
	target: Target,
	options: RestoreOptions,
	warn: (finding: Finding) => void,
): Promise<{move: BackupMove | undefined; outcome: WriteOutcome}> {
	const {disk, recipe} = opened;
	const {file} = target;
	const shared = newSharedState();
	const state = openState(shared);
	let outcome: WriteOutcome;
	let move: BackupMove | undefined;
	try {
		target.findings.forEach(warn);
		checkSectorSize(disk, target, warn);
		move = options.keepGpt === true ? undefined : planMove(disk, target, warn);
		const {differences = false, zeroFree = false, zeroUnreadable = false, keepGoing = false, verify = false} = options;
		outcome = await runTask(
			{
				recipe,
				target: file,
				patches: move?.patches ?? [],
				options: {differences, zeroFree, zeroUnreadable, keepGoing, verify},
				shared,
			},
			disk.size * (verify ? 2 : 1),
			options,
		);
	} catch (error) {
		target.giveUp();
		if (!file.isNew && state.touched) warn(unfinished(file.name, state.sealed));
		throw withAdvice(error);
	}
	if (file.isDevice) showPartitions(file, warn);
	if (outcome.wrongBytes > 0 && file.isNew) {
		target.giveUp();
		const message = `${outcome.wrongBytes} bytes came back other than they were written to ${file.name}, which was removed`;
		throw new DiskError('io', 'output/wrong', message, {hint: 'its disk is failing; choose a target on another one'});
	}
	if (outcome.wrongBytes > 0) {
		const message = `${outcome.wrongBytes} bytes of ${file.name} came back other than they were written: the medium is failing`;
		warn({code: 'restore/wrong', severity: 'damage', message});
	} else if (outcome.wrong !== undefined && !outcome.uncached) {
		const message =
			'the system could not be told to forget what it had cached: what was verified may not be the medium';
		warn({code: 'restore/cached', severity: 'warning', message});
	}
	target.finish();
	return {move, outcome};
}

function checkSectorSize(disk: Disk, {sectorSize, file}: Target, warn: (finding: Finding) => void): void {
	if (sectorSize === undefined || sectorSize === disk.sectorSize) return;
	warn({
		code: 'restore/sector-size',
		severity: 'warning',
		message: `${file.name} has sectors of ${sectorSize} bytes, the disk in the image of ${disk.sectorSize}: its partition table may not be understood there`,
	});
}

function planMove(disk: Disk, {file, sectorSize}: Target, warn: (finding: Finding) => void): BackupMove | undefined {
	if (file.size <= disk.size) return undefined;
	const result = moveBackup(disk, file.size);
	if (result === undefined) return undefined;
	const stays = (problem: string): undefined => {
		const message = `the backup of the partition table stays where it is, since ${problem}`;
		warn({code: 'restore/backup-stays', severity: 'warning', message});
		return undefined;
	};
	if ('problem' in result) return stays(result.problem);
	const {move} = result;
	if (sectorSize !== undefined && sectorSize !== move.sectorSize) {
		return stays(`the table counts in sectors of ${move.sectorSize} bytes and the device in ${sectorSize}`);
	}
	return move;
}

/** Without this the kernel would go on with the partitions that the device had before. */
function showPartitions({descriptor, name}: Target['file'], warn: (finding: Finding) => void): void {
	try {
		rereadPartitions(descriptor);
	} catch (error) {
		// Partitions, and loop devices without partitions, have no table to read.
		if (['EINVAL', 'ENOTTY'].includes(errnoName(error) ?? '')) return;
		const message = `the kernel still sees the partitions that ${name} had before: run partprobe, or plug it in again`;
		warn({code: 'restore/old-partitions', severity: 'warning', message});
	}
}

/** Runs the thread that restores; rejects with what it failed with. */
async function runTask(task: RestoreTask, total: number, {signal, onProgress}: RestoreOptions): Promise<WriteOutcome> {
	const state = openState(task.shared);
	const tell = () => onProgress?.({position: Math.min(state.position, total), total});
	const onAbort = () => state.abort();
	const timer = setInterval(tell, PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', onAbort);
	try {
		signal?.throwIfAborted();
		const report = await runWorker<RestoreReport>('./restore.worker.ts', import.meta.url, task);
		if (report.kind === 'failed') throw deserializeError(report.error);
		if (report.kind === 'aborted') {
			signal?.throwIfAborted();
			throw new Error('the work was aborted by nobody');
		}
		state.position = total;
		tell();
		return report.outcome;
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', onAbort);
	}
}
