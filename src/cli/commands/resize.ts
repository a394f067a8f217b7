import {DiskError} from '../../core/error.ts';
import {type NewSize, resize, type ResizeResult} from '../../resize/resize.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, openingOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatSize, parseSize} from '../render/size.ts';

const {format, 'sector-size': sectorSize} = openingOptions;

export const resizeCommand = defineCommand({
	examples: [
		['resize disk.vhdx 80G', 'the disk gets 80 GiB; its backup GPT moves to the new end'],
		['resize disk.vhd +10G --dry-run', 'what 10 GiB more would change'],
		['resize disk.raw 20G --shrink', 'smaller; refused where a partition would be cut'],
		['resize disk.vhdx +0', 'only the backup GPT, of a disk that another program made larger'],
	],
	build: yargs =>
		yargs
			.positional('image', {type: 'string', demandOption: true, describe: 'the image file: VHDX, VHD or raw'})
			.positional('size', {
				type: 'string',
				demandOption: true,
				describe: 'what the disk is to have, as 40G, or how much more, as +10G',
			})
			.options({
				shrink: {type: 'boolean', default: false, describe: 'allow a smaller size'},
				'dry-run': {type: 'boolean', default: false, describe: 'check all, say what would change, and change nothing'},
				format,
				'sector-size': sectorSize,
				...jsonOption,
				...progressOption,
			}),
	async run(args, context) {
		const {image, size, shrink, dryRun} = args;
		const result = await context.withProgress(onProgress =>
			resize(image, sizeOf(size), {
				shrink,
				dryRun,
				...(args.format !== undefined && {format: args.format}),
				...(args.sectorSize !== undefined && {sectorSize: args.sectorSize}),
				onProgress,
			}),
		);
		for (const finding of result.findings) context.finding(finding);
		if (args.json) outJson({image, ...result, movedBackup: result.movedBackup ?? null});
		else for (const line of render(image, result)) outLine(line);
		return ExitCode.good;
	},
});

function sizeOf(text: string): NewSize {
	if (text.startsWith('-')) {
		throw new DiskError('invalid', 'cli/size', `${text} is not a size`, {
			hint: 'write the size that the disk is to have, and --shrink',
		});
	}
	return text.startsWith('+') ? {by: parseSize(text.slice(1), 'size')} : {to: parseSize(text, 'size')};
}

function render(image: string, result: ResizeResult): string[] {
	const {method, dryRun, oldSize, size, oldFileSize, fileSize, movedBackup, facts, seconds} = result;
	if (method === 'none') return [`${safe(image)} has that size, ${formatSize(size)}; nothing was changed`];
	const when = dryRun ? 'nothing was changed; without --dry-run:' : `in ${seconds.toFixed(1)} s`;
	const lines = [`${safe(image)}: ${formatSize(oldSize)} -> ${formatSize(size)}, ${when}`];
	lines.push(`  file: ${formatSize(oldFileSize)} -> ${formatSize(fileSize)}`);
	if (movedBackup !== undefined) {
		lines.push(`  backup GPT: sector ${movedBackup.from} -> ${movedBackup.to}`);
	}
	for (const {title, value, unit} of facts) {
		lines.push(`  ${title}: ${unit === 'bytes' && typeof value === 'number' ? formatSize(value) : value}`);
	}
	if (method === 'grown') lines.push('  partitions and file systems stay as they are: enlarge them in the machine');
	return lines;
}
