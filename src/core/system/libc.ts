import {createRequire} from 'node:module';
import {constants} from 'node:os';
import process from 'node:process';
import {getSystemErrorMessage, getSystemErrorName} from 'node:util';
import {DiskError} from '../error.ts';

/** The part of koffi that is used here. */
interface Koffi {
	load(path: string | null): {func(definition: string): unknown};
	errno(): number;
	address(value: Uint8Array): bigint;
}

interface Loaded {
	readonly koffi: Koffi;
	readonly library: {func(definition: string): unknown};
}

let loaded: Loaded | undefined;

/** koffi and the C library, loaded on first use: most runs of the program need neither. */
function load(): Loaded {
	if (loaded) return loaded;
	if (process.platform === 'win32') {
		throw new DiskError('unsupported', 'system/no-libc', 'this needs a system call that Windows does not have');
	}
	try {
		const koffi = createRequire(import.meta.url)('koffi') as Koffi;
		// The C library is already part of the process, under whatever name this system gives it.
		loaded = {koffi, library: koffi.load(null)};
		return loaded;
	} catch (cause) {
		throw new DiskError('unsupported', 'system/koffi', 'koffi, which makes system calls, could not be loaded', {
			cause,
			hint: 'reinstall tintype for this system and architecture; koffi comes prebuilt as an optional dependency',
		});
	}
}

/** Declares a C function, as koffi writes it. It is looked up when it is first called. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only the caller knows what the text declares
export function declare<Call extends (...operands: never[]) => unknown>(definition: string): () => Call {
	let call: Call | undefined;
	return () => {
		call ??= load().library.func(definition) as Call;
		return call;
	};
}

/** Where `bytes` lie in memory. They must stay referenced for as long as the address is in use. */
export function addressOf(bytes: Uint8Array): bigint {
	return load().koffi.address(bytes);
}

/** The name of the error that the last system call of this thread ended with, such as `ENOENT`. */
export function lastErrorName(): string {
	return errorName(load().koffi.errno());
}

/** Node has no name of its own for some that the system knows, EDQUOT among them. */
function errorName(number: number): string {
	const name = number > 0 ? getSystemErrorName(-number) : '';
	if (/^E[A-Z0-9]+$/.test(name)) return name;
	return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}

/** A failed system call as an error, from the number that it left behind. Make it before any other call. */
export function systemError(call: string, hint?: string): DiskError {
	const number = load().koffi.errno();
	const name = errorName(number);
	const text = name.startsWith('E') ? getSystemErrorMessage(-number) : 'unknown error';
	// Shaped like the errors of node:fs, so that both are understood alike.
	const cause = Object.assign(new Error(`${name}: ${text}, ${call}`), {code: name, errno: -number, syscall: call});
	return new DiskError('io', `system/${call}`, `${call} failed: ${text} (${name})`, {cause, ...(hint && {hint})});
}

/** The errno name behind an error of node:fs or of a system call made here, however deep. */
export function errnoName(error: unknown): string | undefined {
	for (let cause = error; cause instanceof Error; cause = cause.cause) {
		if (!('code' in cause) || typeof cause.code !== 'string') continue;
		if (/^E[A-Z0-9]+$/.test(cause.code)) return cause.code;
		if (cause.code === 'UNKNOWN' && 'errno' in cause && typeof cause.errno === 'number') return errorName(-cause.errno);
	}
	return undefined;
}
