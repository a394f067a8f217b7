/**
 * Joins what the program loads on every start into one file each: the command line, and the threads that it starts.
 * Finding, reading and linking some 200 modules takes longer than most commands. What is exported to other programs stays
 * as it is, and so does the mount's thread, which loads modules by their names.
 */
import {readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {build, type Plugin} from 'esbuild';

const DIST = join(import.meta.dirname, '../dist');
const ENTRIES = [
	'src/cli/main.js',
	'src/convert/convert.worker.js',
	'src/compare/compare.worker.js',
	'src/identify/identify.worker.js',
	'src/restore/restore.worker.js',
	'src/verify/content.worker.js',
];

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

for (const entry of ENTRIES) {
	const path = join(DIST, entry);
	await build({
		entryPoints: [path],
		outfile: path,
		allowOverwrite: true,
		bundle: true,
		packages: 'external',
		minifyWhitespace: true,
		platform: 'node',
		format: 'esm',
		target: 'node22',
		plugins: [keepPlaces(dirname(path))],
		logLevel: 'warning',
	});
}
