import {type DamageReport, explainDamage} from '../damage/explain.ts';
import {collectRanges} from '../damage/ranges.ts';
import type {Image, OpenedDisk} from '../image/image.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {compareFully, type CompareOptions, type Comparison, type FullComparison} from './compare.ts';

/** Ranges whose files are named: 1 MiB of memory. Disks that differ in more are different disks. */
export const MOST_EXPLAINED = 1 << 16;

export interface ImageComparison extends Comparison {
	/** What lies in the first image where it differs; undefined where it does not, or is not told. */
	readonly differences: DamageReport | undefined;
}

/** Compares two opened images by several threads, and names the files of the first one that are not the same. */
export async function compareImages(
	first: Image,
	second: OpenedDisk,
	options: Omit<CompareOptions, 'recipes'> = {},
): Promise<ImageComparison> {
	const {onProgress, signal} = options;
	const full = await compareFully(
		first.disk,
		second.disk,
		{...options, recipes: [first.recipe, second.recipe]},
		MOST_EXPLAINED,
	);
	const total = Math.max(...full.comparison.sizes);
	const pace = newPace({signal, onTurn: () => onProgress?.({position: total, total})});
	return {...full.comparison, differences: await explainDifferences(first, full, pace)};
}

/** Walks the volumes that differ. */
export async function explainDifferences(
	image: Image,
	{comparison, ranges}: FullComparison,
	pace: Pace,
): Promise<DamageReport | undefined> {
	if (ranges.length === 0) return undefined;
	const collector = collectRanges();
	for (const {position, length} of ranges) collector.add(position, length);
	const complete = ranges.length === comparison.rangeCount;
	return explainDamage(image, {...collector.ranges(), complete}, pace);
}
