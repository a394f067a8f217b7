import type {Secret} from '../../core/disk.ts';
import {compareImages} from '../../compare/explain.ts';
import {openDisk, type OpenImageOptions} from '../../image/image.ts';
import {openToVerify} from '../../verify/open.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, type OpeningArguments, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {comparisonJson, renderComparison} from '../render/comparison.ts';
import {outJson} from '../render/json.ts';

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
				workers: valueOption({type: 'number', describe: 'threads; as many as processors when absent'}),
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
		const first = openToVerify(args.first, openOptions(args, context.secretOf(args.first)));
		try {
			const second = openDisk(args.second, secondOptions(args, context.secretOf(args.second)));
			try {
				const comparison = await context.withProgress(onProgress =>
					compareImages(first, second, {
						strict: args.strict,
						bytes: args.bytes,
						ranges: args.ranges,
						...(args.workers !== undefined && {workers: args.workers}),
						onProgress,
						signal: context.signal,
					}),
				);
				for (const finding of [...first.findings, ...second.findings]) {
					if (finding.severity === 'damage') context.finding(finding);
				}
				const names = [args.first, args.second] as const;
				if (args.json) outJson(comparisonJson(names, comparison, first));
				else for (const line of renderComparison(names, comparison, first)) outLine(line);
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
