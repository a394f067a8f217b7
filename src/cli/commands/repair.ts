import {repair, type RepairResult} from '../../repair/repair.ts';
import {replayLog, type ReplayLogResult} from '../../repair/replay-log.ts';
import {type Context, defineCommand, valueOption} from '../command.ts';
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
		['repair disk.vhdx --replay-log', 'what a machine that lost its power had only in the log'],
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
				'replay-log': {
					type: 'boolean',
					conflicts: ['target', 'in-place'],
					describe: 'write the log of an image that was not closed cleanly into its own file',
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
		if (args.replayLog === true) return runReplay(args, context);
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

interface ReplayArguments {
	readonly image: string;
	readonly format: string | undefined;
	readonly id: string | undefined;
	readonly json: boolean;
}

async function runReplay(args: ReplayArguments, context: Context): Promise<ExitCode> {
	const {image, format, json} = args;
	const result = await context.withProgress(onProgress =>
		replayLog(image, {
			...(format !== undefined && {format}),
			...(args.id !== undefined && {id: args.id}),
			onProgress,
			signal: context.signal,
		}),
	);
	if (json) outJson({image, ...result});
	else for (const line of renderReplay(image, result)) outLine(line);
	return ExitCode.good;
}

function renderReplay(image: string, {method, entries, bytes, fileSize, findings, seconds}: ReplayLogResult): string[] {
	if (method === 'none') return [`${safe(image)}: ${colour.green('clean')}, its log has nothing to write`];
	const lines = [`${safe(image)}: its log was written into it, in ${seconds.toFixed(1)} s`];
	for (const {severity, message} of findings) lines.push(`  ${severity}: ${safe(message)}`);
	const count = entries === 1 ? '1 entry' : `${entries} entries`;
	lines.push(`  ${count}, ${formatSize(bytes)}; the file has ${formatSize(fileSize)} now, and is clean`);
	return lines;
}

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
