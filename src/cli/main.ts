import process from 'node:process';
import type {Argv, ArgumentsCamelCase} from 'yargs';
import {DiskError} from '../core/error.ts';
import {ALL_COMMANDS, commandName} from './commands/index.ts';
import type {Command, CommandEntry} from './command.ts';
import {ExitCode} from './exit-code.ts';
import {REPEATABLE} from './options.ts';
import {ClosedPipe, flush, outLine} from './output.ts';
import {endWith, runCommand} from './run.ts';
import {usageError} from './usage-error.ts';
import {programVersion, versionDetails} from './version.ts';

const LONGEST_LINE = 100;

/** The whole program. It sets the exit code and lets the process end by itself. */
export async function main(argv: readonly string[]): Promise<void> {
	process.exitCode = await run(argv);
}

async function run(argv: readonly string[]): Promise<ExitCode> {
	try {
		const code = wantsVersion(argv) ? showVersion(argv) : await parse(argv);
		flush();
		return code;
	} catch (error) {
		if (error instanceof ClosedPipe) return ExitCode.closedPipe;
		return endWith(error);
	}
}

/** Looked at before yargs is loaded: it takes half of the time that this answer needs. */
function wantsVersion(argv: readonly string[]): boolean {
	const end = argv.indexOf('--');
	return argv.slice(0, end < 0 ? argv.length : end).includes('--version');
}

function showVersion(argv: readonly string[]): ExitCode {
	outLine(`tintype ${programVersion()}`);
	if (argv.includes('--verbose')) for (const line of versionDetails()) outLine(line);
	return ExitCode.good;
}

async function parse(argv: readonly string[]): Promise<ExitCode> {
	let code: ExitCode = ExitCode.good;
	const {default: yargs} = await import('yargs/yargs');
	const parser = configure(yargs([...argv]), argv);
	for (const entry of ALL_COMMANDS) {
		const {usage, describe} = entry;
		const names = new Set([commandName(entry), ...(entry.aliases ?? [])]);
		const usages = [usage, ...(entry.aliases ?? [])];
		// A command's options are needed only where its name is typed, be it to run it, for its help or for completion.
		if (!argv.some(word => names.has(word))) {
			parser.command(usages, describe);
			continue;
		}
		const command = await entry.load();
		parser.command(
			usages,
			describe,
			child => buildCommand(command, entry, child),
			async args => {
				code = await runCommand(command, args);
			},
		);
	}
	parser.completion('completion', 'Print a script that completes tintype in bash or zsh');
	await parser.parseAsync();
	return code;
}

function configure(parser: Argv, argv: readonly string[]): Argv {
	return parser
		.scriptName('tintype')
		.usage(
			'tintype COMMAND IMAGE ...\n\nOpens any disk image: look inside, take files out, convert it, mount it read-only.',
		)
		.parserConfiguration({
			'dot-notation': false,
			'greedy-arrays': false,
			'parse-numbers': false,
			'parse-positional-numbers': false,
		})
		.detectLocale(false)
		.wrap(Math.min(LONGEST_LINE, process.stdout.columns || LONGEST_LINE))
		.version(false)
		.option('version', {type: 'boolean', describe: 'Show the version; with --verbose, of all that it runs on'})
		.option('verbose', {type: 'boolean', hidden: true})
		.help()
		.alias('help', 'h')
		.example('$0 info disk.vhdx', 'what is in it?')
		.example('$0 cp disk.vhdx /3/Users/alice/letter.txt .', 'take one file out')
		.example('$0 convert disk.raw disk.vhdx', 'for Hyper-V')
		.example('$0 mount disk.vhdx /mnt', 'look around with any program')
		.epilogue(EPILOGUE)
		.demandCommand(1, 'no command was given')
		.recommendCommands()
		.strict()
		.exitProcess(false)
		.showHelpOnFail(false)
		.fail((message: string | null, error: Error | undefined) => {
			throw error instanceof DiskError ? error : usageError(error?.message ?? message ?? '', argv, entryNamed(argv[0]));
		});
}

const EPILOGUE =
	`Paths in an image are those of the mount: /3-Windows/Users, or by the number alone /3/Users. A path without a
volume is looked for in every volume.

Exit codes: 0 good, 1 difference or damage found, 2 wrong usage, 3 cannot read, 4 unsupported, 5 refused,
6 cannot write, 70 a mistake in tintype, 130 interrupted. See docs/exit-codes.md.`.replaceAll(
		/(?<=[^\n])\n(?=[^\n])/g,
		' ',
	);

function buildCommand(command: Command, entry: CommandEntry, parser: Argv): Argv {
	const built = command.build(parser.usage(`tintype ${entry.usage}\n\n${entry.describe}.`));
	for (const [line, purpose] of command.examples) built.example(`$0 ${line}`, purpose);
	return built.check(args => checkRepeated(args, built));
}

/** yargs makes an array of an option given twice; only those that are declared as arrays may be. */
function checkRepeated(args: ArgumentsCamelCase, parser: Argv): true {
	const declared = (parser as unknown as {getOptions(): {array: string[]}}).getOptions().array;
	const arrays = new Set([...declared, ...REPEATABLE]);
	for (const [name, value] of Object.entries(args)) {
		if (name === '_' || !Array.isArray(value) || arrays.has(name)) continue;
		if (arrays.has(name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`))) continue;
		throw new DiskError('invalid', 'cli/repeated', `--${name} is given more than once`);
	}
	return true;
}

function entryNamed(word: string | undefined): CommandEntry | undefined {
	return ALL_COMMANDS.find(entry => commandName(entry) === word || entry.aliases?.includes(word ?? ''));
}
