import {openImage} from '../../image/image.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, openingOptions, openOptions} from '../options.ts';
import {describeImage} from '../render/describe-image.ts';
import {renderImage} from '../render/image.ts';
import {outJson} from '../render/json.ts';
import {outLine} from '../output.ts';

export const info = defineCommand({
	examples: [
		['info disk.vhdx', 'format, partitions, volumes'],
		['info disk.vhdx --json', 'the same for a program'],
	],
	build: yargs => yargs.positional('image', imageOperand).options({...openingOptions, ...jsonOption}),
	run(args) {
		const image = openImage(args.image, openOptions(args));
		try {
			const description = describeImage(args.image, image);
			if (args.json) outJson(description);
			else for (const line of renderImage(description)) outLine(line);
			return ExitCode.good;
		} finally {
			image[Symbol.dispose]();
		}
	},
});
