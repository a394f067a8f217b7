import type {CommandEntry} from '../command.ts';

/** Every command, in the order of `--help`. */
export const ALL_COMMANDS: readonly CommandEntry[] = [
	{
		usage: 'info <image>',
		describe: 'Say what an image is, and which volumes are in it',
		load: async () => (await import('./info.ts')).info,
	},
	{
		usage: 'ls <image> [path]',
		describe: 'List files in an image',
		load: async () => (await import('./ls.ts')).ls,
	},
	{
		usage: 'cat <image> <path..>',
		describe: 'Write files in an image to standard output',
		load: async () => (await import('./cat.ts')).cat,
	},
	{
		usage: 'cp <image> <paths..>',
		describe: 'Copy files out of an image: cp IMAGE PATH... TARGET',
		load: async () => (await import('./cp.ts')).cp,
	},
	{
		usage: 'find <image> [start]',
		describe: 'Search for files in an image',
		load: async () => (await import('./find.ts')).find,
	},
	{
		usage: 'convert <source> <target>',
		describe: 'Convert an image into another format',
		load: async () => (await import('./convert.ts')).convertCommand,
	},
	{
		usage: 'create <target>',
		describe: 'Make a new, empty disk, or an empty child of an image',
		load: async () => (await import('./create.ts')).createCommand,
	},
	{
		usage: 'plan <source> [target]',
		describe: 'Say beforehand what a conversion would come to, and what would break',
		load: async () => (await import('./plan.ts')).planCommand,
	},
	{
		usage: 'restore <image> <target>',
		describe: 'Write the disk in an image to a block device or a raw file',
		load: async () => (await import('./restore.ts')).restoreCommand,
	},
	{
		usage: 'capture <source> <target>',
		describe: 'Take a compressed image of a disk, all of it or what changed',
		load: async () => (await import('./capture.ts')).captureCommand,
	},
	{
		usage: 'compare <first> <second>',
		describe: 'Compare the content of two images, whatever their formats',
		load: async () => (await import('./compare.ts')).compare,
	},
	{
		usage: 'id <image>',
		describe: 'Print the id of the content, the same in every format',
		load: async () => (await import('./id.ts')).id,
	},
	{
		usage: 'verify <image>',
		describe: 'Read all that an image stores, and report damage',
		load: async () => (await import('./verify.ts')).verify,
	},
	{
		usage: 'check <image>',
		describe: 'Look through all file systems for damage, without changing anything',
		load: async () => (await import('./check.ts')).checkCommand,
	},
	{
		usage: 'chain <image>',
		describe: 'Say which files an image needs, what lies in each, and what is missing',
		load: async () => (await import('./chain.ts')).chainCommand,
	},
	{
		usage: 'merge <image> <target>',
		describe: 'Write an image and all that it builds on as one new, whole file',
		load: async () => (await import('./merge.ts')).mergeCommand,
	},
	{
		usage: 'repair <image> [target]',
		describe: 'Rescue what can be had of a damaged or unfinished image, into a new file',
		load: async () => (await import('./repair.ts')).repairCommand,
	},
	{
		usage: 'resize <image> <size>',
		describe: 'Make the disk in a VHDX, VHD or raw image larger or smaller, in its own file',
		load: async () => (await import('./resize.ts')).resizeCommand,
	},
	{
		usage: 'mount <image> <directory>',
		describe: 'Show an image as files, read-only, until Ctrl-C or unmount',
		load: async () => (await import('./mount.ts')).mountCommand,
	},
	{
		usage: 'mounts',
		describe: 'List what is mounted',
		load: async () => (await import('./mounts.ts')).mounts,
	},
	{
		usage: 'umount <directory>',
		aliases: ['unmount'],
		describe: 'End a mount',
		load: async () => (await import('./umount.ts')).umount,
	},
];

/** `cat` for `cat <image> <path..>`. */
export function commandName({usage}: CommandEntry): string {
	return usage.split(' ', 1)[0] ?? usage;
}
