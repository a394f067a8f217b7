import {repair, type RepairResult} from '../../repair/repair.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {damageJson, renderDamage} from '../render/damage.ts';
import {safe} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatSize} from '../render/size.ts';
import {targetOptions} from '../target-options.ts';

const {'zero-unreadable': _, ...imageOptions} = openingOptions;
const {force, id, timestamp} = targetOptions;

export const repairCommand = defineCommand({
	interruptible: true,
	examples: [
		['repair broken.tint fixed.tint', 'all that can be found of it'],
		['repair monday.tint.partial monday.tint', 'what an interrupted capture had written for certain'],
		['repair monday.tint.partial --in-place', 'the same, without a copy'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('target', {type: 'string', describe: 'the file to write; the image itself is not changed'})
			.options({
				'in-place': {
					type: 'boolean',
					conflicts: 'target',
					describe: 'end an unfinished image in its own file; refused for any other damage',
				},
				workers: valueOption({type: 'number', describe: 'threads; as many as processors when absent'}),
				force,
				id,
				timestamp,
				...jsonOption,
				...progressOption,
				...imageOptions,
			}),
	images: args => onlyImage({...args, zeroUnreadable: false}),
	async run(args, context) {
		const {image, target, inPlace, workers} = args;
		const result = await context.withProgress(onProgress =>
			repair(image, target, {
				...openOptions({...args, zeroUnreadable: false}, context.secretOf(image)),
				force: args.force,
				inPlace: inPlace === true,
				...(workers !== undefined && {workers}),
				...(args.id !== undefined && {id: args.id}),
				...(args.timestamp !== undefined && {timestamp: args.timestamp}),
				onProgress,
				signal: context.signal,
			}),
		);
		if (args.json) outJson(describe(image, result));
		else for (const line of render(image, result)) outLine(line);
		return result.lostBytes > 0 ? ExitCode.found : ExitCode.good;
	},
});

function describe(image: string, {target, damage, ...result}: RepairResult) {
	return {image, target: target ?? null, ...result, damage: damageJson(damage)};
}

function render(image: string, result: RepairResult): string[] {
	const {method, target, size, contentBytes, zeroBytes, lostBytes, damage, findings, seconds} = result;
	if (method === 'none') return [`${safe(image)}: ${colour.green('good')}, there is nothing to repair`];
	const lines = [`${safe(image)} -> ${safe(target ?? image)}, in ${seconds.toFixed(1)} s`];
	lines.push(
		method === 'finished'
			? '  ended at its last checkpoint; what follows it is unreadable'
			: '  written anew from what could be found; what could not is unreadable',
	);
	for (const {severity, message} of findings) lines.push(`  ${severity}: ${safe(message)}`);
	lines.push(
		`  of the disk of ${formatSize(size)}: ${formatSize(contentBytes)} rescued, ${formatSize(zeroBytes)} zeros or free, ` +
			(lostBytes === 0 ? colour.green('nothing lost') : colour.red(`${formatSize(lostBytes)} lost`)),
	);
	if (damage !== undefined) lines.push('what is lost:', ...renderDamage(damage, 'lost'));
	return lines;
}
