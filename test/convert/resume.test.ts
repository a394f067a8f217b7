import {
	appendFileSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {capture, type CaptureOptions} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import {seededRandom} from '../fuzz/random.ts';
import {exitCode, PROGRAM, startTintype, tintype, tintypeJson} from '../cli/run-tintype.ts';
import {keyFile, newKey} from '../formats/tint/tools.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {idOf, MIB, noisyDisk, OFTEN, stopAt, usedVolume} from './work.ts';

const KILLS = 2;

/** A conversion that was stopped halfway, and left what it had done. */
async function halfDone(t: ExecutionContext, {workers = 2} = {}) {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(folder, 'target.tint');
	const partial = `${target}.partial`;
	const {kept, error} = await stopAt(partial, 5 * MIB, async options =>
		convert(source, target, {...OFTEN, ...options, workers}),
	);
	t.like(error, {name: 'AbortError'});
	t.like(kept, {partial, total: 48 * MIB});
	t.true(existsSync(partial));
	return {folder, source, target, partial, position: kept?.position ?? 0};
}

for (const workers of [1, 3]) {
	test.serial(`with ${workers} workers, a conversion that was stopped is gone on with where it ended`, async t => {
		const {folder, source, target, position} = await halfDone(t, {workers});
		t.true(position >= 4 * MIB && position < 48 * MIB, `it ended at ${position}`);
		const result = await convert(source, target, {resume: true, workers, verify: true});
		t.is(result.resumedAt, position);
		t.true(result.read <= 48 * MIB - position);
		t.deepEqual(result.findings, []);
		t.true(result.ids?.good);
		t.is(await idOf(target), await idOf(source));
		t.deepEqual(readdirSync(folder).sort(), ['source.raw', 'target.tint']);
	});
}

test.serial('what was done is neither replaced nor gone on with unasked', async t => {
	const {source, target, partial} = await halfDone(t);
	const error = await t.throwsAsync<Error & {hint?: string}>(convert(source, target), {code: 'output/resumable'});
	t.regex(error?.hint ?? '', /--resume.*--force/);
	t.true(existsSync(partial));
	const {findings, resumedAt} = await convert(source, target, {force: true});
	t.deepEqual(
		findings.map(({code}) => code),
		['output/interrupted'],
	);
	t.is(resumedAt, 0);
	t.is(await idOf(target), await idOf(source));
});

test.serial('where there is nothing to go on with, it begins anew and says so', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(folder, 'target.tint');
	const fresh = await convert(source, target, {resume: true});
	t.is(fresh.resumedAt, 0);
	t.deepEqual(fresh.findings, []);
	await t.throwsAsync(convert(source, target, {resume: true}), {code: 'output/exists'});
	copyFileSync(source, `${target}.partial`);
	const {findings, resumedAt} = await convert(source, target, {resume: true, force: true});
	t.deepEqual(
		findings.map(({code}) => code),
		['output/interrupted', 'output/begun-anew'],
	);
	t.is(resumedAt, 0);
	t.is(await idOf(target), await idOf(source));
});

test.serial('another source, size, chunk size or format is refused, and nothing is lost by it', async t => {
	const {folder, source, target, partial} = await halfDone(t);
	const other = noisyDisk(join(folder, 'other.raw'));
	const larger = join(folder, 'source-2', 'source.raw');
	mkdirSync(join(folder, 'source-2'));
	copyFileSync(source, larger);
	appendFileSync(larger, 'x'.repeat(512));
	await t.throwsAsync(convert(other, target, {resume: true}), {code: 'output/other-work', message: /other\.raw/});
	await t.throwsAsync(convert(larger, target, {resume: true}), {code: 'tint/resume'});
	const writer = {'chunk-size': 65_536};
	await t.throwsAsync(convert(source, target, {resume: true, writer}), {code: 'tint/resume'});
	await t.throwsAsync(convert(source, join(folder, 'x.vhdx'), {resume: true}), {code: 'convert/resume'});
	await convert(source, join(folder, 'parent.tint'));
	const parent = join(folder, 'parent.tint');
	await t.throwsAsync(capture(source, target, {resume: true, parent}), {code: 'tint/resume'});
	t.true(existsSync(partial));
	await convert(source, target, {resume: true});
	t.is(await idOf(target), await idOf(source));
});

