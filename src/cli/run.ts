import {DiskError} from '../core/error.ts';
import type {Finding} from '../core/disk.ts';
import {isBackground, secretsFromForeground, tellFailure} from './background.ts';
import type {Arguments, Command, Context} from './command.ts';
import {ExitCode, exitCodeOf} from './exit-code.ts';
import {catchInterrupts, type Interrupt} from './interrupt.ts';
import {ClosedPipe, flush, note} from './output.ts';
import {takeFromEnvironment} from './passphrase.ts';
import {errorLine, findingLine, renderError, renderFinding} from './render/error.ts';
import {newProgress, type ProgressMode} from './render/progress.ts';
import type {Secrets} from './secrets.ts';

/** Runs a command to its end; whatever happens becomes text on standard error and an exit code. */
export async function runCommand(command: Command, args: Arguments): Promise<ExitCode> {
	const mode = (args['progress'] ?? 'auto') as ProgressMode;
	const asJson = mode === 'json';
	let interrupt: Interrupt | undefined;
	/** Gone from the screen before anything else is written. */
	let progress = newProgress('none');

	const say = (text: string): void => {
		flush();
		progress.end();
		note(text);
	};
	const showError = (error: unknown) => say(asJson ? errorLine(error, exitCodeOf(error)) : renderError(error));
	const showFinding = (finding: Finding) => say(asJson ? findingLine(finding) : renderFinding(finding));

	try {
		// While signals do what they do by default, since this blocks the thread: nothing has begun that could be left behind.
		const {opening, newKeys} = await secretsFor(command, args, showFinding);
		interrupt = command.interruptible === true ? catchInterrupts() : undefined;
		const context: Context = {
			signal: interrupt?.signal ?? new AbortController().signal,
			secretOf: path => opening.get(path),
			newKeys,
			error: showError,
			finding: showFinding,
			async withProgress(work) {
				progress = newProgress(mode);
				try {
					return await work(state => progress.update(state));
				} finally {
					progress.end();
				}
			},
		};
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
		return endWith(error, () => showError(error));
	} finally {
		interrupt?.stop();
	}
}

async function secretsFor(command: Command, args: Arguments, warn: (finding: Finding) => void): Promise<Secrets> {
	const environment = takeFromEnvironment();
	if (isBackground()) return secretsFromForeground();
	if (command.images === undefined) return {opening: new Map(), newKeys: undefined};
	const {obtainSecrets} = await import('./secrets.ts');
	return obtainSecrets(command, args, {environment, warn});
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
