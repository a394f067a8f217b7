import {join} from 'node:path';
import test from 'ava';
import {printable} from '../../../../src/core/bytes/text.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {windowSource} from '../../../../src/core/sources/window.ts';
import {exfat} from '../../../../mount/filesystems/exfat/index.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {haveSharedTestdata, sharedImage, sharedManifest, sharedTrees} from '../../../helpers/shared-testdata.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {hashNode} from '../../../helpers/tree.ts';
import {openExfat} from './image.ts';

interface Known {
	readonly label: string;
	readonly serial: string;
	/** Findings when it is opened and when its directories are listed. */
	readonly codes?: readonly string[];
	/** Directories whose listing fails, and how. */
	readonly faults?: Readonly<Record<string, string>>;
	/** Files that the Sleuth Kit shows, though their entries are damaged, or reads, though their clusters are not theirs. */
	readonly lost?: readonly string[];
	readonly unread?: Readonly<Record<string, string>>;
	/** Files in front of the ends of their directories: the Sleuth Kit shows what lies behind them, too. */
	readonly files?: number;
	/** Lines that the Sleuth Kit leaves out. */
	readonly extra?: readonly string[];
	/** Where the volume lies in the image. */
	readonly start?: number;
	/** What fsck.exfat says. */
	readonly fsck: RegExp;
}

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const KNOWN: Readonly<Record<string, Known>> = {
	'dfir/exfat_lin_part.raw.gz': {
		label: '1234567890abcde',
		serial: '5E27-F958',
		codes: ['exfat/name-length'],
		// Of 256 characters, of which the entry records 0.
		extra: [`${'test'.repeat(63)}tttt\tdir`],
		start: 1_048_576,
		fsck: /the name length of a file is wrong/,
	},
	'dfir/exfat_win.raw.gz': {label: 'test123', serial: '405E-4EA6', fsck: /clean/},
	'dfir/win_exfat_7.raw.gz': {
		label: '',
		serial: '9478-89E1',
		codes: ['exfat/boot-region-damaged'],
		fsck: /boot region is corrupted/,
	},
	'exfatprogs/bad_bitmap.img.tar.xz': {label: '', serial: '66B5-97B7', fsck: /cluster 0x12 is marked as free/},
	'exfatprogs/bad_dentries.img.tar.xz': {
		label: '',
		serial: 'DF5B-6D76',
		codes: ['exfat/not-clean', 'exfat/name-length', 'exfat/name-hash'],
		faults: {
			fe_type: 'exfat/orphan-entry',
			fe_csum: 'exfat/set-checksum',
			fe_count: 'exfat/entry-set',
			se_type: 'exfat/set-checksum',
			se_size: 'exfat/set-checksum',
			ne_type: 'exfat/set-checksum',
			ne_lack_count: 'exfat/set-checksum',
			fe_count_more: 'exfat/entry-set',
			random_de: 'exfat/unknown-entry',
		},
		lost: [
			'fe_csum/file_02_bad',
			'fe_count/file_02_bad',
			'se_size/file_02_bad',
			'ne_lack_count/file_02_bad_012',
			'fe_count_more/file_02_bad_012',
			'se_name_len_less/file_02_bad',
		],
		// Its length is recorded as that of its first eleven characters.
		extra: [`se_name_len_less/file_02_bad_01234567890ABCDEF\tfile\t0\t${EMPTY}`],
		fsck: /the checksum of a file is wrong/,
	},
	'exfatprogs/bad_file_size.img.tar.xz': {
		label: '',
		serial: '66B5-97B7',
		unread: {'dir_01/bad_child_01': 'exfat/chain-too-short'},
		fsck: /bad_child_01: less clusters are allocated/,
	},
	'exfatprogs/bad_num_chain.img.tar.xz': {
		label: '',
		serial: '66B5-97B7',
		unread: {'dir_01/bad_child_01': 'exfat/chain-bad', 'dir_02/bad_child_02': 'exfat/chain-too-short'},
		fsck: /bad_child_01: BAD cluster/,
	},
	'exfatprogs/bs_bad_csum.img.tar.xz': {
		label: '',
		serial: '0000-04D2',
		codes: ['exfat/boot-region-damaged'],
		fsck: /boot region is corrupted/,
	},
	'exfatprogs/de_bad_csum.img.tar.xz': {
		label: '',
		serial: '0000-04D2',
		codes: ['exfat/not-clean'],
		faults: {'': 'exfat/set-checksum'},
		lost: ['l0_dir_00', 'l0_dir_00/l1_file_00', 'l0_dir_00/l1_file_01', 'l0_dir_00/l1_file_03'],
		fsck: /the checksum of a file is wrong/,
	},
	'exfatprogs/unused-dentries.img.tar.xz': {
		label: '',
		serial: '6A4E-DBEE',
		codes: ['exfat/behind-end'],
		files: 461,
		fsck: /clean\. directories 7, files 461/,
	},
};

interface Tree {
	readonly lines: readonly string[];
	readonly faults: Readonly<Record<string, string>>;
	readonly unread: Readonly<Record<string, string>>;
}

function codeOf(error: unknown): string {
	if (error instanceof DiskError) return error.code;
	throw error;
}

