import {copyFileSync, mkdirSync, readFileSync, renameSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';
import {overwrite} from './images.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

const PHOTOGRAPH = '/Users/alice/Pictures/garden.ppm';

function photograph(): number {
	return readFileSync(demoDisk()).indexOf('P6 160 120 255');
}

/** `base.tint`, and `tip.tint` with a changed photograph. */
function chain(t: ExecutionContext): string {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), disk);
	tintypeOutput(['capture', disk, 'base.tint', '--comment', 'first'], {cwd: folder});
	overwrite(disk, photograph() + 100, Buffer.from('changed'));
	tintypeOutput(['capture', disk, 'tip.tint', '--parent', 'base.tint'], {cwd: folder});
	return folder;
}

test('verify says what it proved, names files, and has a fast way', t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'disk.tint');
	tintypeOutput(['convert', demoDisk(), image]);
	t.regex(
		tintypeOutput(['verify', image]),
		/: good, read .*\n {2}the content is proven to be that of content id [0-9a-f]{64}\n/,
	);
	t.regex(tintypeOutput(['verify', image, '--fast']), /: good, all checksums compared in/);
	t.is(tintype(['verify', image, '--fast', '--full']).code, 2);
	t.is(tintype(['verify', image, '--workers', '0']).code, 2);
	damageChunk(image, photograph());
	const {code, stdout} = tintype(['verify', image, '--fast']);
	t.is(code, 1);
	t.regex(stdout, /volume 2, \/2-Windows: 128 KiB damaged: .* in files/);
	t.regex(stdout, new RegExp(`${PHOTOGRAPH}: all of its 56.3 KiB`));
	t.regex(stdout, /all else can be read, and restored with tintype restore --keep-going/);
	const report = JSON.parse(tintype(['verify', image, '--json']).stdout) as Record<string, unknown>;
	t.like(report, {good: false, depth: 'full', proven: null, unreadableBytes: 131_072});
	const {damage} = report as {damage: {bytes: number; volumes: {files: {path: string}[]}[]}};
	t.is(damage.bytes, 131_072);
	t.true(damage.volumes[0]?.files.some(({path}) => path === PHOTOGRAPH));
});

test('chain, merge, info and compare of an incremental image', t => {
	const folder = chain(t);
	const tip = join(folder, 'tip.tint');
	const said = tintypeOutput(['chain', 'tip.tint'], {cwd: folder});
	t.regex(said, /^tip\.tint: whole, 2 files, a disk of 48 MiB/);
	t.regex(said, / {2}base\.tint +\S+ KiB +\S+ MiB/);
	const merged = tintypeOutput(['merge', tip, join(folder, 'full.tint')]);
	t.regex(merged, / {2}content id: [0-9a-f]{64}, that of the chain\n/);
	t.regex(
		tintypeOutput(['compare', tip, join(folder, 'full.tint')]),
		/hold the same, by their recorded content ids; nothing was read/,
	);
	const differ = tintypeJsonWith<{by: string; ranges: {position: number}[]}>(
		['compare', tip, join(folder, 'base.tint'), '--json'],
		1,
	);
	t.is(differ.by, 'hashes');
	t.is(differ.ranges[0]?.position, photograph() + 100 - ((photograph() + 100) % 512));
	const {facts} = tintypeJson<{facts: {key: string; value: unknown}[]}>(['info', tip, '--deep', '--json']);
	const keys = new Set(facts.map(({key}) => key));
	for (const key of ['ratio', 'codecs', 'inheritedBytes', 'contentId', 'chainFiles']) t.true(keys.has(key), key);
	t.is(tintype(['chain', demoDisk()]).code, 4);
});

test('a missing file of a chain ends chain with 1, merge with 5, and both name the files', t => {
	const folder = chain(t);
	mkdirSync(join(folder, 'away'));
	renameSync(join(folder, 'base.tint'), join(folder, 'away/base.tint'));
	const {code, stdout} = tintype(['chain', 'tip.tint'], {cwd: folder});
	t.is(code, 1);
	t.regex(stdout, /base\.tint +missing/);
	t.regex(stdout, /looked for as base\.tint in /);
	// Partition table and file systems are in the missing file; the photograph is not.
	const json = tintypeJsonWith<{whole: boolean; lostBytes: number; files: {path: string | null; recorded: string[]}[]}>(
		['chain', join(folder, 'tip.tint'), '--json'],
		1,
	);
	t.like(json, {whole: false});
	t.is(json.files[1]?.path, null);
	const refused = tintype(['merge', 'tip.tint', 'full.tint'], {cwd: folder});
	t.is(refused.code, 5);
	t.regex(refused.stderr, /of the disk cannot be had/);
	t.is(tintype(['merge', 'tip.tint', 'full.tint', '--keep-going'], {cwd: folder}).code, 1);
	t.is(tintype(['chain', 'tip.tint', '--allow-path', join(folder, 'away')], {cwd: folder}).code, 0);
});

test('repair says what was rescued', t => {
	const folder = temporaryFolder(t);
	const image = join(folder, 'disk.tint');
	tintypeOutput(['convert', demoDisk(), image]);
	t.regex(tintypeOutput(['repair', image]), /: good, there is nothing to repair/);
	damageChunk(image, photograph());
	const {code, stdout} = tintype(['repair', image, join(folder, 'fixed.tint')]);
	t.is(code, 1);
	t.regex(stdout, /of the disk of 48 MiB: .* rescued, .* zeros or free, 128 KiB lost/);
	t.regex(stdout, new RegExp(PHOTOGRAPH));
	t.is(tintype(['repair', image]).code, 2);
	t.is(tintype(['repair', image, '--in-place']).code, 5);
	t.is(tintype(['repair', demoDisk(), join(folder, 'x')]).code, 4);
	const verified = tintype(['verify', join(folder, 'fixed.tint')]);
	t.is(verified.code, 1);
	t.regex(verified.stdout, /as it was written, but parts of the source could not be read/);
});

function tintypeJsonWith<Shape>(args: readonly string[], expected: number): Shape {
	const {code, stdout, stderr} = tintype(args);
	if (code !== expected) throw new Error(`${code}: ${stderr}`);
	return JSON.parse(stdout) as Shape;
}
