import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {type OpenedDisk, openRecipe} from '../image/image.ts';
import {newPace} from '../work/pace.ts';
import type {CaptureView} from './capture-view.ts';
import type {Conversion} from './conversion.ts';
import {
	type FreeSpace,
	freeSpaceLeftOut,
	isInUse,
	judgeFreeSpace,
	shadowCopies,
	skippedOf,
	sparableBytes,
} from './free-space.ts';

/** Milliseconds that a conversion may wait to tell what could be left out. */
const GRACE = 250;

/** What a conversion leaves out when only what is in use is asked for. */
export interface UsedOnly {
	readonly freeSpace: readonly FreeSpace[];
	readonly conversion: Pick<Conversion, 'view' | 'leavesOut'>;
	/** For images that keep such things. */
	readonly metadata: {readonly freeSpaceSkipped?: readonly number[]};
	readonly findings: readonly Finding[];
}

/** Looks at the volumes of a source; one of which nothing is known, or not enough, is copied whole. */
export async function usedOnly(
	{recipe}: OpenedDisk,
	source: string,
	signal: AbortSignal | undefined,
): Promise<UsedOnly> {
	const image = imageOf(recipe);
	if (image instanceof DiskError) {
		const message = `its partitions cannot be read (${image.message}): all of the disk is copied`;
		const finding: Finding = {code: 'convert/no-table', severity: 'warning', message};
		return {freeSpace: [], conversion: {}, metadata: {}, findings: [finding]};
	}
	const freeSpace = await judgeFreeSpace(image, {
		pace: newPace({signal}),
		...(isInUse(source) && {refusal: 'the disk is in use'}),
	});
	const skipFreeOf = skippedOf(freeSpace);
	const view: CaptureView = {excluded: new Float64Array(0), skipFreeOf};
	return {
		freeSpace,
		conversion: skipFreeOf.length === 0 ? {} : {view, leavesOut: freeSpaceLeftOut(skipFreeOf)},
		metadata: skipFreeOf.length === 0 ? {} : {freeSpaceSkipped: skipFreeOf},
		findings: shadowCopies(image, skipFreeOf),
	};
}

/** The volumes, or why there are none. */
function imageOf(recipe: OpenedDisk['recipe']) {
	try {
		return openRecipe(recipe);
	} catch (error) {
		if (error instanceof DiskError) return error;
		throw error;
	}
}

/** Runs a conversion; where nothing is left out, finds out meanwhile what could be. */
export async function besideSaving<Result>(
	opened: OpenedDisk,
	used: UsedOnly | undefined,
	work: () => Promise<Result>,
): Promise<{readonly result: Result; readonly saves: number | undefined}> {
	// What comes through a pipe is read once.
	const known = used !== undefined || opened.recipe.file.pipe !== undefined;
	if (known) return {result: await work(), saves: undefined};
	const ended = new AbortController();
	const told = sparableBytes(opened, ended.signal);
	// Looked at below, after an error of the work.
	told.catch(() => {});
	try {
		const result = await work();
		const timer = setTimeout(() => ended.abort(), GRACE);
		const saves = await told;
		clearTimeout(timer);
		return {result, saves};
	} finally {
		// It reads files that are closed next.
		ended.abort();
		await told.catch(() => {});
	}
}
