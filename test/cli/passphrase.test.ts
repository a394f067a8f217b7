import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {
	PASSPHRASE_VARIABLE,
	passphraseFromEnvironment,
	passphraseFromFile,
	takeFromEnvironment,
} from '../../src/cli/passphrase.ts';
import {DiskError} from '../../src/core/error.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {onTerminal, type Session} from './terminal.ts';

const MODULE = new URL('../../src/cli/passphrase.ts', import.meta.url).href;

/** Says what it got in hexadecimal, so that only an echo could show the passphrase itself. */
function program(expression: string): string {
	return `import * as passphrase from ${JSON.stringify(MODULE)};
try {
	const {bytes} = await passphrase.${expression};
	console.log('got ' + Buffer.from(bytes).toString('hex') + '.');
} catch (error) {
	console.log('failed ' + error.code + '.');
}`;
}

const ASK = {question: 'passphrase of disk.tint'};
const hex = (text: string): string => Buffer.from(text).toString('hex');

function start(request: object, around = (run: string) => run): Session {
	const run = `"${process.execPath}" --input-type=module -e "$PROGRAM"`;
	return onTerminal(around(run), {PROGRAM: program(`askPassphrase(${JSON.stringify(request)})`)});
}

testWith(test, ['script'], 'the terminal is asked, and shows nothing of the answer', async t => {
	const session = start(ASK);
	await session.shows('passphrase of disk.tint: ');
	session.type('Opxn\u007F\u007F\u007Fpen s\u001B[Ae\u001BOHsame ü\u007Fö u\u0308\r');
	t.is(await session.ended(), 0);
	t.true(session.output().includes(`got ${hex('Open sesame ö ü')}.`), session.output());
	t.is(session.output().split('passphrase of disk.tint: ')[1]?.trimStart().split('got')[0], '');
});

testWith(test, ['script'], 'it asks on the terminal even where standard input is another', async t => {
	const session = start(ASK, run => `${run} < /dev/null`);
	await session.shows('passphrase of disk.tint: ');
	session.type('forget\u0015this one\n');
	t.is(await session.ended(), 0);
	t.true(session.output().includes(`got ${hex('this one')}.`), session.output());
});

testWith(test, ['script'], 'a new passphrase is asked for twice', async t => {
	const outcomes = [
		['first\rfirst\r', `got ${hex('first')}.`],
		['first\rsecond\r', 'failed passphrase/mismatch.'],
		['\r', 'failed passphrase/empty.'],
		['\u0004', 'failed passphrase/empty.'],
	];
	await Promise.all(
		outcomes.map(async ([typed, says]) => {
			const session = start({...ASK, confirm: true});
			await session.shows('passphrase of disk.tint: ');
			session.type(typed);
			await session.ended();
			t.true(session.output().includes(says), session.output());
		}),
	);
});

testWith(test, ['script', 'stty'], 'Ctrl-C ends the program and leaves the terminal as it was', async t => {
	const session = start(ASK, run => `trap : INT; ${run}; echo "code $?"; stty -a`);
	await session.shows('passphrase of disk.tint: ');
	session.type('secret\u0003');
	await session.ended();
	t.regex(session.output(), /code 130/);
	t.regex(session.output(), /[^-]icanon/);
	t.regex(session.output(), /[^-]echo /);
	t.false(session.output().includes('secret'));
	t.false(session.output().includes('got'));
});

testWith(
	test,
	['script', 'stty'],
	'a command that cleans up hears of Ctrl-C and of SIGTERM through its signal',
	async t => {
		const interrupt = new URL('../../src/cli/interrupt.ts', import.meta.url).href;
		const text = `import {askPassphrase} from ${JSON.stringify(MODULE)};
import {catchInterrupts} from ${JSON.stringify(interrupt)};
const caught = catchInterrupts();
try {
	await askPassphrase({question: 'asked by ' + process.pid + ' here', signal: caught.signal});
} catch (error) {
	console.log('cleaned up after', error.name, caught.exitCode + '.');
}`;
		for (const [signal, code] of [
			['SIGINT', 130],
			['SIGTERM', 143],
		] as const) {
			const run = `trap : INT; "${process.execPath}" --input-type=module -e "$PROGRAM"; stty -a`;
			const session = onTerminal(run, {PROGRAM: text});
			await session.shows(' here: ');
			if (signal === 'SIGINT') session.type('\u0003');
			else process.kill(Number(/asked by (\d+)/.exec(session.output())?.[1]), signal);
			t.is(await session.ended(), 0);
			t.regex(session.output(), new RegExp(`cleaned up after AbortError ${code}\\.`));
			t.regex(session.output(), /[^-]icanon/);
			t.regex(session.output(), /[^-]echo /);
		}
	},
);

