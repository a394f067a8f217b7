import {merge, type MergeResult} from '../../merge/merge.ts';
import type {ChainReport} from '../../chain/chain.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {note} from '../output.ts';
import {renderDamage} from '../render/damage.ts';
import {formatSize} from '../render/size.ts';
import {encryptionOptions, targetOptions, targetValues, withWriterOptions} from '../target-options.ts';
import {checkIds, writeTarget} from '../write-target.ts';

const {'zero-unreadable': _, ...chainOptions} = openingOptions;

export const mergeCommand = defineCommand({
	interruptible: true,
	examples: [
		['merge friday.tint full.tint', 'one file instead of a chain; the chain stays as it is'],
		['merge friday.tint full.tint --keep-going', 'although a file of the chain is lost'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('image', imageOperand)
			.positional('target', {type: 'string', demandOption: true, describe: 'the file to write'})
			.options({
				'keep-going': {
					type: 'boolean',
					default: false,
					describe: 'make what is lost or damaged unreadable in the target, instead of refusing',
				},
				...targetOptions,
				...encryptionOptions,
				...jsonOption,
				...progressOption,
				...chainOptions,
			}),
	images: args => onlyImage({...args, zeroUnreadable: false}),
	creates: ({target, to}) => ({target, to}),
	async run(args, context) {
		const {image, target, keepGoing} = args;
		const result = await writeTarget(
			{source: image, target, json: args.json},
			context,
			wiring =>
				merge(image, target, {
					...openOptions({...args, zeroUnreadable: false}, context.secretOf(image)),
					...targetValues(args),
					...(context.newKeys !== undefined && {keys: context.newKeys}),
					...wiring,
					keepGoing,
					onLost: chain => note(renderLost(chain)),
				}),
			renderIds,
		);
		const code = checkIds(result, context);
		return result.unreadable > 0 ? ExitCode.found : code;
	},
});

/** Which files are hit is said before it is refused, or goes on. */
function renderLost({damage, lostBytes}: ChainReport): string {
	const lines = [`${formatSize(lostBytes)} of the disk cannot be had:`];
	if (damage !== undefined) lines.push(...renderDamage(damage, 'missing'));
	return `${lines.join('\n')}\n`;
}

function renderIds({contentId, expectedId, unreadable}: MergeResult): string[] {
	const lines: string[] = [];
	if (unreadable > 0) lines.push(`  unreadable: ${formatSize(unreadable)}, recorded as such`);
	if (contentId === undefined) return lines;
	if (contentId === expectedId) return [...lines, `  content id: ${contentId}, that of the chain`];
	if (expectedId === undefined) return [...lines, `  content id: ${contentId}; the chain records none`];
	return [...lines, `  content id: ${contentId}`, `  the chain has ${expectedId}: what is lost makes the difference`];
}
