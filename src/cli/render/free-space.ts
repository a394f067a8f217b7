import type {FreeSpace} from '../../convert/free-space.ts';
import {safe} from './error.ts';
import {formatSize} from './size.ts';

/** Less than this is not worth a line. */
const LEAST_TOLD = 1 << 20;

/** What became of the free space of each volume. */
export function renderFreeSpace(freeSpace: readonly FreeSpace[]): string[] {
	return freeSpace.map(({volume, skipped, reason, bytes}) => {
		const became = skipped ? `skipped${bytes === undefined ? '' : `, ${formatSize(bytes)}`}` : `kept, ${safe(reason)}`;
		return `  free space of volume ${volume}: ${became}`;
	});
}

/** What leaving it out would have saved. */
export function renderSaving(bytes: number | undefined): string[] {
	if (bytes === undefined || bytes < LEAST_TOLD) return [];
	return [`  ${formatSize(bytes)} of it are free space of its file systems, which --used-only leaves out`];
}
