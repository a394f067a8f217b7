import {ftruncateSync, statfsSync} from 'node:fs';
import {DiskError} from '../core/error.ts';
import {type Disk, newSpan, readsAsZero, type WriterPlan} from '../core/disk.ts';
import type {OpenedFile} from '../core/recipe.ts';
import {CAN_CLONE, cloneRange} from '../core/system/clone.ts';
import {errnoName} from '../core/system/libc.ts';
import {roundDown} from '../core/bytes/u64.ts';
import {type Cloning, runFinder} from './clone-runs.ts';
import type {Output} from './output.ts';

/**
 * How content comes into the target. `clone`: its file shares the blocks of the source's. `copy`: it is read, and what is
 * not zero is written. `auto`: clone what can be cloned.
 */
export type DataPath = 'auto' | 'clone' | 'copy';
export const DATA_PATHS: readonly DataPath[] = ['auto', 'clone', 'copy'];

const REASONS: Readonly<Record<string, string>> = {
	EXDEV: 'source and target are on different file systems',
	ENOTSUP: 'their file system cannot share blocks between files',
	ENOTTY: 'their file system cannot share blocks between files',
	EINVAL: 'their file system refuses to share blocks between these two files',
};

/**
 * Finds out by trying which files of the source can be cloned from; the output is empty, and is so again afterwards.
 * Undefined where everything is to be copied. Throws `refused` where `clone` is wished for and cannot be.
 */
export function findCloning(
	wish: DataPath,
	plan: WriterPlan,
	output: Output,
	disk: Disk,
	sources: readonly OpenedFile[],
): Cloning | undefined {
	if (wish === 'copy') return undefined;
	const impossible = whyNot(plan, output);
	if (impossible !== undefined) return withoutCloning(wish, impossible);
	const unit = statfsSync(output.partial).bsize;
	const from: number[] = [];
	const {alignment = 0} = plan;
	const fits = alignment % unit === 0;
	let reason = fits ? 'the source is too small' : `the target's blocks are not aligned to ${unit} bytes`;
	for (const {descriptor, size} of sources) {
		if (!fits || size < unit) continue;
		try {
			cloneRange(descriptor, 0, unit, output.descriptor, 0);
			from.push(descriptor);
		} catch (error) {
			const name = errnoName(error) ?? 'an unknown error';
			reason = REASONS[name] ?? `the system says ${name}`;
		}
	}
	if (from.length === 0) return withoutCloning(wish, reason);
	ftruncateSync(output.descriptor, 0);
	const cloning = {from, unit};
	if (wish === 'clone' && !startsCloneable(disk, cloning, plan.pieceSize)) {
		return withoutCloning(wish, 'the source does not hold the disk verbatim, at the blocks of a file system');
	}
	return cloning;
}

/** Whether the first piece that holds data can be cloned. */
function startsCloneable(disk: Disk, cloning: Cloning, pieceSize: number): boolean {
	const span = newSpan();
	for (let position = 0; position < disk.size; position += span.length) {
		disk.locate(position, span);
		if (readsAsZero(span.kind)) continue;
		const start = roundDown(position, pieceSize);
		return runFinder(disk, cloning)(start, Math.min(pieceSize, disk.size - start)) !== undefined;
	}
	return true;
}

function whyNot({alignment}: WriterPlan, output: Output): string | undefined {
	if (!CAN_CLONE) return 'this system has no call for it';
	if (output.pipe !== undefined) return 'the target is a pipe';
	if (alignment === undefined) return 'this kind of target does not hold the disk verbatim';
	return undefined;
}

function withoutCloning(wish: DataPath, reason: string): undefined {
	if (wish !== 'clone') return undefined;
	throw new DiskError('refused', 'convert/no-clone', `the content cannot be cloned: ${reason}`, {
		hint: 'without --data-path clone it is copied',
	});
}
