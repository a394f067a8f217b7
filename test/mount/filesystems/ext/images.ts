import {execFileSync} from 'node:child_process';
import {
	chmodSync,
	chownSync,
	closeSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Finding} from '../../../../src/core/disk.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {ext} from '../../../../mount/filesystems/ext/index.ts';
import {openTestFile} from '../../../helpers/file-source.ts';
import {cachedFile} from '../../../helpers/temporary.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import test, {type Implementation} from 'ava';
import process from 'node:process';

/** Like `testWith`, for tests that mount: loop devices are root's. */
export function testWithMount(tools: readonly string[], title: string, implementation: Implementation<[]>): void {
	if (process.getuid?.() === 0 || process.env['CI'] === 'true') {
		testWith(test, ['losetup', 'mount', 'umount', ...tools], title, implementation);
	} else {
		test.skip(`${title} (needs root)`, implementation);
	}
}

/** Mounts an image through a loop device for the time of `use`. */
export function withMount<T>(image: string, options: string, use: (folder: string) => T): T {
	const folder = mkdtempSync(join(tmpdir(), 'tintype-test-mount-'));
	const readOnly = options.split(',').includes('ro') ? ['-r'] : [];
	const device = run('losetup', [...readOnly, '-f', '--show', image]).trim();
	try {
		run('mount', ['-o', options, device, folder]);
		try {
			return use(folder);
		} finally {
			run('umount', [folder]);
		}
	} finally {
		run('losetup', ['-d', device]);
		rmdirSync(folder);
	}
}

export function openImage(image: string): {fileSystem: FileSystem; findings: Finding[]} {
	const findings: Finding[] = [];
	const fileSystem = ext.open(openTestFile(image), {warn: finding => findings.push(finding)});
	return {fileSystem, findings};
}

const MIB = 1 << 20;

/** An image made with mkfs and filled through the kernel. */
export function filledImage(name: string, mkfs: readonly string[], megabytes: number, fill: Fill): string {
	const [command = '', ...args] = mkfs;
	const recipe = JSON.stringify([mkfs, megabytes, fill.name, fill.toString(), fillText]);
	return cachedFile(`${name}.img`, recipe, path => {
		writeFileSync(path, '');
		truncateSync(path, megabytes * MIB);
		run(command, ['-q', '-F', ...args, path]);
		withMount(path, 'rw', fill);
	});
}

export type Fill = (folder: string) => void;

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Uint8Array {
	const bytes = new Uint8Array(length);
	let state = seed >>> 0;
	for (let i = 0; i < length; i++) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		bytes[i] = state >>> 24;
	}
	return bytes;
}

const SIZES = [0, 1, 59, 60, 61, 100, 150, 160, 400, 1023, 1024, 1025, 4096, 4097, 65_537, 300_000, 3_000_000];
const DATES = [
	'1901-12-14 00:00:00.000000001',
	'1950-01-01 00:00:00.123456789',
	'1969-12-31 23:59:59.500000000',
	'2037-12-31 00:00:00.999999999',
	'2038-01-19 03:14:08.000000007',
	'2106-02-08 00:00:00.000000000',
	'2400-05-05 05:05:05.050505050',
];

