import {crc32c} from '../../src/core/bytes/checksums.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {
	type Disk,
	type DiskCreator,
	type DiskWriter,
	type Fact,
	type Mark,
	SpanKind,
	type WriterPlan,
} from '../../src/core/disk.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {contentId, contentTree, LEAF_SIZE} from '../../src/core/codecs/content-id.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {lz4Codec, zstdCodec} from '../../src/core/codecs/index.ts';
import {dedupTable} from './dedup.ts';
import {type EncodedChunk, type EncodedPiece, type Inherit, pieceEncoder, stateOf} from './encode.ts';
import {writeFileTable} from './file-table.ts';
import {storedFrame} from './frame.ts';
import {writeHeader} from './header.ts';
import {
	BLOCK,
	CHAINED,
	ChunkState,
	CONTENT_HASHES,
	FRAME_SIZE,
	FrameType,
	MAX_UNREADABLE_RUNS,
	ROOT_SLOTS,
	STATE_COUNT,
	UNFINISHED,
} from './layout.ts';
import {writeMetadata} from './metadata.ts';
import {pageWriter} from './page-writer.ts';
import {inheritFrom, parentImage} from './parent.ts';
import {resumeImage} from './resume.ts';
import {Counter, planImage, sharedState, TINT_OPTIONS, type TintPlan, treeShapes} from './plan.ts';
import {newReference, type Reference, writeReference} from './reference.ts';
import {writeRoot} from './root.ts';

export const tintCreator: DiskCreator = {
	options: TINT_OPTIONS,
	keepsMarks: true,
	plan: planImage,
	resume: resumeImage,
	open: (plan, sink, parent) => imageWriter(plan as TintPlan & WriterPlan, sink, parent),
};

function parentOf({parent: planned}: TintPlan, parent: Disk | undefined): Inherit | undefined {
	if (planned === undefined) return undefined;
	const image = parent && parentImage(parent);
	const same = image && sameBytes(image.geometry.imageId, planned.imageId) && image.root.sequence === planned.sequence;
	if (image === undefined || same !== true) throw new Error('the parent is not the one that was planned with');
	return inheritFrom(planned, image);
}

const NONE = new Uint8Array(HASH_SIZE);

/** Neighbours in the sequence of roots never share a slot. */
function slotOf(sequence: number): number {
	return ROOT_SLOTS[(sequence - 1) % 2];
}

