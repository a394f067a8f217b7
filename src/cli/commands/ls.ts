import {DiskError} from '../../core/error.ts';
import type {FileSystem} from '../../core/file-system.ts';
import {openImage} from '../../image/image.ts';
import {formatPath, resolvePath} from '../../image/paths.ts';
import {formatStream} from '../../image/streams.ts';
import {imageTree} from '../../image/tree.ts';
import {describeEntry} from '../../work/entry.ts';
import {atPath, joinPath, listDirectory, walk, type WalkedEntry} from '../../work/walk.ts';
import {type Context, defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {noteCase} from '../note-case.ts';
import {imageOperand, jsonOption, onlyImage, openingOptions, openOptions} from '../options.ts';
import {outLine} from '../output.ts';
import {openJsonArray} from '../render/json.ts';
import {colourName, renderLong} from '../render/listing.ts';
import {printable} from '../../core/bytes/text.ts';

export const ls = defineCommand({
	examples: [
		['ls disk.vhdx', 'the volumes'],
		['ls -l disk.vhdx /3/Users', 'sizes, times, modes'],
		['ls --streams disk.vhdx /3/Downloads', 'with the named streams of files'],
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
				streams: {type: 'boolean', default: false, describe: 'the named streams of files as well (NTFS)'},
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
			noteCase(resolved, args.path, context);
			const {node, type, names} = resolved;
			const start = {node, type, name: names.at(-1) ?? new Uint8Array(0), path: formatPath(names), depth: 0};
			if (args.json) return listAsJson(tree, start, args, context);
			return listAsText(tree, start, args, context);
		} finally {
			image[Symbol.dispose]();
		}
	},
});

interface JsonOptions {
	readonly recursive: boolean;
	readonly streams: boolean;
}

function listAsJson(tree: FileSystem, start: WalkedEntry, options: JsonOptions, context: Context): ExitCode {
	const {recursive, streams} = options;
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
			const entryStreams = streams ? {streams: streamsOf(tree, entry)} : {};
			array.add({...describeEntry(tree, entry, tree.stat(entry.node)), ...entryStreams});
		} catch (error) {
			onError(error);
		}
	}
	array.close();
	return code;
}

interface TextOptions extends JsonOptions {
	readonly long: boolean;
}

function streamsOf(tree: FileSystem, {node}: WalkedEntry): {name: string; size: number}[] {
	return [...tree.streams(node)].map(({name, size}) => ({name, size}));
}

/** Directory by directory, as ls has it; what cannot be read is said on standard error. */
function listAsText(tree: FileSystem, start: WalkedEntry, options: TextOptions, context: Context): ExitCode {
	const {long, recursive, streams} = options;
	let code: ExitCode = ExitCode.good;
	function onError(error: DiskError): void {
		context.error(error);
		code = ExitCode.found;
	}
	const show = (entries: readonly WalkedEntry[]): void => {
		const lines = long
			? renderLong(tree, entries, onError)
			: entries.map(({name, type}) => colourName(printable(name), type));
		for (const [index, line] of lines.entries()) {
			outLine(line);
			const entry = entries[index];
			if (streams && entry !== undefined) showStreams(entry);
		}
	};
	const showStreams = (entry: WalkedEntry): void => {
		try {
			for (const {name, size} of streamsOf(tree, entry)) {
				const title = formatStream(printable(entry.name), name);
				outLine(long ? `${' '.repeat(STREAM_INDENT)}${size} ${title}` : title);
			}
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			onError(atPath(error, entry.path));
		}
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

/** Columns before the size of a stream, so that it is told from a file at a glance. */
const STREAM_INDENT = 4;

/** The walk meets the errors of listings a second time; only its own are news. */
function isListed(error: DiskError): boolean {
	return error.code !== 'walk/directory-loop';
}