/** A tree with one of everything. */
export const fillEverything: Fill = function fillEverything(folder) {
	const at = (...parts: string[]): string => join(folder, ...parts);
	mkdirSync(at('sizes'));
	for (const size of SIZES) writeFileSync(at('sizes', String(size)), pattern(size, size + 1));
	mkdirSync(at('names'));
	writeFileSync(at('names', 'n'.repeat(255)), 'long');
	writeFileSync(at('names', 'ö'.repeat(127)), 'umlauts');
	let deep = at('deep');
	for (let level = 0; level < 40; level++) {
		mkdirSync(deep);
		writeFileSync(join(deep, 'file'), `level ${level}`);
		deep = join(deep, `level-${level}`);
	}
	mkdirSync(at('links'));
	for (const length of [1, 59, 60, 61, 100, 1000]) symlinkSync('t'.repeat(length), at('links', `symlink-${length}`));
	writeFileSync(at('links', 'one'), 'hard');
	linkSync(at('links', 'one'), at('links', 'two'));
	mkdirSync(at('special'));
	run('mkfifo', [at('special', 'fifo')]);
	run('mknod', [at('special', 'null'), 'c', '1', '3']);
	run('mknod', [at('special', 'large'), 'b', '300', '70000']);
	const socket =
		"const n=require('net').createServer().listen('s',()=>{require('fs').renameSync('s','socket');n.close()})";
	execFileSync(process.execPath, ['-e', socket], {cwd: at('special')});
	mkdirSync(at('modes'));
	for (const mode of [0o4755, 0o2750, 0o1777, 0o000]) {
		const path = at('modes', mode.toString(8));
		writeFileSync(path, '');
		chownSync(path, 100_000 + mode, 70_000);
		chmodSync(path, mode);
	}
	mkdirSync(at('many'));
	for (let i = 0; i < 250; i++) writeFileSync(at('many', `a file with a somewhat long name ${i}`), i % 9 ? '' : `${i}`);
	writeHoles(at('fragmented'), 1000);
	mkdirSync(at('attributes'));
	for (const name of ['small', 'large', 'empty', 'huge']) writeFileSync(at('attributes', name), name);
	run('setfattr', ['-n', 'user.comment', '-v', 'a value', at('attributes', 'small')]);
	run('setfattr', ['-n', 'user.empty', at('attributes', 'small')]);
	run('setfattr', ['-n', 'trusted.of the root', '-v', '0x00ff00', at('attributes', 'small')]);
	run('setfattr', ['-n', 'security.other', '-v', 'x'.repeat(40), at('attributes', 'small')]);
	run('setfattr', ['-n', 'user.large', '-v', 'L'.repeat(600), at('attributes', 'large')]);
	run('setfattr', ['-n', 'user.second', '-v', 'second', at('attributes', 'large')]);
	// Larger than any block: only ea_inode has a place for it.
	run('setfattr', ['-n', 'user.huge', '-v', 'H'.repeat(30_000), at('attributes', 'huge')], {codes: [0, 1]});
	run('setfattr', ['-n', 'system.posix_acl_access', '-v', ACL, at('attributes', 'small')]);
	run('setfattr', ['-h', '-n', 'trusted.link', '-v', 'of a link', at('links', 'symlink-59')]);
	mkdirSync(at('dates'));
	for (const [index, date] of DATES.entries()) {
		writeFileSync(at('dates', String(index)), '');
		run('touch', ['-d', `${date} UTC`, at('dates', String(index))]);
	}
};

/** Names that are no text, or no text to print. */
const ODD_NAMES = [[0xff, 0xfe, 0x41], [0x80], [0x5c, 0x78, 0x34], [0x0a, 0x1b, 0x5b], [0xed, 0xa0, 0x80]];

/** A directory with an index of several levels, and odd names among the others. */
export const fillLargeDirectory: Fill = function fillLargeDirectory(folder) {
	const large = join(folder, 'large');
	mkdirSync(large);
	for (const name of ODD_NAMES) {
		writeFileSync(Buffer.concat([Buffer.from(`${large}/`), Buffer.from(name)]), Buffer.from(name));
	}
	for (let i = 0; i < 10_000; i++) {
		const path = join(large, `${'a rather long name '.repeat(1 + (i % 5))}${i} ü`);
		if (i === 0) writeFileSync(path, '');
		else if (i % 3000 === 0) mkdirSync(path);
		else linkSync(join(large, 'a rather long name 0 ü'), path);
	}
};

/** user::rw- user:1000:r-- group::r-- mask::r-- other::--- as getxattr(2) has it. */
const ACL = `0x${[
	'02000000',
	'01000600ffffffff',
	'02000400e8030000',
	'04000400ffffffff',
	'10000400ffffffff',
	'20000000ffffffff',
].join('')}`;

/** Writes a block's worth in every second place, so that no two runs join. */
export function writeHoles(path: string, count: number): void {
	const descriptor = openSync(path, 'w');
	for (let i = 0; i < count; i++) writeSync(descriptor, pattern(4096, i), 0, 4096, i * 8192);
	ftruncateSync(descriptor, count * 8192 + 5000);
	closeSync(descriptor);
}

/** What a recipe's fill calls, so that a change makes new images. */
const fillText = [fillLargeDirectory, ODD_NAMES, writeHoles, pattern, SIZES, DATES, ACL, fillEverything]
	.map(part => part.toString())
	.join('\n');
