import {fstatSync} from 'node:fs';
import type {Disk, Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';
import type {RestoreRange} from './job.ts';

/** The image is at fault where the target is not: then there is a way on. */
export function withAdvice(error: unknown): unknown {
	if (!(error instanceof DiskError) || error.code.startsWith('output/')) return error;
	const {family, code, message, where, cause} = error;
	const before = error.hint === undefined ? '' : `${error.hint}; `;
	const hint = `${before}with --keep-going what cannot be read becomes zeros, and the rest is restored`;
	return new DiskError(family, code, message, {where, hint, cause});
}

/** What is to be said of a target that was begun and not finished. */
export function unfinished(name: string, isWhole: boolean): Finding {
	if (isWhole) {
		const message = `${name} is whole, but was not verified to its end`;
		return {code: 'restore/unverified', severity: 'warning', message};
	}
	const message = `${name} is incomplete: it holds neither what it held before nor the whole disk of the image; restore it again before it is used`;
	return {code: 'restore/incomplete', severity: 'damage', message};
}

/** Ranges named in one message. */
const MOST_NAMED = 5;

export function refuseUnreadable({name}: Disk, ranges: readonly RestoreRange[], bytes: number): DiskError {
	const named = ranges.slice(0, MOST_NAMED).map(({position, length, volumes}) => {
		const where = volumes.length === 0 ? 'outside all volumes' : `in volume ${volumes.join(', ')}`;
		return `bytes ${position} to ${position + length - 1} ${where}`;
	});
	const more = ranges.length > MOST_NAMED ? `; and ${ranges.length - MOST_NAMED} more` : '';
	const message = `${bytes} bytes could not be read when ${name} was taken: ${named.join('; ')}${more}`;
	return new DiskError('refused', 'restore/unreadable', message, {
		where: {file: name},
		hint: 'with --zero-unreadable they become zeros and the rest is restored',
	});
}

/** Sources that were written to meanwhile: the copy may mix what they were and what they became. */
export function changes(sources: readonly OpenedFile[]): Finding[] {
	const changed = sources.filter(({descriptor, size, modified}) => {
		const stat = fstatSync(descriptor);
		return stat.isFile() && (stat.size !== size || stat.mtimeMs !== modified);
	});
	return changed.map(({path}) => ({
		code: 'restore/source-changed',
		severity: 'damage',
		message: `${path} was written to while it was restored: the copy may be of no one moment`,
	}));
}
