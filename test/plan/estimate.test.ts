import {randomBytes} from 'node:crypto';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert, type ConvertOptions} from '../../src/convert/convert.ts';
import {planConversion} from '../../src/plan/plan.ts';
import {contentsOf} from '../../src/plan/contents.ts';
import {openDisk} from '../../src/image/image.ts';
import {newPace} from '../../src/work/pace.ts';
import {noisyDisk} from '../convert/work.ts';
import {seededRandom} from '../fuzz/random.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';
import {emptyFile, MIB, writeAt} from '../profiles/disks.ts';
import {attach, deviceTest} from '../restore/loops.ts';

const TARGETS: readonly (ConvertOptions & {readonly name: string})[] = [
	{name: 'a.vhdx'},
	{name: 'd.vhd'},
	{name: 'e.vhd', writer: {subformat: 'fixed'}},
	{name: 'f.raw'},
	{name: 'g.tint'},
	{name: 'h.vhdx', for: 'hyperv'},
	{name: 'i.vhdx', for: 'wsl', usedOnly: true},
];

/** Converts to all targets, and holds what came of it against what had been said. */
async function foresees(t: ExecutionContext, source: string, targets = TARGETS): Promise<void> {
	const folder = temporaryFolder(t);
	for (const {name, ...options} of targets) {
		const target = join(folder, name);
		const {estimate, possible} = await planConversion(source, {target, ...options});
		t.true(possible);
		const result = await convert(source, target, options);
		const within = (what: string, {least, most}: {least: number; most: number}, found: number) =>
			t.true(least <= found && found <= most, `${name}: ${what} ${found} is not from ${least} to ${most}`);
		if (estimate === null) continue;
		within('file size', estimate.fileSize, result.fileSize);
		// File systems count their own blocks for long lists of extents.
		within('space', {...estimate.allocated, most: estimate.allocated.most + MIB / 4}, result.allocated);
	}
}

test('a disk of which everything can be tried is foreseen', t => foresees(t, demoDisk()));

test('a disk of noise and holes is foreseen', async t => {
	const targets = TARGETS.filter(({name}) => ['a.vhdx', 'd.vhd', 'g.tint'].includes(name));
	await foresees(t, noisyDisk(join(temporaryFolder(t), 'noise.raw')), targets);
});

test('of a large disk a sample is tried, and the range is wide enough', async t => {
	const path = emptyFile(join(temporaryFolder(t), 'large.raw'), 160 * MIB);
	const random = seededRandom(5);
	const noise = randomBytes(MIB);
	// Four in ten MiB are noise, the others hold zeros that only reading finds.
	for (let at = 0; at < 160; at++) writeAt(path, at * MIB, random.below(10) < 4 ? noise : new Uint8Array(MIB));
	const {estimate, disk} = await planConversion(path, {to: 'vhdx', writer: {'block-size': MIB}});
	t.is(disk?.stored, 160 * MIB);
	const {fileSize} = await convert(path, join(temporaryFolder(t), 'x.vhdx'), {writer: {'block-size': MIB}});
	const {least, most} = estimate?.fileSize ?? {least: 0, most: 0};
	t.true(least <= fileSize && fileSize <= most, `${fileSize} is not from ${least} to ${most}`);
	t.true(most - least < 120 * MIB, 'and yet it says something');
	t.true(least < most);
});

deviceTest('where blocks can be shared, zeros may be kept', ['mkfs.xfs', 'mount', 'umount'], async t => {
	const folder = temporaryFolder(t);
	const volume = emptyFile(join(folder, 'volume'), 320 * MIB);
	run('mkfs.xfs', ['-q', volume]);
	const place = join(folder, 'xfs');
	mkdirSync(place);
	run('mount', [await attach(t, volume), place]);
	t.teardown(() => run('umount', [place]));
	const source = join(place, 'disk.raw');
	// All of it is allocated, most of it zeros.
	writeFileSync(source, readFileSync(demoDisk()));
	const options = {writer: {'block-size': MIB}};
	for (const dataPath of ['clone', 'copy'] as const) {
		const target = join(place, `${dataPath}.vhdx`);
		const {estimate, ...plan} = await planConversion(source, {...options, target});
		t.true(plan.target?.clones);
		t.regex(estimate?.assumptions[0] ?? '', /may share blocks/);
		const {fileSize} = await convert(source, target, {...options, dataPath});
		const {least, most} = estimate?.fileSize ?? {least: 0, most: 0};
		t.true(least < most);
		t.is(fileSize, dataPath === 'clone' ? most : least);
	}
	const elsewhere = await planConversion(demoDisk(), {...options, target: join(place, 'other.vhdx')});
	t.false(elsewhere.target?.clones);
	t.is(elsewhere.estimate?.fileSize.least, elsewhere.estimate?.fileSize.most);
});

test('free space is what --used-only leaves out', async t => {
	const folder = temporaryFolder(t);
	const plan = await planConversion(demoDisk(), {to: 'vhdx'});
	const {freeSpace = []} = await convert(demoDisk(), join(folder, 'used.vhdx'), {usedOnly: true});
	t.deepEqual(plan.usedOnly?.volumes, freeSpace);
	t.is(
		plan.usedOnly?.saves,
		freeSpace.reduce((sum, {bytes = 0}) => sum + bytes, 0),
	);
	const used = await planConversion(demoDisk(), {to: 'vhdx', usedOnly: true});
	t.is(used.disk?.stored, (plan.disk?.stored ?? 0) - (plan.usedOnly?.saves ?? 0));
});

test('seconds are a range that grows with what is to be read, and rests on what it says', async t => {
	const folder = temporaryFolder(t);
	const {estimate} = await planConversion(demoDisk(), {to: 'raw'});
	t.true((estimate?.seconds.least ?? 0) > 0);
	t.true((estimate?.seconds.most ?? 0) > (estimate?.seconds.least ?? 0));
	t.is(estimate?.assumptions.length, 3);
	t.regex(estimate?.assumptions[0] ?? '', /a sample of \d+ MiB was read at/);
	const empty = await planConversion(emptyFile(join(folder, 'empty.raw'), 2 ** 40), {to: 'vhdx'});
	t.like(empty.disk, {stored: 0});
	t.is(empty.estimate?.assumptions[0], 'nothing was measured');
	t.true((empty.estimate?.seconds.most ?? 9) <= 1);
});

test('a map is gone through in blocks and pieces, each counted once', async t => {
	const path = emptyFile(join(temporaryFolder(t), 'disk.raw'), 1024 * MIB);
	for (const at of [0, 2, 3, 900]) writeAt(path, at * MIB + 8192, new Uint8Array(4096).fill(1));
	const {disk, ...opened} = openDisk(path);
	t.teardown(() => opened[Symbol.dispose]());
	const contents = await contentsOf(disk, {blockSize: 32 * MIB, pieceSize: MIB}, newPace({}));
	t.like(contents, {blocks: 2, pieces: 4});
	t.deepEqual(contents.places, [0, 2 * MIB, 3 * MIB, 900 * MIB]);
});
