import {closeSync, openSync, readSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext, type TestFn} from 'ava';
import {run, testWith} from '../helpers/tools.ts';

const isRoot = process.platform === 'linux' && process.getuid?.() === 0;

/** Declares a test that needs loop devices of its own; one after the other, since there are few. */
export function deviceTest(
	title: string,
	tools: readonly string[],
	body: (t: ExecutionContext) => Promise<void> | void,
): void {
	if (!isRoot) test.skip(`${title} (needs root)`, body);
	else testWith(test.serial as TestFn, ['losetup', ...tools], title, body);
}

/** Attaches a file to a loop device until the test ends. */
export async function attach(t: ExecutionContext, path: string, ...options: readonly string[]): Promise<string> {
	for (let attempt = 0; ; attempt++) {
		try {
			const device = run('losetup', ['--find', '--show', ...options, path]).trim();
			t.teardown(() => run('losetup', ['--detach', device]));
			return device;
		} catch (error) {
			// Others use the few devices too.
			if (attempt === 40) throw error;
			await delay(250);
		}
	}
}

/** Bytes of a file or device. */
export function bytesAt(path: string, position: number, length: number): Buffer {
	const bytes = Buffer.alloc(length);
	const descriptor = openSync(path, 'r');
	try {
		let done = 0;
		while (done < length) {
			const count = readSync(descriptor, bytes, done, length - done, position + done);
			if (count === 0) break;
			done += count;
		}
		return bytes.subarray(0, done);
	} finally {
		closeSync(descriptor);
	}
}
