import type {Argv, Options} from 'yargs';
import {ALL_FORMATS} from '../../formats/index.ts';
import type {WriterOption} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {TargetOptions} from '../convert/convert.ts';
import {DATA_PATHS, type DataPath} from '../convert/data-path.ts';
import {ALL_PROFILES} from '../profiles/index.ts';
import {valueOption} from './command.ts';
import {secretOption} from './options.ts';
import {parseSize} from './render/size.ts';

const writable = ALL_FORMATS.filter(format => format.create !== undefined);

/** Options of every command that writes an image. */
export const targetOptions = {
	to: valueOption({
		type: 'string',
		choices: writable.map(format => format.name),
		describe: 'the format to write',
	}),
	force: {
		type: 'boolean',
		alias: 'f',
		default: false,
		describe: 'replace an existing target, and what an interrupted run left',
	},
	resume: {
		type: 'boolean',
		default: false,
		describe: 'go on with what an interrupted run left; begin anew where there is nothing',
	},
	checkpoint: valueOption({
		type: 'string',
		describe: 'how much is read, as in 1G, between two states that --resume can go on from (4G or more)',
	}),
	verify: {
		type: 'boolean',
		default: false,
		describe: 'read source and target again and show the content ids of both',
	},
	'data-path': valueOption({
		type: 'string',
		choices: DATA_PATHS,
		describe: 'share blocks with the source (clone), or copy them; what can be cloned is, when absent',
	}),
	workers: valueOption({type: 'number', describe: 'threads; as many as processors when absent'}),
	id: valueOption({
		type: 'string',
		describe: '32 hexadecimal digits from which identifiers in the target derive',
	}),
	timestamp: valueOption({type: 'number', describe: 'seconds since 1970 for times in the target'}),
} as const;

/** Of the commands that write or plan an image for somebody else. */
export const profileOption = {
	for: valueOption({
		type: 'string',
		choices: ALL_PROFILES.map(({name}) => name),
		describe: 'make the target as this one takes it: format, options, size, no holes where they are refused',
	}),
} as const;

/** Options of the commands that can write an encrypted image; `new-keys.ts` has what they mean. */
export const encryptionOptions = {
	encrypt: {
		type: 'boolean',
		describe: 'encrypt the target; --no-encrypt leaves it plain where the source is encrypted',
	},
	'encrypt-passphrase-file': secretOption('encrypt the target with the passphrase in this file'),
	'encrypt-key-file': secretOption('encrypt the target with this file as a key, at least 32 random bytes'),
	'key-label': valueOption({type: 'string', describe: 'whose the new keys are; everybody can read it'}),
} as const;

interface TargetArguments extends Readonly<Record<string, unknown>> {
	readonly to: string | undefined;
	readonly force: boolean;
	readonly workers: number | undefined;
	readonly id: string | undefined;
	readonly timestamp: number | undefined;
	readonly resume: boolean;
	readonly checkpoint: string | undefined;
	readonly verify: boolean;
	readonly 'data-path': DataPath | undefined;
}

/** What the options say, with those of the formats' writers. */
export function targetValues(args: TargetArguments): TargetOptions {
	const {to, force, id, resume, checkpoint, verify, 'data-path': dataPath} = args;
	const workers = wholeNumber('workers', args.workers, 1);
	const timestamp = wholeNumber('timestamp', args.timestamp, 0);
	return {
		...(to !== undefined && {to}),
		...(id !== undefined && {id}),
		...(dataPath !== undefined && {dataPath}),
		...(workers !== undefined && {workers}),
		...(timestamp !== undefined && {timestamp}),
		...(checkpoint !== undefined && {checkpointEvery: parseSize(checkpoint, 'checkpoint')}),
		writer: writerValues(args),
		force,
		resume,
		verify,
	};
}

/** Their types are known only when it runs, so yargs' own inference must not see them. */
export function withWriterOptions(yargs: Argv): Argv {
	yargs.options(writerOptions());
	return yargs;
}

/** What the formats' writers understand, each option once, with the formats that have it. */
function writerOptions(): Record<string, Options> {
	const options: Record<string, Options & {choices?: (string | number)[]}> = {};
	for (const {name: format, create} of writable) {
		for (const {name, type, describe, choices, default: standard, internal} of create?.options ?? []) {
			if (internal) continue;
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

/** What was said of the format to write; sizes in bytes. */
export function writerValues(args: Readonly<Record<string, unknown>>): Record<string, string | number | boolean> {
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
