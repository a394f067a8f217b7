import test from 'ava';
import {sharedImage, haveSharedTestdata, sharedManifest} from '../helpers/shared-testdata.ts';
import {findTool} from '../helpers/tools.ts';
import {openDisk, partxRows, probeFileSystem, read, rows, sfdiskTable} from './disks.ts';

const shared = haveSharedTestdata ? test : test.skip;
const oracles = findTool('sfdisk') !== undefined && findTool('partx') !== undefined;

const TABLES = [
	['dfvfs/mbr.raw', 'mbr', [1, 5]],
	['dfvfs/gpt.raw', 'gpt', [1, 2]],
	['plaso/tsk_volume_system.raw', 'mbr', [1, 5]],
	['utl-pt/gpt.img.xz', 'gpt', [1, 2, 3, 4, 5]],
	['dfir/gpt-512-3p.raw.gz', 'gpt', [1, 2, 3]],
	['dfir/gpt-512-0p.raw.gz', 'gpt', []],
	['dfir/mbr-512-p1e2.bin.gz', 'mbr', [2, 5, 6]],
	['dfir/exfat_lin_part.raw.gz', 'mbr', [1]],
	['ntfs-samples/ntfs-ptrn.raw.gz', 'mbr', [1]],
	// An isohybrid image; seen by its MBR as long as ISO 9660 is not known.
	['deb/grub-rescue-cdrom.iso.xz', 'mbr', [1]],
] as const;

for (const [path, scheme, numbers] of TABLES) {
	shared(`${path} has the partitions that sfdisk and libblkid find`, t => {
		const image = sharedImage(path);
		const table = read(openDisk(t, image));
		t.is(table.scheme, scheme);
		t.deepEqual(
			table.partitions.map(({number}) => number),
			[...numbers],
		);
		t.deepEqual(table.codes, []);
		if (!oracles) return;
		const oracle = sfdiskTable(image);
		t.is(table.identifier, oracle.identifier);
		t.deepEqual(rows(table), oracle.rows);
		const columns = rows(table).map(({number, start, sectors, type}) => ({number, start, sectors, type}));
		if (numbers.length > 0) t.deepEqual(columns, partxRows(image));
	});
}

shared('binwalk/mbr.bin, cut out of a larger disk', t => {
	const table = read(openDisk(t, sharedImage('binwalk/mbr.bin')));
	t.is(table.scheme, 'mbr');
	t.deepEqual(
		table.partitions.map(({number, start, length}) => [number, start, length]),
		[[1, 512, 4608]],
	);
});

const RAW_VOLUME = /^(ext[234]|FAT1[26]|FAT32|NTFS|exFAT)/;

shared('raw images of one volume have no partition table', t => {
	let count = 0;
	for (const {path, container, partitionTable, fileSystem} of sharedManifest()) {
		if (container !== 'raw' || partitionTable !== 'none' || !RAW_VOLUME.test(fileSystem)) continue;
		const disk = openDisk(t, sharedImage(path));
		const table = read(disk);
		t.is(table.scheme, 'none', path);
		// mformat leaves a table of one partition that covers its own sector.
		t.deepEqual(table.codes, path === 'utl-fs/fat.img.xz' ? ['partitions/stale-table'] : [], path);
		t.is(table.partitions.length, 1, path);
		t.is(table.partitions[0].length, disk.size, path);
		if (!fileSystem.includes('image')) t.not(probeFileSystem(disk), undefined, path);
		count++;
	}
	t.true(count > 20, `${count} images`);
});

shared('foreign volumes and labels are left as one partition', t => {
	for (const path of [
		'utl-fs/btrfs.img.xz',
		'utl-fs/xfs-v5.img.xz',
		'utl-fs/squashfs4.img.xz',
		'utl-fs/luks1.img.xz',
	]) {
		t.is(read(openDisk(t, sharedImage(path))).scheme, 'none', path);
	}
	for (const path of ['utl-pt/bsd.img.xz', 'utl-pt/sun.img.xz', 'utl-fs/bitlocker-win7.img.xz']) {
		t.is(read(openDisk(t, sharedImage(path))).scheme, 'none', path);
	}
});
