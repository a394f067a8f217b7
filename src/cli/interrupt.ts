import process from 'node:process';
import {ExitCode} from './exit-code.ts';

export interface Interrupt {
	readonly signal: AbortSignal;
	/** The exit code that the signal received asks for; undefined when none came. */
	readonly exitCode: ExitCode | undefined;
	stop(): void;
}

const SIGNALS = {SIGINT: ExitCode.interrupted, SIGTERM: ExitCode.terminated, SIGHUP: ExitCode.terminated} as const;

/** Turns the signals that ask a program to end into an aborted AbortSignal, so that it can clean up first. */
export function catchInterrupts(): Interrupt {
	const controller = new AbortController();
	let exitCode: ExitCode | undefined;
	const listener = (name: NodeJS.Signals): void => {
		exitCode ??= SIGNALS[name as keyof typeof SIGNALS];
		controller.abort();
	};
	const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];
	for (const name of names) process.on(name, listener);
	return {
		signal: controller.signal,
		get exitCode() {
			return exitCode;
		},
		stop() {
			for (const name of names) process.removeListener(name, listener);
		},
	};
}
