import {closeSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import process from 'node:process';
import {setTimeout as delay} from 'node:timers/promises';
import {DiskError} from '../src/core/error.ts';
import {attach} from './attach/attach.ts';
import {mountedAt, readMountTable} from './attach/mount-table.ts';
import {checkTarget} from './attach/target.ts';
import {abortConnection, detachNow, unmount} from './attach/unmount.ts';
import {handshake} from './fuse/handshake.ts';
import type {FileSystemFactory, Problem} from './fuse/worker-data.ts';
import {atExit} from './exit.ts';
import {createPool, type Pool} from './pool.ts';

export {unmount, type UnmountResult} from './attach/unmount.ts';
export {exitNow} from './exit.ts';
export {listMounts, type ListedMount} from './list-mounts.ts';
export type {FileSystemFactory, Problem} from './fuse/worker-data.ts';

export interface MountOptions {
	/** What the mount table shows as mounted: the image's path. */
	readonly source?: string;
	/** `mounter` (default): files belong to `uid` and `gid` and are readable. `image`: owners and modes of the image. */
	readonly owner?: 'mounter' | 'image';
	/** Default: those of this process. */
	readonly uid?: number;
	readonly gid?: number;
	/** Permission bits taken from everybody, for owner `mounter`: 0o077 shows the files to their owner alone. Default: 0. */
	readonly umask?: number;
	/** Let other users in, as permissions allow. */
	readonly allowOther?: boolean;
	/** Threads that serve. Default: one per core, at least 2, at most 4. */
	readonly workers?: number;
	/** Milliseconds after which a request is answered EIO and its worker replaced. Default: 30,000. */
	readonly patience?: number;
	/** Megabytes of JavaScript heap that one worker may use. Default: 1024. */
	readonly heap?: number;
	/** Told of damage, defects and workers that had to be replaced, as requests meet them. */
	readonly onProblem?: (problem: Problem) => void;
	/** Told one line for every request and every reply. Slow. */
	readonly onTrace?: (line: string) => void;
	/** Gives up while the mount is being made. */
	readonly signal?: AbortSignal;
}

/**
 * Why a mount ended.
 *
 * - `unmounted`: by `Mounted.unmount`, by umount or by fusermount3
 * - `busy`: `Mounted.unmount` was called, and files in it are still open; nobody sees it any more, and they fail when
 *   the process ends
 * - `failed`: no worker could be kept alive; `error` says why
 */
export interface MountEnd {
	readonly reason: 'unmounted' | 'busy' | 'failed';
	readonly error?: Error;
}

export interface Mounted {
	/** The real path that it is mounted on. */
	readonly directory: string;
	/** Resolves when it is over; never rejects. */
	readonly closed: Promise<MountEnd>;
	/** Unmounts, and returns when that is done; with files still open, after at most 4 s. */
	unmount(): Promise<void>;
}

const PATIENCE = 30_000;
const HEAP = 1024;
const MOST_WORKERS = 4;
/** Milliseconds that workers may take to see that the device is gone, by itself or ended by force. */
const FAREWELL = 2000;

/**
 * Mounts a file system read-only. Every worker opens it for itself: it imports `factory.module` and calls the export
 * with a clone of `argument`. Throws DiskError when it cannot be mounted, or what the factory throws; then nothing
 * stays mounted.
 */
export async function mount(
	factory: FileSystemFactory,
	argument: unknown,
	directory: string,
	options: MountOptions = {},
): Promise<Mounted> {
	const path = checkTarget(directory);
	const patience = options.patience ?? PATIENCE;
	options.signal?.throwIfAborted();
	const device = await attach(path, {source: options.source ?? 'tintype', allowOther: options.allowOther ?? false});
	const place: Place = {path, minor: mountedAt(path)?.minor};
	// However the process ends from here on, its workers must come out of their reads, or it never does.
	const dropAtExit = atExit(() => detachQuietly(place));
	let pool: Pool | undefined;
	try {
		options.signal?.throwIfAborted();
		const ownership = {
			owner: options.owner ?? 'mounter',
			uid: options.uid ?? process.getuid?.() ?? 0,
			gid: options.gid ?? process.getgid?.() ?? 0,
			umask: options.umask ?? 0,
		};
		pool = createPool({
			shared: {device, factory, argument, ownership, negotiated: handshake(device, ownership.owner)},
			workers: options.workers ?? Math.min(MOST_WORKERS, Math.max(2, availableParallelism())),
			patience,
			heap: options.heap ?? HEAP,
			onProblem: options.onProblem ?? (() => {}),
			onTrace: options.onTrace,
		});
		await unlessAborted(pool.start(), options.signal);
	} catch (error) {
		pool?.stop();
		detachQuietly(place);
		if (pool) await within(pool.ended, FAREWELL);
		closeSync(device);
		dropAtExit();
		throw error;
	}
	return whileMounted({place, device, pool, dropAtExit});
}

interface Place {
	readonly path: string;
	/** Names the connection, and tells this mount from others at the same path; undefined when it went at once. */
	readonly minor: number | undefined;
}

interface Attachment {
	readonly place: Place;
	readonly device: number;
	readonly pool: Pool;
	readonly dropAtExit: () => void;
}

function whileMounted({place, device, pool, dropAtExit}: Attachment): Mounted {
	const {path, minor} = place;
	let unmounting: Promise<void> | undefined;
	let over = false;
	const {promise: closed, resolve: settle} = Promise.withResolvers<MountEnd>();

	const finish = async (): Promise<void> => {
		const end = await pool.ended;
		if (end.reason === 'failed') detachQuietly(place);
		over = true;
		// The last descriptor: whatever still waits for an answer gets one from the kernel.
		closeSync(device);
		dropAtExit();
		settle(end.reason === 'failed' ? end : {reason: 'unmounted'});
	};
	const finished = finish();

	async function detach(): Promise<void> {
		// By now another mount may be here, which is not ours to unmount.
		if (over) return;
		pool.stop();
		try {
			if (isMounted(place)) await unmount(path);
		} catch (error) {
			// Somebody else was faster.
			if (!(error instanceof DiskError && error.code === 'attach/not-mounted')) throw error;
		}
		if (await within(finished, FAREWELL)) return;
		if (minor !== undefined && abortConnection(minor) && (await within(finished, FAREWELL))) return;
		settle({reason: 'busy'});
	}

	return {
		directory: path,
		closed,
		unmount() {
			unmounting ??= detach().catch((error: unknown) => {
				unmounting = undefined;
				throw error;
			});
			return unmounting;
		},
	};
}

function isMounted({path, minor}: Place): boolean {
	return readMountTable().some(entry => entry.directory === path && entry.minor === minor);
}

/** Takes the mount away, if it is still the one that is seen there; else only ends its requests. */
function detachQuietly({path, minor}: Place): void {
	try {
		if (minor === undefined) return;
		if (mountedAt(path)?.minor === minor) detachNow(path);
		else abortConnection(minor);
	} catch {
		// It is gone already.
	}
}

async function within(event: Promise<unknown>, milliseconds: number): Promise<boolean> {
	const timer = new AbortController();
	try {
		return await Promise.race([
			event.then(() => true),
			delay(milliseconds, false, {signal: timer.signal}).catch(() => false),
		]);
	} finally {
		timer.abort();
	}
}

/** Settles as `work` does; rejects at once when the signal fires. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
	const listening = new AbortController();
	const aborted = new Promise<never>((_, reject) => {
		signal?.addEventListener('abort', () => reject(signal.reason as Error), {signal: listening.signal});
	});
	try {
		await Promise.race([work, aborted]);
	} finally {
		listening.abort();
	}
}
