import type {Disk, Finding} from '../../core/disk.ts';
import {type Copy, loadPrimary} from './copies.ts';

/** What to tell of a table whose sectors are not those of the disk, undefined where they are. */
export function otherSectorSize(disk: Disk, {header}: Copy): Finding | undefined {
	const {sectorSize} = header;
	if (sectorSize === disk.sectorSize) return undefined;
	return {
		code: 'gpt/sector-size',
		severity: 'warning',
		message:
			`the partition table counts in sectors of ${sectorSize} bytes, the image in ${disk.sectorSize}: ` +
			'a system that gets this disk finds no partitions on it',
	};
}

/** The same for who does not look at partitions, but makes another image of the disk. */
export function foreignSectorSize(disk: Disk): readonly Finding[] {
	const primary = loadPrimary(disk);
	const finding = 'copy' in primary ? otherSectorSize(disk, primary.copy) : undefined;
	return finding === undefined ? [] : [finding];
}
