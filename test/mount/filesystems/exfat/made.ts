import {spawnSync} from 'node:child_process';
import {
	closeSync,
	ftruncateSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	rmdirSync,
	rmSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {attach} from '../../../restore/loops.ts';
import {run} from '../../../helpers/tools.ts';

export const TOOLS = ['mkfs.exfat', 'fsck.exfat', 'mount.exfat-fuse', 'losetup', 'umount'];

/** Content that no two places share. */
export function content(length: number, seed: number): Buffer {
	const bytes = Buffer.alloc(length);
	let state = seed;
	for (let i = 0; i < length; i++) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		bytes[i] = state >>> 24;
	}
	return bytes;
}

/** Fills a mounted volume; `largest` should be several clusters, which come in pieces and in a row. */
export function fill(folder: string, largest: number, deep: boolean): void {
	const files: [string, number][] = [
		['EMPTY.DAT', 0],
		['one', 1],
		['lower.txt', 511],
		['Mixed.Case', 512],
		['cluster.bin', 65_536],
		['large.bin', largest],
		['Grüße aus Köln – 日本語 😀.txt', 77],
		['ЮНИКОД.txt', 5],
		[`${'n'.repeat(251)}.txt`, 9],
		[deep ? 'deep/1/2/3/4/5/6/7/8/9/10/end.txt' : 'deep/end.txt', 20],
		...Array.from({length: 60}, (_, i): [string, number] => [`many/file number ${i} of sixty.txt`, i]),
		...Array.from({length: 40}, (_, i): [string, number] => [`holes/${i}`, 3000]),
	];
	for (const [name, length] of files) {
		const path = join(folder, name);
		mkdirSync(join(path, '..'), {recursive: true});
		writeFileSync(path, content(length, length + 1));
	}
	for (let i = 0; i < 40; i += 2) rmSync(join(folder, 'holes', `${i}`));
	// Finds no room in a row where the volume is small.
	writeFileSync(join(folder, 'pieces.bin'), content(largest, 5));
	const descriptor = openSync(join(folder, 'unwritten.bin'), 'w');
	ftruncateSync(descriptor, 20_000);
	closeSync(descriptor);
	utimesSync(join(folder, 'one'), 1_000_000_000, 1_000_000_000);
	utimesSync(join(folder, 'lower.txt'), 4_000_000_001, 4_000_000_001);
}

/** Whether exfat-fuse still serves a device: it goes on writing after umount has returned. */
function isServed(device: string): boolean {
	return run('ps', ['-eo', 'args'])
		.split('\n')
		.some(line => /mount\.exfat-fuse /.test(line) && line.includes(device));
}

export interface MadeOptions {
	/** Arguments of mkfs.exfat. */
	readonly format?: readonly string[];
	readonly sectorSize?: number;
}

/** Formats a file, and runs `work` in the mounted volume; the file is at rest when this returns. */
export async function makeVolume<T>(
	t: ExecutionContext,
	path: string,
	size: number,
	options: MadeOptions,
	work: (folder: string) => T,
): Promise<T> {
	const descriptor = openSync(path, 'w');
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
	const device = await attach(t, path, '--sector-size', `${options.sectorSize ?? 512}`);
	run('mkfs.exfat', [...(options.format ?? []), device]);
	const folder = mkdtempSync(join(tmpdir(), 'tintype-exfat-'));
	run('mount.exfat-fuse', [device, folder]);
	try {
		return work(folder);
	} finally {
		run('umount', [folder]);
		for (let i = 0; i < 500 && isServed(device); i++) spawnSync('sleep', ['0.02']);
		run('blockdev', ['--flushbufs', device]);
		rmdirSync(folder);
	}
}
