import type {ConversionOptions} from '../../convert/conversion.ts';
import {convert, type ConvertImageResult} from '../../convert/convert.ts';
import {defineCommand, valueOption} from '../command.ts';
import {jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {renderFreeSpace, renderSaving} from '../render/free-space.ts';
import {encryptionOptions, profileOption, targetOptions, targetValues, withWriterOptions} from '../target-options.ts';
import {inputOf} from '../standard-input.ts';
import {checkIds, writeTarget} from '../write-target.ts';

export const convertCommand = defineCommand({
	interruptible: true,
	examples: [
		['convert disk.raw disk.vhdx', 'a dynamic VHDX for Hyper-V'],
		['convert disk.raw disk.vhdx --for hyperv', 'as Hyper-V takes it, with a word on how it will boot'],
		['convert disk.vhdx disk.tint', 'a compressed archive that can be mounted'],
		['convert old.img new.img --to raw --force', 'the format by name'],
		['convert disk.raw - --to tint | ssh host "cat > disk.tint"', 'to another machine'],
		['convert - disk.vhdx --size 500107862016', 'from another machine: ssh host "cat /dev/sda" | tintype ...'],
		['convert disk.raw disk.vhdx --used-only', 'without what the file systems on it call free'],
		['convert disk.raw disk.tint --resume', 'go on where an interrupted run ended'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {
				type: 'string',
				demandOption: true,
				describe: 'the image to read. - is standard input: a raw disk where it is a pipe',
			})
			.nargs('source', 1)
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the file to write; its extension says the format. - is standard output',
			})
			// Or yargs takes `-` for the start of an option, and the name for empty.
			.nargs('target', 1)
			.options({
				size: valueOption({
					type: 'string',
					describe: 'how large the disk is that comes through a pipe, as in 16G',
				}),
				'used-only': {
					type: 'boolean',
					default: false,
					describe: 'leave out what file systems (NTFS, ext, FAT) call free: it reads as zeros in the target',
				},
				...targetOptions,
				...profileOption,
				...encryptionOptions,
				...jsonOption,
				...progressOption,
				...openingOptions,
			}),
	images(args) {
		const {source, input} = inputOf(args);
		return input === undefined ? [{path: source, options: openOptions(args)}] : [];
	},
	creates: ({target, to}) => ({target, to}),
	async run(args, context) {
		const {target} = args;
		const {source, input} = inputOf(args);
		const values = targetValues(args);
		const work = (wiring: ConversionOptions): Promise<ConvertImageResult> =>
			convert(source, target, {
				...openOptions(args, context.secretOf(source)),
				...(input !== undefined && {input}),
				...values,
				usedOnly: args.usedOnly,
				...(args.for !== undefined && {for: args.for}),
				...(context.newKeys !== undefined && {keys: context.newKeys}),
				...wiring,
			});
		const result = await writeTarget({...args, source}, context, work, ({freeSpace = [], usedOnlySaves}) => [
			...renderFreeSpace(freeSpace),
			...renderSaving(usedOnlySaves),
		]);
		return checkIds(result, context);
	},
});
