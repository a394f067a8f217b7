import {copyFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {compareDisks, type CompareOptions, type Comparison} from '../../src/compare/compare.ts';
import {convert} from '../../src/convert/convert.ts';
import {openDisk} from '../../src/image/image.ts';
import {overwrite} from '../cli/images.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';

async function compare(a: string, b: string, options: CompareOptions = {}): Promise<Comparison> {
	const [first, second] = [openDisk(a), openDisk(b)];
	try {
		return await compareDisks(first.disk, second.disk, options);
	} finally {
		first[Symbol.dispose]();
		second[Symbol.dispose]();
	}
}

async function image(folder: string, source: string, name: string, writer = {}): Promise<string> {
	const target = join(folder, name);
	await convert(source, target, {writer});
	return target;
}

function changedDisk(t: ExecutionContext): {folder: string; changed: string} {
	const folder = temporaryFolder(t);
	const changed = join(folder, 'changed.raw');
	copyFileSync(demoDisk(), changed);
	overwrite(changed, 20_000_000, Buffer.from('XY'));
	overwrite(changed, 30_000_100, Buffer.from('Z'));
	return {folder, changed};
}

test('equal content ids need no look at the content, whatever codec and chunk size', async t => {
	const folder = temporaryFolder(t);
	const a = await image(folder, demoDisk(), 'a.tint');
	const b = await image(folder, demoDisk(), 'b.tint', {codec: 'zstd', 'chunk-size': 65_536});
	t.like(await compare(a, b), {identical: true, by: 'ids', read: 0, rangeCount: 0});
	const read = await compare(a, b, {bytes: true});
	t.like(read, {identical: true, by: 'bytes'});
	t.true(read.read > 0);
	t.like(await compare(a, demoDisk()), {identical: true, by: 'bytes'});
	// The id is the image's word: what is damaged is found by verify, or by reading.
	damageChunk(b, 0);
	t.like(await compare(a, b), {identical: true, by: 'ids'});
	const damaged = await compare(a, b, {bytes: true});
	t.like(damaged, {identical: false, rangeCount: 0, unreadableCount: 1});
	t.like(damaged.unreadable[0], {disk: 1, error: {code: 'tint/chunk-checksum'}});
});

test('where hashes differ, only those chunks are read, and the same is found as by reading all', async t => {
	const {folder, changed} = changedDisk(t);
	const [a, b] = [await image(folder, demoDisk(), 'a.tint'), await image(folder, changed, 'b.tint')];
	const byHashes = await compare(a, b);
	const byBytes = await compare(a, b, {bytes: true});
	const {read: few, seconds: _, by, ...found} = byHashes;
	const {read: many, seconds: __, by: ___, ...expected} = byBytes;
	t.deepEqual(found, expected);
	t.is(by, 'hashes');
	t.deepEqual(found.ranges, [
		{position: 20_000_000 - (20_000_000 % 512), length: 512},
		{position: 30_000_100 - (30_000_100 % 512), length: 512},
	]);
	t.true(few <= 4 * 131_072 && few < many, `${few} of ${many}`);
	const other = await image(folder, changed, 'c.tint', {'chunk-size': 65_536});
	t.like(await compare(a, other), {identical: false, by: 'bytes', rangeCount: 2});
});
