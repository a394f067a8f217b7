import {fstatSync} from 'node:fs';
import {isatty} from 'node:tty';
import type {ConvertOptions} from '../convert/convert.ts';
import {DiskError} from '../core/error.ts';
import {parseSize} from './render/size.ts';

/** As the source of a command: standard input. A file of this name is `./-`. */
export const STANDARD_INPUT = '-';
const STDIN = 0;
/** Opens anew what standard input is, where that is a file or a device. */
const STDIN_PATH = '/dev/stdin';

interface InputArguments extends Readonly<Record<string, unknown>> {
	readonly source: string;
	readonly size: string | undefined;
}

/** The source as a path, or as a pipe. */
export interface Input {
	readonly source: string;
	readonly input?: NonNullable<ConvertOptions['input']>;
}

/** Options whose files may be standard input, too. */
const SECRETS = ['passphraseFile', 'keyFile', 'encryptPassphraseFile', 'encryptKeyFile'] as const;

/** What a source means, and whether `--size` is right with it. */
export function inputOf(args: InputArguments): Input {
	const {source, size} = args;
	const piped = source === STANDARD_INPUT && !isSeekable();
	if (!piped) {
		if (size !== undefined)
			throw invalid('size', '--size is for a source that comes through a pipe: others know theirs');
		return {source: source === STANDARD_INPUT ? STDIN_PATH : source};
	}
	if (SECRETS.some(name => [args[name]].flat().includes(STANDARD_INPUT))) {
		throw invalid('stdin', 'standard input cannot be the disk and a secret at the same time');
	}
	if (size === undefined) {
		throw invalid('size', 'the size of a disk that comes through a pipe is not known', {
			hint: 'give it as in --size 17179869184; blockdev --getsize64 tells that of a device, stat -c %s that of a file',
		});
	}
	const bytes = parseSize(size, 'size');
	if (bytes <= 0) throw invalid('size', 'the size of a disk is at least 1 byte');
	return {source: 'standard input', input: {descriptor: STDIN, size: bytes}};
}

function isSeekable(): boolean {
	if (isatty(STDIN)) {
		throw new DiskError('refused', 'cli/terminal', 'standard input is a terminal, which has no disk to give', {
			hint: 'send one into it, as in ssh host "cat /dev/sda" | tintype convert - disk.vhdx --size 500107862016',
		});
	}
	const stat = fstatSync(STDIN);
	return stat.isFile() || stat.isBlockDevice();
}

function invalid(code: string, message: string, options: {readonly hint?: string} = {}): DiskError {
	return new DiskError('invalid', `cli/${code}`, message, options);
}
