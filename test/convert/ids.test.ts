import {closeSync, openSync, truncateSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import {tintype, tintypeJson, tintypeOutput} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {idOf, MIB, noisyDisk, usedVolume} from './work.ts';

test('both sides are read again, and have one id', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	for (const name of ['a.tint', 'a.vhdx', 'a.raw']) {
		const seen: number[] = [];
		const {ids} = await convert(source, join(folder, name), {
			verify: true,
			onProgress: ({position, total}) => seen.push(position / total),
		});
		const id = await idOf(source);
		t.deepEqual(ids, {source: id, target: id, good: true, reasons: []});
		t.is(seen.at(-1), 1);
		t.deepEqual(
			seen,
			seen.toSorted((a, b) => a - b),
		);
	}
});

test('where the target is padded, both ids are told, and the content is compared all the same', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'), 46 * MIB + 100);
	const {ids} = await convert(source, join(folder, 'a.vhdx'), {verify: true});
	t.is(ids?.source, await idOf(source));
	t.is(ids?.target, await idOf(join(folder, 'a.vhdx')));
	t.not(ids?.source, ids?.target);
	t.true(ids?.good);
	t.regex(ids?.reasons.join() ?? '', /larger by 412 bytes/);
	truncateSync(source, 46 * MIB + 512);
	t.is(ids?.target, await idOf(source));
});

test('a source that is not what was read is found', async t => {
	for (const size of [46 * MIB, 46 * MIB + 100]) {
		const folder = temporaryFolder(t);
		const source = noisyDisk(join(folder, 'source.raw'), size);
		let done = false;
		const {ids, findings} = await convert(source, join(folder, 'a.vhdx'), {
			verify: true,
			onProgress({position}) {
				if (done || position < size) return;
				done = true;
				const descriptor = openSync(source, 'r+');
				writeSync(descriptor, 'changed', 1000);
				closeSync(descriptor);
			},
		});
		t.false(ids?.good);
		t.deepEqual(
			findings.map(({code}) => code).filter(code => code.startsWith('convert')),
			['convert/source-changed'],
		);
	}
});

testWith(test, ['mkfs.fat', 'mcopy'], 'a capture that leaves something out says why both ids differ', async t => {
	const folder = temporaryFolder(t);
	const source = usedVolume(folder);
	const target = join(folder, 'a.tint');
	const {ids} = await capture(source, target, {verify: true});
	t.is(ids?.source, await idOf(source));
	t.is(ids?.target, await idOf(target));
	t.not(ids?.source, ids?.target);
	t.true(ids?.good);
	t.deepEqual(ids?.reasons, ['free space of volume 1 is left out']);
	const all = await capture(source, join(folder, 'all.tint'), {verify: true, allBlocks: true});
	t.like(all.ids, {source: ids?.source ?? '', target: ids?.source ?? '', good: true});

	const {stdout, stderr} = tintype(['id', target]);
	t.is(stdout, `${ids?.target}  ${target}\n`);
	t.regex(stderr, /note: .*free space.* zeros/);
	t.regex(tintypeOutput(['info', target]), /content id +[0-9a-f]{64} \(.*free space.* zeros\)/);
	t.is(tintype(['id', join(folder, 'all.tint')]).stderr, '');
	t.is(tintypeJson<{meaning: string | null}>(['id', join(folder, 'all.tint'), '--json']).meaning, null);
	const shown = tintypeOutput(['capture', source, join(folder, 'b.tint'), '--verify']);
	t.true(shown.includes(`content id of the source: ${ids?.source}\n`));
	t.true(shown.includes(`content id of the target: ${ids?.target}\n  they differ: free space of volume 1`));
});

testWith(test, ['mkfs.fat', 'mcopy'], 'a parent that lies elsewhere is found again for it', async t => {
	const folder = temporaryFolder(t);
	const source = usedVolume(folder);
	const parent = join(temporaryFolder(t), 'parent.tint');
	await capture(source, parent, {allBlocks: true});
	const {ids} = await capture(source, join(folder, 'next.tint'), {parent, verify: true, allBlocks: true});
	t.true(ids?.good);
	t.is(ids?.target, await idOf(source));
});
