import {copyFileSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {chainOf} from '../../src/chain/chain.ts';
import {openImage} from '../../src/image/image.ts';
import {merge} from '../../src/merge/merge.ts';
import {verifyImage} from '../../src/verify/verify.ts';
import {seededRandom} from '../fuzz/random.ts';
import {overwrite} from '../cli/images.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {BLOCK, GUID, makeVhdx, MIB, pattern} from '../helpers/vhdx-image.ts';

/** Of the NTFS volume of the demo disk: where these files lie, by the letters that they hold. */
function placeOf(disk: Buffer, text: string): number {
	const found = disk.indexOf(text);
	if (found < 0) throw new Error(`${text} is not on the disk`);
	return found;
}

interface ChainOfFour {
	readonly folder: string;
	/** The oldest first. */
	readonly images: readonly string[];
	readonly disk: string;
}

/** Each image has what a write of 4 KiB changed. */
async function chainOfFour(t: ExecutionContext, changes: readonly number[]): Promise<ChainOfFour> {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), disk);
	const images: string[] = [];
	const random = seededRandom(11);
	for (const number of [1, 2, 3, 4]) {
		const place = changes[number - 2];
		if (place !== undefined)
			overwrite(
				disk,
				place,
				Uint8Array.from({length: 4096}, () => random.below(256)),
			);
		const image = join(folder, `${number}.tint`);
		const parent = images.at(-1);
		await capture(disk, image, {writer: {'chunk-size': 65_536}, ...(parent !== undefined && {parent, writer: {}})});
		images.push(image);
	}
	return {folder, images, disk};
}

/** Each in a chunk of its own; the second is a photograph, the others are free space or tables. */
function places(): readonly number[] {
	const bytes = readFileSync(demoDisk());
	const photograph = placeOf(bytes, 'P6 160 120 255');
	return [photograph - (photograph % 4096) + 8192, photograph + 300_000, 40 << 20];
}

test('a chain of four says what lies where; a lost file in the middle loses its chunks alone', async t => {
	const [second, third, fourth] = places();
	const {folder, images} = await chainOfFour(t, [third ?? 0, second ?? 0, fourth ?? 0]);
	const tip = images[3] ?? '';
	const whole = await chainOf(tip);
	t.true(whole.whole);
	t.deepEqual(
		whole.files.map(({role, path}) => [role, path?.split('/').at(-1)]),
		[
			['image', '4.tint'],
			['parent', '3.tint'],
			['ancestor', '2.tint'],
			['ancestor', '1.tint'],
		],
	);
	t.is(whole.unit, 65_536);
	t.is(whole.files.reduce((sum, {bytes = 0}) => sum + bytes, 0) + whole.unstoredBytes, 48 << 20);

	mkdirSync(join(folder, 'away'));
	renameSync(images[2] ?? '', join(folder, 'away/3.tint'));
	const broken = await chainOf(tip);
	t.false(broken.whole);
	t.is(broken.lostBytes, broken.files[1]?.lostBytes);
	t.deepEqual(broken.files[1]?.recorded, ['3.tint']);
	t.is(broken.files[1]?.error?.code, 'tint/file-missing');
	t.is(broken.files[1]?.path, undefined);
	t.deepEqual(broken.folders, [folder]);
	const hit = broken.damage?.volumes.flatMap(({name, files}) => files.map(({path}) => name + path)) ?? [];
	t.true(hit.includes('2-Windows/Users/alice/Pictures/garden.ppm'), hit.join());

	const image = openImage(tip);
	try {
		for (const depth of ['fast', 'full'] as const) {
			const report = await verifyImage(image, {depth});
			t.false(report.good);
			t.is(report.unreadableBytes, broken.lostBytes);
			t.deepEqual(report.damage, broken.damage);
		}
	} finally {
		image[Symbol.dispose]();
	}

	const told: number[] = [];
	const onLost = ({lostBytes}: {lostBytes: number}) => told.push(lostBytes);
	const target = join(folder, 'merged.tint');
	await t.throwsAsync(merge(tip, target, {onLost}), {code: 'merge/lost'});
	t.deepEqual(told, [broken.lostBytes]);
	const kept = await merge(tip, target, {keepGoing: true, onLost});
	t.is(kept.unreadable, broken.lostBytes);
	t.is((await chainOf(tip, {allowedFolders: [join(folder, 'away')]})).whole, true);
});

test('a file that is cut short loses what lay behind', async t => {
	const {images} = await chainOfFour(t, places());
	truncateSync(images[0] ?? '', 100_000);
	const report = await chainOf(images[3] ?? '');
	t.false(report.whole);
	t.is(report.files[3]?.error?.code, 'tint/file-truncated');
	t.true(report.lostBytes > 0 && report.lostBytes === report.files[3]?.lostBytes);
	t.true(report.lostBytes < (report.files[3]?.bytes ?? 0));
});

test('differencing VHDX: shares of child and parent, and a parent that is missing', async t => {
	const folder = temporaryFolder(t);
	const blocks = [0, 1, 2].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, 100 + block)}));
	writeFileSync(join(folder, 'parent.vhdx'), makeVhdx({size: 4 * MIB, blocks}).bytes);
	const locator = {parent_linkage: `{${GUID.parent}}`, relative_path: '.\\parent.vhdx'};
	const own = [{block: 1, state: BLOCK.full, bytes: pattern(MIB, 201)}];
	const child = join(folder, 'child.vhdx');
	writeFileSync(child, makeVhdx({size: 4 * MIB, dataWriteGuid: GUID.child, locator, blocks: own}).bytes);
	const report = await chainOf(child);
	t.true(report.whole);
	t.deepEqual(
		report.files.map(({role, identity, bytes, chunks}) => ({role, identity, bytes, chunks})),
		[
			{role: 'image', identity: GUID.child, bytes: MIB, chunks: 1},
			{role: 'parent', identity: GUID.parent, bytes: 2 * MIB, chunks: 2},
		],
	);
	t.is(report.unstoredBytes, MIB);

	renameSync(join(folder, 'parent.vhdx'), join(folder, 'elsewhere.bin'));
	const broken = await chainOf(child);
	t.false(broken.whole);
	t.like(broken.files[0], {bytes: MIB, lostBytes: 0});
	t.like(broken.files[1], {role: 'parent', identity: GUID.parent, path: undefined, lostBytes: 3 * MIB});
	t.deepEqual(broken.files[1]?.recorded, ['.\\parent.vhdx']);
	t.is(broken.files[1]?.error?.code, 'gate/parent-not-found');
	t.is(broken.damage, undefined);
	t.true((await chainOf(child, {parent: join(folder, 'elsewhere.bin')})).whole);
	await t.throwsAsync(chainOf(demoDisk()), {code: 'chain/none'});
});
