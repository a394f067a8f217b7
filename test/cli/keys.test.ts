import {createHash, randomBytes} from 'node:crypto';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {crc32c} from '../../src/core/bytes/checksums.ts';
import type {NewKey, Secret} from '../../src/core/disk.ts';
import {openDisk} from '../../src/image/image.ts';
import {keyFileSecret, passphraseSecret} from '../../src/image/secret.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {exitCode, PROGRAM, startTintype, tintype, tintypeAlone, tintypeJson, tintypeOutput} from './run-tintype.ts';
import {onTerminal, type Session} from './terminal.ts';

const PASSPHRASE = 'correct horse battery';
const folder = mkdtempSync(join(tmpdir(), 'tintype-test-'));
const image = join(folder, 'disk.tint');
const passphraseFile = join(folder, 'passphrase');
const keyFile = join(folder, 'disk.key');
const wrongFile = join(folder, 'wrong');
/** Another disk, which another passphrase opens. */
const other = join(folder, 'other.tint');
const otherFile = join(folder, 'other');

/** A key file of neither. */
const foreignKey = join(folder, 'foreign.key');

const newKey = (secret: Secret, label = ''): NewKey => ({secret, label});

test.before(async () => {
	writeFileSync(passphraseFile, `${PASSPHRASE}\n`);
	writeFileSync(keyFile, randomBytes(32));
	writeFileSync(wrongFile, 'something else\n');
	writeFileSync(otherFile, 'of the other disk\n');
	writeFileSync(foreignKey, randomBytes(32));
	const keys = [newKey(passphraseSecret(PASSPHRASE), 'alice'), newKey(keyFileSecret(keyFile), 'the shelf')];
	await convert(demoDisk(), image, {keys});
	await convert(demoDisk(), other, {keys: [newKey(passphraseSecret('of the other disk'))]});
});

test.after.always(() => rmSync(folder, {recursive: true, force: true}));

/** The program on a terminal; a shell would not find it without quotes. */
function start(...args: readonly string[]): Session {
	return onTerminal([process.execPath, PROGRAM, ...args].map(word => `'${word}'`).join(' '), {});
}

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('every command opens an encrypted image with its key file', t => {
	const opened = ['--key-file', keyFile];
	const info = tintypeJson<{facts: readonly {key: string; value: unknown}[]; volumes: readonly unknown[]}>([
		'info',
		image,
		'--json',
		...opened,
	]);
	t.is(info.volumes.length, 3);
	t.true(info.facts.some(({key, value}) => key === 'encryption' || value === 'AES-256-GCM'));
	t.is(tintypeOutput(['cat', image, '/3/etc/hostname', ...opened]), 'debian\n');
	t.regex(tintypeOutput(['ls', image, '/3', ...opened]), /^etc$/m);
	t.is(tintypeOutput(['find', image, '--name', 'hostname', ...opened]), '/3-Linux/etc/hostname\n');
	t.is(tintype(['cp', image, '/3/etc/hostname', join(folder, 'hostname'), ...opened]).code, 0);
	t.is(readFileSync(join(folder, 'hostname'), 'utf8'), 'debian\n');
	t.is(tintype(['verify', image, ...opened]).code, 0);
	t.is(tintype(['compare', image, demoDisk(), ...opened]).code, 0);
	t.is(tintypeOutput(['id', image, ...opened]).split(' ')[0], tintypeOutput(['id', demoDisk()]).split(' ')[0]);
	t.is(tintype(['restore', image, join(folder, 'restored.raw'), ...opened]).code, 0);
	t.is(sha256(readFileSync(join(folder, 'restored.raw'))), sha256(readFileSync(demoDisk())));
});

test('a passphrase comes from a file, from standard input or from the environment', async t => {
	const args = ['cat', image, '/3/etc/hostname'];
	const outcomes = [
		await tintypeAlone([...args, '--passphrase-file', passphraseFile]),
		await tintypeAlone([...args, '--passphrase-file', '-'], {input: `${PASSPHRASE}\n`}),
		await tintypeAlone(args, {environment: {TINTYPE_PASSPHRASE: PASSPHRASE}}),
		// What the command line names comes first, and one that fits is enough.
		await tintypeAlone([...args, '--passphrase-file', wrongFile, '--passphrase-file', passphraseFile], {
			environment: {TINTYPE_PASSPHRASE: 'not this'},
		}),
	];
	for (const outcome of outcomes) t.deepEqual(outcome, {code: 0, stdout: 'debian\n', stderr: ''});
});

