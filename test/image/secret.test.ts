import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {DiskError} from '../../src/core/error.ts';
import {keyFileSecret, passphraseSecret} from '../../src/image/secret.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

test('a passphrase is the same however it was typed', t => {
	const composed = passphraseSecret('Grüße, Ångström');
	t.deepEqual(passphraseSecret('Gru\u0308ße, A\u030Angstro\u0308m'), composed);
	t.is(composed.kind, 'passphrase');
	t.is(new TextDecoder().decode(composed.bytes), 'Grüße, Ångström');
	t.is(passphraseSecret('x'.repeat(1024)).bytes.length, 1024);
});

test('what is no passphrase is refused', t => {
	const cases = [
		['', 'passphrase/empty'],
		['two\nlines', 'passphrase/lines'],
		['ends in a line\r', 'passphrase/lines'],
		['half \uD83D of a character', 'passphrase/encoding'],
		['ü'.repeat(513), 'passphrase/length'],
	] as const;
	for (const [text, code] of cases) t.throws(() => passphraseSecret(text), {instanceOf: DiskError, code});
});

test('a key file is taken as it is, within limits', t => {
	const path = join(temporaryFolder(t), 'image.key');
	for (const size of [32, 65_536, 65_537, 8 << 20]) {
		const content = Buffer.alloc(size, 'key\0\n');
		writeFileSync(path, content);
		const {kind, bytes} = keyFileSecret(path);
		t.is(kind, 'key-file');
		t.true(content.equals(bytes), String(size));
	}
	for (const size of [0, 31, (8 << 20) + 1]) {
		writeFileSync(path, Buffer.alloc(size, 1));
		t.throws(() => keyFileSecret(path), {instanceOf: DiskError, code: 'key-file/length'});
	}
	t.throws(() => keyFileSecret(`${path}.missing`), {instanceOf: DiskError, code: 'key-file/read'});
});
