import type {Finding, NewKey, Secret} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {keyFileSecret} from '../image/secret.ts';
import type {Arguments, Command, ImageUse} from './command.ts';
import {passphraseFromEnvironment, passphraseFromFile} from './passphrase.ts';
import {type Look, unlock} from './unlock.ts';

/** What a command needs of secrets. It is there before the command starts: see README.md. */
export interface Secrets {
	/** What opens each encrypted image at once, by the path that the command was given. */
	readonly opening: ReadonlyMap<string, Secret>;
	/** What is to open the image that it makes: `TargetOptions.keys`. */
	readonly newKeys: readonly NewKey[] | undefined;
}

/** Where the options of a command name secrets. */
interface SecretFiles {
	readonly passphraseFiles: readonly string[];
	readonly keyFiles: readonly string[];
}

/**
 * Finds out which images of a command are encrypted, obtains what opens them, and what is to open the image that it
 * makes. Deriving keys blocks the thread, for seconds where an image asks for that.
 */
export async function obtainSecrets(
	command: Pick<Command, 'images' | 'creates'>,
	args: Arguments,
	{environment, warn}: {readonly environment: string | undefined; readonly warn: (finding: Finding) => void},
): Promise<Secrets> {
	const images = command.images?.(args) ?? [];
	const target = command.creates?.(args);
	const files = [openingFiles(args), newFiles(args)];
	checkStandardInput(files.flatMap(({passphraseFiles, keyFiles}) => [...passphraseFiles, ...keyFiles]));
	const creation = target && (await import('./new-keys.ts'));
	const wish = target && creation?.wishOf(args, target);
	const [given = [], fresh = []] = files.map(readSecrets);
	if (given.length === 0 && environment !== undefined) given.push(passphraseFromEnvironment(environment));

	const looks = new Map<ImageUse, Look>();
	for (const use of images) looks.set(use, await unlock(use, given, [...looks.values()]));
	const parent = [...looks].find(([{role}]) => role === 'parent');
	const newKeys =
		wish &&
		creation &&
		target &&
		(await creation.newKeys(wish, {args, target: target.target, given, fresh, parent, warn}));
	const needed = newKeys?.some(({secret}) => given.includes(secret)) ?? false;
	if (given.length > 0 && !needed) checkNeeded([...looks], hintAgainst(target !== undefined, wish === 'encrypted'));

	const opening = new Map<string, Secret>();
	for (const [{path}, look] of looks) {
		const secret =
			look.kind === 'open' ? look.masterKey : look.kind === 'failed' ? (look.secret ?? given[0]) : undefined;
		if (secret !== undefined) opening.set(path, secret);
	}
	return {opening, newKeys};
}

function openingFiles(args: Arguments): SecretFiles {
	return {passphraseFiles: listOf(args['passphraseFile']), keyFiles: listOf(args['keyFile'])};
}

function newFiles(args: Arguments): SecretFiles {
	return {passphraseFiles: listOf(args['encryptPassphraseFile']), keyFiles: listOf(args['encryptKeyFile'])};
}

function listOf(value: unknown): readonly string[] {
	return value === undefined ? [] : [value as string | readonly string[]].flat();
}

function checkStandardInput(files: readonly string[]): void {
	if (files.filter(file => file === '-').length < 2) return;
	throw new DiskError('invalid', 'cli/standard-input', 'only one secret can come from standard input');
}

/** Key files first: trying them costs next to nothing. */
function readSecrets({passphraseFiles, keyFiles}: SecretFiles): Secret[] {
	return [...keyFiles.map(path => keyFileSecret(path === '-' ? 0 : path)), ...passphraseFiles.map(passphraseFromFile)];
}

/** Something else could have been put in the place of an image that is expected to be encrypted. */
function checkNeeded(looks: readonly (readonly [ImageUse, Look])[], hint: string): void {
	if (looks.some(([, {kind}]) => kind !== 'plain')) return;
	const paths = looks.map(([{path}]) => path);
	const subject = paths.length === 1 ? `${paths[0]} is not` : `neither ${paths.join(' nor ')} is`;
	throw new DiskError('refused', 'key/unneeded', `${subject} encrypted, but a secret was given`, {hint});
}

function hintAgainst(creates: boolean, encrypted: boolean): string {
	if (creates && encrypted) return 'leave it out: the new image has keys of its own';
	if (creates) return 'to encrypt the new image, add --encrypt; otherwise leave the secret out';
	return 'if it ought to be encrypted, it is not the image that it should be; if not, leave the secret out';
}
