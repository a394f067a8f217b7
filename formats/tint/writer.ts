import {crc32c} from '../../src/core/bytes/checksums.ts';
import type {ByteSink} from '../../src/core/source.ts';
import type {DiskCreator, DiskWriter, Fact, WriterPlan} from '../../src/core/disk.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {contentId, contentTree, LEAF_SIZE} from '../../src/core/codecs/content-id.ts';
import {lz4Codec, zstdCodec} from '../../src/core/codecs/index.ts';
import {type EncodedPiece, pieceEncoder} from './encode.ts';
import {storedFrame} from './frame.ts';
import {writeHeader} from './header.ts';
import {BLOCK, ChunkState, CONTENT_HASHES, FRAME_SIZE, FrameType, ROOT_SLOTS, STATE_COUNT} from './layout.ts';
import {writeMetadata} from './metadata.ts';
import {pageWriter} from './page-writer.ts';
import {Counter, planImage, sharedState, TINT_OPTIONS, type TintPlan, treeShapes} from './plan.ts';
import {type Reference, writeReference} from './reference.ts';
import {writeRoot} from './root.ts';

export const tintCreator: DiskCreator = {
	options: TINT_OPTIONS,
	plan: planImage,
	open: (plan, sink) => imageWriter(plan as TintPlan & WriterPlan, sink),
};

function imageWriter(plan: TintPlan, sink: ByteSink): DiskWriter {
	const {size, sectorSize, chunkSize, pieceSize, pageEntries, imageId, timestamp, comment} = plan;
	const codec = plan.codec === 'lz4' ? lz4Codec() : zstdCodec(plan.level);
	const encoder = pieceEncoder(imageId, codec, chunkSize, pieceSize);
	const {counters, tree: treeMemory, indexPages, hashPages} = sharedState(plan);
	const tree = contentTree(treeMemory);
	const shapes = treeShapes(plan);
	const index = pageWriter(indexPages, {...shapes.index, place: placePage(FrameType.indexPage)});
	const hashes = pageWriter(hashPages, {...shapes.hashes, place: placePage(FrameType.hashPage)});
	/** Tables that have their place and wait for `write`. */
	const pending: {position: number; bytes: Uint8Array}[] = [];
	let piece: EncodedPiece | undefined;
	let piecePosition = 0;
	let framesAt = 0;
	let firstNumber = 0;
	let root: Uint8Array | undefined;

	/** Gives a table its place; it is written later. */
	function place(payload: Uint8Array, type: FrameType, level: number, subject: number): Reference {
		const number = counters[Counter.frames]++;
		const bytes = storedFrame(imageId, payload, {type, level, run: 0, number, subject});
		const position = counters[Counter.next];
		counters[Counter.next] += bytes.length;
		pending.push({position, bytes});
		const check = crc32c(bytes.subarray(FRAME_SIZE, FRAME_SIZE + payload.length));
		return {state: ChunkState.data, codec: 0, length: payload.length, file: 0, position, check};
	}

	function placePage(type: FrameType) {
		return (payload: Uint8Array, level: number, number: number): Reference => place(payload, type, level, number);
	}

	function writePending(): void {
		for (const {position, bytes} of pending) sink.writeAt(position, bytes);
		pending.length = 0;
	}

	/** Pages hold whole pieces, so the first chunk says it for all of them. */
	function reservePiece({chunks, count, frames, length, root: pieceRoot}: EncodedPiece): void {
		if (pieceRoot === undefined) return;
		index.enter(chunks[0].number);
		hashes.enter(chunks[0].number);
		framesAt = counters[Counter.next];
		firstNumber = counters[Counter.frames];
		counters[Counter.next] += length;
		counters[Counter.frames] += frames;
		let leaves = 0;
		for (let i = 0; i < count; i++) {
			const {reference, hash, number, offset, plainLength} = chunks[i];
			leaves += Math.ceil(plainLength / LEAF_SIZE);
			if (hash === undefined) continue;
			if (reference.state === ChunkState.data) {
				reference.position = framesAt + offset;
				counters[Counter.storedBytes] += reference.length;
			}
			counters[Counter.states + reference.state]++;
			const entry = index.entry(number);
			writeReference(viewOf(entry), 0, reference);
			hashes.entry(number).set(hash);
		}
		tree.zerosTo(piecePosition / LEAF_SIZE);
		tree.add(leaves, pieceRoot);
	}

	return {
		encode({position, bytes}) {
			piecePosition = position;
			piece = encoder.encode(position, bytes);
		},
		reserve() {
			if (piece !== undefined) reservePiece(piece);
		},
		write() {
			writePending();
			if (piece === undefined || piece.frames === 0) return;
			sink.writeAt(framesAt, encoder.frames(firstNumber));
		},
		writeTables() {
			const header = writeHeader({
				incompatible: 0n,
				imageId,
				size,
				chunkSize,
				logicalSectorSize: sectorSize,
				physicalSectorSize: sectorSize,
				pageEntries,
				created: timestamp,
			});
			const top = index.finish();
			const topHashes = hashes.finish();
			const metadata = place(
				writeMetadata({software: 'tintype', ...(comment !== '' && {comment})}),
				FrameType.metadata,
				0,
				0,
			);
			writePending();
			const contentRoot = tree.finish(size);
			const chunks = Math.ceil(size / chunkSize);
			const states = Array.from(counters.subarray(Counter.states, Counter.states + STATE_COUNT));
			states[ChunkState.zero] = 0;
			states[ChunkState.zero] = chunks - states.reduce((total, count) => total + count, 0);
			root = writeRoot(
				{
					sequence: 1,
					incompatible: 0n,
					compatible: 0n,
					autoclear: CONTENT_HASHES,
					index: top,
					hashes: topHashes,
					metadata,
					contentId: contentId(size, contentRoot),
					contentRoot,
					fileSize: counters[Counter.next],
					chunksDone: chunks,
					finished: timestamp,
					storedBytes: counters[Counter.storedBytes],
					nextFrame: counters[Counter.frames] + 1,
					states,
				},
				header,
				imageId,
			);
			const block = new Uint8Array(BLOCK);
			block.set(header);
			sink.writeAt(0, block);
		},
		writeRoot() {
			if (root === undefined) throw new Error('tables come before the root');
			sink.truncate(counters[Counter.next]);
			for (const position of ROOT_SLOTS) sink.writeAt(position, root);
		},
		describe(): readonly Fact[] {
			const stored = counters[Counter.storedBytes];
			return [
				{key: 'codec', title: 'codec', value: plan.codec === 'zstd' ? `zstd, level ${plan.level}` : 'lz4'},
				{key: 'chunkSize', title: 'chunk size', value: chunkSize, unit: 'bytes'},
				{key: 'storedBytes', title: 'data stored', value: stored, unit: 'bytes'},
				{key: 'fileSize', title: 'file size', value: counters[Counter.next], unit: 'bytes'},
			];
		},
	};
}
