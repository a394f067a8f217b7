import {randomBytes} from 'node:crypto';
import {existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import type {Secret} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {openDisk} from '../../src/image/image.ts';
import {keyFileSecret, passphraseSecret} from '../../src/image/secret.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {testWith} from '../helpers/tools.ts';
import {type Outcome, PROGRAM, tintypeAlone} from './run-tintype.ts';
import {onTerminal} from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'tintype-test-'));
const at = (name: string): string => join(folder, name);
const plain = at('plain.raw');
const encrypted = at('encrypted.tint');
const passphraseFile = at('passphrase');
const keyFile = at('first.key');
const secondFile = at('second.key');

test.before(async () => {
	writeFileSync(plain, randomBytes(1 << 20));
	writeFileSync(passphraseFile, 'correct horse battery\n');
	writeFileSync(keyFile, randomBytes(32));
	writeFileSync(secondFile, randomBytes(100));
	await convert(plain, encrypted, {keys: [{secret: keyFileSecret(keyFile), label: 'first'}]});
	await convert(plain, at('plain.tint'));
});

test.after.always(() => rmSync(folder, {recursive: true, force: true}));

/** Key slots as `info` shows them. */
function slotsOf(path: string, secret: Secret = keyFileSecret(keyFile)): string[] {
	const opened = openDisk(path, {secret});
	try {
		const slots = opened.disk.describe().facts.filter(({title}) => title.startsWith('key slot'));
		return slots.map(({value}) => String(value).split(',')[0] ?? '');
	} finally {
		opened[Symbol.dispose]();
	}
}

function succeeds(t: {is(actual: unknown, expected: unknown, message?: string): boolean}, outcome: Outcome): void {
	t.is(outcome.code, 0, outcome.stderr);
}

test('a new image gets a key slot for each secret', async t => {
	const target = at('two.tint');
	const both = ['--encrypt-passphrase-file', passphraseFile, '--encrypt-key-file', keyFile, '--key-label', 'alice'];
	succeeds(t, await tintypeAlone(['convert', plain, target, ...both]));
	t.deepEqual(slotsOf(target), ['key file "alice"', 'passphrase "alice"']);
	t.deepEqual(slotsOf(target, passphraseSecret('correct horse battery')).length, 2);
});

test('what opens images encrypts the new one where that is all there is', async t => {
	const byFile = await tintypeAlone(['capture', plain, at('file.tint'), '--encrypt', '--key-file', keyFile]);
	const environment = {TINTYPE_PASSPHRASE: 'correct horse battery'};
	const byEnvironment = await tintypeAlone(['convert', plain, at('environment.tint'), '--encrypt'], {environment});
	const byInput = await tintypeAlone(['convert', plain, at('input.tint'), '--encrypt-passphrase-file', '-'], {
		input: 'short\n',
	});
	for (const outcome of [byFile, byEnvironment, byInput]) succeeds(t, outcome);
	t.deepEqual(slotsOf(at('file.tint')), ['key file']);
	t.deepEqual(slotsOf(at('environment.tint'), passphraseSecret('correct horse battery')), ['passphrase']);
	t.is(byEnvironment.stderr, '');
	t.deepEqual(slotsOf(at('input.tint'), passphraseSecret('short')), ['passphrase']);
	t.regex(byInput.stderr, /^warning: the new passphrase has fewer than 8 characters/);
});

testWith(test, ['script'], 'a new passphrase is asked for twice, and again where they differ', async t => {
	const target = at('typed.tint');
	const words = [process.execPath, PROGRAM, 'convert', plain, target, '--encrypt'];
	const session = onTerminal(words.map(word => `'${word}'`).join(' '), {});
	await session.shows(`new passphrase for ${target}: `);
	session.type('swordfish one\r');
	await session.shows('the same once more: ');
	session.type('swordfish two\r');
	await session.shows(`they differ; new passphrase for ${target}: `);
	session.type('swordfish\r');
	await session.shows('the same once more: ', 2);
	session.type('swordfish\r');
	t.is(await session.ended(), 0, session.output());
	t.false(session.output().includes('swordfish'));
	t.deepEqual(slotsOf(target, passphraseSecret('swordfish')), ['passphrase']);
});

