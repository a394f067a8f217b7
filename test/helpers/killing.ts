import {once} from 'node:events';
import {statSync} from 'node:fs';
import {Worker} from 'node:worker_threads';
import {exitCode, startTintype} from '../cli/run-tintype.ts';
import type {Random} from '../fuzz/random.ts';
import {type KillOrder, signatureOf} from './killer.worker.ts';

/** How many kills came when. */
export interface Landed {
	before: number;
	inside: number;
	after: number;
}

/** A run that is not killed: when something is written first, and when all is done. */
export interface Measured {
	readonly begins: number;
	readonly ends: number;
	/** Bytes of what it wrote; 0 where that grows no more. */
	readonly size: number;
}

function start(args: readonly string[]): {pid: number; ended: Promise<number | null>; said: () => string} {
	const child = startTintype(args);
	let said = '';
	child.stdout?.resume();
	child.stderr?.on('data', text => {
		said += String(text);
	});
	if (child.pid === undefined) throw new Error('the program did not start');
	return {pid: child.pid, ended: exitCode(child), said: () => said};
}

/** Waits until an unkilled run has written something to `watch`, then for its end. */
export async function measure(args: readonly string[], watch: string, written?: string): Promise<Measured> {
	const earlier = signatureOf(watch);
	const started = performance.now();
	const {ended, said} = start(args);
	let begins: number | undefined;
	const timer = setInterval(() => {
		if (begins === undefined && signatureOf(watch) !== earlier) begins = performance.now() - started;
	}, 1);
	const code = await ended;
	clearInterval(timer);
	if (code !== 0) throw new Error(`tintype ${args.join(' ')} ended with ${code}: ${said()}`);
	const ends = performance.now() - started;
	return {begins: begins ?? ends, ends, size: written === undefined ? 0 : statSync(written).size};
}

/**
 * Kills a run at some moment: most of them while it writes, some of these when so much is written, some before, some when
 * it may be done. A thread does it, since this one compares disks meanwhile. Says whether the run had ended by then.
 */
export async function killed(
	args: readonly string[],
	{begins, ends, size}: Measured,
	watch: string,
	random: Random,
): Promise<boolean> {
	const way = random.below(10);
	const earlier = signatureOf(watch);
	const bySize = size > 0 && way >= 1 && way <= 5;
	const during = bySize ? (ends - begins) / 10 : (ends - begins) * (way === 9 ? 1.5 : 0.9);
	const wait = random.below(Math.max(1, way === 0 ? begins : during));
	const {pid, ended, said} = start(args);
	const order: KillOrder = {
		pid,
		watch: way === 0 ? undefined : watch,
		earlier,
		size: bySize ? random.below(size) : 0,
		wait,
	};
	const killer = new Worker(new URL('killer.worker.ts', import.meta.url), {workerData: order});
	await once(killer, 'exit');
	const code = await ended;
	if (code !== null && code !== 0) throw new Error(`tintype ${args.join(' ')} ended with ${code}: ${said()}`);
	return code === 0;
}