test('what does not open it is told in one line', async t => {
	const cases = [
		{
			args: [],
			says: /^tintype: .*disk\.tint is encrypted, and there is no terminal to ask.*\n {2}try: use --passphrase-file/,
		},
		{args: ['--passphrase-file', wrongFile], says: /^tintype: .*disk\.tint: the passphrase does not open/},
		{args: ['--key-file', foreignKey], says: /^tintype: .*disk\.tint: the key file does not open/},
	];
	for (const {args, says} of cases) {
		const outcome = await tintypeAlone(['info', image, ...args]);
		t.is(outcome.code, 5, outcome.stderr);
		t.regex(outcome.stderr, says);
		t.is(outcome.stdout, '');
	}
	const json = await tintypeAlone(['verify', image, '--progress', 'json']);
	t.like(JSON.parse(json.stderr), {type: 'error', exitCode: 5, code: 'key/needed', family: 'refused'});
});

test('a secret for what is not encrypted is refused', async t => {
	const plain = demoDisk();
	for (const args of [
		['compare', plain, plain],
		['convert', plain, join(folder, 'never.raw')],
	]) {
		const outcome = await tintypeAlone([...args, '--passphrase-file', passphraseFile]);
		t.is(outcome.code, 5, outcome.stderr);
		t.regex(outcome.stderr, /encrypted, but a secret was given\n {2}try: /);
	}
	const outcome = await tintypeAlone(['info', plain], {environment: {TINTYPE_PASSPHRASE: PASSPHRASE}});
	t.is(outcome.code, 5, outcome.stderr);
	t.false(readdirSync(folder).some(name => name.startsWith('never')));
});

test('two images with a passphrase each', t => {
	const both = ['--passphrase-file', passphraseFile, '--passphrase-file', otherFile];
	t.is(tintype(['compare', image, other, ...both]).code, 0);
	const one = tintype(['compare', image, other, '--passphrase-file', passphraseFile]);
	t.is(one.code, 5);
	t.regex(one.stderr, /other\.tint: the passphrase does not open/);
});

testWith(test, ['script'], 'the terminal is asked, for each image on its own', async t => {
	const session = start('compare', image, other);
	await session.shows(`passphrase of ${image}: `);
	session.type(`${PASSPHRASE}\r`);
	await session.shows(`passphrase of ${other}: `);
	session.type('of the other disk\r');
	t.is(await session.ended(), 0, session.output());
	t.regex(session.output(), /hold the same/);
	t.false(session.output().includes(PASSPHRASE));
});

testWith(test, ['script'], 'three tries, and not for what is not encrypted', async t => {
	const question = `passphrase of ${image}: `;
	const asking = async (answers: readonly string[]): Promise<Session> => {
		const session = start('cat', image, '/3/etc/hostname');
		for (const [index, answer] of answers.entries()) {
			await session.shows(question, index + 1);
			session.type(`${answer}\r`);
		}
		await session.ended();
		return session;
	};
	const right = await asking(['wrong', 'wrong', PASSPHRASE]);
	t.is(await right.ended(), 0);
	t.regex(right.output(), /wrong; passphrase of/);
	t.regex(right.output(), /debian/);
	const wrong = await asking(['wrong', 'wrong', 'wrong']);
	t.is(await wrong.ended(), 5);
	t.regex(wrong.output(), /the passphrase does not open this image/);
	const plain = start('cat', demoDisk(), '/3/etc/hostname');
	t.is(await plain.ended(), 0);
	t.is(plain.output(), 'debian\r\n');
});

const isRoot = process.geteuid?.() === 0;

/** The secrets of the image in every way in which they could be written by mistake. */
function spellings(): string[] {
	const opened = openDisk(image, {secret: keyFileSecret(keyFile)});
	const masterKey = Buffer.from(opened.disk.masterKey ?? []);
	opened[Symbol.dispose]();
	const texts = [masterKey, readFileSync(keyFile), Buffer.from(PASSPHRASE)].flatMap(bytes => [
		...(['latin1', 'hex', 'base64', 'base64url'] as const).map(kind => bytes.toString(kind)),
		[...bytes].join(','),
	]);
	return texts.filter(text => text.length >= 16);
}

test('nothing that it prints holds a secret', async t => {
	const cases = [
		['info', image, '--json'],
		['verify', image, '--json', '--progress', 'json'],
		['convert', image, join(folder, 'spoken.tint'), '--json', '--progress', 'json'],
		['convert', image, join(folder, 'no', 'such.tint'), '--progress', 'json'],
	];
	for (const args of cases) {
		const {stdout, stderr} = await tintypeAlone([...args, '--passphrase-file', passphraseFile]);
		t.not(stdout + stderr, '');
		t.false(
			spellings().some(secret => `${stdout}${stderr}`.includes(secret)),
			args.join(' '),
		);
	}
});

