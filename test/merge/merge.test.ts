import {copyFileSync, existsSync, readdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {compareDisks} from '../../src/compare/compare.ts';
import {newSpan, type Secret} from '../../src/core/disk.ts';
import {openDisk, type OpenImageOptions} from '../../src/image/image.ts';
import {merge} from '../../src/merge/merge.ts';
import {verifyImage} from '../../src/verify/verify.ts';
import {openToVerify} from '../../src/verify/open.ts';
import {overwrite} from '../cli/images.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';

async function twoImages(
	t: ExecutionContext,
	{secret, allBlocks = false}: {secret?: Secret; allBlocks?: boolean} = {},
): Promise<{folder: string; base: string; tip: string}> {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), disk);
	const [base, tip] = [join(folder, 'base.tint'), join(folder, 'tip.tint')];
	const writer = {'chunk-size': 65_536, codec: 'zstd', level: 1, comment: 'for the attic'};
	await capture(disk, base, {writer, allBlocks, ...(secret && {keys: [{secret, label: ''}]})});
	overwrite(disk, 45 << 20, Buffer.alloc(100_000, 'changed'));
	const parentSecret = secret && {parentSecret: secret};
	await capture(disk, tip, {
		writer: {codec: 'zstd', level: 1, comment: 'newest'},
		parent: base,
		allBlocks: true,
		...parentSecret,
	});
	return {folder, base, tip};
}

function facts(path: string, options: OpenImageOptions = {}): Record<string, unknown> {
	const opened = openDisk(path, options);
	try {
		return Object.fromEntries(opened.disk.describe().facts.map(({key, value}) => [key, value]));
	} finally {
		opened[Symbol.dispose]();
	}
}

/** Kinds and lengths of all runs, so that states are compared as well as bytes. */
function mapOf(path: string): string[] {
	const opened = openDisk(path);
	const span = newSpan();
	const runs: {kind: number; length: number}[] = [];
	for (let position = 0; position < opened.disk.size; position += span.length) {
		opened.disk.locate(position, span);
		const last = runs.at(-1);
		if (last?.kind === span.kind) last.length += span.length;
		else runs.push({kind: span.kind, length: span.length});
	}
	opened[Symbol.dispose]();
	return runs.map(({kind, length}) => `${kind}:${length}`);
}

test('a chain becomes one file of the same id, states, metadata, chunk size and codec', async t => {
	const {folder, base, tip} = await twoImages(t);
	const target = join(folder, 'full.tint');
	const before = statSync(tip).mtimeMs;
	const result = await merge(tip, target);
	t.regex(result.contentId ?? '', /^[0-9a-f]{64}$/);
	t.is(result.contentId, result.expectedId);
	t.is(result.lostBytes, 0);
	t.is(statSync(tip).mtimeMs, before);
	t.deepEqual(mapOf(target), mapOf(tip));
	const [merged, old] = [facts(target), facts(tip)];
	t.is(merged['chainFiles'], undefined);
	t.not(merged['imageId'], old['imageId']);
	for (const key of ['contentId', 'chunkSize', 'comment', 'source-name', 'source-format'])
		t.is(merged[key], old[key], key);
	t.is(result.facts.find(({key}) => key === 'codec')?.value, 'zstd, level 2');
	const [a, b] = [openDisk(tip), openDisk(target)];
	t.like(await compareDisks(a.disk, b.disk, {bytes: true}), {identical: true, by: 'bytes'});
	a[Symbol.dispose]();
	b[Symbol.dispose]();
	await t.throwsAsync(merge(tip, target), {code: 'output/exists'});
	await t.throwsAsync(merge(tip, base, {force: true}), {code: 'output/is-source'});
	t.deepEqual(readdirSync(folder).sort(), ['base.tint', 'disk.raw', 'full.tint', 'tip.tint']);
});

test('damage within a file of the chain ends it, or becomes unreadable', async t => {
	const {folder, base, tip} = await twoImages(t, {allBlocks: true});
	const lost = damageChunk(base, readFileSync(demoDisk()).indexOf('P6 160 120 255'));
	const target = join(folder, 'full.tint');
	await t.throwsAsync(merge(tip, target), {code: 'tint/chunk-checksum'});
	t.false(existsSync(target));
	const result = await merge(tip, target, {keepGoing: true});
	t.is(result.unreadable, lost.length);
	t.not(result.contentId, result.expectedId);
	const image = openToVerify(target);
	const report = await verifyImage(image);
	image[Symbol.dispose]();
	t.deepEqual(
		report.unreadable.map(({position, length, error}) => ({position, length, code: error.code})),
		[{...lost, code: 'disk/unreadable'}],
	);
	t.is(report.proven, result.contentId);
});

test('an encrypted chain stays encrypted, with its keys', async t => {
	const secret: Secret = {kind: 'key-file', bytes: Uint8Array.from({length: 40}, (_, index) => index * 5)};
	const {folder, tip} = await twoImages(t, {secret});
	const target = join(folder, 'full.tint');
	const result = await merge(tip, target, {secret});
	t.is(result.contentId, result.expectedId);
	t.throws(() => openDisk(target), {code: 'key/needed'});
	t.is(facts(target, {secret})['contentId'], result.contentId);
	const image = openToVerify(target, {secret});
	t.like(await verifyImage(image), {good: true, proven: result.contentId});
	t.like(await verifyImage(image, {depth: 'fast'}), {good: true, depth: 'fast'});
	image[Symbol.dispose]();
});
