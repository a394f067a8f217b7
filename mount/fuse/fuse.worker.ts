import {readSync, writeSync} from 'node:fs';
import {parentPort, workerData} from 'node:worker_threads';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {DiskError, type ErrorFamily, serializeError} from '../../src/core/error.ts';
import type {FileSystem} from '../../src/core/file-system.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {Errno} from './errno.ts';
import {inFlight} from './in-flight.ts';
import {opcodeName} from './opcodes.ts';
import {printReply, printRequest} from './print.ts';
import {newProblemFilter} from './problems.ts';
import {newReply} from './reply.ts';
import {newRequest, parseRequest, type Request} from './request.ts';
import {createServer} from './server.ts';
import type {WorkerData, WorkerMessage} from './worker-data.ts';

const data = workerData as WorkerData;
const {device, trace} = data;

/** Families that say something about the image or the system, rather than about the question. */
const TOLD: ReadonlySet<ErrorFamily> = new Set(['corrupt', 'unsupported', 'out-of-range', 'io', 'refused']);
const isNew = newProblemFilter();

function tell(message: WorkerMessage): void {
	parentPort?.postMessage(message);
}

function report(error: unknown, request: Request): void {
	if (error instanceof DiskError && !TOLD.has(error.family)) return;
	const problem = {error: serializeError(error), request: opcodeName(request.opcode), node: request.node};
	if (isNew(problem)) tell({kind: 'problem', problem});
}

async function openFileSystem(): Promise<FileSystem> {
	const {factory} = data;
	const module = (await import(factory.module)) as Readonly<Record<string, unknown>>;
	const open = module[factory.export];
	if (typeof open !== 'function') throw new TypeError(`${factory.module} has no function ${factory.export}`);
	return (open as (argument: unknown) => FileSystem)(data.argument);
}

/** The length of the next request, or undefined when the device is gone. */
function nextRequest(buffer: Uint8Array): number | undefined {
	for (;;) {
		try {
			return readSync(device, buffer, 0, buffer.length, null);
		} catch (error) {
			switch (errnoName(error)) {
				// Unmounted; aborted.
				case 'ENODEV':
				case 'ECONNABORTED':
					return undefined;
				// Interrupted; the request was taken back before it was read.
				case 'EINTR':
				case 'ENOENT':
				case 'EAGAIN':
					continue;
				default:
					throw error;
			}
		}
	}
}

function writeReply(bytes: Uint8Array, length: number): void {
	if (trace) tell({kind: 'trace', line: printReply(viewOf(bytes))});
	try {
		writeSync(device, bytes, 0, length);
	} catch (error) {
		// ENOENT: nobody waits for this reply any more. Gone altogether: the next read says so.
		const name = errnoName(error);
		if (name !== 'ENOENT' && name !== 'ENODEV' && name !== 'ECONNABORTED') throw error;
	}
}

/** Answers until the device is gone. Returns false when the watcher has taken this worker's request over. */
function serve(fileSystem: FileSystem): boolean {
	const request = newRequest();
	const slot = inFlight(data.inFlight);
	const reply = newReply(writeReply);
	const server = createServer(fileSystem, reply, {...data, report});
	for (;;) {
		const length = nextRequest(request.buffer);
		if (length === undefined) return true;
		if (!parseRequest(request, length)) continue;
		slot.begin(request.uniqueLow, request.uniqueHigh, request.opcode, request.node);
		if (trace) tell({kind: 'trace', line: printRequest(request)});
		try {
			server.handle(request);
		} catch (error) {
			report(error, request);
			reply.fail(request, Errno.EIO);
		}
		if (!slot.end()) return false;
	}
}

try {
	const fileSystem = await openFileSystem();
	tell({kind: 'ready'});
	if (serve(fileSystem)) tell({kind: 'ended'});
} catch (error) {
	tell({kind: 'failed', error: serializeError(error)});
}
