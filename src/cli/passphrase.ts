import {closeSync, openSync, writeSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import type {Secret} from '../core/disk.ts';
import {DiskError, located} from '../core/error.ts';
import {LONGEST_PASSPHRASE, passphraseSecret, readSecretFile} from '../image/secret.ts';

// There is no option that takes a passphrase itself: every user of the machine can see arguments.

export const PASSPHRASE_VARIABLE = 'TINTYPE_PASSPHRASE';

/** What the environment holds; taken out of it, since no program started from here needs it. */
export function takeFromEnvironment(): string | undefined {
	const value = process.env[PASSPHRASE_VARIABLE];
	delete process.env[PASSPHRASE_VARIABLE];
	return value;
}

export function passphraseFromEnvironment(value: string): Secret {
	// What the system could not decode is lost when it comes through the environment.
	if (value.includes('\uFFFD')) throw notText(PASSPHRASE_VARIABLE);
	return fromText(value, PASSPHRASE_VARIABLE);
}

/** A file whose only line is the passphrase; `-` is standard input. */
export function passphraseFromFile(path: string): Secret {
	// With a byte order mark and the longest end of a line.
	const bytes = readSecretFile(path === '-' ? 0 : path, 'passphrase', LONGEST_PASSPHRASE + 3 + 2);
	return fromText(decode(bytes, path).replace(/\r?\n$/, ''), path);
}

function decode(bytes: Uint8Array, name: string): string {
	try {
		return new TextDecoder('utf-8', {fatal: true}).decode(bytes);
	} catch {
		throw notText(name);
	}
}

function notText(name: string): DiskError {
	return invalid('encoding', `the passphrase in ${name} is not UTF-8`);
}

/** Says where a passphrase came from that is none. */
function fromText(text: string, name: string): Secret {
	try {
		return passphraseSecret(text);
	} catch (error) {
		throw error instanceof DiskError ? located(error, {file: name}) : error;
	}
}

function invalid(code: string, message: string): DiskError {
	return new DiskError('invalid', `passphrase/${code}`, message);
}

export interface PassphraseRequest {
	/** What the terminal asks: `passphrase of disk.tint`. */
	readonly question: string;
	/** Asks a second time, for a passphrase that is new. */
	readonly confirm?: boolean;
	readonly signal?: AbortSignal;
}

/** Asks on the terminal. Throws DiskError where there is none; rejects when the user presses Ctrl-C. */
export async function askPassphrase({question, confirm = false, signal}: PassphraseRequest): Promise<Secret> {
	signal?.throwIfAborted();
	const terminal = openTerminal(signal);
	try {
		const typed = passphraseSecret(decode(await terminal.ask(question), 'the answer'));
		if (confirm) {
			const again = passphraseSecret(decode(await terminal.ask('the same once more'), 'the answer'));
			if (Buffer.compare(typed.bytes, again.bytes) !== 0) {
				throw invalid('mismatch', 'the two passphrases are not the same');
			}
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
	let cause: unknown;
	// A process can have a terminal as its input that is not the terminal of its session, as in some containers.
	for (const path of process.stdin.isTTY ? ['/dev/tty', '/dev/fd/0'] : ['/dev/tty']) {
		try {
			// Reading and writing need a descriptor each: the stream makes its own non-blocking.
			return {input: new ReadStream(openSync(path, 'r')), output: openSync(path, 'w'), owned: true};
		} catch (error) {
			cause ??= error;
		}
	}
	if (process.stdin.isTTY) return {input: process.stdin, output: process.stderr.fd, owned: false};
	throw new DiskError('invalid', 'passphrase/no-terminal', 'there is no terminal to ask for the passphrase', {
		hint: `name a file with the passphrase, or set the environment variable ${PASSPHRASE_VARIABLE}`,
		cause,
	});
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
			} else if (byte >= 0x20 && bytes.length < 2 * LONGEST_PASSPHRASE) {
				bytes.push(byte);
			}
		},
	};
}
