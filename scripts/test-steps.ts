import {spawn} from 'node:child_process';
import process from 'node:process';
import {createInterface} from 'node:readline';

/** What is counted, over all steps. */
const totals = {passed: 0, failed: 0, skipped: 0};

interface Step {
	readonly title: string;
	readonly command: readonly string[];
}

const checks: readonly Step[] = [
	{title: 'format', command: ['biome', 'format']},
	{title: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings']},
	{title: 'types', command: ['tsc', '--noEmit']},
	{title: 'dead code', command: ['knip', '--no-progress']},
	{title: 'tables of the README', command: ['node', 'scripts/readme-tables.ts', '--check']},
];

/** Runs a step whose output matters only when it fails. */
async function check({title, command}: Step): Promise<void> {
	const [program = '', ...args] = command;
	const child = spawn(program, args, {stdio: ['ignore', 'pipe', 'pipe']});
	const output: Buffer[] = [];
	child.stdout.on('data', (part: Buffer) => output.push(part));
	child.stderr.on('data', (part: Buffer) => output.push(part));
	const code = await new Promise<number | null>((resolve, reject) => {
		child.on('error', reject);
		child.on('close', resolve);
	});
	const good = code === 0;
	totals[good ? 'passed' : 'failed'] += 1;
	console.log(`${good ? 'ok  ' : 'FAIL'} ${title}`);
	if (!good) process.stdout.write(Buffer.concat(output));
}

/** Runs the tests; passing ones stay quiet, all others are shown with what they say. */
async function runTests(files: readonly string[]): Promise<void> {
	const child = spawn('ava', ['--tap', ...files], {stdio: ['ignore', 'pipe', 'inherit']});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.on('error', reject);
		child.on('close', resolve);
	});
	let failures = 0;
	/** Whether the lines that follow explain a failed test. */
	let explaining = false;
	for await (const line of createInterface({input: child.stdout})) {
		const test = /^(not )?ok \d+ - (.*)$/.exec(line);
		if (test === null) {
			if (explaining && !/^(TAP|1\.\.|# (tests|pass|skip|fail))/.test(line)) console.log(line);
			continue;
		}
		const [, failed, title = ''] = test;
		const skipped = / # (SKIP|TODO)/i.test(title);
		if (skipped) totals.skipped += 1;
		else if (failed) totals.failed += 1;
		else totals.passed += 1;
		if (failed && !skipped) failures += 1;
		explaining = failed !== undefined && !skipped;
		if (explaining) console.log(`FAIL ${title}`);
		else if (skipped) console.log(`skip ${title}`);
	}
	const code = await ended;
	if (code !== 0 && failures === 0) {
		totals.failed += 1;
		console.log(`FAIL the test runner ended with ${code}`);
	}
}

const files = process.argv.slice(2);
if (files.length === 0) for (const step of checks) await check(step);
await runTests(files);
const {passed, failed, skipped} = totals;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
