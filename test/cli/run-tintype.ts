import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';

export const PROGRAM = join(import.meta.dirname, '../../bin/tintype.js');

export interface Outcome {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

export interface TintypeOptions {
	readonly cwd?: string;
	readonly environment?: Readonly<Record<string, string>>;
}

/** Compiled sources are kept between runs: stripping types takes half of the time of a short command. */
const ENVIRONMENT = {NODE_COMPILE_CACHE: join(tmpdir(), 'tintype-test-cache/compiled'), TZ: 'UTC'};

/** Longest time for one run; a hang then fails the test instead of stopping all. */
const TIMEOUT = 60_000;

/** Runs the real program to its end. */
export function tintype(args: readonly string[], options: TintypeOptions = {}): Outcome {
	const {status, stdout, stderr, error} = spawnSync(process.execPath, [PROGRAM, ...args], {
		encoding: 'utf8',
		maxBuffer: 1 << 28,
		timeout: TIMEOUT,
		...(options.cwd !== undefined && {cwd: options.cwd}),
		env: {...process.env, ...ENVIRONMENT, ...options.environment},
	});
	if (error) throw error;
	return {code: status, stdout, stderr};
}

/** Runs it where it has to succeed, and gives its output. */
export function tintypeOutput(args: readonly string[], options: TintypeOptions = {}): string {
	const {code, stdout, stderr} = tintype(args, options);
	if (code !== 0) throw new Error(`tintype ${args.join(' ')} ended with ${code}: ${stderr}`);
	return stdout;
}

export function tintypeJson<Shape>(args: readonly string[]): Shape {
	return JSON.parse(tintypeOutput(args)) as Shape;
}

/** Starts it without waiting. */
export function startTintype(args: readonly string[], options: TintypeOptions = {}): ChildProcess {
	return spawn(process.execPath, [PROGRAM, ...args], {
		...(options.cwd !== undefined && {cwd: options.cwd}),
		env: {...process.env, ...ENVIRONMENT, ...options.environment},
		stdio: ['ignore', 'pipe', 'pipe'],
	});
}

export async function exitCode(child: ChildProcess): Promise<number | null> {
	if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
	await once(child, 'exit');
	return child.exitCode;
}

/** Runs it to its end in a session of its own, where there is no terminal to ask. */
export async function tintypeAlone(
	args: readonly string[],
	{input = '', ...options}: TintypeOptions & {readonly input?: string} = {},
): Promise<Outcome> {
	const child = spawn(process.execPath, [PROGRAM, ...args], {
		...(options.cwd !== undefined && {cwd: options.cwd}),
		env: {...process.env, ...ENVIRONMENT, ...options.environment},
		detached: true,
		timeout: TIMEOUT,
	});
	const texts = ['', ''];
	for (const [index, stream] of [child.stdout, child.stderr].entries()) {
		stream.setEncoding('utf8').on('data', (text: string) => {
			texts[index] += text;
		});
	}
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	const [code] = (await once(child, 'close')) as [number | null];
	const [stdout = '', stderr = ''] = texts;
	return {code, stdout, stderr};
}
