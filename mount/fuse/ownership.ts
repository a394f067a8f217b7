import type {Stat} from '../../src/core/file-system.ts';

/** Whose the files are. `image` keeps owners and modes as the image has them. */
export interface Ownership {
	readonly owner: 'mounter' | 'image';
	/** The owner of everything, for `mounter`. */
	readonly uid: number;
	readonly gid: number;
	/** Permission bits that nobody has, for `mounter`. Default: 0. */
	readonly umask?: number;
}

const PERMISSIONS = 0o7777;
const ANY_EXECUTE = 0o111;
const READ = 0o444;

/** Permission bits as the mount shows them: readable by all but for the umask where the files belong to the mounter. */
export function shownMode(stat: Stat, ownership: Ownership): number {
	if (ownership.owner === 'image') return stat.mode & PERMISSIONS;
	// No system looks at the mode of a link.
	if (stat.type === 'symlink') return 0o777;
	const runs = stat.type === 'directory' || (stat.type === 'file' && (stat.mode & ANY_EXECUTE) !== 0);
	return (runs ? READ | ANY_EXECUTE : READ) & ~(ownership.umask ?? 0);
}
