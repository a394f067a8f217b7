import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {IMAGE_TOOLS, overwrite, patched, sampleDisk} from './images.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

interface InfoJson {
	readonly format: {name: string};
	readonly size: number;
	readonly partitionTable: {scheme: string; identifier: string};
	readonly volumes: readonly {
		number: number;
		name: string;
		start: number;
		length: number;
		type: string;
		identifier: string;
		fileSystem: {type: string; label: string; usage: {size: number; used: number; free: number}} | null;
		error: {code: string} | null;
	}[];
}

testWith(test, IMAGE_TOOLS, 'info --json agrees with sfdisk and dumpe2fs', t => {
	const disk = sampleDisk();
	const info = tintypeJson<InfoJson>(['info', disk, '--json']);
	const table = JSON.parse(run('sfdisk', ['--json', disk])) as {
		partitiontable: {id: string; partitions: {start: number; size: number; type: string; uuid: string}[]};
	};
	const {id, partitions} = table.partitiontable;
	t.is(info.size, 64 << 20);
	t.is(info.format.name, 'raw');
	t.is(info.partitionTable.scheme, 'gpt');
	t.is(info.partitionTable.identifier.toUpperCase(), id);
	t.deepEqual(
		info.volumes.map(({start, length, type, identifier}) => [
			start,
			length,
			type.toUpperCase(),
			identifier.toUpperCase(),
		]),
		partitions.map(({start, size, type, uuid}) => [start * 512, size * 512, type, uuid]),
	);
	t.deepEqual(
		info.volumes.map(({name, fileSystem}) => [name, fileSystem?.type, fileSystem?.label]),
		[
			['1-ESP', 'fat16', 'ESP'],
			['2-root', 'ext4', 'root'],
		],
	);
});

testWith(test, IMAGE_TOOLS, 'info shows every volume with its numbers', t => {
	const text = tintypeOutput(['info', sampleDisk()]);
	t.regex(text, /format +Raw disk \(raw\)/);
	t.regex(text, /size +64 MiB \(67,108,864 bytes\)/);
	t.regex(text, /1 +\/1-ESP +fat16 +16 MiB/);
	t.regex(text, /2 +\/2-root +ext4 +40 MiB/);
});

testWith(test, IMAGE_TOOLS, 'info says that a volume is damaged and shows the others', t => {
	const broken = patched(sampleDisk(), join(temporaryFolder(t), 'broken.raw'), 0, new Uint8Array(0));
	// s_log_block_size of the superblock and of its copies in groups 1 and 3: a block size that cannot be.
	for (const block of [1, 8193, 24577]) overwrite(broken, (17 << 20) + block * 1024 + 24, Uint8Array.of(0xee));
	const {code, stdout} = tintype(['info', broken]);
	t.is(code, 0);
	t.regex(stdout, /1 +\/1-ESP +fat16/);
	t.regex(stdout, /2 +\/2-Linux +ext\d?, (damaged|unsupported)/);
	t.regex(stdout, /(damage|warning): volume 2: /);
});

