import {DiskError, type ErrorFamily} from '../core/error.ts';
import {errnoName} from '../core/system/libc.ts';

/** What the program ends with. The user's table is docs/exit-codes.md. */
export const ExitCode = {
	good: 0,
	/** A difference or damage was found; also an image too damaged to be opened. */
	found: 1,
	usage: 2,
	unreadable: 3,
	unsupported: 4,
	refused: 5,
	/** The target could not be written: no space, no permission. */
	unwritable: 6,
	/** A mistake in tintype itself (EX_SOFTWARE). */
	defect: 70,
	/** 128 + the signal, as shells count. */
	interrupted: 130,
	closedPipe: 141,
	terminated: 143,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

const BY_FAMILY: Readonly<Record<ErrorFamily, ExitCode>> = {
	corrupt: ExitCode.found,
	// Structures that point beyond the end: in an image that is damage.
	'out-of-range': ExitCode.found,
	unsupported: ExitCode.unsupported,
	io: ExitCode.unreadable,
	'not-found': ExitCode.unreadable,
	refused: ExitCode.refused,
	invalid: ExitCode.usage,
	'not-a-directory': ExitCode.usage,
	'is-a-directory': ExitCode.usage,
};

/** Errors that only writing brings. */
const WRITE_ERRORS = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG']);
/** The folders of codes whose `io` is a failure to write. */
const WRITERS = /^(?:output|extract)\//;

export function exitCodeOf(error: unknown): ExitCode {
	if (!(error instanceof DiskError)) return ExitCode.defect;
	if (error.family === 'io' && (WRITE_ERRORS.has(errnoName(error) ?? '') || WRITERS.test(error.code))) {
		return ExitCode.unwritable;
	}
	return BY_FAMILY[error.family];
}
