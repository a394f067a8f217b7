import {randomBytes} from 'node:crypto';
import {copyFileSync, existsSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {openImage as openTint} from '../../formats/tint/image.ts';
import {UNFINISHED} from '../../formats/tint/layout.ts';
import {convert} from '../../src/convert/convert.ts';
import {newSpan, readsAsZero, SpanKind} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {openDisk} from '../../src/image/image.ts';
import {repair} from '../../src/repair/repair.ts';
import {exitCode, startTintype, tintype} from '../cli/run-tintype.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';

interface Damaged {
	readonly folder: string;
	readonly broken: string;
	readonly fixed: string;
}

async function image(t: ExecutionContext, change: (path: string, bytes: Buffer) => void): Promise<Damaged> {
	const folder = temporaryFolder(t);
	const broken = join(folder, 'broken.tint');
	await convert(demoDisk(), broken, {writer: {comment: 'mine'}});
	change(broken, readFileSync(broken));
	return {folder, broken, fixed: join(folder, 'fixed.tint')};
}

/** Every byte is that of the original or unreadable; returns how many are not. */
function unreadableOf(path: string, original: Buffer): number {
	const opened = openDisk(path);
	const span = newSpan();
	let lost = 0;
	for (let position = 0; position < opened.disk.size; position += span.length) {
		opened.disk.locate(position, span);
		if (span.kind === SpanKind.unreadable) lost += span.length;
		if (span.kind === SpanKind.unreadable) continue;
		const bytes = new Uint8Array(span.length);
		if (!readsAsZero(span.kind)) opened.disk.readAt(position, bytes);
		if (Buffer.compare(bytes, original.subarray(position, position + span.length)) !== 0) {
			throw new Error(`wrong bytes at ${position} of ${path}`);
		}
	}
	opened[Symbol.dispose]();
	return lost;
}

test('every root lost: all comes back, and the damaged file is as it was', async t => {
	const {broken, fixed} = await image(t, (path, bytes) => writeFileSync(path, bytes.fill(0, 4096, 12_288)));
	const before = readFileSync(broken);
	const result = await repair(broken, fixed);
	t.like(result, {method: 'recovered', target: fixed, size: 48 << 20, lostBytes: 0, damage: undefined});
	t.is(unreadableOf(fixed, readFileSync(demoDisk())), 0);
	t.is(result.contentBytes + result.zeroBytes, 48 << 20);
	t.true(before.equals(readFileSync(broken)));
	await t.throwsAsync(repair(broken, fixed), {code: 'output/exists'});
	await t.throwsAsync(repair(broken, broken, {force: true}), {code: 'output/is-source'});
	await t.throwsAsync(repair(broken, undefined, {inPlace: true}), {code: 'repair/in-place'});
	await t.throwsAsync(repair(broken, undefined), {code: 'repair/target'});
});

test('a damaged chunk is lost as files, a whole image is left alone', async t => {
	const original = readFileSync(demoDisk());
	const {broken, fixed} = await image(t, path => void damageChunk(path, original.indexOf('P6 160 120 255')));
	const result = await repair(broken, fixed);
	t.is(result.lostBytes, 131_072);
	const files = result.damage?.volumes.flatMap(({number, files: hit}) => hit.map(({path}) => `${number}${path}`));
	t.true(files?.includes('2/Users/alice/Pictures/garden.ppm'), String(files));
	t.is(unreadableOf(fixed, original), 131_072);
	const again = await repair(broken, join(fixed, '../again.tint'), {workers: 1});
	t.is(again.lostBytes, result.lostBytes);

	const whole = await image(t, () => {});
	t.like(await repair(whole.broken, whole.fixed), {method: 'none', target: undefined, lostBytes: 0});
	t.false(existsSync(whole.fixed));
	await t.throwsAsync(repair(demoDisk(), whole.fixed), {code: 'repair/format'});
});

test('a file that is cut short', async t => {
	const original = readFileSync(demoDisk());
	const {broken, fixed} = await image(t, (path, bytes) => writeFileSync(path, bytes.subarray(0, 150_000)));
	const {lostBytes, method} = await repair(broken, fixed);
	t.is(method, 'recovered');
	t.true(lostBytes > 0 && lostBytes < 48 << 20);
	t.is(unreadableOf(fixed, original), lostBytes);
});

/** What the newest checkpoint of a file covers; 0 where there is none. */
function doneIn(path: string): number {
	try {
		const source = checked(memorySource(readFileSync(path), path));
		const context = {
			openRelated() {
				throw new Error('nothing else is opened');
			},
			warn() {},
		};
		const {root, geometry} = openTint(source, context, UNFINISHED);
		return root.chunksDone * geometry.chunkSize;
	} catch (error) {
		if (error instanceof DiskError) return 0;
		throw error;
	}
}

const MIB = 1 << 20;

for (const least of [1, 9 * MIB]) {
	test(`a capture killed with ${least} bytes done is repaired up to its checkpoint, in place as well`, async t => {
		const folder = temporaryFolder(t);
		const disk = join(folder, 'disk.raw');
		const original = randomBytes(32 * MIB);
		writeFileSync(disk, original);
		const target = join(folder, 'disk.tint');
		const partial = `${target}.partial`;
		const options = ['--codec', 'zstd', '--level', '19', '--checkpoint', '1M', '--workers', '1'];
		const child = startTintype(['capture', disk, target, ...options]);
		while (child.exitCode === null && (!existsSync(partial) || doneIn(partial) < least)) await sleep(5);
		child.kill('SIGKILL');
		await exitCode(child);
		t.false(existsSync(target), 'the capture was faster than the test');
		const done = doneIn(partial);
		t.true(done >= least);

		const fixed = join(folder, 'fixed.tint');
		const {code, stdout, stderr} = tintype(['repair', partial, fixed, '--json']);
		t.is(code, 1, stderr);
		const result = JSON.parse(stdout) as {method: string; lostBytes: number; contentBytes: number};
		t.like(result, {method: 'finished', lostBytes: original.length - done, contentBytes: done});
		t.is(unreadableOf(fixed, original), original.length - done);
		t.is(tintype(['verify', fixed, '--fast']).code, 1);

		const copy = join(folder, 'copy.tint');
		copyFileSync(partial, copy);
		const size = statSync(copy).size;
		t.is(tintype(['repair', copy, '--in-place']).code, 1);
		t.is(unreadableOf(copy, original), original.length - done);
		t.true(statSync(copy).size <= size + MIB);
		t.is(doneIn(partial), done);
	});
}
