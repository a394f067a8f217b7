import process from 'node:process';
import {createInterface} from 'node:readline/promises';
import {DiskError} from '../../core/error.ts';
import type {RestoreRange} from '../../restore/job.ts';
import {restore, type RestoreResult} from '../../restore/restore.ts';
import type {DeviceDescription} from '../../restore/target.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {note, outLine} from '../output.ts';
import {safe, withoutVolume, withPlace} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatExactSize, formatSize} from '../render/size.ts';

/** Ranges shown; all are in the JSON. */
const MOST_SHOWN = 20;

export const restoreCommand = defineCommand({
	interruptible: true,
	examples: [
		['restore disk.tint /dev/sdb --verify', 'overwrite a disk, and read it back'],
		['restore disk.tint /dev/sdb --differences', 'write only what differs'],
		['restore disk.vhdx disk.raw', 'into a raw file'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the block device to overwrite, or the raw file to write',
			})
			.options({
				...openingOptions,
				yes: {type: 'boolean', alias: 'y', default: false, describe: 'overwrite a device without asking'},
				force: {type: 'boolean', alias: 'f', default: false, describe: 'replace an existing file'},
				differences: {
					type: 'boolean',
					default: false,
					describe: 'read the target and write only blocks that differ; with --force a file is changed in place',
				},
				verify: {type: 'boolean', default: false, describe: 'read everything back from the medium and compare'},
				'zero-free': {
					type: 'boolean',
					default: false,
					describe: 'zero what was free space in the image; otherwise a device keeps what it has there',
				},
				'zero-unreadable': {
					type: 'boolean',
					default: false,
					describe: 'zero what could not be read when the image was taken; otherwise such an image is refused',
				},
				'keep-going': {
					type: 'boolean',
					default: false,
					describe: 'zero what is damaged in the image, and go on; the exit code is 1 then',
				},
				'keep-gpt': {
					type: 'boolean',
					default: false,
					describe: 'on a larger disk, leave the backup of the partition table where it is',
				},
				...jsonOption,
				...progressOption,
			}),
	images: args => onlyImage(args),
	async run(args, context) {
		const {image, target, yes, force, differences, verify, zeroFree, zeroUnreadable, keepGoing, keepGpt} = args;
		const result = await context.withProgress(onProgress =>
			restore(image, target, {
				...openOptions(args, context.secretOf(image)),
				force,
				differences,
				verify,
				zeroFree,
				zeroUnreadable,
				keepGoing,
				keepGpt,
				confirm: device => yes || ask(device, context.signal),
				onFinding: finding => context.finding(finding),
				onProgress,
				signal: context.signal,
			}),
		);
		if (args.json) outJson(withNulls(result));
		else for (const line of renderResult(image, result)) outLine(line);
		return isGood(result) ? ExitCode.good : ExitCode.found;
	},
});

/** Damage in the image, or a medium that did not keep what it was given. What was unreadable was accepted by name. */
function isGood({damagedBytes, wrongBytes, findings}: RestoreResult): boolean {
	return damagedBytes === 0 && wrongBytes === 0 && findings.every(({severity}) => severity !== 'damage');
}

async function ask(device: DeviceDescription, signal: AbortSignal): Promise<boolean> {
	const {path, name} = device;
	if (!process.stdin.isTTY || !process.stderr.isTTY) {
		throw new DiskError(
			'refused',
			'restore/no-terminal',
			`there is no terminal on which to confirm that ${path} may be overwritten`,
			{
				where: {file: path},
				hint: 'make sure that it is the right device (lsblk), and say so with --yes',
			},
		);
	}
	note(`${describeDevice(device).join('\n')}\n`);
	// Not a terminal to readline: lines are edited by the kernel, and Ctrl-C stays a signal.
	const lines = createInterface({input: process.stdin, output: process.stderr, terminal: false});
	try {
		const ended = new Promise<string>(resolve => {
			lines.once('close', () => resolve(''));
		});
		const question = `Type ${name} to overwrite it: `;
		const answer = (await Promise.race([lines.question(question, {signal}), ended])).trim();
		if (answer === name || answer === path) return true;
		throw new DiskError('refused', 'restore/unconfirmed', `that is not ${name}; nothing was written`);
	} finally {
		lines.close();
	}
}

function describeDevice({path, size, model, serial, volumes}: DeviceDescription): string[] {
	const details = [model, serial === undefined ? undefined : `serial ${serial}`].filter(text => text !== undefined);
	const lines = [`All that is on ${path} will be overwritten: ${formatExactSize(size)}`];
	if (details.length > 0) lines.push(`  ${safe(details.join(', '))}`);
	for (const {number, name, length, fileSystem} of volumes.slice(0, MOST_SHOWN)) {
		const kind = fileSystem === undefined ? '' : `, ${fileSystem}`;
		lines.push(`  volume ${number}: ${safe(name)}, ${formatSize(length)}${kind}`);
	}
	if (volumes.length > MOST_SHOWN) lines.push(`  and ${volumes.length - MOST_SHOWN} more`);
	if (volumes.length === 0) lines.push('  no partitions or file systems were recognised on it');
	return lines;
}

/** JSON has no undefined: a member that is promised is there. */
function withNulls(result: RestoreResult) {
	const {movedBackup = null, wrong = null} = result;
	return {...result, movedBackup, wrong};
}

function renderResult(image: string, result: RestoreResult): string[] {
	const {target, size, targetSize, written, zeroed, left, unchanged, movedBackup, wrong, seconds} = result;
	const parts = [`${formatSize(written)} written`, `${formatSize(zeroed)} zeroed`];
	if (left > 0) parts.push(`${formatSize(left)} of free space left as it was`);
	if (unchanged > 0) parts.push(`${formatSize(unchanged)} right already`);
	const speed = seconds > 0 ? `, ${formatSize(Math.round(size / seconds))}/s` : '';
	const larger = targetSize > size ? `, on a target of ${formatSize(targetSize)}` : '';
	const lines = [
		`${safe(image)} -> ${safe(target)}`,
		`  a disk of ${formatSize(size)}${larger}`,
		`  ${parts.join(', ')}`,
		...renderRanges('could not be read when the image was taken, now zeros', result.unreadable),
	];
	for (const range of result.damaged.slice(0, MOST_SHOWN)) {
		const {message, where} = range.error;
		lines.push(`  damaged, now zeros: ${renderRange(range)}: ${safe(withPlace(message, withoutVolume(where)))}`);
	}
	if (result.damaged.length > MOST_SHOWN) lines.push(`  and ${result.damaged.length - MOST_SHOWN} more damaged ranges`);
	if (movedBackup !== undefined) {
		const {from, to} = movedBackup;
		lines.push(`  the backup of the partition table moved from sector ${from} to ${to}, the end of the target`);
	}
	if (wrong !== undefined) lines.push(...renderRanges('came back other than written', wrong));
	if (wrong?.length === 0) lines.push('  verified: all of it was read back and is right');
	lines.push(`  ${seconds.toFixed(1)} s${speed}`);
	return lines;
}

function renderRanges(title: string, ranges: readonly RestoreRange[]): string[] {
	const lines = ranges.slice(0, MOST_SHOWN).map(range => `  ${title}: ${renderRange(range)}`);
	if (ranges.length > MOST_SHOWN) lines.push(`  and ${ranges.length - MOST_SHOWN} more ranges`);
	return lines;
}

function renderRange({position, length, volumes}: RestoreRange): string {
	const where = volumes.length === 0 ? '' : ` of volume ${volumes.join(', ')}`;
	return `bytes ${formatCount(position)} to ${formatCount(position + length - 1)}${where}`;
}
