import {closeSync, openSync, readSync} from 'node:fs';
import type {Secret} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {errnoName} from '../core/system/libc.ts';

/** Bytes of a passphrase: no derivation gains from more, and a wrong file is noticed. */
export const LONGEST_PASSPHRASE = 1024;
/** Bytes of a key file, which is not stretched as a passphrase is: fewer could be guessed. */
const SHORTEST_KEY_FILE = 32;
/** Bytes: a device or a disk image given by mistake is noticed, and not read to its end. */
const LONGEST_KEY_FILE = 8 << 20;

/**
 * A passphrase as keys are derived from it: in Normalization Form C, so that it does not matter on which keyboard or
 * system it was typed. Throws `invalid` where it is empty, has several lines or more than 1024 bytes.
 */
export function passphraseSecret(text: string): Secret {
	if (!text.isWellFormed()) throw invalid('passphrase/encoding', 'the passphrase is not text');
	if (/[\r\n]/.test(text)) throw invalid('passphrase/lines', 'the passphrase has more than one line');
	const bytes = new TextEncoder().encode(text.normalize('NFC'));
	if (bytes.length === 0) throw invalid('passphrase/empty', 'the passphrase is empty');
	if (bytes.length > LONGEST_PASSPHRASE) {
		throw invalid('passphrase/length', `the passphrase is longer than ${LONGEST_PASSPHRASE} bytes`);
	}
	return {kind: 'passphrase', bytes};
}

/**
 * All that a key file holds, which should be random; a number is an open file descriptor. Throws `invalid` where it has
 * fewer than 32 bytes or more than 8 MiB, `io` where it cannot be read.
 */
export function keyFileSecret(file: string | number): Secret {
	const bytes = readSecretFile(file, 'key-file', LONGEST_KEY_FILE);
	if (bytes.length < SHORTEST_KEY_FILE) {
		const name = nameOf(file);
		const message = `the key file ${name} has ${bytes.length} bytes, not ${SHORTEST_KEY_FILE} or more`;
		throw new DiskError('invalid', 'key-file/length', message, {
			where: {file: name},
			hint: 'make one of random bytes: head -c 32 /dev/urandom > image.key',
		});
	}
	return {kind: 'key-file', bytes};
}

/** All of a small file, or all that an open descriptor still gives. */
export function readSecretFile(file: string | number, kind: 'passphrase' | 'key-file', longest: number): Uint8Array {
	const name = nameOf(file);
	const title = `the ${kind === 'key-file' ? 'key' : 'passphrase'} file ${name}`;
	const where = {file: name};
	let bytes = new Uint8Array(Math.min(longest + 1, 1 << 16));
	let length = 0;
	let descriptor: number | undefined;
	try {
		descriptor = typeof file === 'string' ? openSync(file, 'r') : file;
		for (let count = -1; count !== 0 && length <= longest; length += count) {
			if (length === bytes.length) bytes = grown(bytes, longest + 1);
			count = readWaiting(descriptor, bytes.subarray(length));
		}
	} catch (cause) {
		throw new DiskError('io', `${kind}/read`, `${title} cannot be read: ${errnoName(cause)}`, {where, cause});
	} finally {
		if (descriptor !== undefined && descriptor !== file) closeSync(descriptor);
	}
	if (length <= longest) return bytes.subarray(0, length);
	throw new DiskError('invalid', `${kind}/length`, `${title} is longer than ${longest} bytes`, {where});
}

/** Milliseconds until a pipe is tried again that others have made non-blocking. */
const RETRY = 10;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

function readWaiting(descriptor: number, target: Uint8Array): number {
	for (;;) {
		try {
			return readSync(descriptor, target, 0, target.length, null);
		} catch (error) {
			if (errnoName(error) !== 'EAGAIN') throw error;
			Atomics.wait(sleeper, 0, 0, RETRY);
		}
	}
}

function grown(bytes: Uint8Array, most: number): Uint8Array<ArrayBuffer> {
	const larger = new Uint8Array(Math.min(2 * bytes.length, most));
	larger.set(bytes);
	return larger;
}

function nameOf(file: string | number): string {
	return typeof file === 'string' ? file : 'standard input';
}

function invalid(code: string, message: string): DiskError {
	return new DiskError('invalid', code, message);
}
