import {spawnSync} from 'node:child_process';
import crypto from 'node:crypto';
import process from 'node:process';
import test from 'ava';
import {argon2idKey, hasArgon2, hkdfKey, scryptKey} from '../../../src/core/codecs/key-derivation.ts';
import {DiskError} from '../../../src/core/error.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

test('HKDF agrees with RFC 5869, appendix A.1 and A.3', t => {
	const material = new Uint8Array(22).fill(0x0b);
	const salt = Uint8Array.from({length: 13}, (_, index) => index);
	const info = Uint8Array.from({length: 10}, (_, index) => 0xf0 + index);
	// The first 32 bytes of longer outputs: HKDF only appends.
	t.is(hex(hkdfKey(material, salt, info)), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf');
	const empty = new Uint8Array(0);
	t.is(hex(hkdfKey(material, empty, empty)), '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d');
});

test('scrypt agrees with RFC 7914, section 12', t => {
	// The first 32 of 64 bytes: PBKDF2, which it ends with, only appends.
	t.is(
		hex(scryptKey(text(''), text(''), {n: 16, r: 1, p: 1})),
		'77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442',
	);
	t.is(
		hex(scryptKey(text('password'), text('NaCl'), {n: 1024, r: 8, p: 16})),
		'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162',
	);
	t.is(
		hex(scryptKey(text('pleaseletmein'), text('SodiumChloride'), {n: 16_384, r: 8, p: 1})),
		'7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2',
	);
});

test('scrypt gets the memory that a large cost needs', t => {
	t.is(scryptKey(text('x'), text('y'), {n: 2 ** 17, r: 8, p: 1}).length, 32);
	t.is(scryptKey(text('x'), text('y'), {n: 2, r: 1024, p: 16}).length, 32);
});

test('a cost that is refused below is a DiskError', t => {
	t.throws(() => scryptKey(text('x'), text('y'), {n: 3, r: 8, p: 1}), {instanceOf: DiskError, code: 'key/derivation'});
});

(hasArgon2() ? test : test.skip)('Argon2id agrees with its reference implementation', t => {
	// Vectors of version 0x13 in the reference implementation's src/test.c.
	const password = text('password');
	const salt = text('somesalt');
	t.is(
		hex(argon2idKey(password, salt, {memory: 65_536, passes: 2, lanes: 1})),
		'09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
	);
	t.is(
		hex(argon2idKey(password, salt, {memory: 256, passes: 2, lanes: 1})),
		'9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
	);
	t.is(
		hex(argon2idKey(password, salt, {memory: 256, passes: 2, lanes: 2})),
		'6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037',
	);
	t.is(argon2idKey(password, salt, {memory: 8, passes: 1, lanes: 1}).length, 32, 'the least that is defined');
	t.throws(() => argon2idKey(password, salt, {memory: 7, passes: 1, lanes: 1}), {
		instanceOf: DiskError,
		code: 'key/derivation',
	});
});

(hasArgon2() ? test : test.skip)('the Argon2id underneath is that of RFC 9106, section 5.3', t => {
	const tag = crypto.argon2Sync('argon2id', {
		message: new Uint8Array(32).fill(1),
		nonce: new Uint8Array(16).fill(2),
		secret: new Uint8Array(8).fill(3),
		associatedData: new Uint8Array(12).fill(4),
		parallelism: 4,
		tagLength: 32,
		memory: 32,
		passes: 3,
	});
	t.is(tag.toString('hex'), '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
});

test('where Argon2id is missing, the error says so', t => {
	const module = new URL('../../../src/core/codecs/key-derivation.ts', import.meta.url).href;
	const program = `import crypto from 'node:crypto';
delete crypto.argon2Sync;
const {argon2idKey, hasArgon2} = await import(${JSON.stringify(module)});
try {
	argon2idKey(new Uint8Array(8), new Uint8Array(8), {memory: 256, passes: 2, lanes: 1});
} catch (error) {
	console.log(hasArgon2(), error.family, error.code);
}`;
	const {stdout} = spawnSync(process.execPath, ['--input-type=module', '-e', program], {encoding: 'utf8'});
	t.is(stdout, 'false unsupported key/argon2\n');
});