test.serial('tables without a root are nothing to keep', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(folder, 'target.tint');
	await convert(source, target);
	const bytes = readFileSync(target);
	bytes.fill(0, 4096, 12_288);
	rmSync(target);
	for (const resume of [false, true]) {
		writeFileSync(`${target}.partial`, bytes);
		const {findings} = await convert(source, target, {resume, ...(resume && {force: true})});
		t.deepEqual(
			findings.map(({code}) => code),
			['output/interrupted', ...(resume ? ['output/begun-anew'] : [])],
		);
		t.is(await idOf(target), await idOf(source));
		if (!resume) rmSync(target);
	}
});

test.serial('work that only lacks its name says so', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(folder, 'target.tint');
	await convert(source, target);
	renameSync(target, `${target}.partial`);
	await t.throwsAsync(convert(source, target), {code: 'output/resumable'});
	const error = await t.throwsAsync<Error & {hint?: string}>(convert(source, target, {resume: true}), {
		code: 'tint/resume',
	});
	t.regex(error?.hint ?? '', /name/);
});

test.serial('a source that was written to in between is told', async t => {
	const {source, target} = await halfDone(t);
	const now = new Date();
	utimesSync(source, now, new Date(now.getTime() + 5000));
	const {findings} = await convert(source, target, {resume: true});
	t.deepEqual(
		findings.map(({code, severity}) => [code, severity]),
		[['convert/source-changed', 'damage']],
	);
	t.regex(findings[0].message, /since the interrupted run/);
});

testWith(test.serial as typeof test, ['mkfs.fat', 'mcopy'], 'what is left out must be the same', async t => {
	const folder = temporaryFolder(t);
	const source = usedVolume(folder);
	const target = join(folder, 'target.tint');
	await stopAt(`${target}.partial`, 6 * MIB, async options => capture(source, target, {...OFTEN, ...options}));
	const error = await t.throwsAsync(capture(source, target, {allBlocks: true, resume: true}), {
		code: 'output/other-work',
	});
	t.regex(error?.message ?? '', /free space/);
	const {resumedAt} = await capture(source, target, {resume: true});
	t.true(resumedAt > 0);
});

const asRoot = isRoot ? test.serial : test.serial.skip;

asRoot('a full disk keeps what was done, and more room lets it go on', async t => {
	const folder = temporaryFolder(t);
	const small = join(folder, 'small');
	mkdirSync(small);
	run('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', small]);
	t.teardown(() => run('umount', [small]));
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(small, 'target.tint');
	const {kept, error} = await stopAt('none', 1, async options => convert(source, target, {...OFTEN, ...options}));
	t.like(error, {code: 'output/write'});
	t.true((kept?.position ?? 0) > 4 * MIB, `${kept?.position} bytes were kept`);
	t.deepEqual(readdirSync(small), ['target.tint.partial']);
	await t.throwsAsync(convert(source, join(small, 'x.vhdx')), {code: 'output/write'});
	t.deepEqual(readdirSync(small), ['target.tint.partial'], 'what cannot be gone on with is not kept');
	run('mount', ['-o', 'remount,size=64m', small]);
	t.is((await convert(source, target, {resume: true})).resumedAt, kept?.position ?? 0);
	t.is(await idOf(target), await idOf(source));
});

/** Kills the program whenever it has written a part of so many bytes, and lets it end in the end. */
async function killOften(
	t: ExecutionContext,
	args: readonly string[],
	target: string,
	{seed, part}: {readonly seed: number; readonly part: number},
): Promise<void> {
	const random = seededRandom(seed);
	const partial = `${target}.partial`;
	const sizeNow = (): number => statSync(partial, {throwIfNoEntry: false})?.size ?? 0;
	const all = [...args, '--checkpoint', '1M', '--resume'];
	for (let count = 0; count < KILLS && !existsSync(target); count++) {
		const child = startTintype(all);
		const ended = exitCode(child);
		// A state is saved with every MiB that is read.
		const enough = sizeNow() + part + random.below(part);
		while (child.exitCode === null && sizeNow() < enough) await delay(1);
		child.kill('SIGKILL');
		await ended;
	}
	if (existsSync(target)) return;
	const said = tintypeJson<{resumedAt: number}>([...all, '--json']);
	t.true(said.resumedAt > 0);
	t.log(`in the end it went on at ${said.resumedAt}`);
}

