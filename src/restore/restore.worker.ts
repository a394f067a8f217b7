import {parentPort, workerData} from 'node:worker_threads';
import {serializeError} from '../core/error.ts';
import {openRecipeDisk} from '../image/image.ts';
import {Aborted, openState, type RestoreReport, type RestoreTask} from './job.ts';
import {writeDisk} from './write.ts';

function report({recipe, target, patches, options, shared}: RestoreTask): RestoreReport {
	try {
		const disk = openRecipeDisk(recipe);
		return {kind: 'done', outcome: writeDisk(disk, target, patches, options, openState(shared))};
	} catch (error) {
		return error instanceof Aborted ? {kind: 'aborted'} : {kind: 'failed', error: serializeError(error)};
	}
}

parentPort?.postMessage(report(workerData as RestoreTask));
