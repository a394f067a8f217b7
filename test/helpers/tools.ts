import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import process from 'node:process';
import type {ExecutionContext, Implementation, TestFn} from 'ava';

const CI = process.env['CI'] === 'true';

/** The path of a system tool, or undefined. */
export function findTool(name: string): string | undefined {
	const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
	return folders.map(folder => `${folder}/${name}`).find(path => existsSync(path));
}

/**
 * Declares a test that needs tools of the system. Where one is missing the test is skipped and says so; with CI=true
 * it fails instead, since an oracle that is not asked proves nothing.
 */
export function testWith<Context>(
	test: TestFn<Context>,
	tools: readonly string[],
	title: string,
	implementation: Implementation<[], Context>,
): void {
	const missing = tools.filter(tool => findTool(tool) === undefined);
	if (missing.length === 0) test(title, implementation);
	else if (CI) test(title, (t: ExecutionContext<Context>) => t.fail(`missing on this machine: ${missing.join(', ')}`));
	else test.skip(`${title} (missing on this machine: ${missing.join(', ')})`, implementation);
}

export interface RunOptions {
	readonly input?: string | Uint8Array;
	readonly cwd?: string;
	/** Exit codes that are fine; 0 only unless told. */
	readonly codes?: readonly number[];
	readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a tool to its end and returns its standard output; throws with all it said when it fails. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): string {
	return runBytes(command, args, options).toString('utf8');
}

export function runBytes(command: string, args: readonly string[], options: RunOptions = {}): Buffer {
	const result = spawnSync(findTool(command) ?? command, args, {
		input: options.input ?? '',
		...(options.cwd !== undefined && {cwd: options.cwd}),
		maxBuffer: 1 << 30,
		env: {...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...options.environment},
	});
	if (result.error) throw result.error;
	const codes = options.codes ?? [0];
	if (!codes.includes(result.status ?? -1)) {
		const said = `${result.stdout.toString('utf8').slice(-4000)}\n${result.stderr.toString('utf8').slice(-4000)}`;
		throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}\n${said}`);
	}
	return result.stdout;
}
