import type {ArgumentsCamelCase, Argv, Options} from 'yargs';
import type {Finding, NewKey, Secret} from '../core/disk.ts';
import type {OpenImageOptions} from '../image/image.ts';
import type {ExitCode} from './exit-code.ts';

/** What the program gives to a running command. */
export interface Context {
	/** Aborted by Ctrl-C and SIGTERM; only for commands that are `interruptible`. */
	readonly signal: AbortSignal;
	/** What opens an image of the command's, by the path that it was given; undefined where it is not encrypted. */
	secretOf(path: string): Secret | undefined;
	/** What is to open the image that the command makes: `TargetOptions.keys`. */
	readonly newKeys: readonly NewKey[] | undefined;
	/** Shows an error and goes on. */
	error(error: unknown): void;
	finding(finding: Finding): void;
	/** Shows progress while `work` runs. */
	withProgress<Result>(work: (onProgress: ProgressListener) => Promise<Result>): Promise<Result>;
}

export type ProgressListener = (progress: {readonly position: number; readonly total: number}) => void;

/** The command line as typed, and what it is for. */
export type Example = readonly [command: string, purpose: string];

/** An image that a command opens. */
export interface ImageUse {
	readonly path: string;
	readonly options: OpenImageOptions;
	/** `parent`: a new image builds on it, and so has its keys. */
	readonly role?: 'parent';
}

/** The image that a command makes. */
export interface NewImage {
	readonly target: string;
	/** Its format by name; by the target's extension when undefined. */
	readonly to: string | undefined;
}

/** What was typed, before a command says what it is. */
export type Arguments = ArgumentsCamelCase<Record<string, unknown>>;

export interface Command {
	/** Declares operands and options. */
	build(yargs: Argv): Argv;
	readonly examples: readonly Example[];
	/** Whether it ends early, and in order, when its signal is aborted. All others end at once. */
	readonly interruptible?: boolean;
	/** The images that it opens: what unlocks them is obtained before it starts. */
	images?(args: Arguments): readonly ImageUse[];
	/** The image that it makes, where that can be encrypted (`encryptionOptions`). */
	creates?(args: Arguments): NewImage;
	run(args: Arguments, context: Context): Promise<ExitCode> | ExitCode;
}

interface Definition<Args> extends Omit<Command, 'build' | 'images' | 'creates' | 'run'> {
	build(yargs: Argv): Argv<Args>;
	images?(args: ArgumentsCamelCase<Args>): readonly ImageUse[];
	creates?(args: ArgumentsCamelCase<Args>): NewImage;
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
