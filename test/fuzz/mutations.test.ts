import {spawn} from 'node:child_process';
import {join} from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const SEEDS = 500;
/** What one operation on a hostile image may take. */
const LONGEST_MILLISECONDS = 5000;
const MOST_MEMORY = 512 << 20;

/** The run's first seed: fixed, so that a failure repeats; TINTYPE_SEED=1234 looks elsewhere. */
const FIRST_SEED = Number(process.env['TINTYPE_SEED'] ?? 1);

/** Runs seeds in a child process and fails on a crash, a hang, a foreign exception or too much memory. */
async function runMutations(t: ExecutionContext, image: string): Promise<void> {
	t.timeout(300_000);
	const copy = join(temporaryFolder(t), 'mutated');
	const script = join(import.meta.dirname, 'mutation-run.ts');
	const child = spawn(process.execPath, [script, image, copy, String(FIRST_SEED), String(SEEDS)], {
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let said = '';
	child.stderr.on('data', part => {
		said += String(part);
	});
	let seed = 'before the first seed';
	let hung = false;
	const rest = new Map<string, string>();
	const kill = (): void => {
		hung = true;
		child.kill('SIGKILL');
	};
	// The first seed includes the start of the process.
	let timer = setTimeout(kill, LONGEST_MILLISECONDS * 3);
	const ended = new Promise<number | null>(resolve => {
		child.on('close', resolve);
	});
	for await (const line of createInterface({input: child.stdout})) {
		clearTimeout(timer);
		timer = setTimeout(kill, LONGEST_MILLISECONDS);
		const [word = '', value = ''] = line.split(/ (.*)/);
		if (word === 'seed') seed = value;
		else rest.set(word, value);
	}
	const code = await ended;
	clearTimeout(timer);
	t.log(`seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1}: ${rest.get('outcomes')}`);
	t.false(hung, `seed ${seed} took more than ${LONGEST_MILLISECONDS} ms`);
	t.is(code, 0, `seed ${seed}: ${said}`);
	const peak = Number(rest.get('peak'));
	t.true(peak < MOST_MEMORY, `${peak} bytes of memory at the peak`);
}

test.serial('mutated: a disk with GPT, FAT, NTFS and ext4', async t => runMutations(t, demoDisk()));

for (const extension of ['vhdx', 'vhd', 'tint']) {
	test.serial(`mutated: the same disk as ${extension}`, async t => {
		const image = join(temporaryFolder(t), `disk.${extension}`);
		await convert(demoDisk(), image, {id: '00'.repeat(16), timestamp: 0});
		await runMutations(t, image);
	});
}

const SHARED = [
	'dfvfs/fat12.raw',
	'dfir/fat16.raw.gz',
	'utl-fs/small-fat32.img.xz',
	'dfvfs/ntfs.raw',
	'dfir/ntfs3.raw.gz',
	'dfvfs/ext2.raw',
	'dfvfs/ext4.raw',
	'ext4view/test_disk1.bin.zst',
	'e2fs/d_inline_dump.img.gz',
	'dfvfs/mbr.raw',
	'dfvfs/ntfs-dynamic.vhdx.xz',
	'dfvfs/ext2.vhd',
	'dfvfs/ntfs-fixed.vhd',
];
for (const path of SHARED) {
	const declare = haveSharedTestdata ? test.serial : test.serial.skip;
	declare(`mutated: ${path}`, async t => runMutations(t, sharedImage(path)));
}
