import {serializeError} from '../../core/error.ts';
import {planConversion} from '../../plan/plan.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, openingOptions, openOptions} from '../options.ts';
import {outLine} from '../output.ts';
import {outJson} from '../render/json.ts';
import {renderPlan} from '../render/plan.ts';
import {profileOption, targetOptions, withWriterOptions, writerValues} from '../target-options.ts';

export const planCommand = defineCommand({
	interruptible: true,
	examples: [
		['plan disk.raw --for hyperv', 'how large, how long, and whether it will boot'],
		['plan disk.raw /mnt/usb/disk.vhdx', 'whether there is room for it'],
		['plan disk.vhdx /mnt/usb --to raw --json', 'the same for a program, in a folder'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {type: 'string', demandOption: true, describe: 'the image to read'})
			.positional('target', {type: 'string', describe: 'the file that would be written, or the folder for it'})
			.options({
				to: targetOptions.to,
				...profileOption,
				'used-only': {type: 'boolean', default: false, describe: 'plan for convert --used-only'},
				force: {...targetOptions.force, describe: 'plan for replacing an existing target'},
				workers: targetOptions.workers,
				...jsonOption,
				...openingOptions,
			}),
	images: args => [{path: args.source, options: openOptions(args)}],
	async run(args, context) {
		const {source, target, to, usedOnly, force, workers, json} = args;
		const plan = await planConversion(source, {
			...openOptions(args, context.secretOf(source)),
			...(target !== undefined && {target}),
			...(args.for !== undefined && {for: args.for}),
			...(to !== undefined && {to}),
			...(workers !== undefined && {workers}),
			writer: writerValues(args),
			force,
			usedOnly,
			signal: context.signal,
		});
		if (json) outJson({...plan, problems: plan.problems.map(serializeError)});
		else {
			for (const line of renderPlan(plan)) outLine(line);
			for (const finding of plan.findings) context.finding(finding);
			for (const problem of plan.problems) context.error(problem);
			outLine(plan.possible ? 'it can go ahead' : 'it would fail');
		}
		return plan.possible ? ExitCode.good : ExitCode.found;
	},
});
