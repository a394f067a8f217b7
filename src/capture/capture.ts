import {statSync} from 'node:fs';
import type {CreateRequest, Finding, Secret} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {type ConvertResult, runConversion} from '../convert/conversion.ts';
import {encryptionOf, lostEncryption} from '../convert/encryption.ts';
import {createRequest, type TargetOptions, writableFormat} from '../convert/convert.ts';
import {type FreeSpace, freeSpaceLeftOut, judgeFreeSpace, shadowCopies, skippedOf} from '../convert/free-space.ts';
import {sourceFacts} from '../convert/source-facts.ts';
import {type Image, openDisk, type OpenedDisk, openImage, type OpenImageOptions} from '../image/image.ts';
import {type BlockDevice, blockDevice, deviceNumber, usesOf} from '../work/block-device.ts';
import {newPace} from '../work/pace.ts';
import {excludedRanges, type Excludable, type Exclusion} from './excluded.ts';
import {NO_SCHEME} from '../partitions/index.ts';
import {partitionData} from './partition-data.ts';

/** What is captured to where no name says it. */
const FORMAT = 'tint';

export interface CaptureOptions extends Omit<OpenImageOptions, 'parent'>, TargetOptions {
	/** An earlier capture: only what differs from it is stored. */
	readonly parent?: string;
	/** Opens the parent where it is encrypted; the new image then has its keys. */
	readonly parentSecret?: Secret;
	/** Numbers of the volumes to keep, with the partition table; all when absent. */
	readonly volumes?: readonly number[];
	/** Takes free space as well. */
	readonly allBlocks?: boolean;
	readonly exclude?: readonly Excludable[];
}

export interface CaptureResult extends ConvertResult {
	readonly exclusions: readonly Exclusion[];
	readonly freeSpace: readonly FreeSpace[];
}

/**
 * Takes an image of a disk: of a block device, or of any image that can be read. Free space of clean, known file
 * systems is skipped; parts that cannot be read are recorded as unreadable. Throws what `convert` throws.
 */
export async function capture(source: string, target: string, options: CaptureOptions = {}): Promise<CaptureResult> {
	const {parent: parentPath, parentSecret, exclude = [], volumes, ...opening} = options;
	options.signal?.throwIfAborted();
	const kind = writableFormat(target, {...options, ...(options.stream !== undefined && {to: options.to ?? FORMAT})});
	if (kind.creator.keepsMarks !== true) {
		throw new DiskError('invalid', 'capture/format', `${kind.format.name} cannot tell what was left out from zeros`, {
			hint: 'capture to .tint, or use convert',
		});
	}
	const image = openSource(source, opening);
	let parent: OpenedDisk | undefined;
	try {
		const device = deviceOf(source);
		const inUse = usesFound(device);
		checkVolumes(image, volumes);
		if (parentPath !== undefined)
			parent = openDisk(parentPath, parentSecret === undefined ? {} : {secret: parentSecret});
		const {ranges, exclusions} = excludedRanges(image, {exclude, ...(volumes !== undefined && {volumes})});
		const refusal = refusalOf(options.allBlocks ?? false, inUse.length > 0);
		const freeSpace = await judgeFreeSpace(image, {
			pace: newPace({signal: options.signal}),
			...(volumes !== undefined && {volumes}),
			...(refusal !== undefined && {refusal}),
		});
		const skipFreeOf = skippedOf(freeSpace);
		const tables = partitionData(image);
		const metadata = {
			source: {
				...sourceFacts(image, options.timestamp === undefined),
				...(device?.model !== undefined && {model: device.model}),
				...(device?.serial !== undefined && {serial: device.serial}),
			},
			...(exclusions.length > 0 && {
				excluded: exclusions.map(({volume, path, bytes, reason}) => ({volume, path, bytes, reason})),
			}),
			...(skipFreeOf.length > 0 && {freeSpaceSkipped: skipFreeOf}),
			...(tables.length > 0 && {partitionData: tables}),
		};
		const encryption = encryptionOf({source: image.disk, parent: parent?.disk, ...kind}, options.keys);
		const request: CreateRequest = {...createRequest(image.disk, options, metadata), ...encryption};
		const result = await runConversion(
			{
				opened: image,
				target,
				...kind,
				request,
				...(image.volumes.length > 0 && {view: {excluded: ranges, skipFreeOf}}),
				tolerant: true,
				leavesOut: omissions(skipFreeOf, exclusions),
				...(parent !== undefined && {parent}),
			},
			options,
		);
		const lost = lostEncryption(image.disk, request, parent?.disk);
		const findings = [...inUse, ...result.findings, ...shadowCopies(image, skipFreeOf), ...lost];
		return {...result, findings, exclusions, freeSpace};
	} finally {
		parent?.[Symbol.dispose]();
		image[Symbol.dispose]();
	}
}

/**
 * The source with all that is known of it. A disk that fails where its partition table lies is taken whole: who captures
 * a dying disk wants what is left of it.
 */
function openSource(source: string, options: OpenImageOptions): Image {
	try {
		return openImage(source, options);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'io') throw error;
		// A device is the disk itself; a file may be a container, of which nothing is known without its beginning.
		const format = options.format ?? (statSync(source).isBlockDevice() ? 'raw' : undefined);
		const opened = openDisk(source, {...options, ...(format !== undefined && {format})});
		const finding: Finding = {
			code: 'capture/no-table',
			severity: 'warning',
			message: `the partition table cannot be read (${error.message}): all of the disk is taken, as far as it can be read`,
		};
		const findings = [...opened.findings, finding];
		return {...opened, findings, table: {scheme: NO_SCHEME, identifier: '', partitions: []}, volumes: []};
	}
}

/** Why the content of the image is not that of the disk, for people. */
function omissions(skipFreeOf: readonly number[], exclusions: readonly Exclusion[]): string[] {
	return [
		...freeSpaceLeftOut(skipFreeOf),
		...exclusions.map(({volume, path}) => `${path === '' ? 'content' : path} of volume ${volume} is left out`),
	];
}

function checkVolumes(image: Image, volumes: readonly number[] | undefined): void {
	const missing = volumes?.find(number => !image.volumes.some(volume => volume.number === number));
	if (missing === undefined) return;
	const known = image.volumes.map(volume => volume.number).join(', ');
	throw new DiskError('not-found', 'capture/no-volume', `there is no volume ${missing} on this disk`, {
		hint: `its volumes are ${known}; tintype info shows them`,
	});
}

/** Why no free space at all is skipped. */
function refusalOf(allBlocks: boolean, inUse: boolean): string | undefined {
	if (allBlocks) return 'all blocks were asked for';
	return inUse ? 'the disk is in use' : undefined;
}

/** What the system knows of a source that is a block device. */
function deviceOf(source: string): BlockDevice | undefined {
	const stat = statSync(source);
	return stat.isBlockDevice() ? blockDevice(deviceNumber(stat.rdev)) : undefined;
}

/** A disk that is in use changes while it is read: one finding for each use, partitions included. */
function usesFound(device: BlockDevice | undefined): Finding[] {
	const uses = device === undefined ? [] : usesOf(device);
	return uses.map(use => ({
		code: 'capture/source-in-use',
		severity: 'warning',
		message: `${use.device} is ${use.as}: the image may be of no one moment, and free space is taken as well`,
	}));
}
