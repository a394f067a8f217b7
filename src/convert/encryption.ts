import {ALL_FORMATS} from '../../formats/index.ts';
import type {CreateRequest, Disk, DiskCreator, DiskFormat, Finding, NewKey} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';

/** Throws `invalid` where images of a format cannot be encrypted. */
export function requireEncryption(format: DiskFormat): void {
	if (format.create?.encrypts === true) return;
	const able = ALL_FORMATS.filter(({create}) => create?.encrypts === true).map(({name}) => name);
	throw new DiskError('invalid', 'convert/encryption', `${format.name} cannot be encrypted`, {
		hint: `formats that can: ${able.join(', ')}`,
	});
}

/** What `TargetOptions.keys` means: where it says nothing, the keys of the source. A parent passes its own on, unasked. */
export function encryptionOf(
	{source, parent, creator}: {readonly source: Disk; readonly parent?: Disk | undefined; readonly creator: DiskCreator},
	keys: readonly NewKey[] | undefined,
): Pick<CreateRequest, 'keys' | 'keysOf'> {
	if (keys !== undefined && keys.length > 0) return {keys};
	const passedOn = keys === undefined && parent === undefined && creator.encrypts === true;
	return passedOn && source.masterKey !== undefined ? {keysOf: source} : {};
}

/** Told where the content of an encrypted source lies open in the target. */
export function lostEncryption(source: Disk, {keys, keysOf}: CreateRequest, parent?: Disk): Finding[] {
	if (source.masterKey === undefined || keys !== undefined || keysOf !== undefined) return [];
	if (parent?.masterKey !== undefined) return [];
	const message = 'the source is encrypted, the target is not';
	return [{code: 'convert/not-encrypted', severity: 'note', message}];
}
