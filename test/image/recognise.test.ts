import {copyFileSync, openSync, closeSync, statSync, truncateSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {DiskError} from '../../src/core/error.ts';
import {openDisk, openImage} from '../../src/image/image.ts';
import {haveSharedTestdata, sharedImage} from '../helpers/shared-testdata.ts';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, runBytes, testWith} from '../helpers/tools.ts';
import {opened} from './images.ts';

const MIB = 1 << 20;

/** Bytes at places; a negative place counts from the end. */
type Patch = readonly [position: number, bytes: string | readonly number[]];

/** Latin-1 text or bytes, patched into a file. */
function patch(path: string, patches: readonly Patch[]): string {
	const {size} = statSync(path);
	const descriptor = openSync(path, 'r+');
	for (const [position, bytes] of patches) {
		const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
		writeSync(descriptor, buffer, 0, buffer.length, position < 0 ? size + position : position);
	}
	closeSync(descriptor);
	return path;
}

/** A file of zeros with some bytes in it. */
function made(t: ExecutionContext, size: number, ...patches: readonly Patch[]): string {
	const path = join(temporaryFolder(t), 'image');
	writeFileSync(path, '');
	truncateSync(path, size);
	return patch(path, patches);
}

function code(action: () => unknown): string {
	try {
		action();
		return 'opened';
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
}

// Heads as their specifications have them, written down here independently of what is looked for.
const CONTAINERS: Readonly<Record<string, {size?: number; patches: readonly Patch[]; named: RegExp}>> = {
	'qcow version 1': {patches: [[0, 'QFI\xfb\0\0\0\x01']], named: /qcow image/},
	'qcow2 version 3': {patches: [[0, 'QFI\xfb\0\0\0\x03']], named: /qcow2/},
	'VMDK, sparse extent': {patches: [[0, 'KDMV\x01\0\0\0']], named: /VMDK/},
	'VMDK, ESX': {patches: [[0, 'COWD\x01\0\0\0']], named: /VMDK/},
	'VMDK, text': {patches: [[0, '# Disk DescriptorFile\nversion=1\n']], named: /VMDK/},
	VDI: {
		patches: [
			[0, '<<< Oracle VM VirtualBox Disk Image >>>\n'],
			[64, [0x7f, 0x10, 0xda, 0xbe]],
		],
		named: /VDI/,
	},
	'Parallels 1': {patches: [[0, 'WithoutFreeSpace\x02\0\0\0']], named: /Parallels/},
	'Parallels 2': {patches: [[0, 'WithouFreSpacExt\x02\0\0\0']], named: /Parallels/},
	QED: {patches: [[0, 'QED\0']], named: /QED/},
	Bochs: {patches: [[0, 'Bochs Virtual HD Image\0']], named: /Bochs/},
	E01: {patches: [[0, 'EVF\t\r\n\xff\0\x01']], named: /Expert Witness/},
	Ex01: {patches: [[0, 'EVF2\r\n\x81\0']], named: /Expert Witness/},
	AFF: {patches: [[0, 'AFF10\r\n\0']], named: /AFF/},
	DMG: {patches: [[-512, 'koly\0\0\0\x04\0\0\x02\0']], named: /DMG/},
	WIM: {patches: [[0, 'MSWIM\0\0\0\xd0\0\0\0']], named: /WIM/},
	partclone: {patches: [[0, 'partclone-image\0']], named: /partclone/},
	Macrium: {patches: [[-12, 'MACRIUM_FILE']], named: /Macrium/},
	'CD with raw sectors': {patches: [[0, [0, ...Array.from({length: 10}, () => 0xff), 0, 0, 2, 0, 1]]], named: /2352/},
};

for (const [name, {size = MIB, patches, named}] of Object.entries(CONTAINERS)) {
	test(`${name} is named, and is not taken for a raw disk unless that is wished`, t => {
		const path = made(t, size, ...patches);
		const error = t.throws(() => openDisk(path), {instanceOf: DiskError, code: 'format/foreign'});
		t.regex(error?.message ?? '', named);
		t.regex(error?.hint ?? '', /--format raw/);
		t.is(error?.where.file, path);
		t.is(
			code(() => openDisk(path, {format: 'raw'})[Symbol.dispose]()),
			'opened',
		);
	});
}

for (const format of ['qcow', 'qcow2', 'vmdk', 'vdi', 'qed', 'parallels']) {
	testWith(test, ['qemu-img'], `a ${format} that qemu-img made is named`, t => {
		const path = join(temporaryFolder(t), 'image');
		run('qemu-img', ['create', '-q', '-f', format, path, '8M']);
		t.is(
			code(() => openDisk(path)),
			'format/foreign',
		);
	});
}

for (const [tool, unpack] of [
	['gzip', 'gunzip'],
	['xz', 'unxz'],
	['bzip2', 'bunzip2'],
	['zstd', 'unzstd'],
	['lz4', 'unlz4'],
] as const) {
	testWith(test, [tool], `what ${tool} packed is named, with the way to unpack it`, t => {
		const path = join(temporaryFolder(t), 'disk.raw');
		writeFileSync(path, runBytes(tool, ['-c'], {input: Buffer.alloc(100_000, 'disk')}));
		const error = t.throws(() => openDisk(path), {instanceOf: DiskError, code: 'format/compressed'});
		t.regex(error?.hint ?? '', new RegExp(unpack));
	});
}

test('archives are named', t => {
	t.is(
		code(() => openDisk(made(t, 4096, [0, 'PK\x03\x04\x14\0']))),
		'format/compressed',
	);
	t.is(
		code(() => openDisk(made(t, 4096, [0, '7z\xbc\xaf\x27\x1c\0\x04']))),
		'format/compressed',
	);
});

const VOLUMES: Readonly<Record<string, {patches: readonly Patch[]; code: string; named: RegExp}>> = {
	LUKS1: {patches: [[0, 'LUKS\xba\xbe\0\x01aes']], code: 'volume/encrypted', named: /LUKS/},
	LUKS2: {patches: [[0, 'LUKS\xba\xbe\0\x02']], code: 'volume/encrypted', named: /LUKS/},
	BitLocker: {
		patches: [
			[0, '\xeb\x58\x90-FVE-FS-\0\x02\x08'],
			[510, [0x55, 0xaa]],
		],
		code: 'volume/encrypted',
		named: /BitLocker/,
	},
	'BitLocker To Go': {
		patches: [
			[0, '\xeb\x58\x90MSWIN4.1\0\x02\x08'],
			[0x1a8, [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01]],
			[510, [0x55, 0xaa]],
		],
		code: 'volume/encrypted',
		named: /BitLocker/,
	},
	ReFS: {patches: [[3, 'ReFS\0\0\0\0FSRS']], code: 'volume/foreign', named: /ReFS/},
	XFS: {patches: [[0, 'XFSB\0\0\x10\0']], code: 'volume/foreign', named: /XFS/},
	Btrfs: {patches: [[65536 + 64, '_BHRfS_M']], code: 'volume/foreign', named: /Btrfs/},
	APFS: {patches: [[32, 'NXSB']], code: 'volume/foreign', named: /APFS/},
	'HFS+': {patches: [[1024, 'H+\0\x04']], code: 'volume/foreign', named: /HFS\+/},
	HFSX: {patches: [[1024, 'HX\0\x05']], code: 'volume/foreign', named: /HFSX/},
	HFS: {patches: [[1024, 'BD']], code: 'volume/foreign', named: /HFS/},
	SquashFS: {patches: [[0, 'hsqs']], code: 'volume/foreign', named: /SquashFS/},
	EROFS: {patches: [[1024, [0xe2, 0xe1, 0xf5, 0xe0]]], code: 'volume/foreign', named: /EROFS/},
	F2FS: {patches: [[1024, [0x10, 0x20, 0xf5, 0xf2]]], code: 'volume/foreign', named: /F2FS/},
	'ISO 9660': {patches: [[16 * 2048, '\x01CD001\x01']], code: 'volume/foreign', named: /ISO 9660/},
	UDF: {
		patches: [
			[16 * 2048, '\0BEA01\x01'],
			[17 * 2048, '\0NSR03\x01'],
			[18 * 2048, '\0TEA01\x01'],
		],
		code: 'volume/foreign',
		named: /UDF/,
	},
	'UDF and ISO 9660': {
		patches: [
			[16 * 2048, '\x01CD001\x01'],
			[17 * 2048, '\xffCD001\x01'],
			[18 * 2048, '\0BEA01\x01'],
			[19 * 2048, '\0NSR02'],
		],
		code: 'volume/foreign',
		named: /UDF/,
	},
	LVM2: {patches: [[512, 'LABELONE\x01\0\0\0']], code: 'volume/foreign', named: /LVM2/},
	'RAID 1.2': {patches: [[4096, [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]]], code: 'volume/foreign', named: /RAID/},
	'RAID 0.90': {patches: [[MIB - 65536, [0xfc, 0x4e, 0x2b, 0xa9]]], code: 'volume/foreign', named: /RAID/},
	swap: {patches: [[4086, 'SWAPSPACE2']], code: 'volume/foreign', named: /swap/},
};

for (const [name, {patches, code: expected, named}] of Object.entries(VOLUMES)) {
	test(`a volume with ${name} is named`, t => {
		const image = opened(t, made(t, MIB, ...patches));
		t.is(image.table.scheme, 'none');
		const [volume] = image.volumes;
		t.is(volume?.error?.code, expected);
		t.is(volume?.error?.family, 'unsupported');
		t.is(volume?.error?.where.volume, 1);
		t.regex(volume?.error?.message ?? '', named);
		t.is(volume?.fileSystem, undefined);
		t.is(volume?.driver, undefined);
	});
}

for (const [tool, args, size, named] of [
	['mkswap', [], 1, /swap/],
	['mkfs.xfs', ['-q', '-f'], 320, /XFS/],
	['mkfs.btrfs', ['-q', '-f'], 128, /Btrfs/],
] as const) {
	testWith(test, [tool], `what ${tool} made is named`, t => {
		const path = made(t, size * MIB);
		run(tool, [...args, path]);
		t.regex(opened(t, path).volumes[0]?.error?.message ?? '', named);
	});
}

test('nothing is recognised where nothing is', t => {
	for (const size of [1, 511, 512, 1024, 65536, MIB]) {
		const [volume] = opened(t, made(t, size)).volumes;
		t.deepEqual([volume?.driver, volume?.error, volume?.fileSystem], [undefined, undefined, undefined], String(size));
	}
	t.is(
		code(() => openDisk(made(t, 0))),
		'format/empty',
	);
	const empty = openImage(made(t, 0), {format: 'raw'});
	t.deepEqual(empty.volumes, []);
	empty[Symbol.dispose]();
});

test('a format that there is not is refused with those that there are', t => {
	const error = t.throws(() => openDisk(made(t, 512), {format: 'qcow2'}), {code: 'format/unknown'});
	t.regex((error as DiskError).hint ?? '', /vhdx, vhd, tint, raw/);
	t.is(code(() => openDisk(made(t, MIB), {format: 'vhdx'})).startsWith('vhdx/'), true);
});

/** What other systems leave behind when a volume is formatted anew: none of it is where a formatter writes for sure. */
const RELICS: Readonly<Record<string, readonly Patch[]>> = {
	Btrfs: [[0x1_0040, '_BHRfS_M']],
	'ISO 9660': [[0x8001, 'CD001']],
	UDF: [[0x8801, 'NSR03']],
	'RAID 0.90': [[-65536, [0xfc, 0x4e, 0x2b, 0xa9]]],
	VHD: [[-4096, 'conectix']],
};

for (const [type, tools, make] of [
	['ext4', ['mkfs.ext4'], ['mkfs.ext4', '-q', '-b', '1024', '-O', '^resize_inode', '-L', 'stale']],
	['fat16', ['mkfs.fat'], ['mkfs.fat', '-F', '16', '-n', 'STALE']],
	['ntfs', ['mkntfs'], ['mkntfs', '-q', '-Q', '-F', '-L', 'stale']],
] as const) {
	for (const [relic, patches] of Object.entries(RELICS)) {
		testWith(test, tools, `${type} over what was ${relic} is opened`, t => {
			const blank = cachedFile(`blank-${type}`, make.join(' '), path => {
				writeFileSync(path, '');
				truncateSync(path, 32 * MIB);
				run(make[0], [...make.slice(1), path]);
			});
			const path = join(temporaryFolder(t), 'image');
			copyFileSync(blank, path);
			const [volume] = opened(t, patch(path, patches)).volumes;
			t.is(volume?.error, undefined);
			t.is(volume?.fileSystem?.type, type);
			t.regex(volume?.name ?? '', /^1-stale$/i);
		});
	}
}

testWith(test, ['mkfs.ext4'], 'Btrfs over what was ext4 is not opened by a copy of the superblock', t => {
	const path = made(t, 32 * MIB);
	run('mkfs.ext4', ['-q', '-b', '1024', path]);
	patch(path, [
		[0, Array.from({length: 65536}, () => 0)],
		[0x1_0040, '_BHRfS_M'],
	]);
	const [volume] = opened(t, path).volumes;
	t.is(volume?.error?.code, 'volume/foreign');
	t.is(volume?.fileSystem, undefined);
});

const shared = haveSharedTestdata ? test : test.skip;

shared('real images of others are named', t => {
	for (const [path, want, named] of [
		['utl-fs/luks1.img.xz', 'volume/encrypted', /LUKS/],
		['utl-fs/bitlocker-win7.img.xz', 'volume/encrypted', /BitLocker/],
		['utl-fs/btrfs.img.xz', 'volume/foreign', /Btrfs/],
		['utl-fs/xfs-v5.img.xz', 'volume/foreign', /XFS/],
		['utl-fs/hfsplus.img.xz', 'volume/foreign', /HFS/],
		['utl-fs/lvm2.img.xz', 'volume/foreign', /LVM2/],
		['utl-fs/mdraid.img.xz', 'volume/foreign', /RAID/],
		['utl-fs/mdraid-1.img.xz', 'volume/foreign', /RAID/],
		['utl-fs/f2fs.img.xz', 'volume/foreign', /F2FS/],
		['utl-fs/udf.img.xz', 'volume/foreign', /UDF/],
		['utl-fs/iso-joliet.img.xz', 'volume/foreign', /ISO 9660/],
		['dfvfs/apfs.raw', 'volume/foreign', /APFS/],
	] as const) {
		const [volume] = opened(t, sharedImage(path)).volumes;
		t.is(volume?.error?.code, want, path);
		t.regex(volume?.error?.message ?? '', named, path);
	}
	for (const path of ['dfvfs/ext2.qcow2', 'dfvfs/ext2.vmdk', 'dfvfs/ext2.E01']) {
		t.is(
			code(() => openDisk(sharedImage(path))),
			'format/foreign',
			path,
		);
	}
});
