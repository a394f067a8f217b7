/**
 * Runs competitors in turn, several times, and prints medians and ratios. Timings on a shared machine are noisy: only
 * ratios within one run mean anything.
 */
import {spawnSync} from 'node:child_process';
import {closeSync, fsyncSync, openSync, rmSync, statSync} from 'node:fs';
import {cpus, totalmem} from 'node:os';
import process from 'node:process';

export interface Competitor {
	readonly name: string;
	readonly command: readonly string[];
	/** What it writes: removed before each run, and synced at the end of its time. */
	readonly output?: string;
	/** Run before the time starts. */
	readonly before?: () => void;
}

export interface Round {
	readonly seconds: number;
	/** Until the data is on disk. */
	readonly synced: number;
	/** Processor seconds, user and system. */
	readonly cpu: number;
	/** Peak memory in MiB. */
	readonly memory: number;
}

export interface Score {
	readonly name: string;
	readonly rounds: readonly Round[];
	/** Medians. */
	readonly seconds: number;
	readonly synced: number;
	readonly cpu: number;
	readonly memory: number;
	readonly outputBytes: number;
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)];
}

function syncFile(path: string): void {
	const descriptor = openSync(path, 'r');
	fsyncSync(descriptor);
	closeSync(descriptor);
}

function run({command, output, before}: Competitor): Round {
	if (output !== undefined) rmSync(output, {force: true});
	before?.();
	const [program = '', ...args] = command;
	const start = performance.now();
	const result = spawnSync('/usr/bin/time', ['-f', '%U %S %M', program, ...args], {
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const seconds = (performance.now() - start) / 1000;
	if (result.status !== 0) throw new Error(`${command.join(' ')}: ${result.stderr.toString()}`);
	if (output !== undefined) syncFile(output);
	const synced = (performance.now() - start) / 1000;
	const [user = 0, system = 0, peak = 0] =
		result.stderr.toString().trim().split('\n').at(-1)?.split(' ').map(Number) ?? [];
	return {seconds, synced, cpu: user + system, memory: peak / 1024};
}

/** Runs all competitors in turn, `times` times; the first one is what the others are compared with. */
export function compete(title: string, competitors: readonly Competitor[], times = 3): Score[] {
	const rounds = competitors.map(() => [] as Round[]);
	for (let time = 0; time < times; time++) {
		for (const [index, competitor] of competitors.entries()) rounds[index].push(run(competitor));
	}
	const scores = competitors.map(({name, output}, index): Score => {
		const own = rounds[index];
		return {
			name,
			rounds: own,
			seconds: median(own.map(round => round.seconds)),
			synced: median(own.map(round => round.synced)),
			cpu: median(own.map(round => round.cpu)),
			memory: median(own.map(round => round.memory)),
			outputBytes: output === undefined ? 0 : statSync(output).blocks * 512,
		};
	});
	print(title, scores);
	for (const {output} of competitors) if (output !== undefined) rmSync(output, {force: true});
	return scores;
}

function print(title: string, scores: readonly Score[]): void {
	const [peer] = scores;
	console.log(`\n### ${title}\n`);
	console.log('| | until on disk | ratio | without sync | CPU | memory | size |');
	console.log('|---|---|---|---|---|---|---|');
	for (const {name, seconds, synced, cpu, memory, outputBytes} of scores) {
		const cells = [
			name,
			`${synced.toFixed(2)} s`,
			`${(peer.synced / synced).toFixed(2)} x`,
			`${seconds.toFixed(2)} s`,
			`${cpu.toFixed(2)} s`,
			`${memory.toFixed(0)} MiB`,
			outputBytes === 0 ? '' : `${(outputBytes / 2 ** 20).toFixed(0)} MiB`,
		];
		console.log(`| ${cells.join(' | ')} |`);
	}
	console.log('\nAll rounds, until on disk:');
	for (const {name, rounds} of scores) {
		console.log(`- ${name}: ${rounds.map(({synced}) => synced.toFixed(2)).join(', ')} s`);
	}
}

/** Runs a command that has to succeed, outside all timing. */
export function must([program = '', ...args]: readonly string[]): string {
	const {status, stdout, stderr} = spawnSync(program, args, {encoding: 'utf8', maxBuffer: 1 << 26});
	if (status !== 0) throw new Error(`${program}: ${stderr}`);
	return stdout;
}

/** The machine, for the head of a table. */
export function machine(): string {
	const [cpu] = cpus();
	return `${cpus().length} x ${cpu?.model ?? 'processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}
