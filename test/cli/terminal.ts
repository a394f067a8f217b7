import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import {findTool} from '../helpers/tools.ts';

export interface Session {
	readonly child: ChildProcess;
	output(): string;
	/** Waits until the screen shows it, so many times. */
	shows(text: string, times?: number): Promise<void>;
	type(text: string): void;
	/** The exit code. */
	ended(): Promise<number>;
}

/** Runs a shell command on a terminal of its own. */
export function onTerminal(command: string, environment: Readonly<Record<string, string>>): Session {
	const child = spawn(findTool('script') ?? 'script', ['-qec', command, '/dev/null'], {
		stdio: ['pipe', 'pipe', 'inherit'],
		env: {...process.env, ...environment, SHELL: '/bin/sh', NODE_NO_WARNINGS: '1'},
	});
	let output = '';
	child.stdout?.on('data', chunk => {
		output += String(chunk);
	});
	const ending = once(child, 'close') as Promise<[number]>;
	return {
		child,
		output: () => output,
		async shows(text, times = 1) {
			const isShown = () => output.split(text).length > times;
			while (!isShown() && child.exitCode === null) await delay(5);
			if (!isShown()) throw new Error(`it ended without showing ${text}: ${output}`);
		},
		type: text => void child.stdin?.write(text),
		ended: async () => (await ending)[0],
	};
}
