import {randomBytes} from 'node:crypto';
import {closeSync, openSync, statSync, truncateSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import type {KeptWork} from '../../src/convert/conversion.ts';
import {identify} from '../../src/identify/identify.ts';
import {openDisk, type OpenImageOptions} from '../../src/image/image.ts';
import {run} from '../helpers/tools.ts';

export const MIB = 1 << 20;

/** A checkpoint at every piece. */
export const OFTEN = {checkpointEvery: 1};

/** Noise, a long hole, and noise again, with some of the first in it once more. */
export function noisyDisk(path: string, size = 48 * MIB): string {
	const noise = randomBytes(12 * MIB);
	const descriptor = openSync(path, 'w');
	writeSync(descriptor, noise, 0, noise.length, 0);
	writeSync(descriptor, randomBytes(12 * MIB), 0, 12 * MIB, 28 * MIB);
	writeSync(descriptor, noise, 3 * MIB, 4 * MIB, 42 * MIB);
	closeSync(descriptor);
	truncateSync(path, size);
	return path;
}

/** A FAT volume with files in it, and old content in its free space. */
export function usedVolume(folder: string): string {
	const path = join(folder, 'volume.raw');
	writeFileSync(path, randomBytes(26 * MIB));
	run('mkfs.fat', ['-F', '16', path]);
	for (const [name, size] of [
		['one', 6],
		['two', 8],
	] as const) {
		writeFileSync(join(folder, name), randomBytes(size * MIB));
		run('mcopy', ['-i', path, join(folder, name), `::/${name}`]);
	}
	return path;
}

/** Computed from the content; what the image says of itself must be the same. */
export async function idOf(path: string, options: OpenImageOptions = {}): Promise<string> {
	const {disk, ...opened} = openDisk(path, options);
	try {
		const {contentId, recorded} = await identify(disk, {trust: false});
		if (recorded !== undefined && recorded !== contentId) throw new Error(`${path} says that it is ${recorded}`);
		return contentId;
	} finally {
		opened[Symbol.dispose]();
	}
}

interface Stoppable {
	readonly signal: AbortSignal;
	readonly onKept: (kept: KeptWork) => void;
}

/** Stops work when its output has so many bytes; what it kept, and what it failed with. */
export async function stopAt(
	partial: string,
	bytes: number,
	work: (options: Stoppable) => Promise<unknown>,
): Promise<{kept: KeptWork | undefined; error: unknown}> {
	const controller = new AbortController();
	const timer = setInterval(() => {
		if ((statSync(partial, {throwIfNoEntry: false})?.size ?? 0) >= bytes) controller.abort();
	}, 1);
	let kept: KeptWork | undefined;
	try {
		await work({
			signal: controller.signal,
			onKept(told) {
				kept = told;
			},
		});
		return {kept, error: undefined};
	} catch (error) {
		return {kept, error};
	} finally {
		clearInterval(timer);
	}
}
