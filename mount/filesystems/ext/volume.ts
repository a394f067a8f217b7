import {corrupt} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {cachedSource} from '../../../src/core/sources/cached.ts';
import {METADATA_PAGE_SIZE, METADATA_PAGES} from './layout.ts';
import type {Superblock} from './superblock.ts';

/** The bytes of one file system and its geometry: what every other part of the driver reads through. */
export interface Volume extends FileSystemContext {
	readonly superblock: Superblock;
	readonly size: number;
	/** For file content: no cache. */
	readContent(position: number, target: Uint8Array): void;
	/** For metadata: through pages that are kept. */
	readMetadata(position: number, target: Uint8Array): void;
	/** Reads one block of metadata; `structure` is named in the error when the number cannot be. */
	readBlock(block: number, target: Uint8Array, structure: string): void;
	/** Whether `count` blocks from `block` can belong to a file. */
	holds(block: number, count: number): boolean;
}

export function openVolume(source: ByteSource, superblock: Superblock, context: FileSystemContext): Volume {
	const {size} = source;
	const {blockSize, blocksCount, firstDataBlock} = superblock;
	const pages = cachedSource(source, {blockSize: METADATA_PAGE_SIZE, blocks: METADATA_PAGES});

	function check(position: number, length: number): void {
		if (position + length > size) {
			throw corrupt('ext/beyond-volume', 'the volume ends before this part of the file system', {position});
		}
	}

	function readMetadata(position: number, target: Uint8Array): void {
		check(position, target.length);
		pages.readAt(position, target);
	}

	return {
		superblock,
		size,
		warn: finding => context.warn(finding),
		readContent(position, target) {
			check(position, target.length);
			source.readAt(position, target);
		},
		readMetadata,
		readBlock(block, target, structure) {
			if (block <= firstDataBlock || block >= blocksCount) {
				throw corrupt('ext/block-number', `${structure} lies at block ${block} of ${blocksCount}`, {structure});
			}
			readMetadata(block * blockSize, target);
		},
		holds: (block, count) => block > firstDataBlock && block + count <= blocksCount,
	};
}
