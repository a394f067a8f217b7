import {spawn} from 'node:child_process';
import {join} from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import type {ExecutionContext} from 'ava';

/** What one operation on a hostile image may take. */
const LONGEST_MILLISECONDS = 5000;
const MOST_MEMORY = 512 << 20;

/** The run's first seed: fixed, so that a failure repeats; TINTYPE_SEED=1234 looks elsewhere. */
const FIRST_SEED = Number(process.env['TINTYPE_SEED'] ?? 1);

/**
 * Runs seeds in a child process and fails on a crash, a hang, a foreign exception or too much memory. Its script gets `args`,
 * the first seed and their count; it prints `seed N` before each, and `outcomes` and `peak` at the end. Returns the outcomes.
 */
export async function runSeeds(
	t: ExecutionContext,
	script: string,
	args: readonly string[],
	count: number,
): Promise<Readonly<Record<string, number>>> {
	t.timeout(300_000);
	const program = [join(import.meta.dirname, script), ...args, String(FIRST_SEED), String(count)];
	const child = spawn(process.execPath, program, {stdio: ['ignore', 'pipe', 'pipe']});
	let said = '';
	child.stderr.on('data', part => {
		said += String(part);
	});
	let seed = 'before the first seed';
	let hung = false;
	const rest = new Map<string, string>();
	const kill = (): void => {
		hung = true;
		child.kill('SIGKILL');
	};
	// The first seed includes the start of the process.
	let timer = setTimeout(kill, LONGEST_MILLISECONDS * 3);
	const ended = new Promise<number | null>(resolve => {
		child.on('close', resolve);
	});
	for await (const line of createInterface({input: child.stdout})) {
		clearTimeout(timer);
		timer = setTimeout(kill, LONGEST_MILLISECONDS);
		const [word = '', value = ''] = line.split(/ (.*)/);
		if (word === 'seed') seed = value;
		else rest.set(word, value);
	}
	const code = await ended;
	clearTimeout(timer);
	t.log(`seeds ${FIRST_SEED} to ${FIRST_SEED + count - 1}: ${rest.get('outcomes')}`);
	t.false(hung, `seed ${seed} took more than ${LONGEST_MILLISECONDS} ms`);
	t.is(code, 0, `seed ${seed}: ${said}`);
	const peak = Number(rest.get('peak'));
	t.true(peak < MOST_MEMORY, `${peak} bytes of memory at the peak`);
	return JSON.parse(rest.get('outcomes') ?? '{}') as Record<string, number>;
}
