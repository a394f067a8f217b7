import type {DiskFormat} from '../../src/core/disk.ts';
import {openDisk} from './disk.ts';
import {probeImage} from './image.ts';
import {tintCreator} from './writer.ts';

export const tint: DiskFormat = {
	name: 'tint',
	title: 'tintype archive',
	extensions: ['tint'],
	specification: 'formats/tint/SPEC.md, version 1',
	reads: 'whole images; LZ4 and zstd chunks; streamed files; checksums on everything',
	writes: 'whole images with LZ4 or zstd, content hashes and content id',
	probe: probeImage,
	open: openDisk,
	create: tintCreator,
};
