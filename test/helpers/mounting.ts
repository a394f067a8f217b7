import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import process from 'node:process';
import {createInterface} from 'node:readline';
import type {ExecutionContext, Implementation, TestFn} from 'ava';
import {readMountTable} from '../../mount/attach/mount-table.ts';
import {type FileSystemFactory, mount, type Mounted, type MountOptions} from '../../mount/index.ts';
import {unmountFileSystem} from '../../src/core/system/mount.ts';
import type {MemoryOptions} from './memory-file-system.ts';
import type {MountScriptEvent, MountScriptOrder} from './mount-script.ts';
import {temporaryFolder} from './temporary.ts';
import {findTool, run, testWith} from './tools.ts';

export const MEMORY_FACTORY: FileSystemFactory = {
	module: new URL('memory-file-system.ts', import.meta.url).href,
	export: 'openMemoryFileSystem',
};

export const HOSTILE_FACTORY: FileSystemFactory = {
	module: new URL('mount-hostile.ts', import.meta.url).href,
	export: 'openHostileFileSystem',
};

export const isRoot = process.geteuid?.() === 0;

/** Declares a test that mounts: with root's own means, or with fusermount3. */
export function testMounting<Context>(
	test: TestFn<Context>,
	tools: readonly string[],
	title: string,
	implementation: Implementation<[], Context>,
): void {
	if (existsSync('/dev/fuse')) testWith(test, isRoot ? tools : ['fusermount3', ...tools], title, implementation);
	else if (process.env['CI'] === 'true') test(title, (t: ExecutionContext<Context>) => t.fail('there is no /dev/fuse'));
	else test.skip(`${title} (there is no /dev/fuse)`, implementation);
}

export function isMounted(folder: string): boolean {
	return readMountTable().some(entry => entry.directory === folder);
}

/** Takes away whatever a failed test left. */
function clear(folder: string): void {
	if (!isMounted(folder)) return;
	if (isRoot) unmountFileSystem(folder, 'by force');
	else run('fusermount3', ['-u', '-z', folder]);
}

/** A file system, mounted by this process until the test ends. */
export async function mountFactory(
	t: ExecutionContext,
	factory: FileSystemFactory,
	argument: unknown,
	options: MountOptions = {},
): Promise<Mounted> {
	const folder = temporaryFolder(t);
	t.teardown(() => clear(folder));
	const mounted = await mount(factory, argument, folder, options);
	t.teardown(() => mounted.unmount());
	return mounted;
}

export function mountMemory(
	t: ExecutionContext,
	options: MountOptions = {},
	argument: MemoryOptions = {},
): Promise<Mounted> {
	return mountFactory(t, MEMORY_FACTORY, argument, options);
}

/** Runs a command in another process: whoever asks a mount that hangs cannot do anything else. */
export function ask(command: string, ...args: string[]): Promise<{code: number | null; out: Buffer; said: string}> {
	return new Promise((resolve, reject) => {
		const child = spawn(findTool(command) ?? command, args, {
			stdio: ['ignore', 'pipe', 'pipe'],
			env: {...process.env, LC_ALL: 'C.UTF-8'},
		});
		const out: Buffer[] = [];
		let said = '';
		child.stdout.on('data', (part: Buffer) => out.push(part));
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			said += text;
		});
		child.once('error', reject);
		child.once('close', code => resolve({code, out: Buffer.concat(out), said}));
	});
}

/** Another process that has the memory file system mounted. */
export interface MountProcess {
	readonly child: ChildProcess;
	readonly folder: string;
	/** All that it said until now. */
	readonly events: readonly MountScriptEvent[];
	/** Its exit code, or the signal that ended it. */
	readonly exit: Promise<number | string>;
	/** What it wrote to standard error. */
	readonly complaints: () => string;
	/** Waits until it says this. */
	readonly said: (kind: MountScriptEvent['kind']) => Promise<MountScriptEvent>;
}

export interface MountProcessOptions extends Omit<MountScriptOrder, 'directory'> {
	readonly folder?: string;
	/** A command that runs the command after it, such as setpriv. */
	readonly through?: readonly string[];
}

/** Starts a process that mounts, for tests of how such processes live and die. It is ended with the test. */
export function startMount(t: ExecutionContext, options: MountProcessOptions = {}): MountProcess {
	const {folder = temporaryFolder(t), through = [], ...order} = options;
	const script = new URL('mount-script.ts', import.meta.url).pathname;
	const [command, ...args] = [
		...through,
		process.execPath,
		script,
		JSON.stringify({...order, directory: folder} satisfies MountScriptOrder),
	];
	const child = spawn(findTool(command) ?? command, args, {stdio: ['ignore', 'pipe', 'pipe']});
	const events: MountScriptEvent[] = [];
	const waiting: (() => void)[] = [];
	let complaints = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		complaints += text;
	});
	createInterface(child.stdout).on('line', line => {
		events.push(JSON.parse(line) as MountScriptEvent);
		for (const wake of waiting.splice(0)) wake();
	});
	const exit = new Promise<number | string>(resolve => {
		child.once('close', (code, signal) => {
			resolve(code ?? signal ?? 'unknown');
			for (const wake of waiting.splice(0)) wake();
		});
	});
	t.teardown(async () => {
		if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
		await exit;
		clear(folder);
	});
	return {
		child,
		folder,
		events,
		exit,
		complaints: () => complaints,
		async said(kind) {
			for (;;) {
				const found = events.find(event => event.kind === kind);
				if (found) return found;
				if (child.exitCode !== null || child.signalCode !== null) {
					throw new Error(`the mounting process ended without saying ${kind}: ${complaints}${JSON.stringify(events)}`);
				}
				await new Promise<void>(resolve => {
					waiting.push(resolve);
				});
			}
		},
	};
}
