import {closeSync, writeSync} from 'node:fs';
import type {Worker} from 'node:worker_threads';
import {DiskError, deserializeError, serializeError} from '../src/core/error.ts';
import {viewOf} from '../src/core/bytes/layout.ts';
import {startWorker} from '../src/core/start-worker.ts';
import {cloneDevice} from './attach/device.ts';
import {OutHeader} from './fuse/abi.ts';
import {Errno} from './fuse/errno.ts';
import {type InFlightWatch, newInFlightMemory, watchInFlight} from './fuse/in-flight.ts';
import {opcodeName} from './fuse/opcodes.ts';
import {newProblemFilter} from './fuse/problems.ts';
import {writeOutHeader} from './fuse/reply.ts';
import type {Problem, WorkerData, WorkerMessage} from './fuse/worker-data.ts';

export interface PoolOptions {
	/** The connected device, and all that every worker is given alike. */
	readonly shared: Omit<WorkerData, 'inFlight' | 'trace'>;
	readonly workers: number;
	/** Milliseconds that one request may take. */
	readonly patience: number;
	/** Megabytes of JavaScript heap per worker. */
	readonly heap: number;
	readonly onProblem: (problem: Problem) => void;
	readonly onTrace: ((line: string) => void) | undefined;
}

/** `gone`: the device ended, by an unmount or an abort. `failed`: no worker can be kept alive. */
export type PoolEnd = {readonly reason: 'gone'} | {readonly reason: 'failed'; readonly error: Error};

export interface Pool {
	/** Resolves when every worker serves; rejects with the first error of one that could not start. */
	start(): Promise<void>;
	/** Resolves when no worker is left. */
	readonly ended: Promise<PoolEnd>;
	/** Starts no more workers: the mount is on its way out. */
	stop(): void;
}

interface Member {
	readonly worker: Worker;
	readonly watch: InFlightWatch;
	/** Its own descriptor, or the shared one. */
	readonly descriptor: number;
	ready: boolean;
	/** It said that the device is gone. */
	ended: boolean;
	/** Given up by the watchdog; its end concerns nobody. */
	abandoned: boolean;
	error: Error | undefined;
	/** The state at the last look, and for how many looks it has been the same. */
	state: number;
	looks: number;
}

/**
 * Megabytes for young objects: small, because V8 ends the whole process when one collection moves more of them than its
 * reserve holds.
 */
const YOUNG_HEAP = 16;
/** The watchdog looks this often within the patience for one request. */
const LOOKS = 30;
/** Replacements within a window: beyond it they wait, so that an image that kills workers cannot eat the machine. */
const MOST_REPLACEMENTS = 10;
const REPLACEMENT_WINDOW = 5000;
/** Replacements in a row that did not even start: then none will. */
const MOST_FAILED_STARTS = 5;

/**
 * Keeps workers on the device, and answers for those that die or do not come back: EIO to whoever waits, and a new
 * worker in their place. It cannot help where native code crashes: that ends the process.
 */
