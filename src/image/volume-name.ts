import {escapeControls} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Image, Volume} from './image.ts';

/** UTF-16 units of a label that are shown: labels of all file systems are shorter, and 4 x 64 bytes fit into any name. */
const LONGEST_LABEL = 64;

/** `3-Windows`; only the number where there is no label. A label cannot leave its directory or fool a terminal. */
export function volumeName(number: number, label: string): string {
	const clean = escapeControls(label.slice(0, LONGEST_LABEL).toWellFormed()).replaceAll('/', '_').trim();
	return clean === '' ? String(number) : `${number}-${clean.slice(0, LONGEST_LABEL).toWellFormed()}`;
}

/**
 * The volume of a number, or of a name as `volumeName` makes it, to see its files. Throws `not-found` where there is none,
 * and where it cannot be read why.
 */
export function readableVolume(
	{disk, volumes}: Pick<Image, 'disk' | 'volumes'>,
	wanted: number | string,
): Volume & {readonly fileSystem: FileSystem} {
	const text = String(wanted);
	const volume = volumes.find(({number, name}) => text === String(number) || text === name);
	if (volume === undefined) {
		const known = volumes.map(({name}) => name).join(', ');
		throw new DiskError('not-found', 'volume/not-found', `${disk.name} has no volume ${escapeControls(text)}`, {
			hint: known === '' ? 'it has none that tintype knows' : `it has ${known}`,
		});
	}
	const {fileSystem, error, number} = volume;
	if (fileSystem !== undefined) return {...volume, fileSystem};
	throw (
		error ??
		new DiskError('unsupported', 'volume/unknown', `volume ${number} holds nothing that tintype knows`, {
			where: {file: disk.name, volume: number},
			hint: 'mount the whole image: its bytes are in disk.raw',
		})
	);
}
