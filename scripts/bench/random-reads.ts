/** `node random-reads.ts FILE COUNT READERS`: as many random reads of 4 KiB by each of so many threads. */
import {statSync} from 'node:fs';
import {once} from 'node:events';
import process from 'node:process';
import {Worker} from 'node:worker_threads';
import {PAGE} from './reads.worker.ts';

const [path = '', count = '1', readers = '1'] = process.argv.slice(2);
const pages = Math.floor(statSync(path).size / PAGE);
const worker = new URL('reads.worker.ts', import.meta.url);
await Promise.all(
	Array.from({length: Number(readers)}, async (_, reader) => {
		let state = reader + 1;
		const next = () => (state = (state * 48_271) % 2_147_483_647);
		const positions = Array.from({length: Number(count)}, () => (next() % pages) * PAGE);
		await once(new Worker(worker, {workerData: {path, positions}}), 'exit');
	}),
);
