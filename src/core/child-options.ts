import type {CreateRequest} from './disk.ts';

/** Where the parent of a new child lies, as the child records it: in Windows' spelling. At least one is there. */
export interface ParentPaths {
	/** From the child's folder; begins with `.\` or `..\`. */
	readonly relative?: string;
	/** With its drive; on Windows alone. */
	readonly absolute?: string;
}

/**
 * What the writers of children (`DiskCreator.children`) are told of the parent beyond its disk, as options of the
 * request. `modified` is when its file was changed, in seconds since 1970.
 */
export function childOptions(
	{relative, absolute}: ParentPaths,
	modified: number | undefined,
): CreateRequest['options'] {
	return {
		...(relative !== undefined && {'parent-relative-path': relative}),
		...(absolute !== undefined && {'parent-absolute-path': absolute}),
		...(modified !== undefined && {'parent-modified': modified}),
	};
}

export function parentPathsIn(options: CreateRequest['options']): ParentPaths {
	const relative = options['parent-relative-path'];
	const absolute = options['parent-absolute-path'];
	return {
		...(typeof relative === 'string' && {relative}),
		...(typeof absolute === 'string' && {absolute}),
	};
}

/** Seconds since 1970; undefined where it is not to be recorded. */
export function parentModifiedIn(options: CreateRequest['options']): number | undefined {
	const modified = options['parent-modified'];
	return typeof modified === 'number' ? modified : undefined;
}
