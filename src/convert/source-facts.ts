import {fstatSync} from 'node:fs';
import {basename} from 'node:path';
import type {OpenedFile} from '../core/recipe.ts';
import type {OpenedDisk} from '../image/image.ts';

/** What is kept of a source in images that keep such things (formats/tint/SPEC.md, section 8). */
export interface SourceFacts {
	readonly name?: string;
	readonly format?: string;
	readonly model?: string;
	readonly serial?: string;
	/** When a source of files was written to last: ISO 8601. */
	readonly modified?: string;
}

/** All files that an image is read from. */
export function filesOf({recipe}: OpenedDisk): OpenedFile[] {
	return [recipe.file, ...recipe.related.map(({file}) => file)].flatMap(file => file.parts);
}

/**
 * Of a disk that is about to be read. `timed` is false where two runs are to give the same file: then no time is
 * recorded but the one that was given.
 */
export function sourceFacts(opened: OpenedDisk, timed: boolean): SourceFacts {
	const modified = timed ? lastModified(filesOf(opened)) : undefined;
	return {
		name: basename(opened.recipe.file.name),
		format: opened.disk.format,
		...(modified !== undefined && {modified}),
	};
}

/** Undefined where a device is among the files: its time says nothing of its content. */
function lastModified(files: readonly OpenedFile[]): string | undefined {
	if (!files.every(({descriptor}) => fstatSync(descriptor).isFile())) return undefined;
	return new Date(Math.max(...files.map(({modified}) => modified))).toISOString();
}
