import {corrupt} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {Span} from '../../../src/core/disk.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {cachedSource} from '../../../src/core/sources/cached.ts';
import type {FastChanges} from './journal/fast-changes.ts';
import {METADATA_PAGE_SIZE, METADATA_PAGES} from './layout.ts';
import type {Superblock} from './superblock.ts';

/** The bytes of one file system and its geometry: what every other part of the driver reads through. */
export interface Volume extends FileSystemContext {
	readonly superblock: Superblock;
	readonly size: number;
	/** Whether the bytes are those that the journal leaves, not those that lie in the volume. */
	readonly replayed: boolean;
	/** What fast commits change beyond that. */
	readonly changes?: FastChanges;
	/** Changes a span that is stored to where its bytes lie in the volume itself; may shorten it. */
	relocate(span: Span): void;
	/** For file content: no cache. */
	readContent(position: number, target: Uint8Array): void;
	/** For metadata: through pages that are kept. */
	readMetadata(position: number, target: Uint8Array): void;
	/** Reads one block of metadata; `structure` is named in the error when the number cannot be. */
	readBlock(block: number, target: Uint8Array, structure: string): void;
	/** Whether `count` blocks from `block` can belong to a file. */
	holds(block: number, count: number): boolean;
}

/** `replayed`: the volume as the journal leaves it, where that is another source. */
export function openVolume(
	volume: ByteSource,
	superblock: Superblock,
	context: FileSystemContext,
	replayed?: ByteSource & Pick<Volume, 'relocate'>,
): Volume {
	const source = replayed ?? volume;
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
		replayed: replayed !== undefined,
		relocate: span => replayed?.relocate(span),
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
