import {exitNow, type MountEnd, type Mounted, type Problem} from '../../../mount/index.ts';
import {mountImage} from '../../../mount/mount-image.ts';
import {deserializeError} from '../../core/error.ts';
import {type Image, openImage} from '../../image/image.ts';
import {type Context, defineCommand} from '../command.ts';
import {isBackground, tellForeground} from '../background.ts';
import {runInBackground} from '../detach.ts';
import {ExitCode, exitCodeOf} from '../exit-code.ts';
import {imageOperand, onlyImage, openingOptions, openOptions} from '../options.ts';
import {flush, note, outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {formatSize} from '../render/size.ts';
import {renderTable} from '../render/table.ts';

/** Problems shown: a damaged file that is read again and again need not fill the screen. */
const MOST_PROBLEMS = 200;

export const mountCommand = defineCommand({
	interruptible: true,
	examples: [
		['mount disk.vhdx /mnt', 'look around, then Ctrl-C'],
		['mount disk.vhdx /mnt --detach', 'in the background, until tintype umount /mnt'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('directory', {type: 'string', demandOption: true, describe: 'an empty directory to show it in'})
			.options({
				detach: {
					type: 'boolean',
					alias: 'd',
					default: false,
					describe: 'return when it is ready, and serve in the background',
				},
				owner: {
					choices: ['image', 'mounter'] as const,
					default: 'mounter' as const,
					requiresArg: true,
					describe: 'whose the files are: as in the image, or yours',
				},
				'allow-other': {type: 'boolean', default: false, describe: 'let other users in'},
				...openingOptions,
			}),
	images: args => onlyImage(args),
	async run(args, context) {
		if (args.detach && !isBackground()) return runInBackground(context, [args.image]);
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		let mounted: Mounted;
		try {
			mounted = await mountImage(image, args.directory, {
				source: args.image,
				owner: args.owner,
				allowOther: args.allowOther,
				onProblem: problemListener(context),
				signal: context.signal,
			});
		} catch (error) {
			image[Symbol.dispose]();
			throw error;
		}
		const description = describeMount(args.image, image, mounted.directory);
		if (isBackground()) tellForeground({kind: 'ready', text: description});
		else {
			for (const line of description) outLine(line);
			outLine('unmount it with Ctrl-C here, or with tintype umount from anywhere');
			flush();
		}
		const end = await serveUntilEnd(mounted, context);
		flush();
		// Workers may still sit in the kernel; nothing else ends them.
		return exitNow(reportEnd(end, context));
	},
});

/** Serves until somebody unmounts; Ctrl-C does. */
async function serveUntilEnd(mounted: Mounted, context: Context): Promise<MountEnd> {
	const unmount = (): void => {
		mounted.unmount().catch((thrown: unknown) => context.error(thrown));
	};
	context.signal.addEventListener('abort', unmount);
	if (context.signal.aborted) unmount();
	return mounted.closed;
}

function reportEnd({reason, error}: MountEnd, context: Context): ExitCode {
	if (reason === 'busy') note('tintype: files in it were still open; programs that use them get errors now\n');
	if (reason !== 'failed') return ExitCode.good;
	context.error(error);
	return exitCodeOf(error);
}

function problemListener(context: Context): (problem: Problem) => void {
	let count = 0;
	return ({error}) => {
		count += 1;
		if (count <= MOST_PROBLEMS) context.error(deserializeError(error));
		if (count === MOST_PROBLEMS) note('tintype: further problems are not shown\n');
	};
}

function describeMount(path: string, image: Image, directory: string): string[] {
	const rows = image.volumes.map(({name, partition, fileSystem, driver}) => [
		`  ${safe(`${directory}/${name}`)}`,
		fileSystem?.type ??
			(driver === undefined ? 'not recognised; see README.txt there' : `${driver}, see README.txt there`),
		formatSize(partition.length),
	]);
	rows.push([`  ${safe(`${directory}/disk.raw`)}`, 'the whole disk', formatSize(image.disk.size)]);
	return [
		`${safe(path)} is mounted read-only on ${safe(directory)}`,
		...renderTable([{title: ''}, {title: ''}, {title: '', right: true}], rows),
	];
}
