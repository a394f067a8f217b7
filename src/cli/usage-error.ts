import {DiskError} from '../core/error.ts';
import type {CommandEntry} from './command.ts';

interface Rewrite {
	readonly pattern: RegExp;
	rewrite(match: RegExpExecArray, argv: readonly string[]): {readonly message: string; readonly hint?: string};
}

/** What yargs says, and what tintype says instead: one clause about what was typed. */
const REWRITES: readonly Rewrite[] = [
	{
		pattern: /^Not enough non-option arguments/,
		rewrite: () => ({message: 'an operand is missing'}),
	},
	{
		pattern: /^Not enough arguments following: (.+)/,
		rewrite: ([, name = '']) => ({message: `--${name} needs a value`}),
	},
	{
		pattern: /Argument: ([^,]+), Given: (.*), Choices: (.+)/,
		rewrite: ([, name = '', given = '', choices = '']) => ({
			message: `--${name} does not take ${given.replaceAll('"', '')}`,
			hint: `it takes ${choices.replaceAll('"', '')}`,
		}),
	},
	{
		pattern: /^Unknown (?:argument|command)s?: (.+)/,
		rewrite([, names = ''], argv) {
			const [first = ''] = names.split(', ');
			const option = argv.find(word => word.startsWith('-') && word.replace(/^-+/, '').split('=', 1)[0] === first);
			if (option !== undefined) return {message: `there is no option ${option.split('=', 1)[0]}`};
			return {message: argv[0] === first ? `there is no command ${first}` : `${first} is one operand too many`};
		},
	},
	{
		pattern: /^Did you mean (.+)\?/,
		rewrite: ([, command = ''], argv) => ({
			message: `there is no command ${argv.find(word => !word.startsWith('-')) ?? ''}`,
			hint: `did you mean ${command}?`,
		}),
	},
];

/** A failure to understand the command line. `entry` is the command that was typed, if it is one. */
export function usageError(said: string, argv: readonly string[], entry: CommandEntry | undefined): DiskError {
	for (const candidate of REWRITES) {
		const match = candidate.pattern.exec(said);
		if (match === null) continue;
		const {message, hint = usageHint(entry)} = candidate.rewrite(match, argv);
		return new DiskError('invalid', 'cli/usage', message, {hint});
	}
	return new DiskError('invalid', 'cli/usage', said.replaceAll(/\s*\n\s*/g, '; '), {hint: usageHint(entry)});
}

function usageHint(entry: CommandEntry | undefined): string {
	if (entry === undefined) return 'tintype --help';
	return `tintype ${entry.usage}; all options: tintype ${entry.usage.split(' ', 1)[0]} --help`;
}
