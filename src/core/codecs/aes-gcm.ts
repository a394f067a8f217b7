import {createCipheriv, createDecipheriv} from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';

/** Bytes of a key. */
export const KEY_SIZE = 32;
/** Bytes of a nonce. One nonce under one key serves one message: a second one would give both away. */
export const NONCE_SIZE = 12;
/** Bytes that encryption adds. */
export const TAG_SIZE = 16;

/** What encryption and decryption have to agree on, beside the message. */
export interface GcmInput {
	readonly key: Uint8Array;
	readonly nonce: Uint8Array;
	/** Authenticated, but not part of the message. */
	readonly associated: Uint8Array;
}

/** Fills `target` with the ciphertext of `plain` and the tag: `plain.length + TAG_SIZE` bytes. They may overlap. */
export function encryptGcm({key, nonce, associated}: GcmInput, plain: Uint8Array, target: Uint8Array): void {
	requireLength(target, plain.length + TAG_SIZE);
	const cipher = createCipheriv(ALGORITHM, key, nonce, {authTagLength: TAG_SIZE});
	cipher.setAAD(associated);
	target.set(cipher.update(plain));
	cipher.final();
	target.set(cipher.getAuthTag(), plain.length);
}

/**
 * Fills `target` with the plain text of `sealed`, which ends with its tag: `sealed.length - TAG_SIZE` bytes. They may
 * overlap. False, and `target` untouched, where the tag does not match: nothing unproven gets out.
 */
export function decryptGcm({key, nonce, associated}: GcmInput, sealed: Uint8Array, target: Uint8Array): boolean {
	if (sealed.length < TAG_SIZE) return false;
	const length = sealed.length - TAG_SIZE;
	requireLength(target, length);
	const decipher = createDecipheriv(ALGORITHM, key, nonce, {authTagLength: TAG_SIZE});
	decipher.setAAD(associated);
	decipher.setAuthTag(sealed.subarray(length));
	const plain = decipher.update(sealed.subarray(0, length));
	try {
		decipher.final();
	} catch {
		return false;
	}
	target.set(plain);
	return true;
}

function requireLength(target: Uint8Array, length: number): void {
	if (target.length !== length) throw new Error(`the target has ${target.length} bytes instead of ${length}`);
}
