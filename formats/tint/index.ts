import type {DiskFormat} from '../../src/core/disk.ts';
import {openDisk} from './disk.ts';
import {probeImage} from './image.ts';
import {openSalvaged} from './salvage.ts';
import {tintUpkeep} from './upkeep.ts';
import {tintCreator} from './writer.ts';

export const tint: DiskFormat = {
	name: 'tint',
	title: 'tintype archive',
	extensions: ['tint'],
	specification: 'formats/tint/SPEC.md, version 1',
	reads:
		'whole, incremental, encrypted (AES-256-GCM) and streamed images; LZ4 and zstd chunks; checksums on everything',
	writes:
		'whole and incremental images with LZ4 or zstd, deduplicated, with content hashes and content id; encryption; to pipes; free, excluded and unreadable areas; checkpoints',
	probe: probeImage,
	open: (source, context) =>
		context.salvage === undefined ? openDisk(source, context) : openSalvaged(source, context, context.salvage),
	create: tintCreator,
	upkeep: tintUpkeep,
};
