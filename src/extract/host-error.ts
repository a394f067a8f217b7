import {getSystemErrorMessage} from 'node:util';
import {printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import {errnoName} from '../core/system/libc.ts';

/** What ends a whole copy: the next file would fail alike. */
const FATAL = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ENFILE', 'EMFILE']);

const HINTS: Readonly<Record<string, string>> = {
	ENOSPC: 'make room, or copy to another place',
	EDQUOT: 'make room, or copy to another place',
	EROFS: 'copy to another place',
	EACCES: 'copy to a place that you may write to',
	EPERM: 'copy to a place that you may write to',
	ENAMETOOLONG: 'copy it alone, under a shorter name',
};

/** Runs a system call on the target, so that a failure says which file could not be written and why. */
export function onHost<Result>(path: Buffer, call: () => Result): Result {
	try {
		return call();
	} catch (error) {
		throw error instanceof DiskError && !error.code.startsWith('system/') ? error : hostError(path, error);
	}
}

function hostError(path: Buffer, error: unknown): DiskError {
	const name = errnoName(error);
	if (name === undefined) return wrap(path, error instanceof Error ? error.message : String(error), error);
	const hint = HINTS[name];
	const {errno} = (error instanceof DiskError ? error.cause : error) as NodeJS.ErrnoException;
	return wrap(path, errno === undefined ? name : `${getSystemErrorMessage(errno)} (${name})`, error, hint);
}

function wrap(path: Buffer, reason: string, cause: unknown, hint?: string): DiskError {
	const shown = printable(path);
	return new DiskError('io', 'extract/write', `${shown} cannot be written: ${reason}`, {
		where: {file: shown},
		...(hint !== undefined && {hint}),
		cause,
	});
}

export function isFatal(error: DiskError): boolean {
	return error.code === 'extract/write' && FATAL.has(errnoName(error) ?? '');
}
