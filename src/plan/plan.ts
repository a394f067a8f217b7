import {statSync} from 'node:fs';
import {captureView} from '../convert/capture-view.ts';
import {checkNumber} from '../convert/conversion.ts';
import {createRequest, type ConvertOptions, writableFormat} from '../convert/convert.ts';
import {type FreeSpace, isInUse, judgeFreeSpace, skippedOf} from '../convert/free-space.ts';
import {filesOf} from '../convert/source-facts.ts';
import type {CreateRequest, DiskCreator, DiskFormat, Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {Image} from '../image/image.ts';
import {type AppliedProfile, applyProfile, profiledSize, profileFindings} from '../profiles/apply.ts';
import {explainFindings, sourceHazards} from '../profiles/hazards.ts';
import {openWithVolumes} from '../profiles/source.ts';
import {newPace} from '../work/pace.ts';
import {contentsOf, type Units} from './contents.ts';
import {type Estimate, estimate, isInBlocks} from './estimate.ts';
import {lookAtTarget, type TargetPlace} from './target.ts';
import {growthOf, tryOut} from './trial.ts';

export interface PlanOptions
	extends Pick<
		ConvertOptions,
		| 'format'
		| 'sectorSize'
		| 'secret'
		| 'zeroUnreadable'
		| 'parent'
		| 'allowedFolders'
		| 'for'
		| 'to'
		| 'writer'
		| 'usedOnly'
		| 'force'
		| 'workers'
		| 'signal'
	> {
	/** The file to be written, or the folder for it. */
	readonly target?: string;
}

/** What a conversion would come to. Sizes are in bytes. */
export interface ConversionPlan {
	readonly source: string;
	readonly profile: string | null;
	/** The format that would be written, with the options that are not its own defaults. */
	readonly format: string;
	readonly options: Readonly<Record<string, string | number | boolean>>;
	/** Whether it can go ahead: there are no problems. */
	readonly possible: boolean;
	/** What would end it. */
	readonly problems: readonly DiskError[];
	/** What would go through and might surprise. */
	readonly findings: readonly Finding[];
	/** Null where the source cannot be opened. */
	readonly disk: PlannedDisk | null;
	/** Null where the format cannot hold the disk. */
	readonly estimate: Estimate | null;
	/** What leaving out free space would save, or saves where that was asked for. */
	readonly usedOnly: {readonly saves: number; readonly volumes: readonly FreeSpace[]} | null;
	/** Null where none was named, or its place cannot be looked at. */
	readonly target: TargetPlace | null;
}

export interface PlannedDisk {
	/** Of the source, and of what it becomes. */
	readonly size: number;
	readonly targetSize: number;
	readonly sectorSize: number;
	/** Bytes that are not known to be zeros: they have to be read. */
	readonly stored: number;
	/** Whether the file may and can have holes. */
	readonly holes: boolean;
}

/**
 * Says beforehand what `convert` would do with the same options, and writes nothing. Throws what makes a conversion
 * senseless (`invalid`) and what reading the source throws; a missing parent and all that would end it later is a
 * problem in the plan.
 */
export async function planConversion(source: string, options: PlanOptions): Promise<ConversionPlan> {
	options.signal?.throwIfAborted();
	checkNumber('workers', options.workers, 1);
	const {target} = options;
	const named = target !== undefined && !isFolder(target) ? target : undefined;
	const applied = options.for === undefined ? undefined : applyProfile(options.for, given(options, named));
	const writer = applied?.writer ?? options.writer ?? {};
	const to = applied?.to ?? options.to;
	if (to === undefined && named === undefined) throw nothingSaid();
	const kind = writableFormat(named ?? '', {...(to !== undefined && {to}), writer});
	const base = {source, profile: options.for ?? null, format: kind.format.name, options: writer};
	const problems: DiskError[] = [];
	let image: Image;
	try {
		image = openWithVolumes(source, options);
	} catch (error) {
		if (!isMissingParent(error)) throw error;
		const nothing = {findings: [], disk: null, estimate: null, usedOnly: null, target: null};
		return {...base, possible: false, problems: [error], ...nothing};
	}
	try {
		const work: Work = {...kind, source, image, applied, writer, options, problems};
		return {...base, ...(await planWork(work)), possible: problems.length === 0, problems};
	} finally {
		image[Symbol.dispose]();
	}
}

function given({to, writer}: PlanOptions, target: string | undefined) {
	return {
		...(to !== undefined && {to}),
		...(writer !== undefined && {writer}),
		...(target !== undefined && {target}),
	};
}

/** What a plan is made from. */
interface Work {
	readonly source: string;
	readonly image: Image;
	readonly format: DiskFormat;
	readonly creator: DiskCreator;
	readonly applied: AppliedProfile | undefined;
	readonly writer: Readonly<Record<string, string | number | boolean>>;
	readonly options: PlanOptions;
	readonly problems: DiskError[];
}

type Planned = Pick<ConversionPlan, 'findings' | 'disk' | 'estimate' | 'usedOnly' | 'target'>;

async function planWork({source, image, creator, applied, writer, options, problems}: Work): Promise<Planned> {
	const {disk} = image;
	const profile = applied?.profile;
	const pace = newPace({signal: options.signal});
	const inUse = isInUse(source);
	const freeSpace = await judgeFreeSpace(image, {pace, ...(inUse && {refusal: 'the disk is in use'})});
	const place =
		options.target === undefined
			? undefined
			: lookAtTarget(options.target, {force: options.force ?? false, sources: filesOf(image)}, error =>
					problems.push(error),
				);
	const holes = (profile?.holes ?? true) && (place?.holes ?? true);
	const targetSize = profile === undefined ? disk.size : profiledSize(profile, disk.size);
	const request = createRequest({size: targetSize, sectorSize: disk.sectorSize}, {writer});
	const units = unitsOf(creator, request, problems);
	const view =
		options.usedOnly === true
			? captureView(image, {excluded: new Float64Array(0), skipFreeOf: skippedOf(freeSpace)})
			: disk;
	const contents = await contentsOf(view, units ?? UNKNOWN_UNITS, pace);
	let estimated: Estimate | null = null;
	if (units !== undefined) {
		const trial = tryOut(view, creator, request, {...contents, ...units});
		if (trial.error !== undefined) problems.push(trial.error);
		const growth = growthOf(creator, request, units.blockSize);
		const clones = place?.clones === true && creator.plan(request).alignment !== undefined;
		const {workers} = options;
		estimated = estimate({creator, request, contents, growth, trial, ...units, holes, clones, workers});
	}
	const findings: Finding[] = [
		...(applied?.findings ?? []),
		...(inUse ? [useFinding(source)] : []),
		...(profile === undefined
			? [...explainFindings(image.findings), ...sourceHazards(image)]
			: profileFindings(profile, image, image.findings)),
	];
	if (place !== undefined && estimated !== null) findings.push(...checkRoom(place, estimated, problems));
	return {
		findings,
		disk: {size: disk.size, targetSize, sectorSize: disk.sectorSize, stored: contents.bytes, holes},
		estimate: estimated,
		usedOnly: savings(freeSpace),
		target: place ?? null,
	};
}

function useFinding(source: string): Finding {
	const message = `${source} is in use: a copy of it is of no one moment, and its file systems are as after a crash`;
	return {code: 'plan/source-in-use', severity: 'warning', message};
}

/** For disks that the format cannot hold: their content is counted all the same. */
const UNKNOWN_UNITS: Units = {blockSize: 1 << 20, pieceSize: 1 << 20};

/** The units in which the writer takes and places content; undefined where it refuses the disk, which is a problem then. */
function unitsOf(creator: DiskCreator, request: CreateRequest, problems: DiskError[]): Units | undefined {
	try {
		const {pieceSize} = creator.plan(request);
		if (!isInBlocks(creator)) return {blockSize: pieceSize, pieceSize};
		const option = creator.options.find(({name}) => name === 'block-size');
		return {blockSize: Number(request.options['block-size'] ?? option?.default ?? pieceSize), pieceSize};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		problems.push(error);
		return undefined;
	}
}

function savings(freeSpace: readonly FreeSpace[]): ConversionPlan['usedOnly'] {
	if (!freeSpace.some(({skipped}) => skipped)) return null;
	return {saves: freeSpace.reduce((sum, {bytes = 0}) => sum + bytes, 0), volumes: freeSpace};
}

/** Whether the file finds room: problems where even the least does not, findings where the most may not. */
function checkRoom(
	{folder, fileSystem, free, largestFile}: TargetPlace,
	{fileSize, allocated}: Estimate,
	problems: DiskError[],
): Finding[] {
	const findings: Finding[] = [];
	const where = {file: folder};
	if (largestFile !== null && fileSize.most > largestFile) {
		const limit = `files on ${fileSystem ?? 'this file system'} have at most ${largestFile} bytes`;
		if (fileSize.least > largestFile) {
			const hint = 'choose a target on another file system (XFS, Btrfs, exFAT, NTFS), or a format that stores less';
			const message = `the file would have ${fileSize.least} bytes, and ${limit} (EFBIG)`;
			problems.push(new DiskError('io', 'plan/file-too-large', message, {where, hint}));
		} else {
			const message = `the file may come to have ${fileSize.most} bytes, and ${limit} (EFBIG)`;
			findings.push({code: 'plan/file-too-large', severity: 'warning', message});
		}
	}
	if (allocated.least > free) {
		const message = `it takes ${allocated.least} bytes at least, and ${folder} has ${free} left`;
		const hint = 'free some space, or choose a target elsewhere';
		problems.push(new DiskError('io', 'plan/no-space', message, {where, hint}));
	} else if (allocated.most > free) {
		const message = `it may take ${allocated.most} bytes, and ${folder} has ${free} left`;
		findings.push({code: 'plan/no-space', severity: 'warning', message});
	}
	return findings;
}

function isFolder(path: string): boolean {
	return statSync(path, {throwIfNoEntry: false})?.isDirectory() === true;
}

function nothingSaid(): DiskError {
	return new DiskError('invalid', 'plan/format', 'nothing says which format to plan for', {
		hint: 'name a target with an extension, a format by --to, or a profile by --for',
	});
}

/** Whether an image does not open for want of the right parent. */
function isMissingParent(error: unknown): error is DiskError {
	return error instanceof DiskError && /^gate\/parent-not-found$|\/parent-changed$/.test(error.code);
}
