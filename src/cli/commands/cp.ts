import {DiskError} from '../../core/error.ts';
import {extract, type ExtractResult} from '../../extract/extract.ts';
import {openImage} from '../../image/image.ts';
import {resolvePath} from '../../image/paths.ts';
import {imageTree} from '../../image/tree.ts';
import {defineCommand} from '../command.ts';
import {ExitCode, exitCodeOf} from '../exit-code.ts';
import {noteCase} from '../note-case.ts';
import {imageOperand, onlyImage, openingOptions, openOptions, progressOption} from '../options.ts';
import {note} from '../output.ts';
import {formatNumberOf} from '../render/size.ts';
import {atPath} from '../../work/walk.ts';

export const cp = defineCommand({
	interruptible: true,
	examples: [
		['cp disk.vhdx /3/Users/alice/letter.txt .', 'one file'],
		['cp -r disk.vhdx /3/Users/alice rescued', 'a directory with all that is in it'],
		['cp -r disk.vhdx / everything', 'all volumes'],
	],
	build: yargs =>
		yargs
			.positional('image', imageOperand)
			.positional('paths', {
				type: 'string',
				array: true,
				demandOption: true,
				describe: 'paths in the image, and last the target on this system',
			})
			.options({
				recursive: {type: 'boolean', alias: 'r', default: false, describe: 'copy directories, and links as links'},
				force: {type: 'boolean', alias: 'f', default: false, describe: 'replace existing files'},
				owner: {
					choices: ['image', 'mounter'] as const,
					default: 'mounter' as const,
					requiresArg: true,
					describe: 'image keeps owners, setuid bits and devices (as root)',
				},
				...progressOption,
				...openingOptions,
			}),
	images: args => onlyImage(args),
	async run(args, context) {
		const paths = [...args.paths];
		const target = paths.pop();
		if (target === undefined || paths.length === 0) {
			throw new DiskError('invalid', 'cp/no-target', 'the target is missing', {
				hint: 'tintype cp IMAGE PATH... TARGET',
			});
		}
		if (target === '') throw new DiskError('invalid', 'cp/empty-target', 'the target has no name');
		const image = openImage(args.image, openOptions(args, context.secretOf(args.image)));
		try {
			const tree = imageTree(image);
			const sources = paths.map(path => resolvePath(tree, path, {followLast: !args.recursive}));
			for (const [index, source] of sources.entries()) noteCase(source, paths[index] ?? '', context);
			const {file, related} = image.recipe;
			let firstFailure: DiskError | undefined;
			const result = await context.withProgress(onProgress =>
				extract(tree, sources, target, {
					recursive: args.recursive,
					force: args.force,
					owner: args.owner,
					protect: [file, ...related.map(other => other.file)].flatMap(({parts}) => parts),
					...(args.progress !== 'none' && {onProgress}),
					onFailure({path, error}) {
						firstFailure ??= error;
						context.error(atPath(error, path));
					},
					signal: context.signal,
				}),
			);
			if (args.progress !== 'json') note(summary(result));
			return codeOf(result, firstFailure);
		} finally {
			image[Symbol.dispose]();
		}
	},
});

/** Silence means that all went well, as with cp. */
function summary({failureCount, files, skipped}: ExtractResult): string {
	const lines: string[] = [];
	if (skipped > 0) {
		lines.push(`tintype: left out ${formatNumberOf(skipped, 'device, FIFO or socket', 'devices, FIFOs or sockets')}\n`);
	}
	if (failureCount > 0 && failureCount + files > 1) {
		lines.push(`tintype: copied ${formatNumberOf(files, 'file')}, ${formatNumberOf(failureCount, 'failure')}\n`);
	}
	return lines.join('');
}

/** Damage outweighs whatever else went wrong. */
function codeOf({failures}: ExtractResult, first: DiskError | undefined): ExitCode {
	if (first === undefined) return ExitCode.good;
	const codes = failures.map(({error}) => exitCodeOf(error));
	return codes.includes(ExitCode.found) ? ExitCode.found : exitCodeOf(first);
}
