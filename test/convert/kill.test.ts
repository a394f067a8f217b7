import {existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {DiskError} from '../../src/core/error.ts';
import {openDisk} from '../../src/image/image.ts';
import {seededRandom} from '../fuzz/random.ts';
import {killed, type Landed, measure} from '../helpers/killing.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {type Target, targetArguments, TARGETS} from './targets.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);
/** In all; `TINTYPE_KILLS=200` takes about four minutes. */
const KILLS = Number(process.env['TINTYPE_KILLS'] ?? 18);
const EACH = Math.ceil(KILLS / TARGETS.length);
const MIB = 1 << 20;
const SIZE = 14 * MIB;

/** Noise with a hole. */
function sourceBytes(): Buffer {
	const random = seededRandom(SEED);
	const content = Buffer.alloc(SIZE);
	for (let at = 0; at < SIZE; at += 4) {
		if (at < 5 * MIB || at >= 7 * MIB) content.writeUInt32LE(random.below(2 ** 32), at);
	}
	return content;
}

function contentOf(path: string, format?: string): Buffer {
	const {disk, ...opened} = openDisk(path, format === undefined ? {} : {format});
	try {
		const bytes = Buffer.alloc(disk.size);
		disk.readAt(0, bytes);
		return bytes;
	} finally {
		opened[Symbol.dispose]();
	}
}

/** What is not finished must not look like an image that is: only of raw ones nobody can tell. */
function requireUnfinishedOrWhole(t: ExecutionContext, {extension}: Target, partial: string, want: Buffer): boolean {
	if (extension === 'raw') return false;
	try {
		t.true(contentOf(partial, extension).equals(want), 'half an image that opens as one');
		return true;
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return false;
	}
}

const total: Landed = {before: 0, inside: 0, after: 0};

for (const target of TARGETS) {
	test.serial(
		`converting to ${target.name}, killed at ${EACH} moments: the old target, the new one, or none`,
		async t => {
			t.timeout(600_000);
			t.log(`seed ${SEED}`);
			const random = seededRandom(SEED + TARGETS.indexOf(target));
			const folder = temporaryFolder(t);
			const source = join(folder, 'source.raw');
			const content = sourceBytes();
			writeFileSync(source, content);
			const old = Buffer.from('what was here before\n'.repeat(3000));
			const landed: Landed = {before: 0, inside: 0, after: 0};
			const seen = {unfinished: 0, whole: 0, oldKept: 0};
			const writer = {...target.writer};

			const path = join(folder, `target.${target.extension}`);
			const partial = `${path}.partial`;
			const args = ['convert', source, path, ...targetArguments(target)];
			const measured = await measure(args, partial, path);
			t.true(contentOf(path).equals(content));
			rmSync(path);

			for (let count = 0; count < EACH; count++) {
				const replaces = count % 2 === 0;
				if (replaces) writeFileSync(path, old);
				const done = await killed([...args, ...(replaces ? ['--force'] : [])], measured, partial, random);
				const kept = existsSync(partial);
				const isOld = replaces && statSync(path).size === old.length;
				landed[done ? 'after' : kept || existsSync(path) !== replaces || (replaces && !isOld) ? 'inside' : 'before']++;
				if (isOld) {
					t.true(readFileSync(path).equals(old), 'the old target has changed');
					t.false(done, 'a run that ended well has written');
					seen.oldKept++;
				} else if (existsSync(path)) {
					t.true(contentOf(path).equals(content), 'the new target is not whole');
					seen.whole++;
				} else t.false(replaces, 'the old target is gone');
				if (kept && statSync(partial).size > 0 && !requireUnfinishedOrWhole(t, target, partial, content)) {
					seen.unfinished++;
				}
				const known = new Set(['source.raw', `target.${target.extension}`, `target.${target.extension}.partial`]);
				t.deepEqual(
					readdirSync(folder).filter(name => !known.has(name)),
					[],
				);
				t.true(readFileSync(source).equals(content), 'the source was written to');

				// The next run takes the place of what is left, and says so.
				const left = kept && statSync(partial).size > 0 && statSync(partial).nlink === 1;
				const {findings} = await convert(source, path, {force: true, writer, workers: 1});
				t.deepEqual(
					findings.map(({code}) => code),
					left ? ['output/interrupted'] : [],
				);
				t.true(contentOf(path).equals(content));
				t.false(existsSync(partial));
				rmSync(path);
			}
			t.log(`killed ${JSON.stringify(landed)}; ${JSON.stringify(seen)}`);
			for (const when of ['before', 'inside', 'after'] as const) total[when] += landed[when];
		},
	);
}

test.serial('enough of the kills came while something was written', t => {
	t.log(JSON.stringify(total));
	t.true(total.inside * 3 > total.before + total.inside + total.after);
});