export function createPool(options: PoolOptions): Pool {
	const {shared, workers, patience, heap, onProblem, onTrace} = options;
	const members = new Set<Member>();
	const replacements: number[] = [];
	/** Every worker may meet the same damage. */
	const isNew = newProblemFilter();
	let failedStarts = 0;
	let pending = 0;
	let stopped = false;
	let gone = false;
	let watchdog: NodeJS.Timeout | undefined;
	const {promise: ended, resolve: finish} = Promise.withResolvers<PoolEnd>();

	function end(result: PoolEnd): void {
		clearInterval(watchdog);
		stopped = true;
		finish(result);
	}

	function endIfOver(): void {
		// One that was given up may sit in a system call for ever.
		if ((gone || stopped) && [...members].every(member => member.abandoned)) end({reason: 'gone'});
	}

	/** Starts a worker; settles once it serves or is known not to. */
	function launch(): Promise<void> {
		const memory = newInFlightMemory();
		const descriptor = cloneDevice(shared.device) ?? shared.device;
		const workerData: WorkerData = {...shared, device: descriptor, inFlight: memory, trace: onTrace !== undefined};
		const worker = startOrClose(descriptor, workerData);
		const member: Member = {
			worker,
			watch: watchInFlight(memory),
			descriptor,
			ready: false,
			ended: false,
			abandoned: false,
			error: undefined,
			state: 0,
			looks: 0,
		};
		members.add(member);
		return new Promise((resolve, reject) => {
			worker.on('message', (message: WorkerMessage) => {
				if (message.kind === 'ready') {
					member.ready = true;
					resolve();
				} else hear(member, message);
			});
			worker.on('error', error => {
				member.error = error instanceof Error ? error : new Error(String(error));
			});
			worker.once('exit', () => {
				members.delete(member);
				if (!member.ready) reject(member.error ?? new Error('a mount worker ended before it was ready'));
				leave(member);
			});
		});
	}

	function startOrClose(descriptor: number, workerData: WorkerData): Worker {
		try {
			return startWorker('./fuse/fuse.worker.ts', import.meta.url, {
				workerData,
				resourceLimits: {maxOldGenerationSizeMb: heap, maxYoungGenerationSizeMb: YOUNG_HEAP},
			});
		} catch (error) {
			release(descriptor);
			throw error;
		}
	}

	function release(descriptor: number): void {
		if (descriptor !== shared.device) closeSync(descriptor);
	}

	function hear(member: Member, message: Exclude<WorkerMessage, {kind: 'ready'}>): void {
		switch (message.kind) {
			case 'problem':
				if (isNew(message.problem)) onProblem(message.problem);
				break;
			case 'trace':
				onTrace?.(message.line);
				break;
			case 'failed':
				member.error = deserializeError(message.error);
				break;
			case 'ended':
				member.ended = true;
				gone = true;
				break;
		}
	}

	/** A worker's thread is over, for whatever reason. */
	function leave(member: Member): void {
		const {watch, descriptor} = member;
		if (!member.abandoned && !member.ended && member.ready) {
			answerFor(member, watch.state(), member.error ?? new Error('a mount worker died'));
			replace();
		}
		release(descriptor);
		endIfOver();
	}

	/** Answers EIO for the request that a worker has at `state`. False when it has none, or got on meanwhile. */
	function answerFor(member: Member, state: number, cause: Error): boolean {
		const held = member.watch.takeOver(state);
		if (held === undefined) {
			if (cause !== TOO_LONG) onProblem({error: serializeError(cause)});
			return false;
		}
		const header = new Uint8Array(OutHeader.size);
		writeOutHeader(viewOf(header), OutHeader.size, Errno.EIO, held.uniqueLow, held.uniqueHigh);
		try {
			writeSync(member.descriptor, header);
		} catch {
			// It was answered after all, or nobody waits any more.
		}
		onProblem({error: serializeError(cause), request: opcodeName(held.opcode), node: held.node});
		return true;
	}

	const TOO_LONG = new DiskError('io', 'mount/too-long', `a request was not answered within ${patience / 1000} s`);

	function look(): void {
		for (const member of members) {
			const state = member.watch.state();
			if (member.abandoned || state % 2 !== 1 || state !== member.state) {
				member.state = state;
				member.looks = 0;
				continue;
			}
			member.looks++;
			if (member.looks < LOOKS || !answerFor(member, state, TOO_LONG)) continue;
			member.abandoned = true;
			// Stops a loop in JavaScript. In a system call that never returns the thread stays, and counts as lost.
			void member.worker.terminate();
			replace();
		}
	}

	function replace(): void {
		if (stopped || gone) return;
		const now = performance.now();
		while (replacements.length > 0 && replacements[0] < now - REPLACEMENT_WINDOW) replacements.shift();
		const [oldest] = replacements;
		const wait = replacements.length < MOST_REPLACEMENTS ? 0 : oldest + REPLACEMENT_WINDOW - now;
		replacements.push(now + wait);
		pending++;
		setTimeout(() => {
			pending--;
			if (stopped || gone) return;
			void launchAgain();
		}, wait);
	}

	async function launchAgain(): Promise<void> {
		try {
			await launch();
			failedStarts = 0;
		} catch (error) {
			const cause = error instanceof Error ? error : new Error(String(error));
			onProblem({error: serializeError(cause)});
			failedStarts++;
			if (failedStarts < MOST_FAILED_STARTS) replace();
			else if (pending === 0 && ![...members].some(member => member.ready && !member.abandoned)) {
				end({reason: 'failed', error: cause});
			}
		}
	}

	return {
		ended,
		async start() {
			await Promise.all(Array.from({length: workers}, launch));
			watchdog = setInterval(look, patience / LOOKS).unref();
		},
		stop() {
			stopped = true;
			endIfOver();
		},
	};
}
