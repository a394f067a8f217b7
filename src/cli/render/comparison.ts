import type {ImageComparison} from '../../compare/explain.ts';
import type {Image} from '../../image/image.ts';
import {damageJson, renderDamage} from './damage.ts';
import {safe, withPlace} from './error.ts';
import {formatCount, formatNumberOf, formatSize} from './size.ts';

/** Unreadable ranges shown; JSON has more. */
const MOST_LINES = 50;

type Names = readonly [string, string];

/** What a comparison found; places are told by the volumes of the first image. */
export function renderComparison(names: Names, comparison: ImageComparison, image: Image): string[] {
	return [
		`${safe(names[0])} and ${safe(names[1])} ${verdict(comparison)}`,
		...renderDifferences(names, comparison, image),
	];
}

function verdict({identical, by, rangeCount, rest, unreadableCount}: ImageComparison): string {
	const proof = {ids: ', by their recorded content ids; nothing was read', hashes: '', bytes: ''}[by];
	if (identical) return `hold the same${proof}`;
	const differ = rangeCount > 0 || rest?.zero === false || unreadableCount === 0;
	return differ ? 'differ' : 'hold the same where they can be read';
}

/** All but the verdict. */
export function renderDifferences(names: Names, comparison: ImageComparison, image: Image): string[] {
	const {by, sizes, firstDifference, ranges, rangeCount, differentBytes, rest, differences} = comparison;
	const lines: string[] = [];
	if (rest !== undefined) {
		const longer = sizes[0] > sizes[1] ? names[0] : names[1];
		const content = rest.zero ? 'zeros only' : 'data';
		lines.push(
			`  ${safe(longer)} is longer by ${formatSize(rest.length)}, which ${rest.zero ? 'are' : 'hold'} ${content}`,
		);
	}
	if (firstDifference !== undefined) lines.push(`  first difference at byte ${formatCount(firstDifference)}`);
	if (by === 'hashes') lines.push('  only what differs by its recorded hashes was read');
	lines.push(...renderUnreadable(names, comparison, image));
	if (rangeCount === 0) return lines;
	lines.push(`  ${formatSize(differentBytes)} differ, in ${formatNumberOf(rangeCount, 'range')} of whole sectors:`);
	for (const {position, length} of ranges) {
		lines.push(
			`    ${formatCount(position)} to ${formatCount(position + length - 1)}, ${placeOf(image, position, length)}`,
		);
	}
	if (rangeCount > ranges.length) lines.push(`    and ${formatCount(rangeCount - ranges.length)} more`);
	if (differences !== undefined)
		lines.push(`what differs in ${safe(names[0])}:`, ...renderDamage(differences, 'different'));
	return lines;
}

function renderUnreadable(
	names: Names,
	{unreadable, unreadableCount, unreadableBytes}: ImageComparison,
	image: Image,
): string[] {
	if (unreadableCount === 0) return [];
	const lines = unreadable.slice(0, MOST_LINES).map(({disk, position, length, error: {message, where}}) => {
		const range = `${formatCount(position)} to ${formatCount(position + length - 1)}`;
		const place = placeOf(image, position, length);
		const {file: _, position: __, ...rest} = where;
		return `    ${range} of ${safe(names[disk])}, ${place}: ${safe(withPlace(message, rest))}`;
	});
	const more = unreadableCount - lines.length;
	if (more > 0) lines.push(`    and ${formatNumberOf(more, 'more range', 'more ranges')}`);
	const sums = ([0, 1] as const)
		.filter(disk => unreadableBytes[disk] > 0)
		.map(disk => `${formatSize(unreadableBytes[disk])} of ${safe(names[disk])}`);
	return [`  cannot be read, and so was not compared: ${sums.join(', ')}`, ...lines];
}

function placeOf(image: Image, position: number, length: number): string {
	const volumes = volumesAt(image, position, length);
	return volumes.length === 0 ? 'outside of all volumes' : `in volume ${volumes.join(', ')}`;
}

function volumesAt({volumes}: Image, position: number, length: number): number[] {
	return volumes
		.filter(({partition}) => partition.start < position + length && position < partition.start + partition.length)
		.map(volume => volume.number);
}

/** As docs/json.md has it. */
export function comparisonJson(names: Names, comparison: ImageComparison, image: Image) {
	const {
		identical,
		firstDifference = null,
		ranges,
		unreadable,
		rest = null,
		sizes,
		differences,
		...others
	} = comparison;
	return {
		identical,
		images: [
			{image: names[0], size: sizes[0]},
			{image: names[1], size: sizes[1]},
		],
		firstDifference,
		...others,
		ranges: ranges.map(({position, length}) => ({position, length, volumes: volumesAt(image, position, length)})),
		unreadable: unreadable.map(({disk, position, length, error}) => ({
			image: disk,
			position,
			length,
			volumes: volumesAt(image, position, length),
			error,
		})),
		differences: damageJson(differences),
		rest,
	};
}
