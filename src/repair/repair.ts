import {performance} from 'node:perf_hooks';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {runConversion} from '../convert/conversion.ts';
import {createRequest, type TargetOptions, writableFormat} from '../convert/convert.ts';
import {encryptionOf} from '../convert/encryption.ts';
import type {DamageReport} from '../damage/explain.ts';
import {type OpenedRuin, openDisk, openRuin, type OpenImageOptions} from '../image/image.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {runSteps, upkeepOf} from '../work/upkeep.ts';
import {type CheckpointOf, finishCopy, finishInPlace} from './finish.ts';
import {inventoryOf} from './inventory.ts';

export interface RepairOptions
	extends OpenImageOptions,
		Pick<TargetOptions, 'force' | 'workers' | 'writer' | 'id' | 'timestamp'> {
	/** Where the image is merely unfinished: ends it in its own file. */
	readonly inPlace?: boolean;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

export interface RepairResult {
	/**
	 * `none`: nothing was wrong, and nothing written. `finished`: the image had a checkpoint, and what follows it is
	 * unreadable. `recovered`: what could be found was written anew.
	 */
	readonly method: 'none' | 'finished' | 'recovered';
	/** Undefined where nothing was written. */
	readonly target: string | undefined;
	/** Bytes of the disk; of it those with content, those that read as zeros, and those that are lost. */
	readonly size: number;
	readonly contentBytes: number;
	readonly zeroBytes: number;
	readonly lostBytes: number;
	/** What is lost, as files; undefined where nothing is. */
	readonly damage: DamageReport | undefined;
	/** What was wrong. */
	readonly findings: readonly Finding[];
	readonly seconds: number;
}

/**
 * Rescues what can be had of a damaged or unfinished image into a new file; the image itself is not changed unless
 * `inPlace` asks for it. Throws `unsupported` for formats that know no repair.
 */
export async function repair(
	path: string,
	target: string | undefined,
	options: RepairOptions = {},
): Promise<RepairResult> {
	const {onProgress, signal} = options;
	const started = performance.now();
	const progress = {position: 0, total: 0};
	const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
	const onStep = (position: number, total: number) => Object.assign(progress, {position, total});
	const ruin = openRuin(path, options);
	try {
		if (ruin.search === undefined) {
			throw new DiskError(
				'unsupported',
				'repair/format',
				`images of the format ${ruin.format.name} cannot be repaired`,
				{
					where: {file: path},
				},
			);
		}
		const done =
			(await finish(path, target, ruin, options, pace, onStep)) ??
			(await recover(path, target, ruin, options, pace, onStep));
		const written = done.method === 'none' ? path : (done.target ?? path);
		const inventory = await inventoryOf(written, openingOf(options), pace);
		return {
			...done,
			...inventory,
			findings: [...ruin.findings, ...done.findings],
			seconds: (performance.now() - started) / 1000,
		};
	} finally {
		ruin[Symbol.dispose]();
	}
}

type Done = Pick<RepairResult, 'method' | 'target' | 'findings'>;
type OnStep = (position: number, total: number) => void;

/** Ends an image from its last checkpoint; undefined where there is none that can be gone on from. */
async function finish(
	path: string,
	target: string | undefined,
	ruin: OpenedRuin,
	options: RepairOptions,
	pace: Pace,
	onStep: OnStep,
): Promise<Done | undefined> {
	const {format, source} = ruin;
	const {create: creator} = format;
	const state = ruin.checkpoint();
	const found: CheckpointOf | undefined = state &&
		creator?.resume && {state, creator, resume: creator.resume, source, file: ruin.file, options: openingOf(options)};
	if (options.inPlace === true) {
		if (found === undefined) throw notInPlace(path);
		finishInPlace(path, found);
	} else if (found === undefined) return undefined;
	else if (!(await finishCopy(requireTarget(target), found, options.force ?? false, pace, onStep))) return undefined;
	const {position, size} = found.state;
	const message = `the image was not finished: ${position} of ${size} bytes had been written for certain`;
	return {
		method: 'finished',
		target: options.inPlace === true ? path : target,
		findings: [{code: 'repair/unfinished', severity: 'damage', message}],
	};
}

function requireTarget(target: string | undefined): string {
	if (target !== undefined) return target;
	throw new DiskError('invalid', 'repair/target', 'no file to write was named', {
		hint: 'name one; the damaged image itself is not changed',
	});
}

function notInPlace(path: string): DiskError {
	return new DiskError('refused', 'repair/in-place', `${path} cannot be repaired in place`, {
		where: {file: path},
		hint: 'only an image that was not finished, and is whole up to its last checkpoint, can be; name a new file',
	});
}

/** Searches the whole file, and writes what was found as a new image. */
async function recover(
	path: string,
	target: string | undefined,
	{search, format}: OpenedRuin,
	options: RepairOptions,
	pace: Pace,
	onStep: OnStep,
): Promise<Done> {
	if (search === undefined) throw new Error('the format can be searched');
	const {salvage, whole, findings} = await runSteps(search, pace, onStep);
	if (whole) return {method: 'none', target: undefined, findings};
	const opened = openDisk(path, {...openingOf(options), format: format.name, salvage});
	try {
		const {disk} = opened;
		const kind = writableFormat(requireTarget(target), {
			to: format.name,
			...(options.writer && {writer: options.writer}),
		});
		const writer = {...upkeepOf(disk)?.likeness?.(disk), ...options.writer};
		const request = {...createRequest(disk, {...options, writer}), ...encryptionOf({source: disk, ...kind}, undefined)};
		const result = await runConversion(
			{opened, target: requireTarget(target), ...kind, request, tolerant: true},
			options,
		);
		return {method: 'recovered', target: requireTarget(target), findings: [...findings, ...result.findings]};
	} finally {
		opened[Symbol.dispose]();
	}
}

function openingOf({format, sectorSize, secret, parent, allowedFolders}: RepairOptions): OpenImageOptions {
	return {
		...(format !== undefined && {format}),
		...(sectorSize !== undefined && {sectorSize}),
		...(secret !== undefined && {secret}),
		...(parent !== undefined && {parent}),
		...(allowedFolders !== undefined && {allowedFolders}),
	};
}
