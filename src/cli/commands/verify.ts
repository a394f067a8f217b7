import type {Finding, Secret} from '../../core/disk.ts';
import {DiskError, type SerializedError} from '../../core/error.ts';
import {openDisk, type OpenedDisk, type OpenImageOptions} from '../../image/image.ts';
import {type LockedReport, verifyLocked} from '../../verify/locked.ts';
import {openToVerify} from '../../verify/open.ts';
import {verifyImage, type VerifyReport} from '../../verify/verify.ts';
import type {VolumeReport} from '../../verify/volume.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {
	imageOperand,
	jsonOption,
	onlyImage,
	type OpeningArguments,
	openingOptions,
	openOptions,
	progressOption,
	withoutKeyOption,
} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {damageJson, renderDamage} from '../render/damage.ts';
import {safe, withoutVolume, withPlace} from '../render/error.ts';
import {comparisonJson, renderComparison} from '../render/comparison.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatNumberOf, formatSize} from '../render/size.ts';

export const verify = defineCommand({
	interruptible: true,
	examples: [
		['verify disk.vhdx', 'all checksums, tables and directories'],
		['verify disk.tint --fast', 'only the checksums of what is stored: is the file as it was written?'],
		['verify disk.vhdx --files', 'the content of every file as well'],
		['verify disk.vhdx --against disk.raw', 'does it hold what the other one holds?'],
		['verify secret.tint --without-key', 'is an encrypted file as it was written? for those who only keep it'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({
			full: {
				type: 'boolean',
				describe: 'read all content, compare it with its hashes, and look into every volume; the default',
			},
			fast: {
				type: 'boolean',
				conflicts: 'full',
				describe: 'compare what is stored with its checksums, and no more; in full where there are none',
			},
			workers: valueOption({type: 'number', describe: 'threads; as many as processors when absent'}),
			files: {type: 'boolean', default: false, describe: 'read the content of every file as well'},
			against: valueOption({
				type: 'string',
				conflicts: ['fast', 'without-key'],
				describe: 'another image: compare all content with it, instead of with recorded hashes',
			}),
			'against-format': valueOption({type: 'string', describe: 'take the other image as this format'}),
			'against-parent': valueOption({type: 'string', describe: 'the parent of the other image'}),
			ranges: valueOption({type: 'number', default: 64, describe: 'how many differing ranges are listed'}),
			...jsonOption,
			...progressOption,
			...openingOptions,
			...withoutKeyOption,
		}),
	images: args => [
		...(args.withoutKey === true ? [] : onlyImage(args)),
		...(args.against === undefined ? [] : [{path: args.against, options: againstOptions(args)}]),
	],
	async run(args, context) {
		if (args.withoutKey === true) {
			const report = await context.withProgress(onProgress =>
				verifyLocked(args.image, {...openOptions(args, undefined), onProgress, signal: context.signal}),
			);
			if (args.json) outJson({image: args.image, ...report});
			else for (const line of renderLocked(args.image, report)) outLine(line);
			return report.good ? ExitCode.good : ExitCode.found;
		}
		const image = openToVerify(args.image, openOptions(args, context.secretOf(args.image)));
		let against: OpenedDisk | undefined;
		try {
			if (args.against !== undefined) {
				against = openDisk(args.against, againstOptions(args, context.secretOf(args.against)));
			}
			const report = await context.withProgress(onProgress =>
				verifyImage(image, {
					...(against !== undefined && {against}),
					ranges: args.ranges,
					files: args.files,
					depth: args.fast === true ? 'fast' : 'full',
					...(args.workers !== undefined && {workers: atLeastOne(args.workers)}),
					onProgress,
					signal: context.signal,
				}),
			);
			const findings = [
				...[...image.findings, ...report.findings].map(finding => placed(null, finding)),
				...image.volumes.flatMap(({number, findings: own}) => own.map(finding => placed(number, finding))),
			];
			for (const finding of against?.findings ?? []) if (finding.severity === 'damage') context.finding(finding);
			const names = [args.image, args.against ?? ''] as const;
			const {against: comparison} = report;
			if (args.json) {
				const compared = comparison && comparisonJson(names, comparison, image);
				outJson({...describe(args.image, image.disk.size, report, findings), ...(compared && {against: compared})});
			} else {
				for (const line of render(args.image, report, findings)) outLine(line);
				if (comparison !== undefined) for (const line of renderComparison(names, comparison, image)) outLine(line);
			}
			return report.good ? ExitCode.good : ExitCode.found;
		} finally {
			against?.[Symbol.dispose]();
			image[Symbol.dispose]();
		}
	},
});

interface AgainstArguments extends OpeningArguments {
	readonly againstFormat: string | undefined;
	readonly againstParent: string | undefined;
}

/** The rest is as for the image itself. */
function againstOptions({againstFormat, againstParent, ...args}: AgainstArguments, secret?: Secret): OpenImageOptions {
	return openOptions({...args, format: againstFormat, parent: againstParent}, secret);
}

function renderLocked(image: string, {good, findings, findingCount, seconds}: LockedReport): string[] {
	const verdict = good ? colour.green('as it was written') : colour.red('damaged');
	const lines = [`${safe(image)}: ${verdict}, all checksums compared without a key in ${seconds.toFixed(1)} s`];
	for (const {severity, message} of findings.slice(0, MOST_LINES)) lines.push(`  ${severity}: ${safe(message)}`);
	const more = findingCount - Math.min(findings.length, MOST_LINES);
	if (more > 0) lines.push(`  and ${formatNumberOf(more, 'more finding', 'more findings')}`);
	return lines;
}

/** Ranges and findings shown; JSON has more. */
const MOST_LINES = 50;

type PlacedFinding = Finding & {readonly volume: number | null};

function describe(image: string, size: number, report: VerifyReport, findings: readonly PlacedFinding[]) {
	const {good, volumes, proven = null, damage, against: _, ...rest} = report;
	return {
		image,
		good,
		size,
		...rest,
		proven,
		damage: damageJson(damage),
		volumes: volumes.map(volume => withNulls(volume)),
		findings,
	};
}

function placed(volume: number | null, {code, severity, message}: Finding): PlacedFinding {
	return {volume, code, severity, message};
}

/** JSON has no undefined: a member that is promised is there. */
function withNulls(volume: VolumeReport) {
	const {fileSystem = null, error = null} = volume;
	return {...volume, fileSystem, error};
}

function render(image: string, report: VerifyReport, findings: readonly PlacedFinding[]): string[] {
	const {good, depth, proven, damage, unreadable, unreadableBytes, unreadableCount, volumes} = report;
	const verdict = good
		? colour.green('good')
		: isWhole(report, findings)
			? colour.red('not what it is held against')
			: isFaithful(report, findings)
				? colour.yellow(FAITHFUL)
				: colour.red('damaged');
	const lines = [`${safe(image)}: ${verdict}, ${extent(report)}`];
	if (proven !== undefined) lines.push(`  the content is proven to be that of content id ${proven}`);
	for (const {severity, message, volume} of findings.slice(0, MOST_LINES)) {
		lines.push(`  ${severity}: ${volume === null ? '' : `volume ${volume}: `}${safe(message)}`);
	}
	if (findings.length > MOST_LINES) {
		lines.push(`  and ${formatNumberOf(findings.length - MOST_LINES, 'more finding', 'more findings')}`);
	}
	for (const {position, length, volumes: touched, error} of unreadable.slice(0, MOST_LINES)) {
		const where = touched.length === 0 ? '' : ` of volume ${touched.join(', ')}`;
		lines.push(
			`  bytes ${formatCount(position)} to ${formatCount(position + length - 1)}${where}: ${describeError(error)}`,
		);
	}
	if (unreadableCount > 0) {
		const more = unreadableCount - Math.min(unreadable.length, MOST_LINES);
		if (more > 0) lines.push(`  and ${formatNumberOf(more, 'more range', 'more ranges')}`);
		lines.push(`  unreadable in all: ${formatSize(unreadableBytes)}`);
	}
	if (damage !== undefined) {
		lines.push('what is hit:', ...renderDamage(damage, 'damaged'));
		const option = unreadable.every(isOfSource) ? '--zero-unreadable' : '--keep-going';
		lines.push(`  all else can be read, and restored with tintype restore ${option}`);
	}
	if (depth === 'full' && volumes.length > 0) {
		if (damage !== undefined) lines.push('volumes:');
		for (const volume of volumes) lines.push(...renderVolume(volume));
	}
	return lines;
}

const FAITHFUL = 'as it was written, but parts of the source could not be read';

/** Whether nothing is wrong with it but that another image holds something else, or cannot be read. */
function isWhole(report: VerifyReport, findings: readonly PlacedFinding[]): boolean {
	return report.against?.identical === false && report.unreadableCount === 0 && isFaithful(report, findings);
}

/** Whether the image holds all that it was given. */
function isFaithful({unreadable, volumes}: VerifyReport, findings: readonly PlacedFinding[]): boolean {
	return (
		unreadable.every(isOfSource) &&
		findings.every(({severity}) => severity !== 'damage') &&
		volumes.every(({error, problemCount}) => error === undefined && problemCount === 0)
	);
}

function isOfSource({error}: {readonly error: SerializedError}): boolean {
	return error.code === 'disk/unreadable';
}

function extent({depth, read, seconds}: VerifyReport): string {
	const time = `in ${seconds.toFixed(1)} s`;
	return depth === 'fast' ? `all checksums compared ${time}` : `read ${formatSize(read)} ${time}`;
}

function atLeastOne(workers: number): number {
	if (Number.isSafeInteger(workers) && workers >= 1) return workers;
	throw new DiskError('invalid', 'cli/number', '--workers takes a whole number, at least 1');
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