/** All that a process was started with. */
function startOf(pid: string): string {
	return ['cmdline', 'environ'].map(name => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join('\0');
}

testWith(test, isRoot ? [] : ['fusermount3'], 'mount --detach asks before it goes to the background', async t => {
	const {directory, unmount} = mountPoint(t);
	const outcome = await tintypeAlone(['mount', image, directory, '--detach'], {
		environment: {TINTYPE_PASSPHRASE: PASSPHRASE},
	});
	t.is(outcome.code, 0, outcome.stderr);
	t.is(readFileSync(join(directory, '3-Linux/etc/hostname'), 'utf8'), 'debian\n');
	const background = readdirSync('/proc').filter(
		pid => /^\d+$/.test(pid) && Number(pid) !== process.pid && isAbout(pid, directory),
	);
	t.true(background.length > 0);
	for (const pid of background) {
		const said = startOf(pid);
		t.true(said.includes(directory));
		t.false(spellings().some(secret => said.includes(secret)));
	}
	unmount();
	const wrong = await tintypeAlone(['mount', image, directory, '--detach', '--passphrase-file', wrongFile]);
	t.is(wrong.code, 5);
	t.regex(wrong.stderr, /^tintype: .*the passphrase does not open/);
});

function isAbout(pid: string, text: string): boolean {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
	} catch {
		return false;
	}
}

testWith(test, isRoot ? ['script'] : ['script', 'fusermount3'], 'mount --detach asks on the terminal', async t => {
	const {directory} = mountPoint(t);
	const session = start('mount', image, directory, '--detach');
	await session.shows(`passphrase of ${image}: `);
	session.type(`${PASSPHRASE}\r`);
	t.is(await session.ended(), 0, session.output());
	t.is(readFileSync(join(directory, '3-Linux/etc/hostname'), 'utf8'), 'debian\n');
});

function mountPoint(t: ExecutionContext): {directory: string; unmount: () => void} {
	const directory = join(temporaryFolder(t), 'mnt');
	mkdirSync(directory);
	const unmount = () => void tintype(['umount', directory]);
	t.teardown(unmount);
	return {directory, unmount};
}

/** An image whose passphrase takes seconds and a quarter of a GiB to derive, which then turns out to be wrong. */
function costlyImage(path: string): string {
	const bytes = readFileSync(image);
	// Kind, derivation and cost of the slot that is there: scrypt with N of 2^17, r of 8, p of 1.
	const at = bytes.indexOf(Uint8Array.of(1, 1, 0, 0, 0, 0, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0));
	bytes.writeUInt32LE(2 ** 18, at + 4);
	bytes.writeUInt32LE(8, at + 12);
	bytes.writeUInt32LE(crc32c(bytes.subarray(at, at + 252)), at + 252);
	writeFileSync(path, bytes);
	return path;
}

/** Waits until a process holds what the derivation takes. */
async function derives(pid: number): Promise<void> {
	for (;;) {
		const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
		if (kib > 300 * 1024) return;
		await delay(5);
	}
}

test('Ctrl-C ends it in the middle of a derivation, and nothing is left', async t => {
	const own = temporaryFolder(t);
	const costly = costlyImage(join(own, 'costly.tint'));
	mkdirSync(join(own, 'mnt'));
	const before = readdirSync(own);
	for (const args of [
		['convert', costly, join(own, 'copy.vhdx')],
		['mount', costly, join(own, 'mnt'), '--detach'],
		['capture', demoDisk(), join(own, 'next.tint'), '--parent', costly],
	]) {
		const child = startTintype([...args, '--passphrase-file', passphraseFile]);
		t.teardown(() => child.kill('SIGKILL'));
		await derives(child.pid ?? 0);
		child.kill('SIGINT');
		await exitCode(child);
		// By the signal itself: whatever waits for the derivation to end would have answered with an exit code.
		t.is(child.signalCode, 'SIGINT', args.join(' '));
		t.deepEqual(readdirSync(own), before);
	}
});

testWith(test, ['script'], 'Ctrl-C on the terminal does as well, once the passphrase is typed', async t => {
	const own = temporaryFolder(t);
	const costly = costlyImage(join(own, 'costly.tint'));
	const words = [process.execPath, PROGRAM, 'convert', costly, join(own, 'copy.raw')].map(word => `'${word}'`);
	const session = onTerminal(`echo "process $$."; exec ${words.join(' ')}`, {});
	await session.shows(`passphrase of ${costly}: `);
	session.type(`${PASSPHRASE}\r`);
	await derives(Number(/process (\d+)\./.exec(session.output())?.[1]));
	session.type('\u0003');
	t.is(await session.ended(), 130);
	t.deepEqual(readdirSync(own), ['costly.tint']);
});
