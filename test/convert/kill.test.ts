import {spawn} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {openDisk} from '../../src/image/image.ts';
import {seededRandom} from '../fuzz/random.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/tintype.js');
const KILLS = 8;
const SEED = 1;

function diskHash(path: string): string {
	const {disk, ...opened} = openDisk(path);
	const bytes = new Uint8Array(disk.size);
	disk.readAt(0, bytes);
	opened[Symbol.dispose]();
	return createHash('sha256').update(bytes).digest('hex');
}

for (const extension of ['raw', 'vhdx', 'tint']) {
	test.serial(`killed at any moment, a conversion to ${extension} leaves the whole target or none`, async t => {
		t.timeout(120_000);
		t.log(`seed ${SEED}`);
		const random = seededRandom(SEED);
		const folder = temporaryFolder(t);
		const source = join(folder, 'source.raw');
		writeFileSync(source, randomBytes(24 << 20));
		const want = createHash('sha256').update(readFileSync(source)).digest('hex');
		const target = join(folder, `target.${extension}`);
		let whole = 0;
		const began = performance.now();
		run(process.execPath, [PROGRAM, 'convert', source, target]);
		const longest = (performance.now() - began) * 1.3;
		run('rm', [target]);
		for (let count = 0; count < KILLS; count++) {
			const child = spawn(process.execPath, [PROGRAM, 'convert', source, target, '--force'], {stdio: 'ignore'});
			const ended = new Promise<number | null>(resolve => {
				child.on('exit', resolve);
			});
			await Promise.race([delay(random.below(longest)), ended]);
			child.kill('SIGKILL');
			await ended;
			if (existsSync(target)) {
				whole += 1;
				t.is(diskHash(target), want);
				run('rm', [target]);
			}
			const others = readdirSync(folder).filter(name => !['source.raw', `target.${extension}.partial`].includes(name));
			t.deepEqual(others, []);
		}
		t.log(`${whole} of ${KILLS} were whole`);
		// What was killed when only its name was missing is not replaced unasked.
		await convert(source, target, {force: true});
		t.is(diskHash(target), want);
		t.false(existsSync(`${target}.partial`));
	});
}

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('a full disk fails the conversion, says so, and leaves nothing', async t => {
	const folder = temporaryFolder(t);
	const small = join(folder, 'small');
	mkdirSync(small);
	run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
	t.teardown(() => run('umount', [small]));
	const source = join(folder, 'source.raw');
	writeFileSync(source, randomBytes(16 << 20));
	for (const name of ['x.raw', 'x.vhdx', 'x.tint']) {
		const error = await t.throwsAsync<Error & {hint?: string}>(convert(source, join(small, name)), {
			code: 'output/write',
		});
		t.regex(error?.message ?? '', /ENOSPC/);
		t.regex(error?.hint ?? '', /space/);
		t.deepEqual(readdirSync(small), []);
	}
});