test('an encrypted parent passes its keys on, unasked', async t => {
	const next = async (name: string, ...args: string[]): Promise<Outcome> =>
		tintypeAlone(['capture', plain, at(name), '--parent', encrypted, ...args]);
	succeeds(t, await next('next.tint', '--key-file', keyFile));
	t.deepEqual(slotsOf(at('next.tint')), ['key file "first"']);
	succeeds(t, await next('same.tint', '--key-file', keyFile, '--encrypt', '--encrypt-key-file', keyFile));
	t.deepEqual(slotsOf(at('same.tint')), ['key file "first"']);
	const more = ['--encrypt-key-file', secondFile, '--key-label', 'second'];
	succeeds(t, await next('more.tint', '--key-file', keyFile, ...more));
	t.deepEqual(slotsOf(at('more.tint'), keyFileSecret(secondFile)), ['key file "first"', 'key file "second"']);
	t.is((await next('never.tint')).code, 5);
	const open = await next('never.tint', '--key-file', keyFile, '--no-encrypt');
	t.is(open.code, 2);
	t.regex(open.stderr, /encrypted\.tint is encrypted, and so are all images that build on it\n {2}try: /);
	const onPlain = ['--parent', at('plain.tint'), '--encrypt-key-file', keyFile];
	const late = await tintypeAlone(['capture', plain, at('never.tint'), ...onPlain]);
	t.is(late.code, 2);
	t.regex(late.stderr, /plain\.tint is not encrypted, so no image that builds on it can be\n {2}try: /);
	t.false(readdirSync(folder).some(name => name.startsWith('never')));
});

test('a copy is encrypted as its source is, or says that it is not', async t => {
	const copy = async (name: string, ...args: string[]): Promise<Outcome> =>
		tintypeAlone(['convert', encrypted, at(name), '--key-file', keyFile, ...args]);
	const told = 'note: the source is encrypted, the target is not\n';
	const kept = await copy('kept.tint');
	t.is(kept.stderr, '');
	t.deepEqual(slotsOf(at('kept.tint')), ['key file "first"']);
	t.is((await copy('opened.tint', '--no-encrypt')).stderr, told);
	t.throws(() => slotsOf(at('opened.tint')), {instanceOf: DiskError, code: 'key/unneeded'});
	t.is((await copy('opened.raw')).stderr, told);
	const json = await copy('opened.vhdx', '--json');
	t.like(JSON.parse(json.stdout), {findings: [{code: 'convert/not-encrypted', severity: 'note'}]});
	succeeds(t, await copy('anew.tint', '--encrypt-key-file', secondFile));
	t.deepEqual(slotsOf(at('anew.tint'), keyFileSecret(secondFile)), ['key file']);
	t.throws(() => slotsOf(at('anew.tint')), {instanceOf: DiskError, code: 'key/wrong'});
});

test('without a key it says what is missing, and nothing is written', async t => {
	const asked = await tintypeAlone(['convert', plain, at('nothing.tint'), '--encrypt']);
	t.is(asked.code, 2);
	t.regex(
		asked.stderr,
		/^tintype: there is no terminal to ask for a passphrase for .*\n {2}try: use --encrypt-passphrase-file/,
	);
	const forgotten = await tintypeAlone(['capture', plain, at('nothing.tint'), '--passphrase-file', passphraseFile]);
	t.is(forgotten.code, 5);
	t.regex(forgotten.stderr, /not encrypted, but a secret was given\n {2}try: to encrypt the new image, add --encrypt/);
	t.false(existsSync(at('nothing.tint')));
});

test('the library opens, encrypts and hands keys on', async t => {
	const secret = keyFileSecret(keyFile);
	const keys = [{secret: keyFileSecret(secondFile), label: ''}];
	await capture(demoDisk(), at('library.tint'), {keys});
	await capture(demoDisk(), at('library-2.tint'), {
		parent: at('library.tint'),
		parentSecret: keyFileSecret(secondFile),
	});
	t.deepEqual(slotsOf(at('library-2.tint'), keyFileSecret(secondFile)), ['key file']);
	t.throws(() => openDisk(at('library.tint')), {instanceOf: DiskError, code: 'key/needed'});
	t.throws(() => openDisk(at('library.tint'), {secret}), {instanceOf: DiskError, code: 'key/wrong'});
	t.throws(() => openDisk(plain, {secret}), {instanceOf: DiskError, code: 'key/unneeded'});
	t.throws(() => openDisk(at('plain.tint'), {secret}), {instanceOf: DiskError, code: 'key/unneeded'});
	await t.throwsAsync(convert(plain, at('never.vhdx'), {keys}), {instanceOf: DiskError, code: 'convert/encryption'});
});
