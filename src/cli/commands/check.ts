import type {CheckFinding} from '../../check/findings.ts';
import {checkImage, type CheckReport} from '../../check/check.ts';
import type {VolumeCheck} from '../../check/volume.ts';
import {DiskError} from '../../core/error.ts';
import {openToVerify} from '../../verify/open.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {safe, withPlace} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatNumberOf, formatSize} from '../render/size.ts';

export const checkCommand = defineCommand({
	interruptible: true,
	examples: [
		['check disk.vhdx', 'all directories, nodes, maps and allocation, without changing anything'],
		['check disk.vhdx --volume 2', 'one volume'],
		['check disk.vhdx --content', 'and every block of every file'],
		['check disk.vhdx --json', 'the findings for a program'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({
			volume: valueOption({type: 'number', describe: 'check only the volume with this number'}),
			content: {type: 'boolean', default: false, describe: 'read the content of every file as well'},
			limit: valueOption({type: 'number', default: 1000, describe: 'how many findings of each severity are listed'}),
			...jsonOption,
			...progressOption,
			...openingOptions,
		}),
	images: args => onlyImage(args),
	async run(args, context) {
		const limit = wholeNumber('limit', args.limit);
		const volume = args.volume === undefined ? undefined : wholeNumber('volume', args.volume);
		const image = openToVerify(args.image, openOptions(args, context.secretOf(args.image)));
		try {
			const report = await context.withProgress(onProgress =>
				checkImage(image, {
					...(volume !== undefined && {volume}),
					content: args.content,
					limit,
					onProgress,
					signal: context.signal,
				}),
			);
			if (args.json) outJson(describe(args.image, report));
			else for (const line of render(args.image, report)) outLine(line);
			return report.good ? ExitCode.good : ExitCode.found;
		} finally {
			image[Symbol.dispose]();
		}
	},
});

function wholeNumber(option: string, value: number): number {
	if (Number.isSafeInteger(value) && value >= 0) return value;
	throw new DiskError('invalid', 'cli/number', `--${option} takes a whole number`);
}

/** JSON has no undefined: a member that is promised is there. */
function describe(image: string, {volumes, ...rest}: CheckReport) {
	return {
		image,
		...rest,
		volumes: volumes.map(({fileSystem = null, error = null, map = null, ...volume}) => ({
			...volume,
			fileSystem,
			error,
			map,
		})),
	};
}

function render(image: string, {good, findings, counts, volumes, seconds}: CheckReport): string[] {
	const verdict = good ? colour.green('no damage') : colour.red(formatDamage(counts.damage));
	const lines = [`${safe(image)}: ${verdict}, checked in ${seconds.toFixed(1)} s`];
	for (const finding of findings) if (finding.volume === null) lines.push(`  ${renderFinding(finding)}`);
	for (const volume of volumes) {
		lines.push(renderVolume(volume));
		for (const finding of findings) if (finding.volume === volume.number) lines.push(`    ${renderFinding(finding)}`);
	}
	const listed = {note: 0, warning: 0, damage: 0};
	for (const {severity} of findings) listed[severity]++;
	const left = (['damage', 'warning', 'note'] as const)
		.map(severity => [counts[severity] - listed[severity], severity] as const)
		.filter(([count]) => count > 0)
		.map(([count, severity]) => `${formatCount(count)} more of severity ${severity}`);
	if (left.length > 0) lines.push(`  and ${left.join(', ')}; --limit shows more`);
	return lines;
}

function formatDamage(count: number): string {
	return `${formatNumberOf(count, 'finding', 'findings')} of damage`;
}

function renderVolume({number, name, fileSystem, error, directories, files, damage, read, map}: VolumeCheck): string {
	const title = `  volume ${number}, /${safe(name)}`;
	if (error !== undefined) return `${title}: not checked`;
	if (fileSystem === undefined) return `${title}: no file system recognised`;
	const parts = [
		fileSystem,
		formatNumberOf(directories, 'directory', 'directories'),
		formatNumberOf(files, 'file'),
		...(read > 0 ? [`${formatSize(read)} read`] : []),
		...(map === undefined ? [] : [`${formatSize(map.used)} in use`, `${formatSize(map.free)} free`]),
		damage === 0 ? 'no damage' : formatDamage(damage),
	];
	return `${title}: ${parts.join(', ')}`;
}

function renderFinding({severity, path, node, message, where}: CheckFinding): string {
	const paint = {note: colour.dim, warning: colour.yellow, damage: colour.red}[severity];
	const subject = path === null ? '' : `${safe(path)}: `;
	return `${paint(`${severity}:`)} ${subject}${safe(withPlace(message, {...where, ...(node !== null && {node})}))}`;
}
