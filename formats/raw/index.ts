import type {DiskFormat} from '../../src/core/disk.ts';
import {openRaw} from './disk.ts';
import {resizableRaw} from './resize.ts';
import {rawCreator} from './writer.ts';

export const raw: DiskFormat = {
	name: 'raw',
	title: 'Raw disk',
	extensions: ['raw', 'img', 'dd', 'bin', '001', '000'],
	specification: 'the bytes of the disk, one after the other',
	reads: 'whole files, split files (.001 .002 ...), block devices; holes of sparse files',
	writes: 'sparse files',
	probe: () => true,
	open: openRaw,
	create: rawCreator,
	upkeep: {resize: resizableRaw},
};