/** All that can be listed and read, and what cannot. */
function walk(fileSystem: FileSystem): Tree {
	const lines: string[] = [];
	const faults: Record<string, string> = {};
	const unread: Record<string, string> = {};
	const pending: {node: NodeId; path: string}[] = [{node: fileSystem.root, path: ''}];
	for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
		const {node: directory, path: base} = next;
		const children: {node: NodeId; path: string; type: string}[] = [];
		try {
			fileSystem.readDirectory(directory, 0, ({name, node, type}) => {
				children.push({node, type, path: base === '' ? printable(name) : `${base}/${printable(name)}`});
				return true;
			});
		} catch (error) {
			faults[base] = codeOf(error);
		}
		for (const {node, path, type} of children) {
			if (type === 'directory') {
				lines.push(`${path}\tdir`);
				pending.push({node, path});
				continue;
			}
			try {
				lines.push(`${path}\tfile\t${fileSystem.stat(node).size}\t${hashNode(fileSystem, node)}`);
			} catch (error) {
				lines.push(`${path}\tfile`);
				unread[path] = codeOf(error);
			}
		}
	}
	return {lines: lines.sort(), faults, unread};
}

/** What the Sleuth Kit lists, without what it makes up. */
function oracleLines(path: string, {lost = [], unread = {}, extra = []}: Known): string[] {
	const row = sharedManifest().find(candidate => candidate.path === path);
	return (row?.oracles ?? [])
		.flatMap(oracle => sharedTrees(oracle))
		.flatMap(({entries}) => entries)
		.filter(
			entry => !/(?:^|\/)\$(?:ALLOC_BITMAP|UPCASE_TABLE|VOLUME_GUID)$/.test(entry.path) && entry.type !== 'virtual',
		)
		.filter(entry => !lost.includes(entry.path))
		.map(entry => {
			if (entry.type === 'dir') return `${entry.path}\tdir`;
			if (entry.path in unread) return `${entry.path}\tfile`;
			return `${entry.path}\tfile\t${entry.size ?? 0}\t${entry.sha256 ?? ''}`;
		})
		.concat(extra)
		.sort();
}

for (const [path, known] of Object.entries(KNOWN)) {
	const declare = haveSharedTestdata ? test : test.skip;
	declare(`${path} is read as the Sleuth Kit reads it, and its damage is told`, t => {
		const file = openTestFile(sharedImage(path));
		t.teardown(() => file[Symbol.dispose]());
		const {start = 0} = known;
		const volume = windowSource(file, start, file.size - start, path);
		t.true(exfat.probe(volume));
		const {fileSystem, findings} = openExfat(volume);
		const {lines, faults, unread} = walk(fileSystem);
		t.is(fileSystem.type, 'exfat');
		t.is(fileSystem.label, known.label);
		t.is(fileSystem.identifier, known.serial);
		t.deepEqual(faults, known.faults ?? {});
		t.deepEqual(unread, known.unread ?? {});
		t.deepEqual(
			findings.map(({code}) => code),
			[...(known.codes ?? [])],
		);
		const theirs = oracleLines(path, known);
		if (known.files === undefined) t.deepEqual(lines, theirs);
		else {
			t.is(lines.filter(line => !line.endsWith('\tdir')).length, known.files);
			t.deepEqual(
				lines.filter(line => !theirs.includes(line)),
				[],
			);
		}
	});
}

if (haveSharedTestdata) {
	test('times that Windows wrote three hours ahead of UTC', t => {
		const file = openTestFile(sharedImage('dfir/exfat_win.raw.gz'));
		t.teardown(() => file[Symbol.dispose]());
		const {fileSystem} = openExfat(file);
		const {created, modified} = fileSystem.stat(fileSystem.lookup(fileSystem.root, Buffer.from('5.BIN')) ?? -1);
		// The Sleuth Kit's istat shows the local times, 20:35:23 and 20:35:24, without hundredths.
		t.deepEqual(created, {seconds: Date.UTC(2022, 0, 23, 17, 35, 23) / 1000, nanoseconds: 410_000_000});
		t.deepEqual(modified, {seconds: Date.UTC(2022, 0, 23, 17, 35, 24) / 1000, nanoseconds: 0});
	});

	testWith(test, ['fsck.exfat', 'dd'], 'fsck.exfat finds the same volumes sound or damaged', t => {
		for (const [path, {start = 0, fsck}] of Object.entries(KNOWN)) {
			let image = sharedImage(path);
			if (start > 0) {
				const part = join(temporaryFolder(t), 'part');
				run('dd', [`if=${image}`, `of=${part}`, 'bs=1M', `skip=${start / 2 ** 20}`, 'status=none']);
				image = part;
			}
			t.regex(run('fsck.exfat', ['-n', image], {codes: [0, 1, 2, 4, 5, 8]}), fsck, path);
		}
	});

	test('every image of the manifest with exFAT is among them', t => {
		const paths = sharedManifest().filter(row => row.fileSystem.startsWith('exFAT'));
		t.deepEqual(paths.map(row => row.path).sort(), Object.keys(KNOWN).sort());
	});
}
