import {openImage, openLocked} from '../../image/image.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, withoutKeyOption} from '../options.ts';
import {describeImage, describeLocked} from '../render/describe-image.ts';
import {renderImage, renderLocked} from '../render/image.ts';
import {outJson} from '../render/json.ts';
import {outLine} from '../output.ts';
import {newPace} from '../../work/pace.ts';
import {runSteps, upkeepOf} from '../../work/upkeep.ts';

export const info = defineCommand({
	interruptible: true,
	examples: [
		['info disk.vhdx', 'format, partitions, volumes'],
		['info disk.vhdx --json', 'the same for a program'],
		['info disk.tint --deep', 'all codecs in use'],
		['info secret.tint --without-key', 'what opens an encrypted image'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({
			deep: {type: 'boolean', default: false, describe: 'read all tables, which takes a while for large images'},
			...openingOptions,
			...jsonOption,
			...withoutKeyOption,
		}),
	images: args => (args.withoutKey === true ? [] : onlyImage(args)),
	async run(args, context) {
		if (args.withoutKey === true) {
			const locked = openLocked(args.image, openOptions(args, undefined));
			try {
				const description = describeLocked(args.image, locked);
				if (args.json) outJson(description);
				else for (const line of renderLocked(description)) outLine(line);
				return ExitCode.good;
			} finally {
				locked[Symbol.dispose]();
			}
		}
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		try {
			const {disk} = image;
			const steps = upkeepOf(disk)?.details?.(disk, args.deep);
			const details = steps && (await runSteps(steps, newPace({signal: context.signal})));
			const description = describeImage(args.image, image, details);
			if (args.json) outJson(description);
			else for (const line of renderImage(description)) outLine(line);
			return ExitCode.good;
		} finally {
			image[Symbol.dispose]();
		}
	},
});
