import type {ArgumentsCamelCase, Argv, Options} from 'yargs';
import type {Finding} from '../core/disk.ts';
import type {ExitCode} from './exit-code.ts';

/** What the program gives to a running command. */
export interface Context {
	/** Aborted by Ctrl-C and SIGTERM; only for commands that are `interruptible`. */
	readonly signal: AbortSignal;
	/** Shows an error and goes on. */
	error(error: unknown): void;
	finding(finding: Finding): void;
	/** Shows progress while `work` runs. */
	withProgress<Result>(work: (onProgress: ProgressListener) => Promise<Result>): Promise<Result>;
}

export type ProgressListener = (progress: {readonly position: number; readonly total: number}) => void;

/** The command line as typed, and what it is for. */
export type Example = readonly [command: string, purpose: string];

export interface Command {
	/** Declares operands and options. */
	build(yargs: Argv): Argv;
	readonly examples: readonly Example[];
	/** Whether it ends early, and in order, when its signal is aborted. All others end at once. */
	readonly interruptible?: boolean;
	run(args: ArgumentsCamelCase<Record<string, unknown>>, context: Context): Promise<ExitCode> | ExitCode;
}

interface Definition<Args> extends Omit<Command, 'build' | 'run'> {
	build(yargs: Argv): Argv<Args>;
	run(args: ArgumentsCamelCase<Args>, context: Context): Promise<ExitCode> | ExitCode;
}

/** Ties the types of a command's options to its `run`. */
export function defineCommand<Args>(definition: Definition<Args>): Command {
	return definition;
}

/** One line of the list of commands; the rest is imported when the command runs. */
export interface CommandEntry {
	/** With its operands, as yargs writes them: `cat <image> <path..>`. */
	readonly usage: string;
	readonly aliases?: readonly string[];
	readonly describe: string;
	load(): Promise<Command>;
}

/** An option that takes one value. */
export function valueOption<const Fields extends Options>(fields: Fields): Fields & {requiresArg: true} {
	return {...fields, requiresArg: true};
}
