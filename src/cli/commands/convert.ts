import {convert} from '../../convert/convert.ts';
import {defineCommand} from '../command.ts';
import {jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {encryptionOptions, targetOptions, targetValues, withWriterOptions} from '../target-options.ts';
import {checkIds, writeTarget} from '../write-target.ts';

export const convertCommand = defineCommand({
	interruptible: true,
	examples: [
		['convert disk.raw disk.vhdx', 'a dynamic VHDX for Hyper-V'],
		['convert disk.vhdx disk.tint', 'a compressed archive that can be mounted'],
		['convert old.img new.img --to raw --force', 'the format by name'],
		['convert disk.raw - --to tint | ssh host "cat > disk.tint"', 'to another machine'],
		['convert disk.raw disk.tint --resume', 'go on where an interrupted run ended'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {type: 'string', demandOption: true, describe: 'the image to read'})
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the file to write; its extension says the format. - is standard output',
			})
			// Or yargs takes `-` for the start of an option, and the name for empty.
			.nargs('target', 1)
			.options({
				...targetOptions,
				...encryptionOptions,
				...jsonOption,
				...progressOption,
				...openingOptions,
			}),
	images: args => [{path: args.source, options: openOptions(args)}],
	creates: ({target, to}) => ({target, to}),
	async run(args, context) {
		const {source, target} = args;
		const values = targetValues(args);
		const result = await writeTarget(args, context, wiring =>
			convert(source, target, {
				...openOptions(args, context.secretOf(source)),
				...values,
				...(context.newKeys !== undefined && {keys: context.newKeys}),
				...wiring,
			}),
		);
		return checkIds(result, context);
	},
});
