import type {DiskFormat} from '../../src/core/disk.ts';
import {openDisk} from './disk.ts';
import {probeImage} from './image.ts';
import {tintCreator} from './writer.ts';

export const tint: DiskFormat = {
	name: 'tint',
	title: 'tintype archive',
	extensions: ['tint'],
	specification: 'formats/tint/SPEC.md, version 1',
	reads: 'whole and incremental images; LZ4 and zstd chunks; streamed files; checksums on everything',
	writes:
		'whole and incremental images with LZ4 or zstd, deduplicated, with content hashes and content id; free, excluded and unreadable areas; checkpoints',
	probe: probeImage,
	open: openDisk,
	create: tintCreator,
};
