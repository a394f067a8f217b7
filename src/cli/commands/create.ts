import {create, type CreateResult} from '../../create/create.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption} from '../options.ts';
import {outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {formatFact} from '../render/image.ts';
import {outJson} from '../render/json.ts';
import {formatSize, parseSize} from '../render/size.ts';
import {targetOptions, targetValues, withWriterOptions} from '../target-options.ts';

const {to, force, id, timestamp} = targetOptions;

/** What `targetOptions` has for reading a source, of which there is none. */
const NO_CONVERSION = {
	workers: undefined,
	resume: false,
	checkpoint: undefined,
	verify: false,
	'data-path': undefined,
};

export const createCommand = defineCommand({
	// So that a signal waits for the moment that it takes, and nothing half-made is left.
	interruptible: true,
	examples: [
		['create disk.vhdx --size 100G', 'an empty disk that grows'],
		['create disk.img --size 10G --to raw', 'the format by name'],
		['create disk.vhd --size 500G --subformat fixed', 'with its full size from the start'],
		['create child.avhdx --parent base.vhdx', 'what is written from now on goes to the child'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the file to write; its extension says the format',
			})
			.options({
				size: valueOption({type: 'string', describe: 'size of the disk, as in 512M, 10G or 2T'}),
				parent: valueOption({type: 'string', describe: 'make an empty child of this image, as large as it is'}),
				'sector-size': valueOption({
					type: 'number',
					choices: [512, 4096] as const,
					describe: 'logical sector size of the disk; 512 when absent',
				}),
				'allow-path': valueOption({
					type: 'string',
					array: true,
					describe: 'a further folder from which the parent may load its own parents',
				}),
				to,
				force,
				id,
				timestamp,
				...jsonOption,
			}),
	run(args, context) {
		const {target, size, parent, sectorSize, allowPath} = args;
		const values = targetValues({...args, ...NO_CONVERSION});
		const result = create(target, {
			...values,
			...(size !== undefined && {size: parseSize(size, 'size')}),
			...(sectorSize !== undefined && {sectorSize}),
			...(parent !== undefined && {parent}),
			...(allowPath !== undefined && {opening: {allowedFolders: allowPath}}),
		});
		if (args.json) outJson({...result, parent: result.parent ?? null});
		else {
			for (const finding of result.findings) context.finding(finding);
			for (const line of render(result)) outLine(line);
		}
		return ExitCode.good;
	},
});

function render({target, format, size, parent, fileSize, allocated, facts}: CreateResult): string[] {
	const what = parent === undefined ? 'an empty disk' : `an empty child of ${safe(parent)}, a disk`;
	const onDisk = allocated < fileSize ? `, ${formatSize(allocated)} on disk` : '';
	return [
		safe(target),
		`  ${format}, ${what} of ${formatSize(size)} in a file of ${formatSize(fileSize)}${onDisk}`,
		...facts.map(fact => `  ${fact.title}: ${formatFact(fact)}`),
	];
}
