import {closeSync, openSync, readSync, writeSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import {DiskError} from '../core/error.ts';
import {errnoName} from '../core/system/libc.ts';
import {valueOption} from './command.ts';

/** There is no option that takes the passphrase itself: every user of the machine can see arguments. */
export const passphraseOption = {
	'passphrase-file': valueOption({
		type: 'string',
		describe: 'a file whose only line is the passphrase; - is standard input',
	}),
} as const;

export const PASSPHRASE_VARIABLE = 'TINTYPE_PASSPHRASE';

/** Bytes: no derivation gains from more, and a wrong file is noticed. */
const LONGEST = 1024;

export interface PassphraseRequest {
	/** What to read it from; the environment, then the terminal, when absent. */
	readonly file?: string | undefined;
	/** What the terminal asks: `passphrase of disk.tint`. */
	readonly question: string;
	/** Asks a second time, for a passphrase that is new. */
	readonly confirm?: boolean;
	readonly signal?: AbortSignal;
}

/**
 * A passphrase as the bytes that keys are derived from: UTF-8 in Normalization Form C, so that it does not matter which
 * keyboard or system it was typed on. Throws DiskError where there is none; rejects when the user presses Ctrl-C.
 */
export async function obtainPassphrase(request: PassphraseRequest): Promise<Uint8Array> {
	if (request.file !== undefined) return normalized(fromFile(request.file), request.file);
	const value = process.env[PASSPHRASE_VARIABLE];
	if (value !== undefined) {
		// No program started from here needs it.
		delete process.env[PASSPHRASE_VARIABLE];
		return normalized(new TextEncoder().encode(value), PASSPHRASE_VARIABLE);
	}
	return fromTerminal(request);
}

function fromFile(path: string): Uint8Array {
	const limit = LONGEST + 3 + 2;
	const bytes = new Uint8Array(limit + 1);
	let length = 0;
	let descriptor: number | undefined;
	try {
		descriptor = path === '-' ? 0 : openSync(path, 'r');
		for (let count = -1; count !== 0 && length <= limit; length += count) {
			count = readSync(descriptor, bytes, length, bytes.length - length, null);
		}
	} catch (cause) {
		throw new DiskError('io', 'passphrase/file', `the passphrase file ${path} cannot be read: ${errnoName(cause)}`, {
			cause,
		});
	} finally {
		if (descriptor !== undefined && descriptor !== 0) closeSync(descriptor);
	}
	if (length > limit) throw tooLong(path);
	let end = length;
	if (bytes[end - 1] === 0x0a) end--;
	if (end < length && bytes[end - 1] === 0x0d) end--;
	return bytes.subarray(0, end);
}

function normalized(bytes: Uint8Array, name: string): Uint8Array {
	let text: string;
	try {
		text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
	} catch {
		throw invalid('encoding', `the passphrase in ${name} is not UTF-8`);
	}
	// What the system could not decode is lost when it comes through the environment.
	if (text.includes('\uFFFD')) throw invalid('encoding', `the passphrase in ${name} is not UTF-8`);
	if (/[\r\n]/.test(text)) throw invalid('lines', `the passphrase in ${name} has more than one line`);
	const result = new TextEncoder().encode(text.normalize('NFC'));
	if (result.length === 0) throw invalid('empty', `the passphrase in ${name} is empty`);
	if (result.length > LONGEST) throw tooLong(name);
	return result;
}

function tooLong(name: string): DiskError {
	return invalid('length', `the passphrase in ${name} is longer than ${LONGEST} bytes`);
}

function invalid(code: string, message: string): DiskError {
	return new DiskError('invalid', `passphrase/${code}`, message);
}

async function fromTerminal({question, confirm = false, signal}: PassphraseRequest): Promise<Uint8Array> {
	signal?.throwIfAborted();
	const terminal = openTerminal(signal);
	try {
		const typed = normalized(await terminal.ask(question), 'the answer');
		if (confirm) {
			const again = normalized(await terminal.ask('the same once more'), 'the answer');
			if (Buffer.compare(typed, again) !== 0) throw invalid('mismatch', 'the two passphrases are not the same');
		}
		return typed;
	} finally {
		terminal.close();
	}
}

interface Terminal {
	/** One line, without its end. */
	ask(question: string): Promise<Uint8Array>;
	/** Sets the terminal as it was. */
	close(): void;
}

/** The terminal of the session, even where standard input is something else. It shows nothing of what is typed. */
function openTerminal(signal: AbortSignal | undefined): Terminal {
	const {input, output, owned} = terminalEnds();
	const chunks = input[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
	const typed: number[] = [];
	input.setRawMode(true);
	signal?.addEventListener('abort', close);

	async function next(): Promise<number> {
		while (typed.length === 0) {
			// A terminal that goes away is the end of what is typed.
			const {value, done} = await chunks.next().catch(() => ({value: undefined, done: true}) as const);
			signal?.throwIfAborted();
			if (done === true) return END;
			typed.push(...value);
		}
		return typed.shift() ?? END;
	}

	function close(): void {
		signal?.removeEventListener('abort', close);
		if (input.destroyed) return;
		input.setRawMode(false);
		input.destroy();
		if (owned) closeSync(output);
	}

	return {
		close,
		async ask(question) {
			writeSync(output, `${question}: `);
			const line = newLine();
			for (;;) {
				const byte = await next();
				if (byte === INTERRUPT) {
					writeSync(output, '\n');
					close();
					await interrupt(signal);
				}
				if (byte === ENTER || byte === NEWLINE || byte === END) {
					writeSync(output, '\n');
					return line.bytes();
				}
				line.type(byte);
			}
		},
	};
}

function terminalEnds(): {input: ReadStream; output: number; owned: boolean} {
	try {
		// Reading and writing need a descriptor each: the stream makes its own non-blocking.
		return {input: new ReadStream(openSync('/dev/tty', 'r')), output: openSync('/dev/tty', 'w'), owned: true};
	} catch (cause) {
		if (process.stdin.isTTY) return {input: process.stdin, output: process.stderr.fd, owned: false};
		throw new DiskError('invalid', 'passphrase/no-terminal', 'there is no terminal to ask for the passphrase', {
			hint: `use --passphrase-file or the environment variable ${PASSPHRASE_VARIABLE}`,
			cause,
		});
	}
}

/** Time in which a signal sent to oneself arrives. */
const DELIVERY = 1000;

/** What Ctrl-C does where the terminal does not do it itself. */
async function interrupt(signal: AbortSignal | undefined): Promise<never> {
	process.kill(process.pid, 'SIGINT');
	await delay(DELIVERY, undefined, signal && {signal}).catch(() => {});
	signal?.throwIfAborted();
	throw invalid('interrupted', 'no passphrase was given');
}

const END = 0x04;
const INTERRUPT = 0x03;
const ENTER = 0x0d;
const NEWLINE = 0x0a;
const BACKSPACES: ReadonlySet<number> = new Set([0x08, 0x7f]);
const KILL_LINE = 0x15;
const ESCAPE = 0x1b;

/** A line under construction, edited as a terminal would. */
function newLine(): {type(byte: number): void; bytes(): Uint8Array} {
	let bytes: number[] = [];
	/** Arrow keys and the like: ESC, `[` or `O`, then up to a letter or `~`. */
	let escape = 0;
	return {
		bytes: () => Uint8Array.from(bytes),
		type(byte) {
			if (escape === 1) {
				escape = byte === 0x5b || byte === 0x4f ? 2 : 0;
			} else if (escape === 2) {
				if (byte >= 0x40 && byte <= 0x7e) escape = 0;
			} else if (byte === ESCAPE) {
				escape = 1;
			} else if (byte === KILL_LINE) {
				bytes = [];
			} else if (BACKSPACES.has(byte)) {
				// A character of UTF-8 and all its continuation bytes.
				while (((bytes.pop() ?? 0) & 0xc0) === 0x80);
			} else if (byte >= 0x20 && bytes.length < 2 * LONGEST) {
				bytes.push(byte);
			}
		},
	};
}
