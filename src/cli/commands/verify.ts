import type {Finding} from '../../core/disk.ts';
import type {SerializedError} from '../../core/error.ts';
import {openImage} from '../../image/image.ts';
import {verifyImage, type VerifyReport} from '../../verify/verify.ts';
import type {VolumeReport} from '../../verify/volume.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {safe, withoutVolume, withPlace} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatNumberOf, formatSize} from '../render/size.ts';

export const verify = defineCommand({
	interruptible: true,
	examples: [
		['verify disk.vhdx', 'all checksums, tables and directories'],
		['verify disk.vhdx --files', 'the content of every file as well'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({
			files: {type: 'boolean', default: false, describe: 'read the content of every file as well'},
			...jsonOption,
			...progressOption,
			...openingOptions,
		}),
	async run(args, context) {
		const image = openImage(args.image, openOptions(args));
		try {
			const report = await context.withProgress(onProgress =>
				verifyImage(image, {files: args.files, onProgress, signal: context.signal}),
			);
			const findings = [
				...image.findings.map(finding => ({volume: null, ...finding})),
				...image.volumes.flatMap(({number, findings: own}) => own.map(finding => ({volume: number, ...finding}))),
			];
			if (args.json) outJson(describe(args.image, image.disk.size, report, findings));
			else for (const line of render(args.image, report, findings)) outLine(line);
			return report.good ? ExitCode.good : ExitCode.found;
		} finally {
			image[Symbol.dispose]();
		}
	},
});

type PlacedFinding = Finding & {readonly volume: number | null};

function describe(image: string, size: number, report: VerifyReport, findings: readonly PlacedFinding[]) {
	const {good, volumes, ...rest} = report;
	return {
		image,
		good,
		size,
		...rest,
		volumes: volumes.map(volume => withNulls(volume)),
		findings,
	};
}

/** JSON has no undefined: a member that is promised is there. */
function withNulls(volume: VolumeReport) {
	const {fileSystem = null, error = null} = volume;
	return {...volume, fileSystem, error};
}

function render(image: string, report: VerifyReport, findings: readonly PlacedFinding[]): string[] {
	const {good, read, unreadable, unreadableBytes, unreadableCount, volumes, seconds} = report;
	const verdict = good ? colour.green('good') : colour.red('damaged');
	const lines = [`${safe(image)}: ${verdict}, read ${formatSize(read)} in ${seconds.toFixed(1)} s`];
	for (const {severity, message, volume} of findings) {
		lines.push(`  ${severity}: ${volume === null ? '' : `volume ${volume}: `}${safe(message)}`);
	}
	for (const {position, length, volumes: touched, error} of unreadable) {
		const where = touched.length === 0 ? '' : ` of volume ${touched.join(', ')}`;
		lines.push(
			`  bytes ${formatCount(position)} to ${formatCount(position + length - 1)}${where}: ${describeError(error)}`,
		);
	}
	if (unreadableCount > 0) {
		const more = unreadableCount - unreadable.length;
		if (more > 0) lines.push(`  and ${formatNumberOf(more, 'more range', 'more ranges')}`);
		lines.push(`  unreadable in all: ${formatSize(unreadableBytes)}`);
	}
	for (const volume of volumes) lines.push(...renderVolume(volume));
	return lines;
}

function renderVolume({
	name,
	number,
	fileSystem,
	error,
	directories,
	files,
	problems,
	problemCount,
}: VolumeReport): string[] {
	const title = `  volume ${number}, /${safe(name)}`;
	if (error !== undefined) return [`${title}: ${describeError(error)}`];
	if (fileSystem === undefined) return [`${title}: no file system recognised`];
	const counts = `${formatNumberOf(directories, 'directory', 'directories')}, ${formatNumberOf(files, 'file')}`;
	const lines = [
		`${title}: ${fileSystem}, ${counts}, ${problemCount === 0 ? 'no damage' : `${formatCount(problemCount)} damaged`}`,
	];
	for (const {path, error: problem} of problems) lines.push(`    ${path}: ${describeError(problem)}`);
	if (problemCount > problems.length) lines.push(`    and ${formatCount(problemCount - problems.length)} more`);
	return lines;
}

/** File and volume stand at the beginning of the line. */
function describeError({message, where}: SerializedError): string {
	return safe(withPlace(message, withoutVolume(where)));
}
