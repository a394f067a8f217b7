import crypto from 'node:crypto';
import {DiskError} from '../error.ts';
import {KEY_SIZE} from './aes-gcm.ts';

/** RFC 7914. Takes `128 * n * r` bytes of memory and time in proportion to `n * r * p`. */
export interface ScryptCost {
	/** A power of two. */
	readonly n: number;
	readonly r: number;
	readonly p: number;
}

/** RFC 9106. */
export interface Argon2Cost {
	/** KiB. */
	readonly memory: number;
	readonly passes: number;
	readonly lanes: number;
}

/** What scrypt takes beside its large array: its blocks, and what OpenSSL counts on top. */
const SCRYPT_MARGIN = 1 << 20;

/** A key of 32 bytes. The caller has limited the cost. Throws `unsupported` where the system will not do it. */
export function scryptKey(secret: Uint8Array, salt: Uint8Array, {n, r, p}: ScryptCost): Uint8Array {
	const maxmem = 128 * r * (n + p + 2) + SCRYPT_MARGIN;
	return derive('scrypt', () => crypto.scryptSync(secret, salt, KEY_SIZE, {N: n, r, p, maxmem}));
}

/** Argon2id, version 1.3: a key of 32 bytes. Throws `unsupported` where this Node does not have it. */
export function argon2idKey(secret: Uint8Array, salt: Uint8Array, {memory, passes, lanes}: Argon2Cost): Uint8Array {
	if (!hasArgon2()) {
		throw new DiskError('unsupported', 'key/argon2', 'this key needs Argon2id, which this version of Node lacks', {
			hint: 'run tintype with Node 24.7 or newer',
		});
	}
	const parameters = {message: secret, nonce: salt, parallelism: lanes, tagLength: KEY_SIZE, memory, passes};
	return derive('Argon2id', () => crypto.argon2Sync('argon2id', parameters));
}

/** Whether this Node has Argon2id: since 24.7. */
export function hasArgon2(): boolean {
	return 'argon2Sync' in crypto;
}

/** HKDF-SHA-256, RFC 5869: a key of 32 bytes. */
export function hkdfKey(material: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
	return new Uint8Array(crypto.hkdfSync('sha256', material, salt, info, KEY_SIZE));
}

function derive(name: string, work: () => Uint8Array): Uint8Array {
	try {
		return Uint8Array.from(work());
	} catch (cause) {
		const {message} = cause as Error;
		throw new DiskError('unsupported', 'key/derivation', `${name} failed with this cost: ${message}`, {
			hint: 'it may need more memory than there is',
			cause,
		});
	}
}
