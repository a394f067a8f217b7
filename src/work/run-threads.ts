import {openQueue, type SharedQueue} from '../convert/queue.ts';
import {deserializeError} from '../core/error.ts';
import {type FailedReport, runWorker} from './run-worker.ts';

const PROGRESS_MILLISECONDS = 100;

export interface ThreadsOptions {
	readonly workers: number;
	/** Called with the position reached, a few times a second. */
	readonly onPosition: (position: number) => void;
	readonly signal: AbortSignal | undefined;
}

/** What a thread says at its end: `aborted` when another one failed, or somebody wished to end the work. */
type Report<Done> = Done | FailedReport | {readonly kind: 'aborted'};

/**
 * Runs one worker module in threads that share a queue, to the end of all of them, and resolves with what each came to.
 * The first error in the order of the threads ends the work, and is thrown; so is the reason of the signal.
 */
export async function runThreads<Done extends {readonly kind: 'done'}>(
	path: string,
	base: string,
	task: {readonly queue: SharedQueue},
	{workers, onPosition, signal}: ThreadsOptions,
): Promise<readonly Done[]> {
	const queue = openQueue(task.queue);
	const abort = () => queue.abort();
	const timer = setInterval(() => onPosition(queue.position), PROGRESS_MILLISECONDS);
	signal?.addEventListener('abort', abort);
	try {
		signal?.throwIfAborted();
		const reports = (await Promise.all(
			Array.from({length: workers}, () => runWorker<Report<Done>>(path, base, task, abort)),
		)) as readonly Report<Done>[];
		const failed = reports.find(report => report.kind === 'failed');
		if (failed !== undefined) throw deserializeError(failed.error);
		signal?.throwIfAborted();
		return reports.filter((report): report is Done => report.kind === 'done');
	} finally {
		clearInterval(timer);
		signal?.removeEventListener('abort', abort);
	}
}
