import type {Worker} from 'node:worker_threads';
import {serializeError, type SerializedError} from '../core/error.ts';
import {startWorker} from '../core/start-worker.ts';

/** What is known of a thread that threw, died or could not be started. */
export interface FailedReport {
	readonly kind: 'failed';
	readonly error: SerializedError;
}

/**
 * Runs a worker from a module beside the caller's (`startWorker`), and resolves with the one message that it posts.
 * Resolves when the thread has ended: until then it may still write. `onFailure` is told at once of one that dies or
 * cannot be started, so that others need not wait for it.
 */
export async function runWorker<Report>(
	path: string,
	base: string,
	task: unknown,
	onFailure: () => void = () => {},
): Promise<Report | FailedReport> {
	function failed(error: unknown): FailedReport {
		onFailure();
		return {kind: 'failed', error: serializeError(error)};
	}
	return new Promise(resolve => {
		let report: Report | FailedReport | undefined;
		let worker: Worker;
		try {
			worker = startWorker(path, base, {workerData: task});
		} catch (error) {
			resolve(failed(error));
			return;
		}
		worker.on('message', (message: Report) => {
			report = message;
		});
		worker.on('error', error => {
			report ??= failed(error);
		});
		worker.on('exit', () => resolve(report ?? failed(new Error(`${path} ended without a word`))));
	});
}
