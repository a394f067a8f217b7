import type {Secret} from '../core/disk.ts';
import type {OpenImageOptions} from '../image/image.ts';
import {type ImageUse, valueOption} from './command.ts';
import {PROGRESS_MODES} from './render/progress.ts';

/** A file with a secret; `-` is standard input. It may be given several times (arrays of yargs do not take `-`). */
export function secretOption(describe: string) {
	return {type: 'string', nargs: 1, describe: `${describe}; - is standard input`} as const;
}

/** Options that are no arrays to yargs and still may be given several times. */
export const REPEATABLE = ['passphrase-file', 'key-file', 'encrypt-passphrase-file', 'encrypt-key-file'] as const;

/** Options of every command that opens an image. */
export const openingOptions = {
	format: valueOption({type: 'string', describe: 'take the image as this format, whatever it looks like'}),
	'sector-size': valueOption({
		type: 'number',
		choices: [512, 4096] as const,
		describe: 'sector size of an image that records none',
	}),
	parent: valueOption({type: 'string', describe: 'the parent of a differencing image'}),
	'allow-path': valueOption({
		type: 'string',
		array: true,
		describe: 'a further folder from which the image may load parents and extents',
	}),
	'passphrase-file': secretOption('opens an encrypted image: a file whose only line is the passphrase'),
	'key-file': secretOption('opens an encrypted image: a file that is its key'),
	'zero-unreadable': {
		type: 'boolean',
		default: false,
		describe: 'take what could not be read when the image was made as zeros, instead of failing there',
	},
} as const;

export interface OpeningArguments {
	readonly format: string | undefined;
	readonly sectorSize: number | undefined;
	readonly parent: string | undefined;
	readonly allowPath: readonly string[] | undefined;
	readonly zeroUnreadable: boolean;
}

/** `secret` is that of the image: `Context.secretOf`. */
export function openOptions(
	{format, sectorSize, parent, allowPath, zeroUnreadable}: OpeningArguments,
	secret?: Secret,
): OpenImageOptions {
	return {
		...(secret !== undefined && {secret}),
		...(format !== undefined && {format}),
		...(sectorSize !== undefined && {sectorSize}),
		...(parent !== undefined && {parent}),
		...(allowPath !== undefined && {allowedFolders: allowPath}),
		...(zeroUnreadable && {zeroUnreadable}),
	};
}

export const progressOption = {
	progress: valueOption({
		choices: PROGRESS_MODES,
		default: 'auto' as const,
		describe: 'a bar, lines of JSON, or nothing; auto shows a bar on a terminal',
	}),
} as const;

export const jsonOption = {
	json: {type: 'boolean', default: false, describe: 'write JSON, in the shape of docs/json.md'},
} as const;

/** The operand that nearly every command starts with. */
export const imageOperand = {
	type: 'string',
	demandOption: true,
	describe: 'the image file, or a block device',
} as const;

/** What a command opens that has this operand and no other image. */
export function onlyImage(args: OpeningArguments & {readonly image: string}): readonly ImageUse[] {
	return [{path: args.image, options: openOptions(args)}];
}

/** Of commands that can tell something of an encrypted image without its secret. */
export const withoutKeyOption = {
	'without-key': {
		type: 'boolean',
		conflicts: ['passphrase-file', 'key-file'],
		describe: 'of an encrypted image: only what can be seen without its secret',
	},
} as const;
