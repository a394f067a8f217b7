import {copyFileSync, existsSync, readdirSync, truncateSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

test('a disk is captured, its increment is small, and both are looked into', t => {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), disk);
	const said = tintypeOutput(['capture', disk, join(folder, 'full.tint')]);
	t.regex(said, /free space of volume 2: skipped/);
	const next = tintypeOutput(['capture', disk, join(folder, 'next.tint'), '--parent', join(folder, 'full.tint')]);
	t.regex(next, /tint, a disk of 48 MiB/);
	t.is(tintypeOutput(['cat', join(folder, 'next.tint'), '/3/etc/hostname']), 'debian\n');
	t.is(tintype(['compare', join(folder, 'full.tint'), join(folder, 'next.tint')]).code, 0);
	t.deepEqual(
		readdirSync(folder).filter(name => name.endsWith('.partial')),
		[],
	);
});

test('what was left out is told in JSON', t => {
	const folder = temporaryFolder(t);
	const result = tintypeJson<{exclusions: unknown; freeSpace: unknown; unreadable: number}>([
		'capture',
		demoDisk(),
		join(folder, 'a.tint'),
		'--volumes',
		'3',
		'--exclude',
		'pagefile,hibernation',
		'--all-blocks',
		'--json',
	]);
	t.deepEqual(result.exclusions, [
		{volume: 1, path: '', bytes: 8 << 20, reason: 'volume not chosen'},
		{volume: 2, path: '', bytes: 20 << 20, reason: 'volume not chosen'},
	]);
	t.deepEqual(result.freeSpace, [{volume: 3, skipped: false, reason: 'all blocks were asked for'}]);
	t.is(result.unreadable, 0);
});

test('bad uses of capture are told apart, and leave nothing', t => {
	const folder = temporaryFolder(t);
	const disk = demoDisk();
	const cases: readonly (readonly [args: readonly string[], code: number, said: RegExp])[] = [
		[['capture', disk, join(folder, 'a.vhdx')], 2, /cannot tell what was left out/],
		[['capture', disk, join(folder, 'a.tint'), '--volumes', '9'], 3, /there is no volume 9/],
		[['capture', disk, join(folder, 'a.tint'), '--volumes', 'all'], 2, /--volumes takes numbers/],
		[['capture', disk, join(folder, 'a.tint'), '--exclude', 'everything'], 2, /does not know everything/],
		[['capture', disk, join(folder, 'a.tint'), '--parent', disk], 2, /tint/],
		[['capture', disk, join(folder, 'a.tint'), '--parent', join(folder, 'none.tint')], 3, /there is no file/],
	];
	for (const [args, code, said] of cases) {
		const outcome = tintype(args);
		t.is(outcome.code, code, outcome.stderr);
		t.regex(outcome.stderr, said);
	}
	t.deepEqual(readdirSync(folder), []);
});

test('a truncated parent is named, and only its chunks are lost', t => {
	const folder = temporaryFolder(t);
	const [full, next] = [join(folder, 'full.tint'), join(folder, 'next.tint')];
	tintypeOutput(['capture', demoDisk(), full]);
	tintypeOutput(['capture', demoDisk(), next, '--parent', full]);
	truncateSync(full, 20_000);
	const outcome = tintype(['verify', next]);
	t.not(outcome.code, 0);
	t.true(existsSync(next));
});
