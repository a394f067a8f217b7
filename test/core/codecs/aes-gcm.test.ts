import {randomBytes} from 'node:crypto';
import test from 'ava';
import {decryptGcm, encryptGcm, TAG_SIZE} from '../../../src/core/codecs/aes-gcm.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Test cases 13, 14 and 16 of "The Galois/Counter Mode of Operation", which NIST's validation suite uses as well. */
const VECTORS = [
	{
		key: '00'.repeat(32),
		nonce: '00'.repeat(12),
		associated: '',
		plain: '',
		sealed: '530f8afbc74536b9a963b4f1c4cb738b',
	},
	{
		key: '00'.repeat(32),
		nonce: '00'.repeat(12),
		associated: '',
		plain: '00'.repeat(16),
		sealed: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
	},
	{
		key: 'feffe9928665731c6d6a8f9467308308'.repeat(2),
		nonce: 'cafebabefacedbaddecaf888',
		associated: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
		plain:
			'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
			'1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
		sealed:
			'522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
			'8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
	},
];

test('it agrees with published vectors', t => {
	for (const {key, nonce, associated, plain, sealed} of VECTORS) {
		const input = {key: hex(key), nonce: hex(nonce), associated: hex(associated)};
		const target = new Uint8Array(plain.length / 2 + TAG_SIZE);
		encryptGcm(input, hex(plain), target);
		t.deepEqual(target, hex(sealed));
		const back = new Uint8Array(plain.length / 2);
		t.true(decryptGcm(input, target, back));
		t.deepEqual(back, hex(plain));
	}
});

test('source and target may lie over each other', t => {
	const input = {key: randomBytes(32), nonce: randomBytes(12), associated: randomBytes(48)};
	const plain = new Uint8Array(randomBytes(100_000));
	const buffer = new Uint8Array(plain.length + TAG_SIZE);
	buffer.set(plain);
	encryptGcm(input, buffer.subarray(0, plain.length), buffer);
	t.notDeepEqual(buffer.subarray(0, plain.length), plain);
	t.true(decryptGcm(input, buffer, buffer.subarray(0, plain.length)));
	t.deepEqual(buffer.subarray(0, plain.length), plain);
});

test('any change to anything is noticed, and nothing unproven gets out', t => {
	const input = {key: randomBytes(32), nonce: randomBytes(12), associated: randomBytes(20)};
	const sealed = new Uint8Array(40 + TAG_SIZE);
	encryptGcm(input, randomBytes(40), sealed);
	const target = new Uint8Array(40).fill(0xaa);
	for (const part of [sealed, input.key, input.nonce, input.associated]) {
		for (let at = 0; at < part.length; at++) {
			part[at] ^= 1 << (at % 8);
			t.false(decryptGcm(input, sealed, target));
			part[at] ^= 1 << (at % 8);
		}
	}
	t.true(target.every(byte => byte === 0xaa));
	t.false(decryptGcm(input, sealed.subarray(0, TAG_SIZE - 1), new Uint8Array(0)));
	t.false(decryptGcm(input, sealed.subarray(1), new Uint8Array(39)));
	t.true(decryptGcm(input, sealed, target));
});