test('without a terminal it says what else there is', async t => {
	const child = spawn(
		process.execPath,
		['--input-type=module', '-e', program(`askPassphrase(${JSON.stringify(ASK)})`)],
		{
			// A session of its own has no terminal.
			detached: true,
			stdio: ['ignore', 'pipe', 'inherit'],
		},
	);
	let output = '';
	child.stdout.on('data', chunk => {
		output += String(chunk);
	});
	await once(child, 'close');
	t.is(output, 'failed passphrase/no-terminal.\n');
});

const FILES: readonly (readonly [content: string | Uint8Array, bytes: string])[] = [
	['plain', 'plain'],
	['one line\n', 'one line'],
	['from Windows\r\n', 'from Windows'],
	['\uFEFFwith a mark\r\n', 'with a mark'],
	[' spaces stay \n', ' spaces stay '],
	['u\u0308 decomposed\n', 'ü decomposed'],
	['x'.repeat(1024), 'x'.repeat(1024)],
];
const BAD_FILES: readonly (readonly [content: string | Uint8Array, code: string])[] = [
	['', 'passphrase/empty'],
	['\n', 'passphrase/empty'],
	['two\nlines\n', 'passphrase/lines'],
	['two ends\n\n', 'passphrase/lines'],
	[Uint8Array.of(0x61, 0xff), 'passphrase/encoding'],
	['x'.repeat(1025), 'passphrase/length'],
	['x'.repeat(100_000), 'passphrase/length'],
];

test('a file holds it in its only line', t => {
	const path = join(temporaryFolder(t), 'passphrase');
	for (const [content, bytes] of FILES) {
		writeFileSync(path, content);
		t.is(Buffer.from(passphraseFromFile(path).bytes).toString(), bytes);
	}
	for (const [content, code] of BAD_FILES) {
		writeFileSync(path, content);
		t.throws(() => passphraseFromFile(path), {instanceOf: DiskError, code}, String(content).slice(0, 20));
	}
	t.throws(() => passphraseFromFile(`${path}.missing`), {instanceOf: DiskError, code: 'passphrase/read'});
});

test('- is standard input', t => {
	const {stdout} = spawnSync(process.execPath, ['--input-type=module', '-e', program(`passphraseFromFile('-')`)], {
		input: 'through a pipe\n',
		encoding: 'utf8',
	});
	t.is(stdout, `got ${hex('through a pipe')}.\n`);
});

test.serial('the environment holds it, and gives it to no other program', t => {
	process.env[PASSPHRASE_VARIABLE] = 'u\u0308mgebung';
	t.is(Buffer.from(passphraseFromEnvironment(takeFromEnvironment() ?? '').bytes).toString(), 'ümgebung');
	t.false(PASSPHRASE_VARIABLE in process.env);
	t.is(takeFromEnvironment(), undefined);
	t.throws(() => passphraseFromEnvironment(''), {instanceOf: DiskError, code: 'passphrase/empty'});
	const script = `export ${PASSPHRASE_VARIABLE}="$(printf 'a\\377')"; exec "$0" "$@"`;
	const expression = 'passphraseFromEnvironment(passphrase.takeFromEnvironment())';
	const args = ['-c', script, process.execPath, '--input-type=module', '-e', program(expression)];
	const {stdout} = spawnSync('sh', args, {encoding: 'utf8'});
	t.is(stdout, 'failed passphrase/encoding.\n');
});
