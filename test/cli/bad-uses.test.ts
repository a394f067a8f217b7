import {chmodSync, mkdirSync, readdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {findTool, run, testWith} from '../helpers/tools.ts';
import {IMAGE_TOOLS, sampleDisk, truncated} from './images.ts';
import {PROGRAM, tintype} from './run-tintype.ts';

interface BadUse {
	readonly title: string;
	/** `DISK` stands for a good image; paths are relative to a folder of their own. */
	readonly args: readonly string[];
	readonly code: number;
	/** The line of the error, without `tintype: `. */
	readonly says: RegExp;
}

/** What people do wrong, and what they are told. */
const BAD_USES: readonly BadUse[] = [
	{title: 'no command', args: [], code: 2, says: /^no command was given$/},
	{title: 'a mistyped command', args: ['inof'], code: 2, says: /^there is no command inof$/},
	{title: 'an unknown command', args: ['frobnicate', 'x'], code: 2, says: /^there is no command frobnicate$/},
	{title: 'no operand', args: ['info'], code: 2, says: /^an operand is missing$/},
	{title: 'an operand too many', args: ['info', 'DISK', 'more'], code: 2, says: /^more is one operand too many$/},
	{title: 'an unknown option', args: ['info', 'DISK', '--jsn'], code: 2, says: /^there is no option --jsn$/},
	{
		title: 'an option of another command',
		args: ['ls', 'DISK', '--force'],
		code: 2,
		says: /^there is no option --force$/,
	},
	{title: 'an option without its value', args: ['info', 'DISK', '--format'], code: 2, says: /^--format needs a value$/},
	{
		title: 'a wrong choice',
		args: ['info', 'DISK', '--sector-size', '17'],
		code: 2,
		says: /^--sector-size does not take 17$/,
	},
	{
		title: 'an option twice',
		args: ['info', 'DISK', '--format', 'raw', '--format', 'raw'],
		code: 2,
		says: /^--format is given more than once$/,
	},
	{title: 'an unknown format', args: ['info', 'DISK', '--format', 'vdx'], code: 2, says: /^there is no format vdx$/},
	{title: 'the wrong format', args: ['info', 'DISK', '--format', 'vhdx'], code: 1, says: /./},
	{title: 'a file that is not there', args: ['info', 'nothing.img'], code: 3, says: /^there is no file nothing\.img$/},
	{
		title: 'a directory as image',
		args: ['info', '.'],
		code: 2,
		says: /^\. is a directory, not a file or a block device$/,
	},
	{title: 'a FIFO as image', args: ['info', 'fifo'], code: 2, says: /^fifo is a FIFO, not a file or a block device$/},
	{title: 'an empty file', args: ['info', 'empty.img'], code: 2, says: /^empty\.img is empty$/},
	{
		title: 'a path that is not in the image',
		args: ['ls', 'DISK', '/2/nope'],
		code: 3,
		says: /^there is no \/2-root\/nope in this image$/,
	},
	{title: 'a volume that is not there', args: ['ls', 'DISK', '/9'], code: 3, says: /^there is no \/9 in this image$/},
	{title: 'a path below a file', args: ['ls', 'DISK', '/2/a/b'], code: 2, says: /./},
	{title: 'cat of a directory', args: ['cat', 'DISK', '/2/sub'], code: 2, says: /^\/2-root\/sub is a directory$/},
	{
		title: 'cp of a directory without -r',
		args: ['cp', 'DISK', '/2/sub', 'x'],
		code: 2,
		says: /^\/2-root\/sub is a directory$/,
	},
	{title: 'cp without a target', args: ['cp', 'DISK', '/2/a'], code: 2, says: /^the target is missing$/},
	{title: 'cp into no directory', args: ['cp', 'DISK', '/2/a', 'no/x'], code: 3, says: /^there is no directory no$/},
	{
		title: 'cp of several onto a file',
		args: ['cp', 'DISK', '/2/a', '/2/empty', 'file'],
		code: 2,
		says: /^file is not a directory$/,
	},
	{title: 'cp onto an existing file', args: ['cp', 'DISK', '/2/a', 'file'], code: 5, says: /file exists already$/},
	{title: 'a wrong size', args: ['find', 'DISK', '--size', '+10Q'], code: 2, says: /^--size 10Q is not a size$/},
	{
		title: 'a wrong date',
		args: ['find', 'DISK', '--newer', 'yesterday'],
		code: 2,
		says: /^--newer yesterday is not a date$/,
	},
	{title: 'a wrong type', args: ['find', 'DISK', '--type', 'x'], code: 2, says: /^--type does not take x$/},
	{
		title: 'convert to an unknown extension',
		args: ['convert', 'DISK', 'x.foo'],
		code: 2,
		says: /^the name x\.foo does not say which format to write$/,
	},
	{
		title: 'convert onto an existing file',
		args: ['convert', 'DISK', 'file', '--to', 'raw'],
		code: 5,
		says: /^file exists$/,
	},
	{title: 'convert into no directory', args: ['convert', 'DISK', 'no/x.vhdx'], code: 3, says: /no/},
	{title: 'convert onto itself', args: ['convert', 'self.raw', 'self.raw', '--force'], code: 5, says: /./},
	{
		title: 'convert with a wrong id',
		args: ['convert', 'DISK', 'x.vhdx', '--id', 'abc'],
		code: 2,
		says: /^abc is no id$/,
	},
	{
		title: 'convert with no threads',
		args: ['convert', 'DISK', 'x.vhdx', '--workers', '0'],
		code: 2,
		says: /^--workers takes a whole number, at least 1$/,
	},
	{
		title: 'convert with a wrong size',
		args: ['convert', 'DISK', 'x.vhdx', '--block-size', 'big'],
		code: 2,
		says: /^--block-size big is not a size$/,
	},
	{
		title: 'compare with a missing file',
		args: ['compare', 'DISK', 'nothing'],
		code: 3,
		says: /^there is no file nothing$/,
	},
	{title: 'id of nothing', args: ['id', 'nothing'], code: 3, says: /^there is no file nothing$/},
	{title: 'id of two', args: ['id', 'DISK', 'self.raw'], code: 2, says: /^self\.raw is one operand too many$/},
	{title: 'restore of nothing', args: ['restore', 'nothing', 'x.raw'], code: 3, says: /^there is no file nothing$/},
	{title: 'restore without a target', args: ['restore', 'DISK'], code: 2, says: /^an operand is missing$/},
	{title: 'restore onto an existing file', args: ['restore', 'DISK', 'file'], code: 5, says: /^file exists$/},
	{title: 'restore into no directory', args: ['restore', 'DISK', 'no/x.raw'], code: 3, says: /there is no folder no$/},
	{title: 'restore onto a directory', args: ['restore', 'DISK', '.', '--force'], code: 2, says: /^\. is a directory/},
	{title: 'restore onto itself', args: ['restore', 'self.raw', 'self.raw', '--force'], code: 5, says: /self\.raw/},
	{title: 'capture of nothing', args: ['capture', 'nothing', 'x.tint'], code: 3, says: /^there is no file nothing$/},
	{title: 'capture without a target', args: ['capture', 'DISK'], code: 2, says: /^an operand is missing$/},
	{
		title: 'capture to a format without marks',
		args: ['capture', 'DISK', 'x.vhdx'],
		code: 2,
		says: /^vhdx cannot tell what was left out from zeros$/,
	},
	{
		title: 'capture of a volume that is not there',
		args: ['capture', 'DISK', 'x.tint', '--volumes', '9'],
		code: 3,
		says: /^there is no volume 9 on this disk$/,
	},
	{
		title: 'capture without something unknown',
		args: ['capture', 'DISK', 'x.tint', '--exclude', 'cat-pictures'],
		code: 2,
		says: /^--exclude does not know cat-pictures$/,
	},
	{
		title: 'capture with a missing parent',
		args: ['capture', 'DISK', 'x.tint', '--parent', 'nothing.tint'],
		code: 3,
		says: /^there is no file nothing\.tint$/,
	},
	{
		title: 'capture with a parent of another format',
		args: ['capture', 'DISK', 'x.tint', '--parent', 'self.raw'],
		code: 2,
		says: /^self\.raw is not a \.tint image$/,
	},
	{
		title: 'a secret for what is not encrypted',
		args: ['info', 'DISK', '--passphrase-file', 'file'],
		code: 5,
		says: /is not encrypted, but a secret was given$/,
	},
	{
		title: 'a passphrase file that is not there',
		args: ['info', 'DISK', '--passphrase-file', 'nothing'],
		code: 3,
		says: /^the passphrase file nothing cannot be read: ENOENT$/,
	},
	{
		title: 'a key file that is too short',
		args: ['info', 'DISK', '--key-file', 'file'],
		code: 2,
		says: /^the key file file has 7 bytes, not 32 or more$/,
	},
	{
		title: 'two secrets from standard input',
		args: ['info', 'DISK', '--key-file', '-', '--passphrase-file', '-'],
		code: 2,
		says: /^only one secret can come from standard input$/,
	},
	{
		title: 'encryption of a format that has none',
		args: ['convert', 'DISK', 'x.vhdx', '--encrypt'],
		code: 2,
		says: /^vhdx cannot be encrypted$/,
	},
	{
		title: 'a key for what is not to be encrypted',
		args: ['convert', 'DISK', 'x.tint', '--no-encrypt', '--encrypt-key-file', 'file'],
		code: 2,
		says: /^--no-encrypt takes no keys$/,
	},
	{
		title: 'a label without a key',
		args: ['convert', 'DISK', 'x.tint', '--key-label', 'alice'],
		code: 2,
		says: /^--key-label names a key of the new image, which has none$/,
	},
	{title: 'verify of an empty file', args: ['verify', 'empty.img'], code: 2, says: /^empty\.img is empty$/},
	{title: 'mount on no directory', args: ['mount', 'DISK', 'nowhere'], code: 3, says: /^nowhere does not exist$/},
	{title: 'mount on a file', args: ['mount', 'DISK', 'file'], code: 2, says: /file/},
	{title: 'mount of nothing', args: ['mount', 'nothing', '.', '--detach'], code: 3, says: /^there is no file nothing$/},
	{title: 'umount of no mount', args: ['umount', '.'], code: 3, says: /^nothing is mounted on \.$/},
];

for (const {title, args, code, says} of BAD_USES) {
	testWith(test, IMAGE_TOOLS, `bad use: ${title}`, t => {
		const folder = temporaryFolder(t);
		writeFileSync(join(folder, 'file'), 'content');
		writeFileSync(join(folder, 'empty.img'), '');
		truncated(join(folder, 'self.raw'), 1 << 20);
		run('mkfifo', [join(folder, 'fifo')]);
		const before = readdirSync(folder);
		const outcome = tintype(
			args.map(arg => (arg === 'DISK' ? sampleDisk() : arg)),
			{cwd: folder},
		);
		const [line = '', hint, ...more] = outcome.stderr.trimEnd().split('\n');
		t.is(outcome.code, code, outcome.stderr);
		t.regex(line, /^tintype: /);
		t.regex(line.replace('tintype: ', ''), says);
		if (hint !== undefined) t.regex(hint, /^ {2}try: \S/);
		t.deepEqual(more, []);
		t.is(outcome.stdout, '');
		t.deepEqual(readdirSync(folder), before);
	});
}

testWith(
	test,
	[...IMAGE_TOOLS, 'setpriv'],
	'an image that may not be read, and a target that may not be written',
	t => {
		if (process.geteuid?.() !== 0) return t.pass();
		const folder = temporaryFolder(t);
		chmodSync(folder, 0o755);
		const secret = truncated(join(folder, 'secret.img'), 1 << 20);
		chmodSync(secret, 0o600);
		mkdirSync(join(folder, 'locked'));
		const open = join(folder, 'open.img');
		writeFileSync(open, Buffer.alloc(4096, 1));
		const asNobody = (...args: string[]) =>
			run('sh', [
				'-c',
				'setpriv --reuid=65534 --regid=65534 --clear-groups "$@" 2>&1; echo "code $?"',
				'sh',
				process.execPath,
				PROGRAM,
				...args,
			]);
		t.regex(asNobody('info', secret), /^tintype: no permission to read .*secret\.img\n {2}try: .*\ncode 3\n$/);
		t.regex(
			asNobody('cp', open, '/disk.raw', join(folder, 'locked', 'x')),
			/cannot be written: permission denied \(EACCES\)\n.*\ncode 6\n$/,
		);
		return t.deepEqual(readdirSync(join(folder, 'locked')), []);
	},
);

testWith(test, IMAGE_TOOLS, 'a reader that goes away ends it quietly', t => {
	const script = '"$0" "$1" ls -R "$2" / | true; "$0" "$1" cat "$2" /disk.raw | head -c 10 | wc -c';
	const output = run('sh', ['-c', `(${script}) 2>&1`, process.execPath, PROGRAM, sampleDisk()]);
	t.is(output.trim(), '10');
});

testWith(test, [...IMAGE_TOOLS, 'script'], 'colours appear on a terminal, and not with NO_COLOR', t => {
	const onTerminal = (environment: Record<string, string>) =>
		run('script', ['-qec', `'${process.execPath}' '${PROGRAM}' ls '${sampleDisk()}'`, '/dev/null'], {
			environment: {TERM: 'xterm-256color', ...environment},
		});
	t.true(onTerminal({NO_COLOR: ''}).includes('\u001B[34m1-ESP'));
	t.false(onTerminal({NO_COLOR: '1'}).includes('\u001B'));
});

const oldNode = ['/usr/local/bin/node', '/usr/bin/node'].find(path => findTool('node') !== undefined && isOld(path));

function isOld(path: string): boolean {
	try {
		return Number.parseInt(run(path, ['-p', 'process.versions.node']), 10) < 22;
	} catch {
		return false;
	}
}

if (oldNode !== undefined) {
	test('a Node that is too old is told what to do', t => {
		const output = run('sh', ['-c', '"$0" "$1" --version 2>&1; echo "code $?"', oldNode, PROGRAM]);
		t.regex(output, /^tintype: this is Node \d+\.\S+, but 22\.20 or newer is needed: run npx [^\n]*\ncode 2\n$/);
	});
}
