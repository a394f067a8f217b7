import {DiskError} from '../../core/error.ts';
import type {NodeType, Timestamp} from '../../core/file-system.ts';
import {type FindQuery, findEntries} from '../../find/find.ts';
import {openImage} from '../../image/image.ts';
import {formatPath, resolvePath} from '../../image/paths.ts';
import {imageTree} from '../../image/tree.ts';
import {describeEntry} from '../../work/entry.ts';
import {atPath} from '../../work/walk.ts';
import {defineCommand, valueOption} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions} from '../options.ts';
import {outLine} from '../output.ts';
import {openJsonArray} from '../render/json.ts';
import {parseSize} from '../render/size.ts';

const TYPES: Readonly<Record<string, NodeType>> = {
	f: 'file',
	d: 'directory',
	l: 'symlink',
	p: 'fifo',
	s: 'socket',
	c: 'character-device',
	b: 'block-device',
};

export const find = defineCommand({
	interruptible: true,
	examples: [
		["find disk.vhdx --iname '*.docx'", 'in all volumes, in any case'],
		['find disk.vhdx /3/Users --type f --size +100M', 'big files'],
		['find disk.vhdx --newer 2024-01-31 --json', 'what changed since, for a program'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('start', {type: 'string', default: '/', describe: 'where to start'})
			.options({
				name: valueOption({type: 'string', describe: 'pattern for the name: * ? [a-z]'}),
				iname: valueOption({type: 'string', describe: 'the same in any case'}),
				path: valueOption({type: 'string', describe: 'pattern for the whole path; * takes / as well'}),
				type: valueOption({
					choices: Object.keys(TYPES),
					array: true,
					describe: 'file, directory, symlink, pipe, socket, device',
				}),
				size: {type: 'string', nargs: 1, describe: 'bytes: +10M for more, -1k for less, 512 for exactly'},
				newer: valueOption({type: 'string', describe: 'modified after this date: 2024-01-31 or 2024-01-31T12:00:00Z'}),
				...jsonOption,
				...openingOptions,
			}),
	images: args => onlyImage(args),
	async run(args, context) {
		const query = readQuery(args);
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		const array = args.json ? openJsonArray() : undefined;
		let code: ExitCode = ExitCode.good;
		function onError(_: string, error: DiskError): void {
			context.error(error);
			code = ExitCode.found;
		}
		try {
			const tree = imageTree(image);
			const {node, type, names} = resolvePath(tree, args.start, {followLast: true});
			const start = {node, type, name: names.at(-1) ?? new Uint8Array(0), path: formatPath(names), depth: 0};
			for await (const {entry, stat} of findEntries(tree, start, query, {onError, signal: context.signal})) {
				if (array === undefined) {
					outLine(entry.path);
					continue;
				}
				try {
					array.add(describeEntry(tree, entry, stat));
				} catch (error) {
					if (!(error instanceof DiskError)) throw error;
					onError(entry.path, atPath(error, entry.path));
				}
			}
			array?.close();
			return code;
		} finally {
			image[Symbol.dispose]();
		}
	},
});

interface QueryArguments {
	readonly name: string | undefined;
	readonly iname: string | undefined;
	readonly path: string | undefined;
	readonly type: readonly string[] | undefined;
	readonly size: string | undefined;
	readonly newer: string | undefined;
}

function readQuery({name, iname, path, type, size, newer}: QueryArguments): FindQuery {
	return {
		...(name !== undefined && {name}),
		...(iname !== undefined && {nameAnyCase: iname}),
		...(path !== undefined && {path}),
		...(type !== undefined && {types: type.flatMap(letter => TYPES[letter] ?? [])}),
		...(size !== undefined && {size: readSize(size)}),
		...(newer !== undefined && {newer: readDate(newer)}),
	};
}

function readSize(text: string): NonNullable<FindQuery['size']> {
	const sign = text[0];
	if (sign === '+') return {is: 'more', than: parseSize(text.slice(1), 'size')};
	if (sign === '-') return {is: 'less', than: parseSize(text.slice(1), 'size')};
	return {is: 'equal', than: parseSize(text, 'size')};
}

function readDate(text: string): Timestamp {
	const milliseconds = Date.parse(text);
	if (Number.isNaN(milliseconds)) {
		throw new DiskError('invalid', 'cli/date', `--newer ${text} is not a date`, {
			hint: 'write it as 2024-01-31 or 2024-01-31T12:00:00Z',
		});
	}
	const seconds = Math.floor(milliseconds / 1000);
	return {seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000};
}
