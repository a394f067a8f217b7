import type {Finding} from '../../core/disk.ts';
import {identify, type Identity} from '../../identify/identify.ts';
import {openDisk} from '../../image/image.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {contentIdMeaning} from '../render/content-id.ts';
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
			...jsonOption,
			...progressOption,
			...openingOptions,
		}),
	images: args => onlyImage(args),
	async run(args, context) {
		const {image, verify} = args;
		const opened = openDisk(image, openOptions(args, context.secretOf(image)));
		try {
			const {disk, recipe} = opened;
			const identity = await context.withProgress(onProgress =>
				identify(disk, {trust: !verify, recipe, onProgress, signal: context.signal}),
			);
			const contradiction = contradictionOf(identity);
			const findings = [...opened.findings, ...(contradiction === undefined ? [] : [contradiction])];
			const meaning = contentIdMeaning(disk.describe().facts) ?? null;
			if (args.json) outJson({image, ...identity, recorded: identity.recorded ?? null, meaning, findings});
			else {
				for (const finding of findings) context.finding(finding);
				if (meaning !== null) context.finding(meaningOf(meaning));
				outLine(`${identity.contentId}  ${safe(image)}`);
			}
			return contradiction === undefined ? ExitCode.good : ExitCode.found;
		} finally {
			opened[Symbol.dispose]();
		}
	},
});

/** Who compares it with the disk that the image was taken of should know. */
function meaningOf(meaning: string): Finding {
	return {
		code: 'id/meaning',
		severity: 'note',
		message: `this is the id of the disk as it is in the image: ${meaning}`,
	};
}

function contradictionOf({contentId, recorded}: Identity): Finding | undefined {
	if (recorded === undefined || recorded === contentId) return undefined;
	return {
		code: 'id/contradiction',
		severity: 'damage',
		message: `the image records another content id, ${recorded}`,
	};
}
