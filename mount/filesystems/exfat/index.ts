import type {FileSystemDriver} from '../../../src/core/file-system.ts';
import {openFileSystem} from './file-system.ts';
import {probe} from './probe.ts';

export const exfat: FileSystemDriver = {
	name: 'exfat',
	title: 'exFAT',
	specification: 'Microsoft exFAT file system specification, revision 1.00',
	reads: 'exFAT with TexFAT, sectors of 512 to 4096 bytes; backup boot region where the main one is damaged',
	probe,
	open: openFileSystem,
};
