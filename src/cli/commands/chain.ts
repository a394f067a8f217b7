import {type ChainMember, chainOf, type ChainReport, memberName} from '../../chain/chain.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {damageJson, renderDamage} from '../render/damage.ts';
import {safe} from '../render/error.ts';
import {outJson} from '../render/json.ts';
import {formatCount, formatSize} from '../render/size.ts';
import {renderTable} from '../render/table.ts';

export const chainCommand = defineCommand({
	interruptible: true,
	examples: [
		['chain friday.tint', 'which files does it need, and are they there?'],
		['chain child.avhdx --parent base.vhdx', 'of a differencing disk'],
	],
	build: yargs =>
		yargs.positional('image', imageOperand).options({...jsonOption, ...progressOption, ...openingOptions}),
	images: args => onlyImage(args),
	async run(args, context) {
		const report = await context.withProgress(onProgress =>
			chainOf(args.image, {
				...openOptions(args, context.secretOf(args.image)),
				onProgress,
				signal: context.signal,
			}),
		);
		if (args.json) outJson(describe(args.image, report));
		else for (const line of render(args.image, report)) outLine(line);
		return report.whole ? ExitCode.good : ExitCode.found;
	},
});

function describe(image: string, {files, damage, ...report}: ChainReport) {
	return {
		image,
		...report,
		files: files.map(({path = null, size = null, error = null, bytes = null, chunks = null, ...file}) => ({
			...file,
			path,
			size,
			bytes,
			chunks,
			error,
		})),
		damage: damageJson(damage),
	};
}

function render(image: string, report: ChainReport): string[] {
	const {whole, files, size, unit, unstoredBytes, lostBytes, folders, damage, findings} = report;
	const verdict = whole ? colour.green('whole') : colour.red('not whole');
	const count = files.length === 1 ? 'one file' : `${formatCount(files.length)} files`;
	const lines = [`${safe(image)}: ${verdict}, ${count}, a disk of ${formatSize(size)} in units of ${formatSize(unit)}`];
	const columns = [
		{title: '  file'},
		{title: 'size', right: true},
		{title: 'holds', right: true},
		{title: 'units', right: true},
		{title: 'lost', right: true},
		{title: 'identity'},
	];
	const rows = files.map(file => [
		`  ${safe(memberName(file))}`,
		file.size === undefined ? 'missing' : formatSize(file.size),
		file.bytes === undefined ? '?' : formatSize(file.bytes),
		file.chunks === undefined ? '?' : formatCount(file.chunks),
		file.lostBytes === 0 ? '' : formatSize(file.lostBytes),
		safe(file.identity),
	]);
	lines.push(...renderTable(columns, rows, title => colour.dim(title)));
	lines.push(`  in no file, since it is zero, free or left out: ${formatSize(unstoredBytes)}`);
	for (const file of files) if (file.error !== undefined) lines.push(...renderFault(file, folders));
	for (const {severity, message} of findings)
		if (!isSaid(message, files)) lines.push(`  ${severity}: ${safe(message)}`);
	if (lostBytes === 0) return lines;
	lines.push(`${formatSize(lostBytes)} of the disk cannot be had:`);
	if (damage !== undefined) lines.push(...renderDamage(damage, 'missing'), '  all else can be read');
	else lines.push('  without it the disk cannot be opened, so that which files are hit cannot be told');
	return lines;
}

/** The errors of files are findings of opening as well. */
function isSaid(message: string, files: readonly ChainMember[]): boolean {
	return files.some(({error}) => error !== undefined && message.startsWith(error.message));
}

function renderFault({error, path, recorded}: ChainMember, folders: readonly string[]): string[] {
	if (error === undefined) return [];
	const lines = [`  ${colour.red('damage:')} ${safe(error.message)}`];
	if (path !== undefined) return lines;
	const names = recorded.length === 0 ? 'any name' : recorded.map(safe).join(', ');
	lines.push(`    looked for as ${names} in ${folders.map(safe).join(', ')}`);
	if (error.hint !== undefined) lines.push(`    ${colour.dim('try:')} ${safe(error.hint)}`);
	return lines;
}
