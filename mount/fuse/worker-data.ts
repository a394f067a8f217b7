import type {SerializedError} from '../../src/core/error.ts';
import type {InFlightMemory} from './in-flight.ts';
import type {Negotiated} from './negotiate.ts';
import type {Ownership} from './ownership.ts';

/** Names a function that opens a file system, so that every worker can open its own. */
export interface FileSystemFactory {
	/** The URL of the module. */
	readonly module: string;
	/** The name of an exported function: `(argument) => FileSystem`, synchronous. */
	readonly export: string;
}

/** What a worker is started with. */
export interface WorkerData {
	readonly device: number;
	readonly factory: FileSystemFactory;
	/** Given to the factory; whatever structured cloning can carry. */
	readonly argument: unknown;
	readonly ownership: Ownership;
	readonly negotiated: Negotiated;
	readonly inFlight: InFlightMemory;
	/** Send a line for every request and reply. */
	readonly trace: boolean;
}

/** A request that failed for a reason that somebody should hear of. */
export interface Problem {
	readonly error: SerializedError;
	/** What was asked: `READ`. */
	readonly request?: string;
	/** The inode number that the mount shows. */
	readonly node?: number;
}

/** What a worker says. */
export type WorkerMessage =
	| {readonly kind: 'ready'}
	| {readonly kind: 'failed'; readonly error: SerializedError}
	| {readonly kind: 'problem'; readonly problem: Problem}
	| {readonly kind: 'trace'; readonly line: string}
	/** The device is gone: there is nothing left to serve. */
	| {readonly kind: 'ended'};
