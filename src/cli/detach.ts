import {spawn} from 'node:child_process';
import process from 'node:process';
import {deserializeError} from '../core/error.ts';
import {type Instruction, MARK, type Message} from './background.ts';
import type {Context} from './command.ts';
import {ExitCode, exitCodeOf} from './exit-code.ts';
import {outLine} from './output.ts';

/**
 * Starts this very command again in a process of its own, and returns when that is ready or has failed. `images` are
 * the paths of those that it opens.
 */
export async function runInBackground(context: Context, images: readonly string[]): Promise<ExitCode> {
	const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
		detached: true,
		// Nothing of the caller's is kept open: whoever reads its output would wait for the unmount.
		stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
		env: {...process.env, [MARK]: '1'},
		serialization: 'advanced',
	});
	const stop = (): void => void child.kill('SIGTERM');
	context.signal.addEventListener('abort', stop);
	try {
		const {promise, resolve, reject} = Promise.withResolvers<Message>();
		child.on('message', message => resolve(message as Message));
		child.on('error', reject);
		child.on('exit', (code, signal) => {
			reject(new Error(`the background process ended with ${signal ?? code} before it was ready`));
		});
		const secrets = images.map(path => [path, context.secretOf(path)] as const);
		const instruction: Instruction = {
			opening: new Map(secrets.flatMap(([path, secret]) => (secret === undefined ? [] : [[path, secret]]))),
		};
		// A child that is gone already is told by its exit.
		child.send(instruction, () => {});
		const message = await promise;
		context.signal.throwIfAborted();
		if (message.kind === 'failed') {
			const error = deserializeError(message.error);
			context.error(error);
			return exitCodeOf(error);
		}
		for (const line of message.text) outLine(line);
		outLine('unmount it with tintype umount');
		return ExitCode.good;
	} finally {
		context.signal.removeEventListener('abort', stop);
		if (child.connected) child.disconnect();
		child.unref();
	}
}
