import {convert} from '../../convert/convert.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {targetOptions, targetValues, withWriterOptions} from '../target-options.ts';
import {renderConversion} from '../render/conversion.ts';
import {outJson} from '../render/json.ts';

export const convertCommand = defineCommand({
	interruptible: true,
	examples: [
		['convert disk.raw disk.vhdx', 'a dynamic VHDX for Hyper-V'],
		['convert disk.vhdx disk.tint', 'a compressed archive that can be mounted'],
		['convert old.img new.img --to raw --force', 'the format by name'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {type: 'string', demandOption: true, describe: 'the image to read'})
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the file to write; its extension says the format',
			})
			.options({
				...targetOptions,
				...jsonOption,
				...progressOption,
				...openingOptions,
			}),
	async run(args, context) {
		const {source, target} = args;
		const values = targetValues(args);
		const result = await context.withProgress(onProgress =>
			convert(source, target, {
				...openOptions(args),
				...values,
				onProgress,
				signal: context.signal,
			}),
		);
		if (args.json) outJson(result);
		else {
			for (const finding of result.findings) context.finding(finding);
			for (const line of renderConversion(source, result)) outLine(line);
		}
		return ExitCode.good;
	},
});
