import {closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {run} from '../helpers/tools.ts';

export const MIB = 1 << 20;

/** What the disks here are made with. */
export const DISK_TOOLS = ['sgdisk', 'sfdisk', 'mkfs.fat', 'mmd', 'mcopy'];

export function emptyFile(path: string, size: number): string {
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

export function writeAt(path: string, position: number, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

/** Anything but zeros where a boot loader's first stage lies. */
export function putBootCode(path: string): void {
	writeAt(path, 0, new Uint8Array(400).fill(0x90));
}

/** A disk of 32 MiB with the partitions that sgdisk is told of. */
export function gptDisk(folder: string, args: readonly string[], size = 32 * MIB): string {
	const path = emptyFile(join(folder, 'gpt.raw'), size);
	run('sgdisk', [...args, path]);
	return path;
}

/** A disk of 32 MiB with an MBR that sfdisk makes of these lines. */
export function mbrDisk(folder: string, lines: string, size = 32 * MIB): string {
	const path = emptyFile(join(folder, 'mbr.raw'), size);
	run('sfdisk', ['-q', path], {input: `label: dos\n${lines}\n`});
	return path;
}

/** A FAT volume of 8 MiB at 1 MiB, with a boot loader or without. */
export function putEfiSystem(folder: string, path: string, loader: string | undefined): void {
	const volume = emptyFile(join(folder, 'esp'), 8 * MIB);
	run('mkfs.fat', [volume]);
	if (loader !== undefined) {
		const names = loader.split('/');
		for (let count = 1; count < names.length; count++) {
			run('mmd', ['-i', volume, `::/${names.slice(0, count).join('/')}`]);
		}
		writeFileSync(join(folder, 'loader'), 'MZ');
		run('mcopy', ['-i', volume, join(folder, 'loader'), `::/${loader}`]);
	}
	writeAt(path, MIB, readFileSync(volume));
}

/** GPT with an EFI system partition that a new machine starts from, and a partition for Linux. */
export function bootableDisk(folder: string, size?: number): string {
	const path = gptDisk(folder, ['-n1:2048:+8M', '-t1:ef00', '-n2:0:+8M', '-t2:8300'], size);
	putEfiSystem(folder, path, 'EFI/BOOT/BOOTX64.EFI');
	return path;
}
