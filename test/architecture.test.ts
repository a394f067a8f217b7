import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, relative, resolve} from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '..');

interface Import {
	readonly specifier: string;
	/** The project's own file, relative to its root; undefined for packages and Node's modules. */
	readonly file: string | undefined;
	readonly typeOnly: boolean;
}

function sourceFiles(): string[] {
	return ['src', 'formats', 'mount'].flatMap(folder =>
		readdirSync(join(ROOT, folder), {recursive: true, encoding: 'utf8'})
			.filter(name => name.endsWith('.ts'))
			.map(name => join(folder, name)),
	);
}

function codeOf(file: string): string {
	return readFileSync(join(ROOT, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

function importsOf(file: string): Import[] {
	const text = codeOf(file);
	const pattern = /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;
	return [...text.matchAll(pattern)].map(match => {
		const specifier = match[2] ?? match[3] ?? '';
		const local = specifier.startsWith('.');
		return {
			specifier,
			file: local ? relative(ROOT, resolve(ROOT, dirname(file), specifier)) : undefined,
			typeOnly: match[1] !== undefined,
		};
	});
}

/** A layer may import from itself and from those named; the first pattern that matches a file is its layer. */
const LAYERS: readonly {readonly name: string; readonly pattern: RegExp; readonly imports: readonly string[]}[] = [
	{name: 'core', pattern: /^src\/core\//, imports: []},
	{name: 'format list', pattern: /^formats\/index\.ts$/, imports: ['core', 'format']},
	{name: 'file system list', pattern: /^mount\/filesystems\/index\.ts$/, imports: ['core', 'file system']},
	{name: 'format', pattern: /^formats\/[^/]+\//, imports: ['core']},
	{name: 'file system', pattern: /^mount\/filesystems\/[^/]+\//, imports: ['core']},
	{name: 'partitions', pattern: /^src\/partitions\//, imports: ['core']},
	{name: 'fuse', pattern: /^mount\/(fuse|attach)\//, imports: ['core']},
	{name: 'mount', pattern: /^mount\//, imports: ['core', 'fuse', 'image', 'file system list']},
	{name: 'image', pattern: /^src\/image\//, imports: ['core', 'partitions', 'format list', 'file system list']},
	{
		name: 'command line',
		pattern: /^src\/cli\//,
		imports: ['core', 'image', 'work', 'mount', 'format list', 'file system list', 'partitions'],
	},
	{
		name: 'library',
		pattern: /^src\/index\.ts$/,
		imports: ['core', 'image', 'work', 'mount', 'format list', 'file system list', 'partitions'],
	},
	{name: 'work', pattern: /^src\/[^/]+\//, imports: ['core', 'image', 'format list', 'file system list', 'partitions']},
];

function layerOf(file: string): (typeof LAYERS)[number] {
	const layer = LAYERS.find(candidate => candidate.pattern.test(file));
	if (layer === undefined) throw new Error(`${file} belongs to no layer`);
	return layer;
}

/** Formats, file systems and partition schemes have a folder each, and know nothing of each other. */
function siblingFolder(file: string): string | undefined {
	return /^(formats|mount\/filesystems|src\/partitions)\/([^/]+)\//.exec(file)?.[0];
}

test('layers import downwards only, and siblings never import each other', t => {
	for (const file of sourceFiles()) {
		const layer = layerOf(file);
		const own = siblingFolder(file);
		for (const imported of importsOf(file)) {
			if (imported.file === undefined) continue;
			const target = layerOf(imported.file);
			const allowed = target.name === layer.name || layer.imports.includes(target.name);
			t.true(allowed, `${file} (${layer.name}) imports ${imported.file} (${target.name})`);
			const sibling = siblingFolder(imported.file);
			const stranger = own !== undefined && sibling !== undefined && sibling !== own;
			t.false(stranger, `${file} imports its sibling ${imported.file}`);
		}
	}
});

test('no module imports itself, directly or through others', t => {
	const files = new Map(
		sourceFiles().map(file => [
			file,
			importsOf(file).flatMap(imported => (imported.file === undefined || imported.typeOnly ? [] : [imported.file])),
		]),
	);
	const done = new Set<string>();
	const visit = (file: string, path: readonly string[]): void => {
		if (path.includes(file)) t.fail(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
		if (done.has(file) || path.includes(file)) return;
		for (const next of files.get(file) ?? []) visit(next, [...path, file]);
		done.add(file);
	};
	for (const file of files.keys()) visit(file, []);
	t.true(done.size === files.size);
});

/** Where modules of Node may be used below the layers that know the operating system anyway. */
const NODE_ALLOWED = [
	/^src\/core\/sources\/(file|pipe)\.ts$/,
	/^src\/core\/system\//,
	/^src\/core\/codecs\//,
	/^src\/core\/start-worker\.ts$/,
];

test('what a browser could run imports nothing of Node', t => {
	const portable = new Set(['core', 'format', 'file system', 'partitions', 'format list', 'file system list']);
	for (const file of sourceFiles()) {
		if (!portable.has(layerOf(file).name) || NODE_ALLOWED.some(pattern => pattern.test(file))) continue;
		const specifiers = importsOf(file).map(imported => imported.specifier);
		t.deepEqual(
			specifiers.filter(specifier => specifier.startsWith('node:')),
			[],
			file,
		);
		t.notRegex(codeOf(file), /\bBuffer\b/, `${file} names Buffer`);
	}
});

test('only the command line prints, reads its arguments or exits; only workers talk to their parent', t => {
	for (const file of sourceFiles()) {
		const text = codeOf(file);
		// mount/exit.ts is what the command line ends with after a mount; nothing else calls it.
		if (!file.startsWith('src/cli/') && file !== 'mount/exit.ts') {
			t.notRegex(text, /\bconsole\.|process\.(stdout|stderr|argv|exit\b)/, file);
		}
		if (!file.endsWith('.worker.ts')) t.notRegex(text, /\bparentPort\b/, file);
	}
});

test('every format, file system and layer folder has a README', t => {
	const folders = [
		'formats',
		'mount',
		'src',
		'src/core',
		'src/image',
		'src/convert',
		'src/partitions',
		'src/cli',
		'test',
		'testdata',
		'scripts',
	];
	for (const list of ['formats', 'mount/filesystems']) {
		for (const entry of readdirSync(join(ROOT, list), {withFileTypes: true})) {
			if (entry.isDirectory()) folders.push(join(list, entry.name));
		}
	}
	for (const folder of folders)
		t.true(readdirSync(join(ROOT, folder)).includes('README.md'), `${folder} has no README.md`);
});
