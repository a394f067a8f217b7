import {capture, type CaptureResult} from '../../capture/capture.ts';
import {EXCLUDABLE, type Excludable} from '../../capture/excluded.ts';
import type {ConversionOptions} from '../../convert/conversion.ts';
import {DiskError} from '../../core/error.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {safe} from '../render/error.ts';
import {renderFreeSpace} from '../render/free-space.ts';
import {formatSize} from '../render/size.ts';
import {encryptionOptions, targetOptions, targetValues, withWriterOptions} from '../target-options.ts';
import {checkIds, STANDARD_OUTPUT, writeTarget} from '../write-target.ts';

const kinds = Object.keys(EXCLUDABLE) as Excludable[];
const {parent: _, 'zero-unreadable': __, ...sourceOptions} = openingOptions;
/** What an option would say that this command has for something else, or not at all. */
const UNOFFERED = {parent: undefined, zeroUnreadable: false};

export const captureCommand = defineCommand({
	interruptible: true,
	examples: [
		['capture /dev/sda monday.tint', 'a whole disk, without its free space'],
		['capture /dev/sda tuesday.tint --parent monday.tint', 'only what changed since'],
		['capture disk.vhdx c.tint --volumes 1,3 --exclude pagefile,hibernation', 'two volumes and the partition table'],
		['capture /dev/sda monday.tint --resume', 'go on where an interrupted run ended'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {type: 'string', demandOption: true, describe: 'a block device, or any image'})
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the .tint file to write; - is standard output',
			})
			// Or yargs takes `-` for the start of an option, and the name for empty.
			.nargs('target', 1)
			.options({
				parent: valueOption({type: 'string', describe: 'an earlier capture: store only what differs from it'}),
				volumes: valueOption({type: 'string', describe: 'numbers of the volumes to keep, as in 1,3'}),
				'all-blocks': {type: 'boolean', default: false, describe: 'take free space as well'},
				exclude: valueOption({type: 'string', describe: `content to leave out: ${kinds.join(', ')}`}),
				...targetOptions,
				...encryptionOptions,
				...jsonOption,
				...progressOption,
				...sourceOptions,
			}),
	images: args => [
		{path: args.source, options: openOptions({...args, ...UNOFFERED})},
		...(args.parent === undefined ? [] : [{path: args.parent, options: {}, role: 'parent' as const}]),
	],
	creates: ({target, to}) => ({target, to: target === STANDARD_OUTPUT ? (to ?? 'tint') : to}),
	async run(args, context) {
		const {source, target, parent, allBlocks} = args;
		const volumes = args.volumes === undefined ? undefined : listOf(args.volumes).map(volumeNumber);
		const exclude = listOf(args.exclude ?? '').map(excludable);
		const values = targetValues(args);
		const opening = openOptions({...args, ...UNOFFERED}, context.secretOf(source));
		const parentSecret = parent === undefined ? undefined : context.secretOf(parent);
		const work = (wiring: ConversionOptions): Promise<CaptureResult> =>
			capture(source, target, {
				...opening,
				...values,
				allBlocks,
				exclude,
				...(volumes !== undefined && {volumes}),
				...(parent !== undefined && {parent}),
				...(parentSecret !== undefined && {parentSecret}),
				...(context.newKeys !== undefined && {keys: context.newKeys}),
				...wiring,
			});
		const result = await writeTarget(args, context, work, renderOmissions);
		const code = checkIds(result, context);
		return result.unreadable > 0 ? ExitCode.found : code;
	},
});

function listOf(text: string): string[] {
	return text.split(',').filter(part => part !== '');
}

function volumeNumber(text: string): number {
	if (/^\d+$/.test(text)) return Number(text);
	throw new DiskError('invalid', 'cli/volumes', `--volumes takes numbers, as in 1,3; ${text} is none`);
}

function excludable(text: string): Excludable {
	const found = kinds.find(kind => kind === text);
	if (found !== undefined) return found;
	throw new DiskError('invalid', 'cli/exclude', `--exclude does not know ${text}`, {
		hint: `it knows ${kinds.join(', ')}`,
	});
}

function renderOmissions({exclusions, freeSpace, unreadable}: CaptureResult): string[] {
	const lines = renderFreeSpace(freeSpace);
	for (const {volume, path, bytes, reason} of exclusions) {
		lines.push(
			`  left out of volume ${volume}: ${path === '' ? 'all of it' : safe(path)}, ${formatSize(bytes)} (${reason})`,
		);
	}
	if (unreadable > 0) lines.push(`  unreadable: ${formatSize(unreadable)}, recorded as such`);
	return lines;
}
