import type {OpenImageOptions} from '../image/image.ts';
import {valueOption} from './command.ts';
import {PROGRESS_MODES} from './render/progress.ts';

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
} as const;

export interface OpeningArguments {
	readonly format: string | undefined;
	readonly sectorSize: number | undefined;
	readonly parent: string | undefined;
	readonly allowPath: readonly string[] | undefined;
}

export function openOptions({format, sectorSize, parent, allowPath}: OpeningArguments): OpenImageOptions {
	return {
		...(format !== undefined && {format}),
		...(sectorSize !== undefined && {sectorSize}),
		...(parent !== undefined && {parent}),
		...(allowPath !== undefined && {allowedFolders: allowPath}),
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
