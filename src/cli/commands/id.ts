import type {Finding} from '../../core/disk.ts';
import {identify, type Identity} from '../../identify/identify.ts';
import {openDisk} from '../../image/image.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {outJson} from '../render/json.ts';

export const id = defineCommand({
	interruptible: true,
	examples: [
		['id disk.vhdx', 'the same for the raw disk, its VHDX and its .tint'],
		['id disk.tint --verify', 'from the content, not from what the image says of itself'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({
			verify: {
				type: 'boolean',
				default: false,
				describe: 'compute the id from the content, also where the image records one, and compare both',
			},
			'zero-unreadable': {
				type: 'boolean',
				default: false,
				describe: 'take what could not be read when the image was made as zeros',
			},
			...jsonOption,
			...progressOption,
			...openingOptions,
		}),
	async run(args, context) {
		const {image, verify, zeroUnreadable} = args;
		const opened = openDisk(image, openOptions(args));
		try {
			const {disk, recipe} = opened;
			const identity = await context.withProgress(onProgress =>
				identify(disk, {trust: !verify, zeroUnreadable, recipe, onProgress, signal: context.signal}),
			);
			const contradiction = contradictionOf(identity);
			const findings = [...opened.findings, ...(contradiction === undefined ? [] : [contradiction])];
			if (args.json) outJson({image, ...identity, recorded: identity.recorded ?? null, findings});
			else {
				for (const finding of findings) context.finding(finding);
				outLine(`${identity.contentId}  ${safe(image)}`);
			}
			return contradiction === undefined ? ExitCode.good : ExitCode.found;
		} finally {
			opened[Symbol.dispose]();
		}
	},
});

function contradictionOf({contentId, recorded}: Identity): Finding | undefined {
	if (recorded === undefined || recorded === contentId) return undefined;
	return {
		code: 'id/contradiction',
		severity: 'damage',
		message: `the image records another content id, ${recorded}`,
	};
}
