import {readFileSync} from 'node:fs';

/** One line of /proc/self/mountinfo. */
export interface MountEntry {
	/** Where it is mounted, as an absolute path without symlinks. */
	readonly directory: string;
	/** With its subtype: `fuse.tintype`. */
	readonly type: string;
	/** What is mounted, as the mounter named it. */
	readonly source: string;
	/** The minor device number, which names a FUSE connection under /sys/fs/fuse/connections. */
	readonly minor: number;
	/** The options of its file system, as in `ro,user_id=1000,allow_other`. */
	readonly options: string;
}

/** The table writes blanks and backslashes as `\ooo`. */
function unescape(field: string): string {
	const bytes = field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
		String.fromCharCode(Number.parseInt(digits, 8)),
	);
	return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Every mount that this process can see, oldest first. Reading it asks none of them anything. */
export function readMountTable(): MountEntry[] {
	// As latin1, so that the bytes of a name survive until its escapes are undone.
	const lines = readFileSync('/proc/self/mountinfo', 'latin1').split('\n');
	return lines
		.filter(line => line !== '')
		.map(line => {
			const [before = '', after = ''] = line.split(' - ');
			const [, , device = '', , directory = ''] = before.split(' ');
			const [type = '', source = '', options = ''] = after.split(' ');
			return {
				directory: unescape(directory),
				type,
				source: unescape(source),
				minor: Number(device.split(':')[1] ?? 0),
				options,
			};
		});
}

/** What is mounted on top at a directory, if anything. */
export function mountedAt(directory: string): MountEntry | undefined {
	return readMountTable().findLast(entry => entry.directory === directory);
}
