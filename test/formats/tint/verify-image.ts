import {sameBytes} from '../../../src/core/bytes/text.ts';
import {
	contentHash,
	contentId,
	contentTree,
	CONTENT_TREE_SIZE,
	LEAF_SIZE,
	zeroContentHash,
} from '../../../src/core/codecs/content-id.ts';
import {type Finding, newSpan, readsAsZero, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {privateChunkCache} from '../../../formats/tint/chunk-cache.ts';
import {imageDisk} from '../../../formats/tint/disk.ts';
import type {TintImage} from '../../../formats/tint/image.ts';
import {scanFrames} from '../../../formats/tint/scan.ts';
import {CONTENT_HASHES} from '../../../formats/tint/layout.ts';
import {chunkLookup} from '../../../formats/tint/lookup.ts';

export interface Verification {
	/** Frames that are whole. */
	readonly frames: number;
	/** Chunks whose content was read and compared. */
	readonly chunks: number;
	/** Chunks that are damaged. */
	readonly damaged: number;
	/** True when every byte of the file, every chunk and the content id are as recorded. */
	readonly proven: boolean;
}

/** Then the image is a ruin, and going on would only take time: a lost index page counts once. */
const MAX_DAMAGED = 10_000;

/**
 * All that `tintype verify` proves of an image, in one go and one thread. Reads every chunk and compares it with its checksum, its hash and, in the end, with the content id. Damage is
 * reported chunk by chunk, and the rest is still looked at.
 */
export function verifyImage(image: TintImage, report: (finding: Finding) => void): Verification {
	const {geometry, root, chunks} = image;
	const lookup = chunkLookup(image);
	const {size, chunkSize, pageEntries} = geometry;
	const disk = imageDisk(image, privateChunkCache);
	const tree = contentTree(new Uint8Array(CONTENT_TREE_SIZE));
	const buffer = new Uint8Array(chunkSize);
	const span = newSpan();
	const hashed = (root.autoclear & CONTENT_HASHES) !== 0n;
	let checkedChunks = 0;
	let damaged = 0;
	let whole = true;
	const scan = scanFrames({...image, end: root.fileSize}, finding => {
		whole = false;
		report(finding);
	});
	let step = scan.next();
	while (step.done !== true) step = scan.next();
	const frames = step.value;

	/** What could not be read when the image was taken counts as zeros. */
	function readContent(position: number, content: Uint8Array): void {
		for (let done = 0; done < content.length; ) {
			disk.locate(position + done, span);
			const length = Math.min(span.length, content.length - done);
			const part = content.subarray(done, done + length);
			if (span.kind === SpanKind.unreadable) part.fill(0);
			else disk.readAt(position + done, part);
			done += length;
		}
	}

	function verifyChunk(chunk: number, length: number): void {
		const content = buffer.subarray(0, length);
		readContent(chunk * chunkSize, content);
		if (!hashed) return;
		const hash = contentHash(content);
		const recorded = lookup.hash(chunk) ?? zeroContentHash(length);
		const leaves = Math.ceil(length / LEAF_SIZE);
		if (!sameBytes(hash, recorded)) {
			throw new DiskError('corrupt', 'tint/chunk-hash', `the content of chunk ${chunk} does not match its hash`, {
				where: {structure: `chunk ${chunk}`},
			});
		}
		tree.zerosTo((chunk * chunkSize) / LEAF_SIZE);
		tree.add(leaves, hash);
	}

	/** Verifies what starts at `position`; returns where to go on. */
	function verifyFrom(position: number): number {
		const chunk = Math.floor(position / chunkSize);
		let next = chunk + pageEntries - (chunk % pageEntries);
		try {
			lookup.find(chunk);
			next = chunk + 1;
			disk.locate(position, span);
			const zero = readsAsZero(span.kind) && (span.length >= chunkSize || position + span.length === size);
			next = zero ? Math.ceil((position + span.length) / chunkSize) : chunk + 1;
			if (!zero) {
				checkedChunks++;
				verifyChunk(chunk, Math.min(chunkSize, size - position));
			}
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			damaged++;
			report({code: error.code, severity: 'damage', message: `${error.message} (chunk ${chunk} of ${chunks})`});
		}
		return next * chunkSize;
	}

	for (let position = 0; position < size && damaged < MAX_DAMAGED; ) position = verifyFrom(position);
	let proven = damaged === 0;
	if (proven && hashed) {
		const contentRoot = tree.finish(size);
		if (!sameBytes(contentRoot, root.contentRoot) || !sameBytes(contentId(size, contentRoot), root.contentId)) {
			proven = false;
			report({code: 'tint/content-id', severity: 'damage', message: 'the content is not that of the content id'});
		}
	}
	return {frames, chunks: checkedChunks, damaged, proven: proven && whole && hashed};
}