function imageWriter(plan: TintPlan, sink: ByteSink, parent: Disk | undefined): DiskWriter {
	const {size, sectorSize, chunkSize, pieceSize, pageEntries, imageId, timestamp, comment, run} = plan;
	const codec = plan.codec === 'lz4' ? lz4Codec() : zstdCodec(plan.level);
	const {counters, unreadable, tree: treeMemory, indexPages, hashPages, dedup} = sharedState(plan);
	const tree = contentTree(treeMemory);
	const known = dedupTable(dedup);
	/** Where a look at what others are changing leaves what it found; nobody reads it. */
	const glimpsed = newReference();
	const seemsKnown = (hash: Uint8Array): boolean => known.find(hash, glimpsed);
	const encoder = pieceEncoder(imageId, run, codec, chunkSize, pieceSize, parentOf(plan, parent), seemsKnown);
	const shapes = treeShapes(plan);
	const indexOn = (memory: Uint8Array) => pageWriter(memory, {...shapes.index, place: placePage(FrameType.indexPage)});
	const hashesOn = (memory: Uint8Array) => pageWriter(memory, {...shapes.hashes, place: placePage(FrameType.hashPage)});
	const index = indexOn(indexPages);
	const hashes = hashesOn(hashPages);
	/** Tables that have their place and wait for `write`. */
	const pending: {position: number; bytes: Uint8Array}[] = [];
	const found = newReference();
	let piece: EncodedPiece | undefined;
	let piecePosition = 0;
	let framesAt = 0;
	let firstNumber = 0;
	let root: Uint8Array | undefined;

	/** Gives a table its place; it is written later. */
	function place(payload: Uint8Array, type: FrameType, level: number, subject: number): Reference {
		const number = counters[Counter.frames]++;
		const bytes = storedFrame(imageId, payload, {type, level, run, number, subject});
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

	function count(state: number, chunks: number): void {
		counters[Counter.states + state] += chunks;
	}

	/** Kept for people; neighbours become one. */
	function noteUnreadable(position: number, length: number): void {
		const runs = counters[Counter.unreadable];
		const last = runs * 2 - 2;
		if (runs > 0 && unreadable[last] + unreadable[last + 1] === position) unreadable[last + 1] += length;
		else if (runs < MAX_UNREADABLE_RUNS) {
			unreadable[runs * 2] = position;
			unreadable[runs * 2 + 1] = length;
			counters[Counter.unreadable]++;
		}
	}

	/** Gives a chunk's frame its place, unless the same content has one. */
	function placeChunk(chunk: EncodedChunk): void {
		const {reference, hash, deferred} = chunk;
		const plain = reference.state === ChunkState.data ? hash : undefined;
		if (chunk.frame === 0 && deferred === undefined) {
			if (plain !== undefined && known.insert(plain, reference)) counters[Counter.forgotten]++;
			return;
		}
		if (plain !== undefined && known.find(plain, found)) {
			Object.assign(reference, found);
			if (reference.file === 0) counters[Counter.duplicates]++;
			return;
		}
		if (deferred !== undefined) encoder.encodeLate(chunk);
		chunk.place = counters[Counter.next] - framesAt;
		reference.position = counters[Counter.next];
		counters[Counter.next] += chunk.frame;
		counters[Counter.frames]++;
		counters[Counter.storedBytes] += reference.length;
		if (plain !== undefined && known.insert(plain, reference)) counters[Counter.forgotten]++;
	}

	/** Pages hold whole pieces, so the first chunk says it for all of them. */
	function reservePiece({chunks, count: used, blank, marks, root: pieceRoot}: EncodedPiece): void {
		if (blank) return;
		index.enter(chunks[0].number);
		if (pieceRoot !== undefined) hashes.enter(chunks[0].number);
		framesAt = counters[Counter.next];
		firstNumber = counters[Counter.frames];
		let leaves = 0;
		for (let i = 0; i < used; i++) {
			const chunk = chunks[i];
			const {reference, hash, number, contentLength} = chunk;
			leaves += Math.ceil(contentLength / LEAF_SIZE);
			if (reference.state === ChunkState.zero) continue;
			placeChunk(chunk);
			count(reference.file === 0 ? reference.state : ChunkState.inherited, 1);
			writeReference(viewOf(index.entry(number)), 0, reference);
			if (hash !== undefined) hashes.entry(number).set(hash);
		}
		for (const {offset, length, kind} of marks) {
			if (kind === SpanKind.unreadable) noteUnreadable(piecePosition + offset, length);
		}
		if (pieceRoot === undefined) return;
		tree.zerosTo(piecePosition / LEAF_SIZE);
		tree.add(leaves, pieceRoot);
	}

	function reserveMark(position: number, length: number, kind: Mark['kind']): void {
		const first = position / chunkSize;
		const end = Math.ceil((position + length) / chunkSize);
		const state = stateOf(kind);
		index.fill(first, end, {...newReference(), state});
		count(state, end - first);
		if (kind === SpanKind.unreadable) noteUnreadable(position, length);
	}

	/** What is known of the source, of the chain, and of what could not be read. */
	function placeMetadata(): Reference {
		const runs = Array.from({length: counters[Counter.unreadable]}, (_, number) => ({
			position: unreadable[number * 2],
			length: unreadable[number * 2 + 1],
		}));
		const bytes = writeMetadata({
			software: 'tintype',
			...(comment !== '' && {comment}),
			...(runs.length > 0 && {unreadable: runs}),
			...plan.metadata,
			...(plan.parent !== undefined && plan.parent.hints.length > 0 && {files: plan.parent.hints}),
		});
		return place(bytes, FrameType.metadata, 0, 0);
	}

	/** Writes the tables and the header; returns the root. Pages in the making stay so when it is a checkpoint. */
	function writeState(chunksDone: number, finished: boolean): Uint8Array {
		const header = writeHeader({
			incompatible: 0n,
			imageId,
			size,
			chunkSize,
			logicalSectorSize: sectorSize,
			physicalSectorSize: sectorSize,
			pageEntries,
			created: plan.created,
		});
		const top = finished ? index.finish() : indexOn(new Uint8Array(indexPages)).finish();
		const topHashes = finished ? hashes.finish() : hashesOn(new Uint8Array(hashPages)).finish();
		const chain = plan.parent?.files;
		const fileTable = chain === undefined ? newReference() : place(writeFileTable(chain), FrameType.fileTable, 0, 0);
		const metadata = placeMetadata();
		writePending();
		const contentRoot = finished ? tree.finish(size) : NONE;
		const states = Array.from(counters.subarray(Counter.states, Counter.states + STATE_COUNT));
		states[ChunkState.zero] = 0;
		states[ChunkState.zero] = chunksDone - states.reduce((total, counted) => total + counted, 0);
		const block = new Uint8Array(BLOCK);
		block.set(header);
		sink.writeAt(0, block);
		return writeRoot(
			{
				sequence: ++counters[Counter.sequence],
				run,
				incompatible: (chain === undefined ? 0n : CHAINED) | (finished ? 0n : UNFINISHED),
				compatible: 0n,
				autoclear: finished ? CONTENT_HASHES : 0n,
				index: top,
				hashes: topHashes,
				metadata,
				fileTable,
				contentId: finished ? contentId(size, contentRoot) : NONE,
				contentRoot,
				fileSize: counters[Counter.next],
				chunksDone,
				finished: timestamp,
				storedBytes: counters[Counter.storedBytes],
				nextFrame: ++counters[Counter.frames],
				states,
			},
			header,
			imageId,
		);
	}

	return {
		encode({position, bytes, marks}) {
			piecePosition = position;
			piece = encoder.encode(position, bytes, marks ?? []);
		},
		reserve() {
			if (piece !== undefined) reservePiece(piece);
		},
		write() {
			writePending();
			if (piece === undefined) return;
			const frames = encoder.frames(firstNumber);
			if (frames.length > 0) sink.writeAt(framesAt, frames);
			piece = undefined;
		},
		mark: reserveMark,
		checkpoint(position) {
			const checkpoint = writeState(Math.ceil(position / chunkSize), false);
			sink.sync();
			sink.writeAt(slotOf(counters[Counter.sequence]), checkpoint);
			sink.sync();
		},
		writeTables() {
			root = writeState(Math.ceil(size / chunkSize), true);
		},
		writeRoot() {
			if (root === undefined) throw new Error('tables come before the root');
			sink.truncate(counters[Counter.next]);
			const sequence = counters[Counter.sequence];
			sink.writeAt(slotOf(sequence), root);
			// The slot that holds the last checkpoint is only written when it is not needed any more.
			if (sequence > 1) sink.sync();
			sink.writeAt(slotOf(sequence + 1), root);
		},
		describe: () => describeWriting(plan, counters),
	};
}

function describeWriting(plan: TintPlan, counters: Float64Array): readonly Fact[] {
	const states = counters.subarray(Counter.states);
	const facts: Fact[] = [
		{key: 'codec', title: 'codec', value: plan.codec === 'zstd' ? `zstd, level ${plan.level}` : 'lz4'},
		{key: 'chunkSize', title: 'chunk size', value: plan.chunkSize, unit: 'bytes'},
		{key: 'storedBytes', title: 'data stored', value: counters[Counter.storedBytes], unit: 'bytes'},
		{key: 'fileSize', title: 'file size', value: counters[Counter.next], unit: 'bytes'},
	];
	const duplicates = counters[Counter.duplicates];
	if (plan.parent !== undefined) {
		const own = states[ChunkState.data] + states[ChunkState.mixed] - duplicates;
		facts.push(
			{key: 'newChunks', title: 'new chunks', value: own},
			{key: 'inheritedChunks', title: 'chunks that the chain has already', value: states[ChunkState.inherited]},
		);
	}
	if (duplicates > 0) facts.push({key: 'duplicateChunks', title: 'chunks stored once for several', value: duplicates});
	const marked = [
		[ChunkState.free, 'freeChunks', 'chunks free'],
		[ChunkState.excluded, 'excludedChunks', 'chunks excluded'],
		[ChunkState.unreadable, 'unreadableChunks', 'chunks unreadable'],
		[ChunkState.mixed, 'mixedChunks', 'chunks partly free, excluded or unreadable'],
	] as const;
	for (const [state, key, title] of marked) if (states[state] > 0) facts.push({key, title, value: states[state]});
	const forgotten = counters[Counter.forgotten];
	if (forgotten > 0) {
		const title = 'chunks too many to look for duplicates among all';
		facts.push({key: 'forgottenChunks', title, value: forgotten});
	}
	return facts;
}
