import {newSpan} from '../../core/disk.ts';
import {corrupt, DiskError, located} from '../../core/error.ts';
import type {FileSystem, Stream} from '../../core/file-system.ts';
import {openImage} from '../../image/image.ts';
import {formatPath, type Resolved} from '../../image/paths.ts';
import {formatStream, resolveContent} from '../../image/streams.ts';
import {imageTree} from '../../image/tree.ts';
import {PIECE, readExactly, runAt} from '../../work/content.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {noteCase} from '../note-case.ts';
import {imageOperand, onlyImage, openingOptions, openOptions} from '../options.ts';
import {outBytes} from '../output.ts';
import {formatCount} from '../render/size.ts';

/** What is given up at once where a file is damaged. */
const DAMAGE_STEP = 4096;

export const cat = defineCommand({
	examples: [
		['cat disk.vhdx /2/etc/fstab', 'show a file'],
		['cat disk.vhdx /3/letter.docx:Zone.Identifier', 'a named stream of a file'],
		['cat disk.vhdx /disk.raw | sha256sum', 'the checksum of the whole disk'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('path', {
				type: 'string',
				array: true,
				demandOption: true,
				describe: 'files in the image; FILE:STREAM for a named stream',
			})
			.options(openingOptions),
	images: args => onlyImage(args),
	run(args, context) {
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		try {
			const tree = imageTree(image);
			// All are found before anything is written: half an answer would look like a whole one.
			const files = args.path.map(path => resolveContent(tree, path, {followLast: true}));
			for (const [index, file] of files.entries()) noteCase(file, args.path[index] ?? '', context);
			const directory = files.find(file => file.type === 'directory' && file.stream === undefined);
			if (directory !== undefined) throw isDirectory(directory);
			for (const file of files) {
				if (file.stream === undefined) writeContent(tree, file);
				else writeStream(file.stream, formatPath(file.names));
			}
			return ExitCode.good;
		} finally {
			image[Symbol.dispose]();
		}
	},
});

function isDirectory({names}: Resolved): DiskError {
	return new DiskError('is-a-directory', 'cat/is-a-directory', `${formatPath(names)} is a directory`, {
		hint: 'list it with tintype ls',
	});
}

function writeStream(stream: Stream, path: string): void {
	const buffer = new Uint8Array(Math.min(PIECE, stream.size));
	for (let position = 0; position < stream.size; ) {
		try {
			const count = stream.read(position, buffer);
			if (count === 0) throw corrupt('cat/short-stream', 'it ends before its size says');
			outBytes(buffer.subarray(0, count));
			position += count;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			throw damagedAt(error, formatStream(path, stream.name), position);
		}
	}
}

function writeContent(tree: FileSystem, {node, names}: Resolved): void {
	const {size} = tree.stat(node);
	const buffer = new Uint8Array(PIECE);
	const zeros = new Uint8Array(PIECE);
	const span = newSpan();
	for (let position = 0; position < size; ) {
		const {hole, length} = runAt(tree, node, position, size, span);
		if (hole) {
			for (let done = 0; done < length; done += PIECE) outBytes(zeros.subarray(0, Math.min(PIECE, length - done)));
		} else {
			const piece = buffer.subarray(0, length);
			try {
				readExactly(tree, node, position, piece);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				writeUntilDamage(tree, {node, names}, position, piece);
			}
			outBytes(piece);
		}
		position += length;
	}
}

/** Writes what can be read before the damage, then throws. Returns when the second reading found none. */
function writeUntilDamage(
	tree: FileSystem,
	{node, names}: Pick<Resolved, 'node' | 'names'>,
	start: number,
	piece: Uint8Array,
): void {
	for (let done = 0; done < piece.length; done += DAMAGE_STEP) {
		try {
			readExactly(tree, node, start + done, piece.subarray(done, done + DAMAGE_STEP));
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			outBytes(piece.subarray(0, done));
			throw damagedAt(error, formatPath(names), start + done);
		}
	}
}

function damagedAt(error: DiskError, path: string, position: number): DiskError {
	const message = `${path} cannot be read beyond byte ${formatCount(position)}: ${error.message}`;
	if (error.family === 'corrupt') return corrupt(error.code, message, error.where, error);
	return located(new DiskError(error.family, error.code, message, {where: error.where, cause: error}), {});
}
