/**
 * The families of failure. Each maps to one errno (mount/fuse/errno.ts) and one exit code (src/cli/exit-code.ts).
 *
 * - `corrupt`: the bytes contradict their specification
 * - `unsupported`: the bytes are legal, but this version of tintype cannot read (or write) them
 * - `out-of-range`: a position, size or index lies outside what exists, or outside a named cap
 * - `io`: the operating system failed to read or write
 * - `not-found`: no such file, volume, parent
 * - `refused`: tintype will not do this unless it is told to
 * - `invalid`: the caller asked for something that makes no sense (an option, a name)
 * - `not-a-directory`, `is-a-directory`: the node is of the wrong type for the operation
 */
export type ErrorFamily =
	| 'corrupt'
	| 'unsupported'
	| 'out-of-range'
	| 'io'
	| 'not-found'
	| 'refused'
	| 'invalid'
	| 'not-a-directory'
	| 'is-a-directory';

/** Where something was found: every field is optional, and all are shown to the user when they are there. */
export interface Where {
	/** The file or source, as the user would name it. */
	readonly file?: string;
	/** The byte position in that file or source. */
	readonly position?: number;
	/** The structure of the specification that was being read, for example `region table`. */
	readonly structure?: string;
	/** The field of that structure. */
	readonly field?: string;
	/** The volume's number. */
	readonly volume?: number;
	/** The node within its file system, for example an MFT record number or an inode number. */
	readonly node?: number;
}

export interface DiskErrorOptions {
	readonly where?: Where;
	/** One sentence that says what the user can do about it. */
	readonly hint?: string;
	readonly cause?: unknown;
}

/**
 * Every failure that an input can provoke. `code` is stable and names one check (`vhdx/header-checksum`);
 * programs and tests look at it, people read `message`, which is lower case and has no full stop.
 */
export class DiskError extends Error {
	readonly family: ErrorFamily;
	readonly code: string;
	readonly where: Where;
	readonly hint: string | undefined;

	constructor(family: ErrorFamily, code: string, message: string, options: DiskErrorOptions = {}) {
		super(message, options.cause === undefined ? undefined : {cause: options.cause});
		this.name = 'DiskError';
		this.family = family;
		this.code = code;
		this.where = options.where ?? {};
		this.hint = options.hint;
	}
}

export function corrupt(code: string, message: string, where?: Where, cause?: unknown): DiskError {
	return new DiskError('corrupt', code, message, {...(where && {where}), cause});
}

export function unsupported(code: string, message: string, where?: Where): DiskError {
	return new DiskError('unsupported', code, message, where && {where});
}

export function outOfRange(code: string, message: string, where?: Where): DiskError {
	return new DiskError('out-of-range', code, message, where && {where});
}

/** The same error with more known about its place; what the error already says of itself wins. */
export function located(error: DiskError, where: Where): DiskError {
	const options: DiskErrorOptions = {
		where: {...where, ...error.where},
		...(error.hint !== undefined && {hint: error.hint}),
		cause: error.cause,
	};
	return new DiskError(error.family, error.code, error.message, options);
}

/** The form in which an error crosses a thread or a process. */
export interface SerializedError {
	readonly family: ErrorFamily | 'defect';
	readonly code: string;
	readonly message: string;
	readonly where: Where;
	readonly hint?: string;
	readonly stack?: string;
}

export function serializeError(error: unknown): SerializedError {
	if (error instanceof DiskError) {
		const {family, code, message, where, hint} = error;
		return {family, code, message, where, ...(hint !== undefined && {hint})};
	}
	const {message, stack} = error instanceof Error ? error : new Error(String(error));
	return {family: 'defect', code: 'defect', message, where: {}, ...(stack !== undefined && {stack})};
}

export function deserializeError(error: SerializedError): Error {
	if (error.family === 'defect') {
		const defect = new Error(error.message);
		if (error.stack !== undefined) defect.stack = error.stack;
		return defect;
	}
	const {family, code, message, where, hint} = error;
	return new DiskError(family, code, message, {where, ...(hint !== undefined && {hint})});
}
