import {copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {demoDisk} from './helpers/demo-disk.ts';
import {temporaryFolder} from './helpers/temporary.ts';
import {findTool, run} from './helpers/tools.ts';

const ROOT = join(import.meta.dirname, '..');

/** The package as a user gets it: packed from a copy, so that no build appears in the checkout, and installed elsewhere. */
function install(t: ExecutionContext): string {
	const folder = temporaryFolder(t);
	const checkout = join(folder, 'checkout');
	const home = join(folder, 'home');
	mkdirSync(checkout);
	mkdirSync(home);
	const names = readdirSync(ROOT).filter(name => !['node_modules', '.git', 'dist'].includes(name));
	run('cp', ['-r', ...names.map(name => join(ROOT, name)), checkout]);
	run('ln', ['-s', join(ROOT, 'node_modules'), join(checkout, 'node_modules')]);
	run('npm', ['pack', '--silent', '--pack-destination', folder], {cwd: checkout});
	const tarball = readdirSync(folder).find(name => name.endsWith('.tgz'));
	if (tarball === undefined) throw new Error('npm pack made no package');
	writeFileSync(join(home, 'package.json'), '{"name": "home", "private": true, "type": "module"}');
	run('npm', ['install', '--silent', '--no-package-lock', join(folder, tarball)], {cwd: home});
	return home;
}

test('the packed package installs and works in an empty folder', t => {
	t.timeout(180_000);
	const home = install(t);
	const program = join(home, 'node_modules/.bin/tintype');
	const disk = join(home, 'disk.raw');
	copyFileSync(demoDisk(), disk);

	const {version} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {version: string};
	t.regex(run(program, ['--version']), new RegExp(`^(tintype )?${version.replaceAll('.', String.raw`\.`)}`, 'm'));
	t.regex(run(program, ['ls', disk, '/2/Users/alice/Documents']), /letter\.txt/);
	run(program, ['convert', disk, join(home, 'disk.vhdx')], {cwd: home});
	run(program, ['convert', join(home, 'disk.vhdx'), join(home, 'disk.tint')], {cwd: home});
	run(program, ['compare', disk, join(home, 'disk.tint')]);

	const contents = readdirSync(join(home, 'node_modules/tintype'), {recursive: true, encoding: 'utf8'});
	t.deepEqual(
		contents.filter(
			name => /(^|\/)(test|testdata|scripts)\//.test(name) || (name.endsWith('.ts') && !name.endsWith('.d.ts')),
		),
		[],
	);
});

test('every public name can be imported with its types', t => {
	t.timeout(180_000);
	const home = install(t);
	const source = readFileSync(join(ROOT, 'src/index.ts'), 'utf8');
	const exported = [...source.matchAll(/export\s+(type\s+)?\{([^}]*)\}/g)].flatMap(([, typeOnly, list = '']) =>
		list
			.split(',')
			.map(name => name.trim())
			.filter(name => name !== '')

			.map(name => ({
				name: name.replace(/^type /, '').replace(/^.* as /, ''),
				isType: typeOnly !== undefined || name.startsWith('type '),
			})),
	);
	t.true(exported.length > 30);
	const values = exported.filter(({isType}) => !isType).map(({name}) => name);
	writeFileSync(
		join(home, 'use.ts'),
		[
			`import {${exported.map(({name, isType}) => (isType ? `type ${name}` : name)).join(', ')}} from 'tintype';`,
			`export type All = [${exported.map(({name, isType}) => (isType ? name : `typeof ${name}`)).join(', ')}];`,
			`export const image: Image = openImage('disk.raw');`,
		].join('\n'),
	);
	const options = [
		'--strict',
		'--noEmit',
		'--skipLibCheck',
		'--module',
		'nodenext',
		'--target',
		'es2024',
		'--lib',
		'es2024,esnext.disposable',
	];
	run(join(ROOT, 'node_modules/.bin/tsc'), [...options, '--types', '', 'use.ts'], {cwd: home});
	const script = `import * as library from 'tintype'; console.log(Object.keys(library).sort().join(' '));`;
	t.is(run(process.execPath, ['--input-type=module', '-e', script], {cwd: home}).trim(), [...values].sort().join(' '));
});

test('a Node that is too old says in one line what to do', t => {
	const old = '/usr/bin/node';
	if (findTool('node') === undefined || Number(run(old, ['-p', 'parseInt(process.versions.node)'])) >= 22) {
		t.log('the node of this system is not too old; the check runs with a faked version');
		const script = `Object.defineProperty(process.versions, 'node', {value: '18.1.0'}); await import(${JSON.stringify(join(ROOT, 'bin/tintype.js'))});`;
		const output = run('sh', ['-c', `"$0" --input-type=module -e "$1" 2>&1`, process.execPath, script], {codes: [2]});
		t.is(output.trim().split('\n').length, 1, output);
		return;
	}
	const output = run('sh', ['-c', `"$0" bin/tintype.js info x 2>&1`, old], {cwd: ROOT, codes: [2]});
	t.regex(output, /Node/);
	t.is(output.trim().split('\n').length, 1, output);
});
