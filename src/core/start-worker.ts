import {fileURLToPath} from 'node:url';
import {Worker, type WorkerOptions} from 'node:worker_threads';

/**
 * The URL of a module beside the one whose `import.meta.url` is given, written with its source extension:
 * `moduleUrl('./fuse.worker.ts', import.meta.url)`. Compiled modules find their compiled neighbour; the compiler
 * rewrites `import` paths, but not URLs.
 */
export function moduleUrl(path: string, base: string): URL {
	const compiled = fileURLToPath(base).endsWith('.js');
	return new URL(compiled ? path.replace(/\.ts$/, '.js') : path, base);
}

/** Starts a worker thread from a module beside the caller, whether that runs from source or compiled. */
export function startWorker(path: string, base: string, options: WorkerOptions = {}): Worker {
	// Flags of the main program, such as --input-type, are not for workers: they have modules of their own.
	return new Worker(moduleUrl(path, base), {execArgv: [], ...options});
}
