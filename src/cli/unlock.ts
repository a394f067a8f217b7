import type {Secret} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {openDisk} from '../image/image.ts';
import type {ImageUse} from './command.ts';
import {askPassphrase, PASSPHRASE_VARIABLE} from './passphrase.ts';
import {safe} from './render/error.ts';

/** What became of an attempt to open an image. */
export type Look =
	| {readonly kind: 'plain'}
	| {readonly kind: 'open'; readonly masterKey: Secret}
	/** Encrypted, and the secret was not given or not the right one. */
	| {readonly kind: 'locked'; readonly error: DiskError}
	/** For another reason, which the command will meet again with the same secret. */
	| {readonly kind: 'failed'; readonly secret: Secret | undefined};

/** How often a person may type a passphrase. */
const TRIES = 3;

/** Opens an image and closes it again. */
export function lookAt({path, options}: ImageUse, secret?: Secret): Look {
	try {
		const opened = openDisk(path, {...options, ...(secret !== undefined && {secret})});
		const masterKey = opened.disk.masterKey?.slice();
		opened[Symbol.dispose]();
		if (masterKey === undefined) return {kind: 'plain'};
		return {kind: 'open', masterKey: {kind: 'master-key', bytes: masterKey}};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return error.code === 'key/needed' || error.code === 'key/wrong'
			? {kind: 'locked', error}
			: {kind: 'failed', secret};
	}
}

/** Tries what is there; asks only where an image is encrypted and nothing was given. */
export async function unlock(use: ImageUse, given: readonly Secret[], before: readonly Look[]): Promise<Look> {
	const look = lookAt(use);
	if (look.kind !== 'locked') return look;
	// Images of one chain have one master key, and trying it costs nothing.
	const known = before.flatMap(other => (other.kind === 'open' ? [other.masterKey] : []));
	let {error} = look;
	let failed: Look | undefined;
	for (const secret of [...known, ...given]) {
		const next = lookAt(use, secret);
		if (next.kind === 'open') return next;
		if (next.kind === 'locked') ({error} = next);
		else failed = next;
	}
	if (failed !== undefined) return failed;
	if (given.length > 0) throw error;
	return askToOpen(use);
}

async function askToOpen(use: ImageUse): Promise<Look> {
	const question = `passphrase of ${safe(use.path)}`;
	for (let left = TRIES - 1; ; left--) {
		const secret = await askPassphrase({question: left === TRIES - 1 ? question : `wrong; ${question}`}).catch(
			(error: unknown) => {
				throw isNoTerminal(error) ? secretNeeded(use.path, error) : error;
			},
		);
		const look = lookAt(use, secret);
		if (look.kind !== 'locked') return look;
		if (left === 0) throw look.error;
	}
}

export function isNoTerminal(error: unknown): error is DiskError {
	return error instanceof DiskError && error.code === 'passphrase/no-terminal';
}

function secretNeeded(path: string, cause: DiskError): DiskError {
	const message = `${path} is encrypted, and there is no terminal to ask for its passphrase`;
	return new DiskError('refused', 'key/needed', message, {
		where: {file: path},
		hint: `use --passphrase-file or --key-file, or set ${PASSPHRASE_VARIABLE}`,
		cause,
	});
}
