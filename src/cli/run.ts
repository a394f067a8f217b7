import {DiskError} from '../core/error.ts';
import type {ArgumentsCamelCase} from 'yargs';
import {tellFailure} from './background.ts';
import type {Command, Context} from './command.ts';
import {ExitCode, exitCodeOf} from './exit-code.ts';
import {catchInterrupts} from './interrupt.ts';
import {ClosedPipe, flush, note} from './output.ts';
import {errorLine, findingLine, renderError, renderFinding} from './render/error.ts';
import {newProgress, type ProgressMode} from './render/progress.ts';

/** Runs a command to its end; whatever happens becomes text on standard error and an exit code. */
export async function runCommand(
	command: Command,
	args: ArgumentsCamelCase<Record<string, unknown>>,
): Promise<ExitCode> {
	const mode = (args['progress'] ?? 'auto') as ProgressMode;
	const asJson = mode === 'json';
	const interrupt = command.interruptible === true ? catchInterrupts() : undefined;
	/** Gone from the screen before anything else is written. */
	let progress = newProgress('none');

	const say = (text: string): void => {
		flush();
		progress.end();
		note(text);
	};
	const context: Context = {
		signal: interrupt?.signal ?? new AbortController().signal,
		error: error => say(asJson ? errorLine(error, exitCodeOf(error)) : renderError(error)),
		finding: finding => say(asJson ? findingLine(finding) : renderFinding(finding)),
		async withProgress(work) {
			progress = newProgress(mode);
			try {
				return await work(state => progress.update(state));
			} finally {
				progress.end();
			}
		},
	};

	try {
		const code = await command.run(args, context);
		flush();
		return code;
	} catch (error) {
		if (error instanceof ClosedPipe) return ExitCode.closedPipe;
		if (interrupt?.exitCode !== undefined && !(error instanceof DiskError)) {
			say(asJson ? '' : 'tintype: interrupted\n');
			return interrupt.exitCode;
		}
		tellFailure(error);
		return endWith(error, () => context.error(error));
	} finally {
		interrupt?.stop();
	}
}

/** Shows an error; a reader who has gone away does not change what it was. */
export function endWith(error: unknown, show = () => note(renderError(error))): ExitCode {
	try {
		show();
	} catch (failure) {
		if (!(failure instanceof ClosedPipe)) throw failure;
	}
	return exitCodeOf(error);
}
