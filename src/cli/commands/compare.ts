import type {Secret} from '../../core/disk.ts';
import {compareDisks, type Comparison} from '../../compare/compare.ts';
import {type Image, openDisk, openImage, type OpenImageOptions} from '../../image/image.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, type OpeningArguments, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatNumberOf, formatSize} from '../render/size.ts';

export const compare = defineCommand({
	interruptible: true,
	examples: [
		['compare disk.raw disk.vhdx', 'is the copy the same?'],
		['compare old.vhdx new.vhdx --json', 'where do they differ?'],
	],
	build: yargs =>
		yargs
			.positional('first', {type: 'string', demandOption: true, describe: 'an image'})
			.positional('second', {type: 'string', demandOption: true, describe: 'another one, of any format'})
			.options({
				strict: {
					type: 'boolean',
					default: false,
					describe: 'a different size is a difference, even if the rest is zeros',
				},
				bytes: {
					type: 'boolean',
					default: false,
					describe: 'read the content also where both images record its hashes (.tint)',
				},
				ranges: valueOption({type: 'number', default: 64, describe: 'how many differing ranges are listed'}),
				...jsonOption,
				...progressOption,
				...openingOptions,
				'second-format': valueOption({type: 'string', describe: 'take the second image as this format'}),
				'second-parent': valueOption({type: 'string', describe: 'the parent of the second image'}),
			}),
	images: args => [
		{path: args.first, options: openOptions(args)},
		{path: args.second, options: secondOptions(args)},
	],
	async run(args, context) {
		// Only the first is asked for its volumes, to say where a difference lies.
		const first = openImage(args.first, openOptions(args, context.secretOf(args.first)));
		try {
			const second = openDisk(args.second, secondOptions(args, context.secretOf(args.second)));
			try {
				const comparison = await context.withProgress(onProgress =>
					compareDisks(first.disk, second.disk, {
						strict: args.strict,
						bytes: args.bytes,
						ranges: Math.max(0, Math.floor(args.ranges)),
						onProgress,
						signal: context.signal,
					}),
				);
				for (const finding of [...first.findings, ...second.findings]) {
					if (finding.severity === 'damage') context.finding(finding);
				}
				if (args.json) outJson(describe(args.first, args.second, comparison, first));
				else for (const line of render(args.first, args.second, comparison, first)) outLine(line);
				return comparison.identical ? ExitCode.good : ExitCode.found;
			} finally {
				second[Symbol.dispose]();
			}
		} finally {
			first[Symbol.dispose]();
		}
	},
});

interface SecondArguments extends OpeningArguments {
	readonly secondFormat: string | undefined;
	readonly secondParent: string | undefined;
}

/** The rest is as for the first image. */
function secondOptions({secondFormat, secondParent, ...args}: SecondArguments, secret?: Secret): OpenImageOptions {
	return openOptions({...args, format: secondFormat, parent: secondParent}, secret);
}

function describe(first: string, second: string, comparison: Comparison, image: Image) {
	const {identical, firstDifference = null, ranges, rest = null, sizes, ...others} = comparison;
	return {
		identical,
		images: [
			{image: first, size: sizes[0]},
			{image: second, size: sizes[1]},
		],
		firstDifference,
		...others,
		ranges: ranges.map(({position, length}) => ({position, length, volumes: volumesAt(image, position, length)})),
		rest,
	};
}

function render(first: string, second: string, comparison: Comparison, image: Image): string[] {
	const {identical, by, sizes, firstDifference, ranges, rangeCount, differentBytes, rest} = comparison;
	const lines: string[] = [];
	const proof = {ids: ', by their recorded content ids; nothing was read', hashes: '', bytes: ''}[by];
	if (identical) lines.push(`${safe(first)} and ${safe(second)} hold the same${proof}`);
	else lines.push(`${safe(first)} and ${safe(second)} differ`);
	if (rest !== undefined) {
		const longer = sizes[0] > sizes[1] ? first : second;
		const content = rest.zero ? 'zeros only' : 'data';
		lines.push(
			`  ${safe(longer)} is longer by ${formatSize(rest.length)}, which ${rest.zero ? 'are' : 'hold'} ${content}`,
		);
	}
	if (firstDifference !== undefined) lines.push(`  first difference at byte ${formatCount(firstDifference)}`);
	if (by === 'hashes') lines.push('  only what differs by its recorded hashes was read');
	if (rangeCount === 0) return lines;
	lines.push(`  ${formatSize(differentBytes)} differ, in ${formatNumberOf(rangeCount, 'range')} of whole sectors:`);
	for (const {position, length} of ranges) {
		const volumes = volumesAt(image, position, length);
		const where = volumes.length === 0 ? 'outside of all volumes' : `in volume ${volumes.join(', ')}`;
		lines.push(`    ${formatCount(position)} to ${formatCount(position + length - 1)}, ${where}`);
	}
	if (rangeCount > ranges.length) lines.push(`    and ${formatCount(rangeCount - ranges.length)} more`);
	return lines;
}

function volumesAt({volumes}: Image, position: number, length: number): number[] {
	return volumes
		.filter(({partition}) => partition.start < position + length && position < partition.start + partition.length)
		.map(volume => volume.number);
}
