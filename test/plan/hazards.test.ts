import {copyFileSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {planConversion, type PlanOptions} from '../../src/plan/plan.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {BLOCK, GUID, makeVhdx, pattern, putLogEntry} from '../helpers/vhdx-image.ts';
import {bootableDisk, DISK_TOOLS, emptyFile, gptDisk, mbrDisk, MIB, putBootCode, writeAt} from '../profiles/disks.ts';

const GIB = 2 ** 30;

/** What a plan says is odd, and what it says would end it. */
async function told(source: string, options: PlanOptions = {for: 'hyperv'}) {
	const {findings, problems, possible} = await planConversion(source, options);
	if (possible !== (problems.length === 0)) throw new Error('a plan contradicts itself');
	const warnings = findings.filter(({severity}) => severity !== 'note').map(({code}) => code);
	return {warnings, problems: problems.map(({code}) => code)};
}

testWith(test, ['mkntfs', 'ntfsfix', 'ntfscp'], 'an NTFS volume that is dirty or hibernated', async t => {
	const folder = temporaryFolder(t);
	const path = emptyFile(join(folder, 'ntfs.raw'), 16 * MIB);
	run('mkntfs', ['-F', '-Q', '-q', path]);
	const clean = await told(path, {to: 'vhdx'});
	t.deepEqual(clean, {warnings: [], problems: []});
	const withHibernation = (magic: string): string => {
		const copy = join(folder, magic);
		copyFileSync(path, copy);
		writeFileSync(join(folder, 'file'), Buffer.concat([Buffer.from(magic), Buffer.alloc(8192)]));
		run('ntfscp', ['-f', copy, join(folder, 'file'), 'hiberfil.sys']);
		return copy;
	};
	t.deepEqual(await told(withHibernation('hibr'), {to: 'vhdx'}), {warnings: ['ntfs/hibernated'], problems: []});
	t.deepEqual(await told(withHibernation('wake'), {to: 'vhdx'}), {warnings: [], problems: []});
	// It has Windows check the volume when it starts, by the dirty flag.
	run('ntfsfix', [path]);
	const dirty = await planConversion(path, {to: 'vhdx'});
	t.is(dirty.usedOnly, null, 'its free space is not to be trusted');
	t.regex(dirty.findings[0]?.message ?? '', /^volume 1: the volume is marked dirty/);
	t.deepEqual(await told(path, {to: 'vhdx'}), {warnings: ['ntfs/dirty'], problems: []});
});

testWith(test, ['mkfs.ext4', 'debugfs'], 'an ext4 file system whose journal is to be replayed', async t => {
	const path = emptyFile(join(temporaryFolder(t), 'ext4.raw'), 16 * MIB);
	run('mkfs.ext4', ['-q', path]);
	t.deepEqual(await told(path, {for: 'wsl'}), {warnings: [], problems: []});
	run('debugfs', ['-w', '-R', 'feature needs_recovery', path]);
	t.deepEqual(await told(path, {for: 'wsl'}), {warnings: ['ext/needs-recovery'], problems: []});
});

test('a VHDX that was not closed cleanly', async t => {
	const folder = temporaryFolder(t);
	const make = (logGuid?: string) =>
		makeVhdx({
			size: 2 * MIB,
			...(logGuid !== undefined && {logGuid}),
			blocks: [{block: 0, state: BLOCK.full, bytes: pattern(MIB, 0)}],
		});
	const dirty = make(GUID.log);
	const at = dirty.places.get(0) ?? 0;
	putLogEntry(dirty, 0, {sequence: 1, writes: [{kind: 'data', at, bytes: pattern(4096, 1)}]});
	for (const [name, {bytes}] of Object.entries({dirty, clean: make()})) writeFileSync(join(folder, name), bytes);
	t.deepEqual(await told(join(folder, 'dirty'), {to: 'raw'}), {warnings: ['vhdx/log-replayed'], problems: []});
	t.deepEqual(await told(join(folder, 'clean'), {to: 'raw'}), {warnings: [], problems: []});
});

testWith(test, DISK_TOOLS, 'a hybrid MBR, and a backup GPT that is not at the end', async t => {
	const folder = temporaryFolder(t);
	t.deepEqual(await told(bootableDisk(folder)), {warnings: [], problems: []});
	const hybrid = gptDisk(folder, ['-n1:2048:+8M', '-t1:ef00', '-n2:0:+8M', '-t2:8300', '-h2']);
	t.true((await told(hybrid)).warnings.includes('gpt/hybrid-mbr'));
	const path = bootableDisk(folder);
	truncateSync(path, 40 * MIB);
	t.deepEqual(await told(path), {warnings: ['gpt/backup-not-at-end'], problems: []});
	truncateSync(path, 24 * MIB);
	t.true((await told(path)).warnings.includes('gpt/backup-missing'));
	const odd = bootableDisk(folder, 32 * MIB + 512);
	t.deepEqual(await told(odd), {warnings: [], problems: []});
	t.deepEqual(await told(odd, {for: 'azure'}), {warnings: ['profile/padded'], problems: []});
});

testWith(test, DISK_TOOLS, 'sectors of 4096 bytes: no VHD, and no generation 1', async t => {
	const path = mbrDisk(temporaryFolder(t), 'start=256,size=1024,type=7,bootable');
	putBootCode(path);
	t.deepEqual(await told(path), {warnings: [], problems: []});
	t.deepEqual(await told(path, {for: 'hyperv', sectorSize: 4096}), {
		warnings: ['profile/does-not-boot'],
		problems: [],
	});
	t.deepEqual((await told(path, {to: 'vhd', sectorSize: 512})).problems, []);
	const plan = await planConversion(path, {to: 'vhd', sectorSize: 4096});
	t.deepEqual(
		plan.problems.map(({code}) => code),
		['vhd/sector-size'],
	);
	t.is(plan.estimate, null);
	t.is(plan.disk?.size, 32 * MIB);
});

testWith(test, DISK_TOOLS, 'volumes that BitLocker encrypts', async t => {
	const folder = temporaryFolder(t);
	const path = bootableDisk(folder);
	t.deepEqual(await told(path), {warnings: [], problems: []});
	writeAt(path, 9 * MIB + 3, Buffer.from('-FVE-FS-'));
	const plan = await planConversion(path, {for: 'hyperv'});
	const found = plan.findings.find(({code}) => code === 'profile/encrypted');
	t.regex(found?.message ?? '', /^volume 2: .*BitLocker.*recovery key/);
	t.true(plan.possible);
	if (!haveSharedTestdata) return;
	const real = await told(sharedImage('fve/bde_aes_128.bin.gz'), {to: 'vhdx'});
	t.deepEqual(real, {warnings: ['profile/encrypted'], problems: []});
});

test('more than a VHD holds', async t => {
	const folder = temporaryFolder(t);
	const path = emptyFile(join(folder, 'large.raw'), 2040 * GIB);
	t.deepEqual((await told(path, {for: 'virtualbox'})).problems, []);
	truncateSync(path, 2040 * GIB + 512);
	t.deepEqual((await told(path, {for: 'virtualbox'})).problems, ['vhd/disk-size']);
	t.deepEqual((await told(path, {for: 'hyperv'})).problems, []);
	await t.throwsAsync(convert(path, join(folder, 'large.vhd'), {for: 'virtualbox'}), {code: 'vhd/disk-size'});
});

test('a parent that is missing, or another than it was', async t => {
	const folder = temporaryFolder(t);
	const [parent, child] = [join(folder, 'parent.vhdx'), join(folder, 'child.vhdx')];
	const size = 2 * MIB;
	const image = makeVhdx({size, dataWriteGuid: GUID.parent});
	const linkage = {parent_linkage: `{${GUID.parent}}`, relative_path: '.\\parent.vhdx'};
	writeFileSync(child, makeVhdx({size, flags: 2, locator: linkage}).bytes);
	const missing = await planConversion(child, {to: 'raw'});
	t.like(missing, {possible: false, disk: null, estimate: null});
	t.is(missing.problems[0]?.code, 'gate/parent-not-found');
	writeFileSync(parent, image.bytes);
	t.deepEqual(await told(child, {to: 'raw'}), {warnings: [], problems: []});
	writeFileSync(parent, makeVhdx({size, dataWriteGuid: GUID.unknown}).bytes);
	t.deepEqual((await told(child, {to: 'raw'})).problems, ['vhdx/parent-changed']);
});

test('damage that reading meets', async t => {
	const folder = temporaryFolder(t);
	const path = join(folder, 'disk.tint');
	await convert(demoDisk(), path);
	t.deepEqual((await told(path, {to: 'raw'})).problems, []);
	const bytes = readFileSync(path);
	bytes.fill(0x55, 40_000, 150_000);
	writeFileSync(path, bytes);
	const plan = await planConversion(path, {to: 'raw'});
	t.false(plan.possible);
	t.is(plan.problems[0]?.family, 'corrupt');
});

test('what makes no sense is refused like a conversion', async t => {
	const source = demoDisk();
	await t.throwsAsync(planConversion(source, {}), {code: 'plan/format'});
	await t.throwsAsync(planConversion(source, {target: join(temporaryFolder(t), 'x.qq')}), {code: 'convert/extension'});
	await t.throwsAsync(planConversion(source, {to: 'raw', writer: {subformat: 'fixed'}}), {code: 'convert/option'});
	await t.throwsAsync(planConversion(source, {for: 'azure', to: 'raw'}), {code: 'profile/contradiction'});
	await t.throwsAsync(planConversion(`${source}.none`, {to: 'raw'}), {code: 'file/not-found'});
	await t.throwsAsync(planConversion(source, {to: 'raw', workers: 0}), {code: 'convert/workers'});
	await t.throwsAsync(planConversion(source, {to: 'raw', signal: AbortSignal.abort()}), {name: 'AbortError'});
	const copy = join(temporaryFolder(t), 'copy.raw');
	copyFileSync(source, copy);
	t.deepEqual((await told(copy, {to: 'raw', target: copy, force: true})).problems, ['output/is-source']);
});
