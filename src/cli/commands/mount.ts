import {exitNow, type MountEnd, type Mounted, type MountOptions, type Problem} from '../../../mount/index.ts';
import {mountImage} from '../../../mount/mount-image.ts';
import {deserializeError, DiskError} from '../../core/error.ts';
import {type Image, openImage} from '../../image/image.ts';
import {readableVolume} from '../../image/volume-name.ts';
import {wholeDisks} from '../../image/whole-disk.ts';
import {type Context, defineCommand, valueOption} from '../command.ts';
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
		['mount disk.vhdx /mnt --volume 3', 'only the files of volume 3'],
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
				volume: valueOption({type: 'string', describe: 'show only this volume: its number, or its name as 3-Windows'}),
				owner: {
					choices: ['image', 'mounter'] as const,
					default: 'mounter' as const,
					requiresArg: true,
					describe: 'whose the files are: as in the image, or yours',
				},
				uid: valueOption({type: 'string', describe: 'the number of the user whose the files are; you when left out'}),
				gid: valueOption({type: 'string', describe: 'the number of the group whose the files are'}),
				umask: valueOption({
					type: 'string',
					describe: 'permissions taken from all files, in octal: 077 leaves them to their owner',
				}),
				'allow-other': {type: 'boolean', default: false, describe: 'let other users in'},
				...openingOptions,
			}),
	images: args => onlyImage(args),
	async run(args, context) {
		const shown = ownershipOf(args);
		if (args.detach && !isBackground()) return runInBackground(context, [args.image]);
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		let mounted: Mounted;
		try {
			mounted = await mountImage(image, args.directory, {
				...shown,
				...(args.volume !== undefined && {volume: args.volume}),
				allowOther: args.allowOther,
				onProblem: problemListener(context),
				signal: context.signal,
			});
		} catch (error) {
			image[Symbol.dispose]();
			throw error;
		}
		const description = describeMount(args, image, mounted.directory);
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

interface OwnershipArguments {
	readonly owner: 'image' | 'mounter';
	readonly uid: string | undefined;
	readonly gid: string | undefined;
	readonly umask: string | undefined;
}

/** What was typed is checked before anything is opened. */
function ownershipOf({
	owner,
	uid,
	gid,
	umask,
}: OwnershipArguments): Pick<MountOptions, 'owner' | 'uid' | 'gid' | 'umask'> {
	if (owner === 'image' && (uid ?? gid ?? umask) !== undefined) {
		throw new DiskError('invalid', 'cli/owner', '--uid, --gid and --umask are for files that are yours', {
			hint: 'leave them out, or --owner image',
		});
	}
	return {
		owner,
		...(uid !== undefined && {uid: numberOf('uid', uid)}),
		...(gid !== undefined && {gid: numberOf('gid', gid)}),
		...(umask !== undefined && {umask: permissionsOf(umask)}),
	};
}

/** (uid_t) -1 stands for none. */
const LAST_ID = 2 ** 32 - 2;

function numberOf(option: string, text: string): number {
	if (/^\d{1,10}$/.test(text) && Number(text) <= LAST_ID) return Number(text);
	throw new DiskError('invalid', 'cli/number', `--${option} takes a number up to ${LAST_ID}; ${text} is none`);
}

function permissionsOf(text: string): number {
	if (/^0?[0-7]{1,3}$/.test(text)) return Number.parseInt(text, 8);
	throw new DiskError('invalid', 'cli/umask', `--umask takes an octal number, as in 077; ${text} is none`);
}

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

function describeMount(
	{image: path, volume}: {readonly image: string; readonly volume: string | undefined},
	image: Image,
	directory: string,
): string[] {
	if (volume !== undefined) {
		const {name, fileSystem, partition} = readableVolume(image, volume);
		const what = `${safe(name)} of ${safe(path)} (${fileSystem.type}, ${formatSize(partition.length)})`;
		return [`${what} is mounted read-only on ${safe(directory)}`];
	}
	const rows = image.volumes.map(({name, partition, fileSystem, driver}) => [
		`  ${safe(`${directory}/${name}`)}`,
		fileSystem?.type ??
			(driver === undefined ? 'not recognised; see README.txt there' : `${driver}, see README.txt there`),
		formatSize(partition.length),
	]);
	for (const {name, title, size} of wholeDisks(image)) {
		rows.push([`  ${safe(`${directory}/${name}`)}`, title, formatSize(size)]);
	}
	return [
		`${safe(path)} is mounted read-only on ${safe(directory)}`,
		...renderTable([{title: ''}, {title: ''}, {title: '', right: true}], rows),
	];
}
