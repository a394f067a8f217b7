import {writableFormat} from '../convert/convert.ts';
import {requireEncryption} from '../convert/encryption.ts';
import type {Finding, NewKey, Secret} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {Arguments, ImageUse, NewImage} from './command.ts';
import {askPassphrase, PASSPHRASE_VARIABLE} from './passphrase.ts';
import {safe} from './render/error.ts';
import {isNoTerminal, lookAt, type Look} from './unlock.ts';

/** Characters. A shorter passphrase is tried out in no time, whatever the derivation costs. */
const SHORT = 8;
const TRIES = 3;

/** What the options say of the encryption of a new image; undefined where they leave it to the source and the parent. */
export type Wish = 'plain' | 'encrypted' | undefined;

/** Checks what can be checked before anybody is asked for anything. */
export function wishOf(args: Arguments, {target, to}: NewImage): Wish {
	const {encrypt, encryptPassphraseFile, encryptKeyFile, keyLabel} = args;
	const named = encryptPassphraseFile !== undefined || encryptKeyFile !== undefined;
	if (encrypt === false && (named || keyLabel !== undefined)) {
		throw new DiskError('invalid', 'cli/encrypt', '--no-encrypt takes no keys');
	}
	if (encrypt === false) return 'plain';
	if (encrypt === undefined && !named) {
		if (keyLabel === undefined) return undefined;
		throw new DiskError('invalid', 'cli/key-label', '--key-label names a key of the new image, which has none', {
			hint: 'add --encrypt',
		});
	}
	requireEncryption(writableFormat(target, to === undefined ? {} : {to}).format);
	return 'encrypted';
}

interface KeySources {
	readonly args: Arguments;
	readonly target: string;
	/** Of the options and the environment: they open images. */
	readonly given: readonly Secret[];
	/** Of the options: they are for the new image alone. */
	readonly fresh: readonly Secret[];
	readonly parent: readonly [ImageUse, Look] | undefined;
	readonly warn: (finding: Finding) => void;
}

/** The value of `TargetOptions.keys`. */
export async function newKeys(wish: Wish, sources: KeySources): Promise<readonly NewKey[] | undefined> {
	const {args, target, given, fresh, parent, warn} = sources;
	const [parentUse, parentLook] = parent ?? [];
	const inherits = parentLook?.kind === 'open';
	if (parentUse !== undefined && wish === 'plain' && inherits) throw parentEncrypted(parentUse);
	if (parentUse !== undefined && wish === 'encrypted' && parentLook?.kind === 'plain') throw parentPlain(parentUse);
	if (wish !== 'encrypted') return wish === 'plain' ? [] : undefined;
	// An encrypted parent passes its keys on, unasked.
	if (inherits && fresh.length === 0) return undefined;
	const named = fresh.length > 0 ? fresh : given;
	const wanted = named.length > 0 ? named : [await askForNew(target)];
	// What opens the parent need not be there twice.
	const secrets = wanted.filter(
		secret => parentUse === undefined || !inherits || lookAt(parentUse, secret).kind !== 'open',
	);
	if (secrets.some(({kind, bytes}) => kind === 'passphrase' && lengthOf(bytes) < SHORT)) {
		const message = `the new passphrase has fewer than ${SHORT} characters, and so can be guessed`;
		warn({code: 'passphrase/short', severity: 'warning', message});
	}
	const label = (args['keyLabel'] as string | undefined) ?? '';
	return secrets.length === 0 ? undefined : secrets.map(secret => ({secret, label}));
}

function parentEncrypted({path}: ImageUse): DiskError {
	return new DiskError('invalid', 'key/parent', `${path} is encrypted, and so are all images that build on it`, {
		where: {file: path},
		hint: 'leave out --no-encrypt; or take a whole image, without --parent',
	});
}

function parentPlain({path}: ImageUse): DiskError {
	return new DiskError('invalid', 'key/parent', `${path} is not encrypted, so no image that builds on it can be`, {
		where: {file: path},
		hint: 'take a whole image, without --parent',
	});
}

/** Not of bytes, but as a person counts them. */
function lengthOf(passphrase: Uint8Array): number {
	return Array.from(new TextDecoder().decode(passphrase)).length;
}

async function askForNew(target: string): Promise<Secret> {
	let question = `new passphrase for ${safe(target)}`;
	for (let left = TRIES - 1; ; left--) {
		try {
			return await askPassphrase({question, confirm: true});
		} catch (error) {
			if (isNoTerminal(error)) throw newSecretNeeded(target, error);
			if (left === 0 || !(error instanceof DiskError) || error.code !== 'passphrase/mismatch') throw error;
			question = `they differ; new passphrase for ${safe(target)}`;
		}
	}
}

function newSecretNeeded(target: string, cause: DiskError): DiskError {
	return new DiskError('invalid', 'key/none', `there is no terminal to ask for a passphrase for ${target}`, {
		hint: `use --encrypt-passphrase-file or --encrypt-key-file, or set ${PASSPHRASE_VARIABLE}`,
		cause,
	});
}
