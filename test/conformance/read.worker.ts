import {createHash} from 'node:crypto';
import {parentPort} from 'node:worker_threads';
import type {Disk} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ImageRecipe} from '../../src/core/recipe.ts';
import {openRecipeDisk} from '../../src/image/image.ts';
import {mapOf} from './cases.ts';

export interface ReadOrder {
	readonly recipe: ImageRecipe;
	/** Position and length in turn. */
	readonly ranges: readonly (readonly [number, number])[];
}

/** What a disk shows: hashes of ranges or the codes of their errors, and the map. */
export function digestOf(disk: Disk, ranges: ReadOrder['ranges']): string[] {
	const parts = ranges.map(([position, length]) => {
		const bytes = new Uint8Array(length);
		try {
			disk.readAt(position, bytes);
			return createHash('sha256').update(bytes).digest('hex');
		} catch (error) {
			if (error instanceof DiskError) return `${error.code} at ${error.where.position}`;
			throw error;
		}
	});
	return [...parts, JSON.stringify(mapOf(disk)), JSON.stringify(disk.describe())];
}

parentPort?.on('message', ({recipe, ranges}: ReadOrder) => {
	const disk = openRecipeDisk(recipe);
	const digest = digestOf(disk, ranges);
	disk[Symbol.dispose]();
	parentPort?.postMessage(digest);
});
