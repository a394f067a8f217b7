/**
 * Joins what the program loads on every start into few files: the command line, and the threads that it starts. Finding,
 * reading and linking some 200 modules takes longer than most commands. What is exported to other programs stays as it
 * is, and so does the mount's thread, which loads modules by their names.
 */
import {readFileSync, rmSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {build, type Plugin} from 'esbuild';

const DIST = join(import.meta.dirname, '../dist');
const PROGRAM = 'src/cli/main.js';
const THREADS = [
	'src/convert/convert.worker.js',
	'src/compare/compare.worker.js',
	'src/identify/identify.worker.js',
	'src/restore/restore.worker.js',
	'src/verify/content.worker.js',
];

/** These hold native code. */
const external = ['koffi', 'lz4-napi', '@node-rs/crc32'];

/** Modules name their neighbours by their own place, which in a bundle is that of the bundle. */
function keepPlaces(folder: string): Plugin {
	return {
		name: 'keep-places',
		setup(builder) {
			builder.onLoad({filter: /\/dist\/.*\.js$/}, ({path}) => {
				const place = JSON.stringify(relative(folder, path).split('\\').join('/'));
				const url = `new URL(${place}, import.meta.url).href`;
				return {contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url), loader: 'js'};
			});
		},
	};
}

/** Names stay, so that the trace of a defect can be read. */
async function bundle(entry: string, splitting: boolean): Promise<void> {
	const folder = dirname(join(DIST, entry));
	await build({
		entryPoints: [join(DIST, entry)],
		outdir: folder,
		allowOverwrite: true,
		bundle: true,
		splitting,
		external,
		// What yargs measures text with takes 20 ms to load and to use once; this one gives the same widths.
		alias: {'string-width': 'fast-string-width'},
		minifyWhitespace: true,
		platform: 'node',
		format: 'esm',
		target: 'node22',
		plugins: [keepPlaces(folder)],
		logLevel: 'warning',
	});
}

/** Each command is loaded when it is asked for. All parts lie in one folder, on which `keepPlaces` counts. */
await bundle(PROGRAM, true);
for (const thread of THREADS) await bundle(thread, false);
for (const unused of ['commands', 'render']) rmSync(join(DIST, 'src/cli', unused), {recursive: true});