testWith(
	test.serial as typeof test,
	['mkfs.fat', 'mcopy'],
	'killed at several moments, each run goes on from the one before',
	async t => {
		t.timeout(120_000);
		const folder = temporaryFolder(t);
		const first = usedVolume(folder);
		const later = join(folder, 'later.raw');
		copyFileSync(first, later);
		run('mcopy', ['-o', '-i', later, join(folder, 'one'), '::/three']);
		run('mdel', ['-i', later, '::/two']);
		const parent = join(folder, 'parent.tint');
		await capture(first, parent, {allBlocks: true});
		const cases: readonly (readonly [name: string, part: number, args: readonly string[], options: CaptureOptions])[] =
			[
				['full', 2 * MIB, [], {}],
				['all', 4 * MIB, ['--all-blocks'], {allBlocks: true}],
				['next', MIB / 8, ['--parent', parent], {parent}],
				['next-all', MIB / 8, ['--parent', parent, '--all-blocks'], {parent, allBlocks: true}],
			];
		for (const [seed, [name, part, args, options]] of cases.entries()) {
			const whole = join(folder, `${name}-whole.tint`);
			await capture(later, whole, options);
			const target = join(folder, `${name}.tint`);
			await killOften(t, ['capture', later, target, ...args], target, {seed, part});
			t.is(await idOf(target), await idOf(whole), name);
			if (options.allBlocks === true) t.is(await idOf(target), await idOf(later));
		}
	},
);

test.serial('an encrypted image is gone on with by what opens it, and by nothing else', async t => {
	const folder = temporaryFolder(t);
	const source = noisyDisk(join(folder, 'source.raw'));
	const target = join(folder, 'target.tint');
	const keys = [newKey(keyFile(1))];
	const {kept} = await stopAt(`${target}.partial`, 5 * MIB, async options =>
		convert(source, target, {...OFTEN, ...options, keys}),
	);
	t.true((kept?.position ?? 0) > 0);
	const other = [newKey(keyFile(2))];
	await t.throwsAsync(convert(source, target, {resume: true, keys: other}), {code: 'key/wrong'});
	const {resumedAt, ids} = await convert(source, target, {resume: true, verify: true, keys});
	t.is(resumedAt, kept?.position ?? 0);
	t.true(ids?.good);
	t.is(await idOf(target, {secret: keyFile(1)}), await idOf(source));
});

test.serial('the program says how to go on, word for word', async t => {
	const folder = temporaryFolder(t);
	noisyDisk(join(folder, "it's a disk.raw"));
	const args = ['convert', "it's a disk.raw", 'target.tint', '--checkpoint', '1M'];
	const child = startTintype(args, {cwd: folder});
	let said = '';
	child.stderr?.on('data', part => {
		said += String(part);
	});
	const partial = join(folder, 'target.tint.partial');
	while (child.exitCode === null && (statSync(partial, {throwIfNoEntry: false})?.size ?? 0) < 5 * MIB) await delay(1);
	child.kill('SIGINT');
	t.is(await exitCode(child), 130, said);
	const command = /go on with: tintype (.*)\n/.exec(said)?.[1] ?? '';
	t.is(command, "convert 'it'\\''s a disk.raw' target.tint --checkpoint 1M --resume");
	t.regex(said, /note: what was done, \d+ %, is kept in target\.tint\.partial/);
	const refused = tintype(args, {cwd: folder});
	t.is(refused.code, 5);
	t.regex(refused.stderr, /target\.tint\.partial holds what an interrupted run had done\n.*--resume/);
	run('sh', ['-c', `"$0" "$1" ${command}`, process.execPath, PROGRAM], {cwd: folder});
	t.is(await idOf(join(folder, 'target.tint')), await idOf(join(folder, "it's a disk.raw")));
	t.deepEqual(readdirSync(folder).sort(), ["it's a disk.raw", 'target.tint']);
});
