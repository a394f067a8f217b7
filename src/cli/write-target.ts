import process from 'node:process';
import {isatty} from 'node:tty';
import type {ConversionOptions, ConvertResult, KeptWork} from '../convert/conversion.ts';
import {PIPE_CLOSED} from '../convert/pipe-sink.ts';
import {DiskError} from '../core/error.ts';
import {exitImmediately} from '../core/system/exit.ts';
import type {Context} from './command.ts';
import {ExitCode} from './exit-code.ts';
import {ClosedPipe, note, outLine} from './output.ts';
import {renderConversion} from './render/conversion.ts';
import {jsonText} from './render/json.ts';

/** As the target of a command: standard output. A file of this name is `./-`. */
export const STANDARD_OUTPUT = '-';
const STDOUT = 1;

/** Milliseconds in which a stopped run may end by itself: a reader that stands still would hold it for ever. */
const PATIENCE = 2000;

interface WritingArguments {
	readonly source: string;
	readonly target: string;
	readonly json: boolean;
}

/** Where the conversion writes, and what it tells on its way. */
type Wiring = Pick<ConversionOptions, 'stream' | 'onKept' | 'onProgress' | 'signal'>;

/** Runs a conversion for a command, and shows what came of it: on standard error where the image goes to the other. */
export async function writeTarget<Result extends ConvertResult>(
	{source, target, json}: WritingArguments,
	context: Context,
	work: (wiring: Wiring) => Promise<Result>,
	renderMore: (result: Result) => readonly string[] = () => [],
): Promise<Result> {
	const streamed = target === STANDARD_OUTPUT;
	if (streamed) refuseTerminal();
	const {signal} = context;
	if (streamed) signal.addEventListener('abort', endSoon);
	try {
		const result = await context.withProgress(onProgress =>
			work({
				...(streamed && {stream: STDOUT}),
				onProgress,
				onKept: kept => context.finding(keptFinding(kept)),
				signal,
			}),
		);
		const say = streamed ? (line: string): void => note(`${line}\n`) : outLine;
		if (json) say(jsonText(result));
		else {
			for (const finding of result.findings) context.finding(finding);
			for (const line of [...renderConversion(source, result), ...renderMore(result), ...renderIds(result)]) say(line);
		}
		return result;
	} catch (error) {
		if (error instanceof DiskError && error.code === PIPE_CLOSED) throw new ClosedPipe();
		throw error;
	} finally {
		signal.removeEventListener('abort', endSoon);
	}
}

function endSoon(): void {
	setTimeout(() => exitImmediately(ExitCode.interrupted), PATIENCE).unref();
}

function refuseTerminal(): void {
	if (!isatty(STDOUT)) return;
	throw new DiskError('refused', 'cli/terminal', 'standard output is a terminal, which shows no images', {
		hint: 'send it to a program or a file, as in tintype ... - | ssh host "cat > disk.tint"',
	});
}

function keptFinding({partial, position, total}: KeptWork) {
	const percent = total > 0 ? Math.floor((position / total) * 100) : 0;
	return {
		code: 'output/kept',
		severity: 'note',
		message: `what was done, ${percent} %, is kept in ${partial}; go on with: ${resumeCommand()}`,
	} as const;
}

/** The command as it was typed, with `--resume`. */
function resumeCommand(): string {
	const words = process.argv.slice(2);
	const end = words.indexOf('--');
	if (!words.includes('--resume')) words.splice(end < 0 ? words.length : end, 0, '--resume');
	return ['tintype', ...words].map(shellWord).join(' ');
}

function shellWord(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** With `--verify`. */
function renderIds({ids}: ConvertResult): string[] {
	if (ids === undefined) return [];
	const lines = [
		`  content id of the source: ${ids.source ?? 'not all of it can be read'}`,
		`  content id of the target: ${ids.target}${ids.source === ids.target ? ', the same' : ''}`,
	];
	if (ids.source !== ids.target) lines.push(...ids.reasons.map(reason => `  they differ: ${reason}`));
	return lines;
}

/** What `--verify` found, as an exit code. */
export function checkIds({ids}: ConvertResult, context: Context): ExitCode {
	if (ids === undefined || ids.good) return ExitCode.good;
	context.finding({
		code: 'convert/ids-differ',
		severity: 'damage',
		message: 'the target does not hold what the source held when it was read again',
	});
	return ExitCode.found;
}
