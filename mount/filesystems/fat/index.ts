import type {FileSystemDriver} from '../../../src/core/file-system.ts';
import {openFileSystem} from './file-system.ts';
import {probe} from './probe.ts';

export const fat: FileSystemDriver = {
	name: 'fat',
	title: 'FAT12, FAT16, FAT32',
	specification: 'Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03',
	reads: 'FAT12, FAT16, FAT32 with long names; backup boot sector and second FAT where the first are damaged',
	probe,
	open: openFileSystem,
};
