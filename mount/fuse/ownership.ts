import type {Stat} from '../../src/core/file-system.ts';

/** Whose the files are. `image` keeps owners and modes as the image has them. */
export interface Ownership {
	readonly owner: 'mounter' | 'image';
	/** The owner of everything, for `mounter`. */
	readonly uid: number;
	readonly gid: number;
}

const PERMISSIONS = 0o7777;
const ANY_EXECUTE = 0o111;
const READ = 0o444;

/** Permission bits as the mount shows them: readable by all where the files belong to the mounter. */
export function shownMode(stat: Stat, ownership: Ownership): number {
	if (ownership.owner === 'image') return stat.mode & PERMISSIONS;
	switch (stat.type) {
		case 'symlink':
			return 0o777;
		case 'directory':
			return READ | ANY_EXECUTE;
		case 'file':
			return (stat.mode & ANY_EXECUTE) === 0 ? READ : READ | ANY_EXECUTE;
		default:
			return READ;
	}
}