testWith(test, IMAGE_TOOLS, 'ls shows volumes, names and links', t => {
	const disk = sampleDisk();
	t.is(tintypeOutput(['ls', disk]), '1-ESP\n2-root\ndisk.raw\ndisk.vhdx\n');
	t.is(tintypeOutput(['ls', disk, '/1']), 'Dir\nHELLO.TXT\n');
	const long = tintypeOutput(['ls', '-l', disk, '/2-root']);
	t.regex(long, /^-rw-r--r-- +2 +\d+ +\d+ +5 +2001-02-03 04:05:06 {2}a$/m);
	t.regex(long, /link -> a$/m);
	t.regex(long, /^prw/m);
	t.regex(long, /bad\\xff$/m);
	t.regex(long, /red\\x1b\[31m$/m);
	t.false(long.includes('\u001B'));
	t.regex(tintypeOutput(['ls', '-R', disk, '/2']), /^\/2-root\/sub\/deeper:\nend\.TXT$/m);
	t.regex(tintypeOutput(['ls', '-l', disk, '/2/sub']), /^-rwsr-xr-x .* big$/m);
});

testWith(test, IMAGE_TOOLS, 'ls --json gives every promised member', t => {
	const entries = tintypeJson<Record<string, unknown>[]>(['ls', '-R', sampleDisk(), '/2', '--json']);
	const byPath = new Map(entries.map(entry => [entry['path'], entry]));
	const plain = byPath.get('/2-root/a');
	t.like(plain, {name: 'a', type: 'file', size: 5, mode: '0644', links: 2, modified: '2001-02-03T04:05:06.000000000Z'});
	t.true(
		['allocated', 'uid', 'gid', 'accessed', 'changed', 'created'].every(key => plain !== undefined && key in plain),
	);
	t.is(byPath.get('/2-root/link')?.['target'], 'a');
	t.is(byPath.get(String.raw`/2-root/bad\xff`)?.['nameBytes'], '626164ff');
	t.is(byPath.get('/2-root/a')?.['nameBytes'], undefined);
	t.is(byPath.get('/2-root/ünï cödé.txt')?.['size'], 5);
	t.is(byPath.get('/2-root/sub/deeper/end.TXT')?.['modified'], '2030-01-01T00:00:00.000000000Z');
});

testWith(test, IMAGE_TOOLS, 'cat writes the bytes, through links, from several volumes and with holes', t => {
	const disk = sampleDisk();
	t.is(tintypeOutput(['cat', disk, '/2/link', '/1/hello.txt']), 'data\nhello\n');
	t.is(tintypeOutput(['cat', disk, '/HELLO.TXT']), 'hello\n');
	t.is(tintypeOutput(['cat', disk, String.raw`/2/bad\xff`]), 'b');
	const sparse = Buffer.from(tintypeOutput(['cat', disk, '/2/sparse']), 'latin1');
	t.is(sparse.length, 5 << 20);
	t.is(sparse.indexOf('x'), 3_000_000);
});

testWith(test, [...IMAGE_TOOLS, 'sha256sum'], 'cat of disk.raw is the disk', t => {
	const disk = sampleDisk();
	const program = join(import.meta.dirname, '../../bin/tintype.js');
	const sum = run('sh', ['-c', '"$0" "$1" cat "$2" /disk.raw | sha256sum', process.execPath, program, disk]);
	t.is(sum.split(' ')[0], run('sha256sum', [disk]).split(' ')[0]);
});

testWith(test, IMAGE_TOOLS, 'find matches names, types, sizes and dates', t => {
	const disk = sampleDisk();
	const lines = (...args: string[]) =>
		tintypeOutput(['find', disk, ...args])
			.split('\n')
			.filter(Boolean);
	t.deepEqual(lines('--iname', '*.txt'), [
		'/1-ESP/Dir/A long name.txt',
		'/1-ESP/HELLO.TXT',
		'/2-root/sub/deeper/end.TXT',
		'/2-root/ünï cödé.txt',
	]);
	t.deepEqual(lines('/2', '--name', '*.txt'), ['/2-root/ünï cödé.txt']);
	t.deepEqual(lines('/2', '--type', 'd'), ['/2-root', '/2-root/lost+found', '/2-root/sub', '/2-root/sub/deeper']);
	t.deepEqual(lines('/2', '--type', 'l'), ['/2-root/absolute', '/2-root/link']);
	t.deepEqual(lines('/2', '--size', '+4M'), ['/2-root/sparse']);
	t.deepEqual(lines('/2', '--size', '-1', '--type', 'f'), ['/2-root/empty']);
	t.deepEqual(lines('/2', '--size', '3000000'), ['/2-root/sub/big']);
	t.deepEqual(lines('/2', '--newer', '2029-12-31'), ['/2-root/sub/deeper/end.TXT']);
	t.deepEqual(lines('--path', '/2-root/sub/*D.TXT', '--type', 'f'), []);
	t.deepEqual(lines('--path', '/2-root/*d.TXT'), ['/2-root/sub/deeper/end.TXT']);
	const found = tintypeJson<{path: string}[]>(['find', disk, '--name', 'a', '--json']);
	t.deepEqual(
		found.map(({path}) => path),
		['/2-root/a'],
	);
});

test("the version is the package's", t => {
	const {version} = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
		version: string;
	};
	t.is(tintypeOutput(['--version']), `tintype ${version}\n`);
	t.regex(tintypeOutput(['--version', '--verbose']), /^koffi \d/m);
});

test('help has examples and exit codes, for the program and every command', t => {
	const help = tintypeOutput(['--help']);
	t.regex(help, /Exit codes: 0 good/);
	const commands = [...help.matchAll(/^ {2}tintype (\w+)/gm)].map(([, name = '']) => name);
	t.true(commands.includes('umount'));
	for (const command of new Set(commands)) {
		if (command !== 'completion') t.regex(tintypeOutput([command, '--help']), /Examples:/, command);
	}
});

test('completion knows commands and options', t => {
	t.regex(tintypeOutput(['completion']), /tintype --get-yargs-completions/);
	t.regex(tintypeOutput(['--get-yargs-completions', 'tintype', 'ver']), /^verify/m);
	t.regex(tintypeOutput(['--get-yargs-completions', 'tintype', 'convert', '--']), /^--block-size/m);
});
