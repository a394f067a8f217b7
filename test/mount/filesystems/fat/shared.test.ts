import {statSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {printable} from '../../../../src/core/bytes/text.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {windowSource} from '../../../../src/core/sources/window.ts';
import {fat} from '../../../../mount/filesystems/fat/index.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {haveSharedTestdata, sharedImage, sharedManifest, sharedOracle} from '../../../helpers/shared-testdata.ts';
import {runBytes} from '../../../helpers/tools.ts';
import {walkFileSystem} from '../../../helpers/tree.ts';
import {openFat} from './image.ts';

const shared = haveSharedTestdata ? test : test.skip;

interface Known {
	readonly type: string;
	readonly label: string;
	readonly serial: string;
	readonly codes?: readonly string[];
	/** Where the volume lies in the image. */
	readonly window?: readonly [number, number];
}

/** What the manifest, blkid and the authors say of each image. */
const KNOWN: Readonly<Record<string, Known>> = {
	'dfvfs/fat12.raw': {type: 'fat12', label: 'FAT12_TEST', serial: 'F76D-58A3'},
	'utl-fs/fat.img.xz': {type: 'fat12', label: 'TEST-FAT', serial: 'DEAD-BEEF'},
	'utl-fs/small-fat32.img.xz': {type: 'fat32', label: 'TESTVFAT', serial: '1423-AAE1'},
	'utl-fs/fat32_xp_label1.img.xz': {type: 'fat32', label: 'LABEL1', serial: 'A420-9304'},
	'utl-fs/fat32_label_64MB.img.xz': {type: 'fat32', label: 'BINGO', serial: '8CB5-BA49'},
	'cryptsetup/img_fs_vfat.img.xz': {type: 'fat12', label: '', serial: '16E6-83C7'},
	'dfir/fat12.raw.gz': {type: 'fat12', label: '', serial: ''},
	'dfir/fat16.raw.gz': {type: 'fat16', label: '', serial: '134C-D791'},
	'dfir/fat_deleted_dir.raw.gz': {type: 'fat32', label: '', serial: 'E9D7-8A88'},
	'dfir/fat_noloop.raw.gz': {type: 'fat16', label: '', serial: 'ACFB-1FBE'},
	'lde/test.vfat': {type: 'fat12', label: 'LDE-FAT', serial: 'D9FA-8676'},
	'lde/test.fat16.xz': {type: 'fat16', label: 'LDEFAT16', serial: 'B208-3E71'},
	'bang/test.fat': {type: 'fat12', label: '', serial: 'F231-90A4'},
	'dosfstools/check-fat12_first_cluster.img.xz': {type: 'fat12', label: '', serial: '52FD-9917'},
	'dfvfs/fat-parent.vhd': {type: 'fat12', label: 'TESTVOLUME', serial: '', window: [65_536, 6016 * 512]},
};

const TYPES: Readonly<Record<string, string>> = {dir: 'directory', file: 'file'};

/** What an oracle lists, without partitions and what the Sleuth Kit makes up or digs out: virtual, orphaned and label entries. */
function oracleTree(name: string): Set<string> {
	const tree = new Set<string>();
	for (const {path, type, size, sha256} of sharedOracle(name)) {
		if (
			type === 'virtual' ||
			/^\d+:\d+$/.test(path) ||
			path.startsWith('$OrphanFiles/') ||
			path.endsWith('(Volume Label Entry)')
		)
			continue;
		tree.add([path, TYPES[type] ?? type, size ?? 0, sha256 ?? ''].join('\t'));
	}
	return tree;
}

function sorted(lines: Iterable<string>): string[] {
	return [...lines].sort((a, b) => (a < b ? -1 : 1));
}

for (const [path, known] of Object.entries(KNOWN)) {
	shared(`${path} is read as other tools read it`, t => {
		const row = sharedManifest().find(candidate => candidate.path === path);
		if (row === undefined) throw new Error('not in the manifest');
		const file = openTestFile(sharedImage(path));
		t.teardown(() => file[Symbol.dispose]());
		const volume = known.window ? windowSource(file, ...known.window, path) : file;
		t.true(fat.probe(volume));
		const {fileSystem} = openFat(volume);
		t.is(fileSystem.type, known.type);
		t.is(fileSystem.label, known.label);
		if (known.serial !== '') t.is(fileSystem.identifier, known.serial);
		const ours = walkFileSystem(fileSystem).map(({path: name, type, size, sha256}) =>
			[name, type, size, sha256].join('\t'),
		);
		t.true(row.oracles.length > 0);
		for (const oracle of row.oracles) t.deepEqual(sorted(ours), sorted(oracleTree(oracle)));
	});
}

/** Larger ones take too long to unpack for a look at their first sectors. */
const MAX_PACKED = 1_000_000;

function packedPath(path: string): string {
	return join(import.meta.dirname, '../../../../../shared/testdata', path);
}

const CHECK_SIZE = 262_144_000;
/** All that is not zero in fsck.fat's test volumes of 250 MiB lies here. */
const CHECK_HEAD = 2_097_152;

function openCheck(name: string): FileSystem {
	const path = sharedManifest().find(row => row.path === `dosfstools/${name}.img.xz`)?.path ?? '';
	const head = runBytes('sh', ['-c', `xz -dc "$0" 2>/dev/null | head -c ${CHECK_HEAD}`, packedPath(path)]);
	const source = memorySource(head);
	const volume = {
		...source,
		size: CHECK_SIZE,
		readAt(position: number, target: Uint8Array) {
			target.fill(0);
			if (position < CHECK_HEAD) target.set(head.subarray(position, Math.min(CHECK_HEAD, position + target.length)));
		},
	};
	return openFat(volume).fileSystem;
}

function plainTree(fileSystem: FileSystem): string[] {
	return walkFileSystem(fileSystem).map(({path, size, type}) => `${type} ${path} ${size}`);
}

shared('volumes with the damage that fsck.fat repairs are read as mdir lists them', t => {
	t.deepEqual(plainTree(openCheck('check-bad_names')), [
		'file  0',
		'file  AME1.BIN 0',
		'file N>ME4.BIN 0',
		'file NAME3.BIN 0',
	]);
	t.deepEqual(plainTree(openCheck('check-chain_too_long')), ['file TEST.TXT 7']);
	t.deepEqual(plainTree(openCheck('check-dot_entries')), [
		'directory DIR 0',
		'file DIR/TEST1.TXT 7',
		'file DIR/TEST2.TXT 7',
	]);
	t.deepEqual(plainTree(openCheck('check-duplicate_names')), ['file TEST.TXT 7', 'file TEST.TXT 7']);
});

shared('`..` is found where damage has moved it', t => {
	const fileSystem = openCheck('check-dot_entries');
	const directory = fileSystem.lookup(fileSystem.root, Buffer.from('dir'));
	t.is(fileSystem.parent(directory ?? -1), fileSystem.root);
});

shared('a FAT without its media byte is reported', t => {
	const file = openTestFile(sharedImage('dosfstools/check-fat12_first_cluster.img.xz'));
	t.teardown(() => file[Symbol.dispose]());
	t.deepEqual(openFat(file).codes, ['fat/table-start']);
});

shared('every node of a real volume has its parent', t => {
	const file = openTestFile(sharedImage('lde/test.vfat'));
	t.teardown(() => file[Symbol.dispose]());
	const {fileSystem} = openFat(file);
	const pending = [fileSystem.root];
	let count = 0;
	for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
		const children: number[] = [];
		fileSystem.readDirectory(directory, 0, entry => {
			if (entry.type === 'directory') children.push(entry.node);
			t.is(fileSystem.lookup(directory ?? -1, entry.name), entry.node, printable(entry.name));
			return true;
		});
		for (const child of children) t.is(fileSystem.parent(child), directory);
		count += children.length;
		pending.push(...children);
	}
	t.true(count > 10);
});

shared('other file systems are not taken for FAT', t => {
	const others = sharedManifest().filter(row => {
		const foreign = !/FAT(?:12|16|32|$| |,)/.test(row.fileSystem) || row.fileSystem.startsWith('exFAT');
		return (
			row.container === 'raw' && foreign && /^(?:utl-fs|dfir|e2fs|exfatprogs|utl-pt|lde|ext4view)\//.test(row.path)
		);
	});
	t.true(others.length > 10);
	for (const {path} of others) {
		if (statSync(packedPath(path)).size > MAX_PACKED) continue;
		const file = openTestFile(sharedImage(path));
		t.false(fat.probe(file), path);
		file[Symbol.dispose]();
	}
});
