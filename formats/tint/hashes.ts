import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {Disk} from '../../src/core/disk.ts';
import type {RecordedHashes} from '../../src/core/upkeep.ts';
import {imageOf} from './disk.ts';
import {ChunkState, CONTENT_HASHES} from './layout.ts';

/** `Upkeep.hashes`: what the table of hashes says, page by page. */
export function hashesOf(disk: Disk): RecordedHashes | undefined {
	const image = imageOf(disk);
	if (image === undefined || (image.root.autoclear & CONTENT_HASHES) === 0n) return undefined;
	const {geometry, hashes, root} = image;
	const {chunkSize, size, pageEntries} = geometry;

	return {
		unit: chunkSize,
		contentId: root.contentId,
		// Mixed chunks may be so in part, and of what other files hold the kind is not counted.
		mayBeUnreadable: [ChunkState.unreadable, ChunkState.mixed, ChunkState.inherited].some(
			state => root.states[state] > 0,
		),
		read(position, into) {
			const chunk = position / chunkSize;
			const page = hashes.leaf(chunk);
			if (page === undefined) {
				into.fill(0);
				return Math.min(hashes.uniformEnd() * chunkSize, size) - position;
			}
			const within = chunk % pageEntries;
			const at = within * HASH_SIZE;
			if (at < page.bytes.length) {
				into.set(page.bytes.subarray(at, at + HASH_SIZE));
				return Math.min(chunkSize, size - position);
			}
			into.fill(0);
			return Math.min((pageEntries - within) * chunkSize, size - position);
		},
	};
}
