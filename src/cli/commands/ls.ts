import {DiskError} from '../../core/error.ts';
import type {FileSystem} from '../../core/file-system.ts';
import {openImage} from '../../image/image.ts';
import {formatPath, resolvePath} from '../../image/paths.ts';
import {imageTree} from '../../image/tree.ts';
import {describeEntry} from '../../work/entry.ts';
import {joinPath, listDirectory, walk, type WalkedEntry} from '../../work/walk.ts';
import {type Context, defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions} from '../options.ts';
import {outLine} from '../output.ts';
import {openJsonArray} from '../render/json.ts';
import {colourName, renderLong} from '../render/listing.ts';
import {printable} from '../../core/bytes/text.ts';

export const ls = defineCommand({
	examples: [
		['ls disk.vhdx', 'the volumes'],
		['ls -l disk.vhdx /3/Users', 'sizes, times, modes'],
		['ls -R disk.vhdx /1 --json', 'all files of a volume, for a program'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('path', {type: 'string', default: '/', describe: 'what to list'})
			.options({
				long: {
					type: 'boolean',
					alias: 'l',
					default: false,
					describe: 'modes, links, owners, sizes, times, link targets',
				},
				recursive: {type: 'boolean', alias: 'R', default: false, describe: 'directories with all that is below them'},
				...jsonOption,
				...openingOptions,
			}),
	images: args => onlyImage(args),
	run(args, context) {
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		try {
			const tree = imageTree(image);
			const resolved = resolvePath(tree, args.path, {followLast: !args.long});
			const {node, type, names} = resolved;
			const start = {node, type, name: names.at(-1) ?? new Uint8Array(0), path: formatPath(names), depth: 0};
			if (args.json) return listAsJson(tree, start, args.recursive, context);
			return listAsText(tree, start, args, context);
		} finally {
			image[Symbol.dispose]();
		}
	},
});

function listAsJson(tree: FileSystem, start: WalkedEntry, recursive: boolean, context: Context): ExitCode {
	const array = openJsonArray();
	let code: ExitCode = ExitCode.good;
	function onError(error: unknown): void {
		if (!(error instanceof DiskError)) throw error;
		context.error(error);
		code = ExitCode.found;
	}
	const entries = walk(tree, start, {
		enter: ({depth}) => recursive || depth === 0,
		onError: (_, error) => onError(error),
	});
	for (const entry of entries) {
		if (entry.depth === 0 && entry.type === 'directory') continue;
		try {
			array.add(describeEntry(tree, entry, tree.stat(entry.node)));
		} catch (error) {
			onError(error);
		}
	}
	array.close();
	return code;
}

interface TextOptions {
	readonly long: boolean;
	readonly recursive: boolean;
}

/** Directory by directory, as ls has it; what cannot be read is said on standard error. */
function listAsText(tree: FileSystem, start: WalkedEntry, {long, recursive}: TextOptions, context: Context): ExitCode {
	let code: ExitCode = ExitCode.good;
	function onError(error: DiskError): void {
		context.error(error);
		code = ExitCode.found;
	}
	const show = (entries: readonly WalkedEntry[]): void => {
		if (long) for (const line of renderLong(tree, entries, onError)) outLine(line);
		else for (const {name, type} of entries) outLine(colourName(printable(name), type));
	};

	if (start.type !== 'directory') {
		show([start]);
		return code;
	}
	let first = true;
	// Only the directories matter here: each is listed when the walk comes to it.
	const directories = recursive
		? walk(tree, start, {onError: (_, error) => isListed(error) || onError(error)})
		: [start];
	for (const {node, path, type} of directories) {
		if (type !== 'directory') continue;
		if (recursive) outLine(`${first ? '' : '\n'}${path}:`);
		first = false;
		const {entries, error} = listDirectory(tree, node);
		show(
			entries.map(({name, node: child, type: kind}) => ({
				name,
				node: child,
				type: kind,
				path: joinPath(path, name),
				depth: 0,
			})),
		);
		if (error !== undefined) onError(error);
	}
	return code;
}

/** The walk meets the errors of listings a second time; only its own are news. */
function isListed(error: DiskError): boolean {
	return error.code !== 'walk/directory-loop';
}
