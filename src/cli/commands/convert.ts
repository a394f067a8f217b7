import type {Argv, Options} from 'yargs';
import {ALL_FORMATS} from '../../../formats/index.ts';
import type {WriterOption} from '../../core/disk.ts';
import {DiskError} from '../../core/error.ts';
import {convert, type ConvertResult} from '../../convert/convert.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption, openingOptions, openOptions, progressOption} from '../options.ts';
import {outLine} from '../output.ts';
import {safe} from '../render/error.ts';
import {formatFact} from '../render/image.ts';
import {outJson} from '../render/json.ts';
import {formatSize, parseSize} from '../render/size.ts';

const writable = ALL_FORMATS.filter(format => format.create !== undefined);

export const convertCommand = defineCommand({
	interruptible: true,
	examples: [
		['convert disk.raw disk.vhdx', 'a dynamic VHDX for Hyper-V'],
		['convert disk.vhdx disk.tint', 'a compressed archive that can be mounted'],
		['convert old.img new.img --to raw --force', 'the format by name'],
	],
	build: yargs =>
		withWriterOptions(yargs)
			.positional('source', {type: 'string', demandOption: true, describe: 'the image to read'})
			.positional('target', {
				type: 'string',
				demandOption: true,
				describe: 'the file to write; its extension says the format',
			})
			.options({
				to: valueOption({
					type: 'string',
					choices: writable.map(format => format.name),
					describe: 'the format to write',
				}),
				force: {type: 'boolean', alias: 'f', default: false, describe: 'replace an existing target'},
				workers: valueOption({type: 'number', describe: 'threads; as many as processors when absent'}),
				id: valueOption({
					type: 'string',
					describe: '32 hexadecimal digits from which identifiers in the target derive',
				}),
				timestamp: valueOption({type: 'number', describe: 'seconds since 1970 for times in the target'}),
				...jsonOption,
				...progressOption,
				...openingOptions,
			}),
	async run(args, context) {
		const {source, target, to, force, id} = args;
		const workers = wholeNumber('workers', args.workers, 1);
		const timestamp = wholeNumber('timestamp', args.timestamp, 0);
		const result = await context.withProgress(onProgress =>
			convert(source, target, {
				...openOptions(args),
				...(to !== undefined && {to}),
				...(id !== undefined && {id}),
				...(workers !== undefined && {workers}),
				...(timestamp !== undefined && {timestamp}),
				writer: writerValues(args),
				force,
				onProgress,
				signal: context.signal,
			}),
		);
		if (args.json) outJson(result);
		else {
			for (const finding of result.findings) context.finding(finding);
			for (const line of renderResult(source, result)) outLine(line);
		}
		return ExitCode.good;
	},
});

/** Their types are known only when it runs, so yargs' own inference must not see them. */
function withWriterOptions(yargs: Argv): Argv {
	yargs.options(writerOptions());
	return yargs;
}

/** What the formats' writers understand, each option once, with the formats that have it. */
function writerOptions(): Record<string, Options> {
	const options: Record<string, Options & {choices?: (string | number)[]}> = {};
	for (const {name: format, create} of writable) {
		for (const {name, type, describe, choices, default: standard} of create?.options ?? []) {
			const text = `${format}: ${describe}${standard === undefined ? '' : ` (default ${String(standard)})`}`;
			const before = options[name];
			const allChoices = [...new Set([...(before?.choices ?? []), ...(choices ?? [])])];
			options[name] = {
				type: type === 'size' ? 'string' : type,
				describe: before === undefined ? text : `${before.describe ?? ''}; ${text}`,
				...(type !== 'boolean' && {requiresArg: true}),
				...(type !== 'size' && allChoices.length > 0 && {choices: allChoices}),
				group: 'Options of the format to write:',
			};
		}
	}
	return options;
}

function writerValues(args: Readonly<Record<string, unknown>>): Record<string, string | number | boolean> {
	const values: Record<string, string | number | boolean> = {};
	for (const option of writable.flatMap(format => format.create?.options ?? [])) {
		const value = args[option.name] ?? args[camelCase(option.name)];
		if (value !== undefined) values[option.name] = readValue(option, value);
	}
	return values;
}

function camelCase(name: string): string {
	return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function readValue({name, type}: WriterOption, value: unknown): string | number | boolean {
	if (type === 'size') return parseSize(String(value), name);
	if (type === 'number') return wholeNumber(name, Number(value), Number.MIN_SAFE_INTEGER) ?? 0;
	return type === 'boolean' ? value === true : String(value);
}

function wholeNumber(name: string, value: number | undefined, least: number): number | undefined {
	if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return value;
	throw new DiskError(
		'invalid',
		'cli/number',
		`--${name} takes a whole number${least > 0 ? `, at least ${least}` : ''}`,
	);
}

function renderResult(source: string, result: ConvertResult): string[] {
	const {target, format, size, fileSize, allocated, seconds, facts} = result;
	const speed = seconds > 0 ? `, ${formatSize(Math.round(size / seconds))}/s` : '';
	const onDisk = allocated < fileSize ? `, ${formatSize(allocated)} on disk` : '';
	return [
		`${safe(source)} -> ${safe(target)}`,
		`  ${format}, a disk of ${formatSize(size)} in a file of ${formatSize(fileSize)}${onDisk}`,
		`  ${seconds.toFixed(1)} s${speed}`,
		...facts.map(fact => `  ${fact.title}: ${formatFact(fact)}`),
	];
}
