import test from 'ava';
import {openToVerify} from '../../src/verify/open.ts';
import {checkImage} from '../../src/check/check.ts';
import {EXPECTATIONS} from '../differential/shared-expectations.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {fullDisk, FULL_DISK_TOOLS, MANY_FILES} from '../helpers/full-disk.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {findTool, run, testWith} from '../helpers/tools.ts';
import {check} from './checking.ts';

test('the demo disk has no damage', async t => {
	const report = await check(t, demoDisk(), {content: true});
	t.deepEqual(report.findings, []);
	t.deepEqual(
		report.volumes.map(({fileSystem}) => fileSystem),
		['fat16', 'ntfs', 'ext4'],
	);
});

testWith(test, FULL_DISK_TOOLS, 'a disk with FAT, NTFS and ext4 has no damage, and all of it is looked at', async t => {
	const {path} = fullDisk();
	const seen: number[] = [];
	const report = await check(t, path, {onProgress: ({position}) => seen.push(position)});
	t.deepEqual(report.findings, []);
	for (const {files, map} of report.volumes) {
		t.true(files >= MANY_FILES + 3);
		t.true(map !== undefined && map.other > 0 && map.other < map.used);
	}
	t.deepEqual(
		seen,
		seen.toSorted((a, b) => a - b),
	);
	const image = openToVerify(path);
	t.teardown(() => image[Symbol.dispose]());
	t.deepEqual((await checkImage(image, {volume: 2})).volumes, [report.volumes[1]]);
	await t.throwsAsync(checkImage(image, {volume: 7}), {code: 'check/no-volume'});
	const reason = new Error('enough');
	await t.throwsAsync(checkImage(image, {signal: AbortSignal.abort(reason)}), {is: reason});
});

/** What fsck says of these, and why a check says otherwise. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
	'dfvfs/ext2.vhd': 'fsck reads no VHD',
	'utl-fs/fat32_xp_label1.img.xz': 'fsck misses the label in the boot sector, which Windows leaves out',
	'utl-fs/fat32_label_64MB.img.xz': 'fsck misses the label in the boot sector, which Windows leaves out',
	'e2fs/f_filetype.img.gz': 'flags that special files cannot have; nothing reads them',
	'e2fs/f_unused_itable.img.gz':
		'descriptors of groups that count inodes as never used, though names lead to them and they are whole',
	'dosfstools/check-bad_names.img.xz': 'characters that short names must not have',
	'dosfstools/check-dot_entries.img.xz': 'a directory without its dots, whose files are there',
	'dosfstools/check-chain_too_long.img.xz': 'clusters behind the end of a file',
	'exfatprogs/unused-dentries.img.tar.xz': 'entries behind the end of a directory, which fsck passes over',
	'e2fs/f_journal.img.gz': 'its journal is a file with a name, and holds the newest content of other files',
};

const TOOLS: readonly (readonly [RegExp, string])[] = [
	[/^ext/, 'fsck.ext4'],
	[/^fat/, 'fsck.fat'],
	[/^ntfs$/, 'ntfsfix'],
	[/^exfat$/, 'fsck.exfat'],
];

const declare = haveSharedTestdata ? test : test.skip;
declare('images of others have damage where the tools of their file systems say so', async t => {
	t.timeout(120_000);
	for (const [path, {refused, table, volumes}] of Object.entries(EXPECTATIONS)) {
		const tool = TOOLS.find(([pattern]) => pattern.test(volumes?.[1] ?? ''))?.[1];
		if (refused !== undefined || table !== 'none' || tool === undefined || findTool(tool) === undefined) continue;
		if (EXCEPTIONS[path] !== undefined) continue;
		const file = sharedImage(path);
		let clean = true;
		try {
			run(tool, [tool === 'fsck.ext4' ? '-fn' : '-n', file]);
		} catch {
			clean = false;
		}
		const image = openToVerify(file);
		const {good, findings} = await checkImage(image, {limit: 5});
		image[Symbol.dispose]();
		// ntfsfix does not look at directories.
		if (path === 'dfir/ntfs3.raw.gz') {
			t.deepEqual(
				findings.map(({code, node}) => [code, node]),
				[['check/orphan', 28]],
			);
		} else t.is(good, clean, `${path}: ${JSON.stringify(findings)}`);
	}
});
